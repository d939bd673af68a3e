/** The state of a broker as metrics show it, taken when somebody asks. Takes turns, so that thousands of replicas stall nobody. */
import type { BrokerId, Millis, Offset, ReplicaId } from '../model/ids.ts';
import { catalogGroup } from '../model/ids.ts';
import type { RaftGroup } from '../raft/group.ts';
import type { CatalogState } from './catalog-state.ts';
import type { Lag, LagElsewhere, LagQuestion, PartitionLag } from './group-lag.ts';
import { LagReads, lagReadsMax, lagsOf } from './group-lag.ts';
import type { GroupPhase, GroupView } from './group/group.ts';
import { phaseOf } from './group/membership.ts';
import { inSyncReplicas } from './in-sync.ts';
import type { BrokerLimits } from './limits.ts';
import type { LocalGroups } from './local-groups.ts';

/** One replica on this broker. */
export interface ReplicaSample {
  readonly topic: string;
  readonly partition: number;
  readonly role: 'leader' | 'follower' | 'learner';
  /** A leader is known here; if it is this replica, it serves. */
  readonly hasLeader: boolean;
  readonly highWatermark: Offset;
  readonly logStart: Offset;
  /** Payload bytes of its log. */
  readonly bytes: number;
  /** Null: another replica leads. */
  readonly led: LedSample | null;
}

/** What only a leader can tell. */
export interface LedSample {
  /** Replicas that the catalog wants. */
  readonly replicas: number;
  /** Voters that are in sync, the leader counted. */
  readonly inSync: number;
  /** Voters without which nothing is committed. */
  readonly quorum: number;
  /** Entries that each other replica is behind, by its broker. */
  readonly lagEntries: ReadonlyMap<BrokerId, number>;
}

export interface GroupSample {
  readonly group: string;
  readonly members: number;
  readonly phase: GroupPhase;
  readonly lags: readonly PartitionLag[];
}

export interface BrokerSample {
  readonly replicas: readonly ReplicaSample[];
  /** Replicas that are set apart, the catalog's too. */
  readonly quarantined: number;
  /** Consumer groups that are coordinated here. */
  readonly groups: readonly GroupSample[];
  readonly brokers: number;
  readonly topics: number;
  readonly partitions: number;
  readonly catalogRevision: number;
  /** Null: this broker does not lead the catalog. */
  readonly catalogLeader: CatalogLeaderSample | null;
  readonly limits: readonly LimitUse[];
}

/** What is taken of a limit, in its unit. */
export interface LimitUse {
  /** Its name, as in limits.ts of its layer. */
  readonly limit: string;
  readonly used: number;
  readonly max: number;
}

export interface CatalogLeaderSample {
  /** Brokers that were not heard of lately. */
  readonly silentBrokers: number;
  /** Partitions for which too few replicas are on brokers that were heard of. */
  readonly partitionsWithoutQuorum: number;
}

interface SampleDeps {
  readonly state: CatalogState;
  /** Group 0; null: it does not run yet. */
  readonly catalog: RaftGroup | null;
  /** Brokers that were not heard of lately; null: this broker does not lead the catalog. */
  readonly quiet: ReadonlySet<BrokerId> | null;
  readonly localGroups: LocalGroups;
  /** Null: it does not run yet. */
  readonly coordinators: { groupsHere(): Iterable<GroupView> } | null;
  /** Asks brokers with a replica; null: none of them answered. */
  readonly askLags: (questions: readonly LagQuestion[]) => Promise<readonly (Lag | null)[]>;
  readonly limits: BrokerLimits;
  readonly limitUse: readonly LimitUse[];
  readonly nowMs: number;
  readonly wallMs: Millis;
  /** Lets others have the event loop. */
  readonly pause: () => Promise<void>;
}

/** Partitions or groups that are looked at in one turn. */
const perTurnMax = 100;

const majority = (count: number): number => Math.floor(count / 2) + 1;

