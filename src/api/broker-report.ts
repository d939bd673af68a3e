/** What a broker tells of itself, to the contract and back: another broker may have been asked for it. */
import type { DescribeBrokerResponse } from '../gen/sluice/v1/cluster.ts';
import { DiskLevel } from '../gen/sluice/v1/cluster.ts';
import type { DiskFacts, RuntimeFacts } from '../broker/broker-facts.ts';
import type { BrokerReport, QuarantinedReplica } from '../broker/requests.ts';
import { toBrokerId, toGroupNumber, toMillis } from '../model/ids.ts';
import { fromBrokerDescription, toBrokerDescription } from './broker-description.ts';
import { toInt32, toInt32OrAbsent, toInt64, toInt64OrAbsent } from './convert.ts';

type Wire = DescribeBrokerResponse;

const levels = {
  ample: DiskLevel.DISK_LEVEL_AMPLE,
  low: DiskLevel.DISK_LEVEL_LOW,
  critical: DiskLevel.DISK_LEVEL_CRITICAL,
} as const satisfies Record<DiskFacts['level'], number>;

export const toDescribeBrokerResponse = (report: BrokerReport): Wire => ({
  broker: toBrokerDescription(report.broker),
  replicas: {
    leaders: toInt32(report.replicas.leaders),
    followers: toInt32(report.replicas.followers),
    learners: toInt32(report.replicas.learners),
    quarantined: toInt32(report.replicas.quarantined),
  },
  quarantined: report.quarantined.map(({ group, partition, reason, sinceMs }) => ({
    topic: partition?.topic ?? '',
    topicId: partition?.topicId ?? '',
    partition: toInt32OrAbsent(partition?.number ?? null),
    group: toInt64(group),
    reason,
    sinceMs: toInt64(sinceMs),
  })),
  disk: toDisk(report.disk),
  runtime: toRuntime(report.runtime),
  peers: report.peers.map(({ brokerId, connected, heardAgoMs, unsentBytes }) => ({
    brokerId: toInt32(brokerId),
    connected,
    heardAgoMs: toInt64OrAbsent(heardAgoMs),
    unsentBytes: toInt64(unsentBytes),
  })),
});

function toDisk(disk: DiskFacts | null): Wire['disk'] {
  if (disk === null) return undefined;
  return {
    level: levels[disk.level],
    freeBytes: toInt64(disk.freeBytes),
    softReserveBytes: toInt64(disk.softReserveBytes),
    hardReserveBytes: toInt64(disk.hardReserveBytes),
    ballastWhole: disk.ballastWhole,
  };
}

function toRuntime(runtime: RuntimeFacts | null): Wire['runtime'] {
  if (runtime === null) return undefined;
  const { loopDelay } = runtime;
  return {
    pid: toInt32(runtime.pid),
    nodeVersion: runtime.nodeVersion,
    startedAtMs: toInt64(runtime.startedAtMs),
    cpuMs: toInt64(runtime.cpuMs),
    residentBytes: toInt64(runtime.residentBytes),
    heapUsedBytes: toInt64(runtime.heapUsedBytes),
    loopDelay: loopDelay === null ? undefined : { ...loopDelay, spanMs: toInt64(loopDelay.spanMs) },
  };
}

/** The inverse, for an answer that another broker gave; it checked it before it left. */
export const fromDescribeBrokerResponse = (wire: Wire): BrokerReport => ({
  broker: fromBrokerDescription(wire.broker),
  replicas: wire.replicas ?? { leaders: 0, followers: 0, learners: 0, quarantined: 0 },
  quarantined: wire.quarantined.map(fromQuarantined),
  disk: fromDisk(wire.disk),
  runtime: fromRuntime(wire.runtime),
  peers: wire.peers.map(({ brokerId, connected, heardAgoMs, unsentBytes }) => ({
    brokerId: toBrokerId(brokerId),
    connected,
    heardAgoMs: heardAgoMs === undefined ? null : Number(heardAgoMs),
    unsentBytes: Number(unsentBytes),
  })),
});

const fromQuarantined = (wire: Wire['quarantined'][number]): QuarantinedReplica => ({
  group: toGroupNumber(Number(wire.group)),
  partition: wire.partition === undefined ? null : { topic: wire.topic, topicId: wire.topicId, number: wire.partition },
  reason: wire.reason,
  sinceMs: toMillis(Number(wire.sinceMs)),
});

function fromDisk(wire: Wire['disk']): DiskFacts | null {
  const level = (Object.keys(levels) as DiskFacts['level'][]).find((name) => levels[name] === wire?.level);
  if (wire === undefined || level === undefined) return null;
  return {
    level,
    freeBytes: Number(wire.freeBytes),
    softReserveBytes: Number(wire.softReserveBytes),
    hardReserveBytes: Number(wire.hardReserveBytes),
    ballastWhole: wire.ballastWhole,
  };
}

function fromRuntime(wire: Wire['runtime']): RuntimeFacts | null {
  if (wire === undefined) return null;
  const { pid, nodeVersion, loopDelay } = wire;
  return {
    ...{ pid, nodeVersion },
    startedAtMs: toMillis(Number(wire.startedAtMs)),
    cpuMs: Number(wire.cpuMs),
    residentBytes: Number(wire.residentBytes),
    heapUsedBytes: Number(wire.heapUsedBytes),
    loopDelay: loopDelay === undefined ? null : { ...loopDelay, spanMs: Number(loopDelay.spanMs) },
  };
}
