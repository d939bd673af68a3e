/** A broker as its cluster sees it, and how it is by its own account. */
import { BrokerError } from './errors.ts';
import type { BrokerDescription as WireBroker, DescribeBrokerResponse as Wire } from './gen/sluice/v1/cluster.ts';
import { BrokerDuty, DiskLevel } from './gen/sluice/v1/cluster.ts';
import { toNumber, toNumberOrNull } from './int64.ts';

export interface BrokerDescription {
  readonly brokerId: number;
  /** "host:port" for clients. */
  readonly address: string;
  /** UUID of its disk. */
  readonly incarnation: string;
  readonly version: string;
  /** Known to take part. */
  readonly healthy: boolean;
  /** Empty if it is healthy. */
  readonly unhealthyReason: string;
  /** True: not healthy only because nobody who knows could be asked. */
  readonly healthUnknown: boolean;
  /** Where it stands; null: not said. */
  readonly rack: string | null;
  /** What operators have ordered for it; null: of a version that this client does not know. */
  readonly duty: 'active' | 'draining' | 'decommissioning' | null;
  /** Replicas that are placed on it, or still leaving it. */
  readonly replicaCount: number;
  /** Its disk is given up: another one may come and take its place. */
  readonly replaceable: boolean;
  /** Newest format version that its software knows. */
  readonly formatVersion: number;
}

const duties: Readonly<Partial<Record<number, BrokerDescription['duty']>>> = {
  [BrokerDuty.BROKER_DUTY_ACTIVE]: 'active',
  [BrokerDuty.BROKER_DUTY_DRAINING]: 'draining',
  [BrokerDuty.BROKER_DUTY_DECOMMISSIONING]: 'decommissioning',
};

export const brokerDescription = (wire: WireBroker): BrokerDescription => ({
  ...wire,
  rack: wire.rack ?? null,
  duty: duties[wire.duty] ?? null,
});

/** The catalog's own replica is not counted. */
export interface ReplicaCounts {
  readonly leaders: number;
  /** They vote and do not lead. */
  readonly followers: number;
  /** They catch up and do not vote yet. */
  readonly learners: number;
  readonly quarantined: number;
}

/** A replica that neither votes nor leads nor acknowledges on its broker. */
export interface QuarantinedReplica {
  /** Null: the catalog's own replica (group 0), or data that belongs to no topic. */
  readonly topic: string | null;
  readonly topicId: string | null;
  readonly partition: number | null;
  /** Number of its Raft group. */
  readonly group: number;
  /** One sentence. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
}

export interface DiskDescription {
  /** `low`: leaders refuse new records; `critical`: followers take no more records either. */
  readonly level: 'ample' | 'low' | 'critical';
  readonly freeBytes: number;
  /** Free bytes below which the level is low. */
  readonly softReserveBytes: number;
  /** Free bytes below which the level is critical. */
  readonly hardReserveBytes: number;
  /** The file that is given up so that a full disk can recover has its full size. */
  readonly ballastWhole: boolean;
}

/** How late the timers of the event loop were in a span of time that is over, milliseconds. */
export interface EventLoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly spanMs: number;
}

export interface RuntimeDescription {
  readonly pid: number;
  readonly nodeVersion: string;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  /** CPU time of all its threads since then, milliseconds. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** Null: not measured yet. */
  readonly loopDelay: EventLoopDelay | null;
}

export interface PeerDescription {
  readonly brokerId: number;
  /** There is a connection on which it has proven who it is. */
  readonly connected: boolean;
  /** How long ago it was heard about the partitions that both have, milliseconds; null: never. */
  readonly heardAgoMs: number | null;
  readonly unsentBytes: number;
}

export interface BrokerReport {
  /** Not healthy: it takes part in nothing. */
  readonly broker: BrokerDescription;
  readonly replicas: ReplicaCounts;
  /** By group. The other brokers go on with their replicas. */
  readonly quarantined: readonly QuarantinedReplica[];
  /** Null: not known. */
  readonly disk: DiskDescription | null;
  /** Null: not known. */
  readonly runtime: RuntimeDescription | null;
  /** The other brokers of the cluster as it sees them, by id. */
  readonly peers: readonly PeerDescription[];
}

export function brokerReport({ broker, replicas, quarantined, disk, runtime, peers }: Wire): BrokerReport {
  if (broker === undefined || replicas === undefined)
    throw new BrokerError('INTERNAL', 'The broker answered without itself.');
  return {
    broker: brokerDescription(broker),
    replicas,
    quarantined: quarantined.map(({ topic, topicId, partition, group, reason, sinceMs }) => ({
      topic: topic === '' ? null : topic,
      topicId: topicId === '' ? null : topicId,
      partition: partition ?? null,
      group: toNumber(group),
      reason,
      sinceMs: toNumber(sinceMs),
    })),
    disk: diskOf(disk),
    runtime: runtimeOf(runtime),
    peers: peers.map(({ brokerId, connected, heardAgoMs, unsentBytes }) => ({
      brokerId,
      connected,
      heardAgoMs: toNumberOrNull(heardAgoMs),
      unsentBytes: toNumber(unsentBytes),
    })),
  };
}

const levels: ReadonlyMap<number, DiskDescription['level']> = new Map([
  [DiskLevel.DISK_LEVEL_AMPLE, 'ample'],
  [DiskLevel.DISK_LEVEL_LOW, 'low'],
  [DiskLevel.DISK_LEVEL_CRITICAL, 'critical'],
]);

function diskOf(disk: Wire['disk']): DiskDescription | null {
  const level = disk === undefined ? undefined : levels.get(disk.level);
  if (disk === undefined || level === undefined) return null;
  return {
    level,
    freeBytes: toNumber(disk.freeBytes),
    softReserveBytes: toNumber(disk.softReserveBytes),
    hardReserveBytes: toNumber(disk.hardReserveBytes),
    ballastWhole: disk.ballastWhole,
  };
}

function runtimeOf(runtime: Wire['runtime']): RuntimeDescription | null {
  if (runtime === undefined) return null;
  const { pid, nodeVersion, loopDelay } = runtime;
  return {
    pid,
    nodeVersion,
    startedAtMs: toNumber(runtime.startedAtMs),
    cpuMs: toNumber(runtime.cpuMs),
    residentBytes: toNumber(runtime.residentBytes),
    heapUsedBytes: toNumber(runtime.heapUsedBytes),
    loopDelay: loopDelay === undefined ? null : { ...loopDelay, spanMs: toNumber(loopDelay.spanMs) },
  };
}