export async function sampleBroker(deps: SampleDeps): Promise<BrokerSample> {
  const { state, catalog, localGroups, limitUse } = deps;
  const { replicas, partitions, withoutQuorum } = await samplePartitions(deps);
  const setApart = localGroups.setApart.length + (catalog !== null && catalog.quarantine !== null ? 1 : 0);
  return {
    replicas: catalog === null ? replicas : [sampleCatalog(catalog, deps), ...replicas],
    quarantined: setApart,
    groups: await sampleGroups(deps),
    brokers: state.brokers.size,
    topics: state.topics.size,
    partitions,
    catalogRevision: state.revision,
    catalogLeader:
      deps.quiet === null ? null : { silentBrokers: deps.quiet.size, partitionsWithoutQuorum: withoutQuorum },
    limits: limitUse,
  };
}

interface PartitionSamples {
  readonly replicas: readonly ReplicaSample[];
  /** Of the cluster. */
  readonly partitions: number;
  readonly withoutQuorum: number;
}

async function samplePartitions(deps: SampleDeps): Promise<PartitionSamples> {
  const { state, localGroups, quiet, pause } = deps;
  const replicas: ReplicaSample[] = [];
  let [partitions, withoutQuorum] = [0, 0];
  for (const topic of state.topics.values()) {
    for (const [number, place] of topic.partitions.entries()) {
      partitions += 1;
      if (partitions % perTurnMax === 0) await pause();
      const heard = place.replicas.filter(({ brokerId }) => quiet?.has(brokerId) !== true);
      if (heard.length < majority(place.replicas.length)) withoutQuorum += 1;
      const raft = localGroups.running(place.group);
      if (raft === null || raft.quarantine !== null) continue;
      const named = { topic: topic.name, partition: number };
      replicas.push(sampleReplica(raft, { ...named, wanted: place.replicas.length }, deps));
    }
  }
  return { replicas, partitions, withoutQuorum };
}

/** The catalog's own group, under the name that no topic can have. */
function sampleCatalog(catalog: RaftGroup, deps: SampleDeps): ReplicaSample {
  const wanted = catalog.membership.configuration.voters.length;
  return sampleReplica(catalog, { topic: '(catalog)', partition: catalogGroup, wanted }, deps);
}

interface Named {
  readonly topic: string;
  readonly partition: number;
  /** Replicas that the catalog wants. */
  readonly wanted: number;
}

function sampleReplica(raft: RaftGroup, { topic, partition, wanted }: Named, deps: SampleDeps): ReplicaSample {
  const { role, highWatermark, log } = raft;
  const leads = role.role === 'leader';
  return {
    ...{ topic, partition },
    role: leads ? 'leader' : role.role === 'learner' ? 'learner' : 'follower',
    hasLeader: leads ? role.serving : role.leader !== null,
    ...{ highWatermark, logStart: log.logStart, bytes: log.payloadBytes },
    led: leads ? sampleLed(raft, wanted, deps) : null,
  };
}

function sampleLed(raft: RaftGroup, replicas: number, { state, limits, nowMs }: SampleDeps): LedSample {
  const { voters } = raft.membership.configuration;
  const isVoter = (replica: ReplicaId): boolean => voters.includes(replica);
  const lagEntries = new Map<BrokerId, number>();
  for (const { id, match } of raft.followers) {
    const broker = state.brokerOf(id);
    if (broker !== null) lagEntries.set(broker, Math.max(0, raft.log.lastIndex - match));
  }
  const inSync = inSyncReplicas(raft, nowMs, limits).filter(isVoter).length;
  return { replicas, inSync, quorum: majority(voters.length), lagEntries };
}

async function sampleGroups(deps: SampleDeps): Promise<readonly GroupSample[]> {
  const { coordinators, pause, askLags } = deps;
  const reads = new LagReads(lagReadsMax);
  const groups: (GroupSample & { readonly lags: PartitionLag[] })[] = [];
  const missing: (LagElsewhere & { readonly lags: PartitionLag[] })[] = [];
  for (const group of coordinators?.groupsHere() ?? []) {
    const found = await lagsOf(group, { ...deps, reads });
    const lags = [...found.lags];
    groups.push({ group: group.groupId, members: group.members.size, phase: phaseOf(group), lags });
    for (const one of found.elsewhere) missing.push({ ...one, lags });
    if (groups.length % perTurnMax === 0) await pause();
  }
  const answers = missing.length === 0 ? [] : await askLags(missing.map(({ question }) => question));
  for (const [at, { topic, partition, lags }] of missing.entries()) {
    const lag = answers[at] ?? null;
    if (lag !== null) lags.push({ topic, partition, ...lag });
  }
  return groups;
}
