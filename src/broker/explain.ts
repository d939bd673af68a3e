/**
 * Why a partition waits, or what is produced to it or fetched from it: every stall has a typed reason. Pure; as one replica
 * sees it, and the leader sees most.
 */
import type { BrokerId, LogIndex, Offset, ReplicaId, Term } from '../model/ids.ts';
import type { Configuration } from '../raft/core/configuration.ts';
import type { FollowerStatus } from '../raft/core/progress.ts';
import { majorityOf } from '../raft/core/quorum.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { BrokerLimits } from './limits.ts';

export type StallReason =
  | 'at-high-watermark'
  | 'no-leader'
  | 'leader-unreachable'
  | 'leader-recovering'
  | 'waiting-for-quorum'
  | 'not-enough-replicas'
  | 'replica-catching-up'
  | 'throttled'
  | 'disk-reserve'
  | 'quarantined'
  | 'opening'
  | 'broker-not-running';

export interface Stall {
  readonly reason: StallReason;
  /** One sentence for people. */
  readonly message: string;
  readonly blocksProduce: boolean;
  readonly blocksFetch: boolean;
  /** Brokers that are missing or behind, ascending. */
  readonly missing: readonly BrokerId[];
  /** Null: it can not be counted. */
  readonly progress: { readonly done: number; readonly total: number } | null;
}

export interface Explanation {
  readonly topicId: string;
  readonly answeredBy: BrokerId;
  /** Null: none is known. */
  readonly leader: { readonly brokerId: BrokerId; readonly term: Term } | null;
  /** Null: that broker has no replica that is open. */
  readonly marks: { readonly logStart: Offset; readonly highWatermark: Offset; readonly endOffset: Offset } | null;
  /** Those that block first. Never empty. */
  readonly stalls: readonly Stall[];
}

/** A replica as its broker sees it. */
export interface ReplicaView {
  readonly role: RoleState;
  readonly configuration: Configuration;
  readonly followers: readonly FollowerStatus[];
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly firstIndex: LogIndex;
  /** Voters that have everything that was appended, durably, if this replica leads. */
  readonly holders: number;
  readonly quarantine: string | null;
}

export interface ExplainView {
  /** Null: no replica is open here. */
  readonly replica: ReplicaView | null;
  /** Replicas in sync that the topic asks for; 0: a majority. */
  readonly insyncMin: number;
  /** Voters that are in sync, if this replica leads. */
  readonly live: number;
  /** Bytes of appends in flight on the broker, and the limit. */
  readonly inFlight: { readonly bytes: number; readonly bytesMax: number };
  readonly diskAdmits: boolean;
  readonly nowMs: number;
  readonly brokerOf: (replica: ReplicaId) => BrokerId | null;
  /** Whether the broker is heard by this one; of itself it knows. */
  readonly hears: (broker: BrokerId) => boolean;
}

type Limits = Pick<BrokerLimits, 'inSyncHeardMs' | 'inSyncLagMax'>;

/** The reasons, those that block first; the last is that there is nothing to read, if nothing else is. */
export function explain(view: ExplainView, limits: Limits): readonly Stall[] {
  const { replica } = view;
  if (replica === null) return [stall('opening', 'the replica is being made or opened on this broker', 'both')];
  if (replica.quarantine !== null)
    return [stall('quarantined', `the replica is set apart on this broker: ${replica.quarantine}`, 'both')];
  const { role } = replica;
  const stalls = role.role === 'leader' ? led(view, replica, limits) : followed(view, replica);
  const blocking = stalls.filter(({ blocksProduce, blocksFetch }) => blocksProduce || blocksFetch);
  const others = stalls.filter((one) => !blocking.includes(one));
  const idle = 'everything that is committed can be read; readers wait for the next record';
  return [...blocking, ...others, ...(blocking.length === 0 ? [stall('at-high-watermark', idle, 'neither')] : [])];
}

function followed(view: ExplainView, { role, configuration }: ReplicaView): readonly Stall[] {
  if (role.leader !== null) return [];
  const brokers = brokersOf(view, configuration.voters);
  const missing = brokers.filter((broker) => !view.hears(broker));
  const here = brokers.length - missing.length;
  const total = majorityOf(configuration.voters.length);
  const what =
    here < total
      ? `nobody leads the partition: ${here} of its replicas are heard, and ${total} are needed to elect a leader`
      : 'nobody leads the partition: its replicas elect a leader';
  return [stall('no-leader', what, 'both', missing, { done: Math.min(here, total), total })];
}

function led(view: ExplainView, replica: ReplicaView, limits: Limits): readonly Stall[] {
  const { role, configuration, followers, commitIndex, appliedIndex, lastIndex, firstIndex, holders } = replica;
  const { voters } = configuration;
  const majority = majorityOf(voters.length);
  const { insyncMin, live, inFlight, nowMs } = view;
  const silent = followers.filter(({ heardMs }) => nowMs - heardMs > limits.inSyncHeardMs);
  const silentVoters = brokersOf(
    view,
    silent.map(({ id }) => id).filter((id) => voters.includes(id)),
  );
  const stalls: Stall[] = [];
  if (!role.serving) {
    const progress = { done: appliedIndex - firstIndex + 1, total: lastIndex - firstIndex + 1 };
    stalls.push(
      stall('leader-recovering', 'the new leader applies what came before it', 'both', silentVoters, progress),
    );
  }
  if (commitIndex < lastIndex) {
    const behind = followers.filter(({ id, match }) => voters.includes(id) && match < lastIndex).map(({ id }) => id);
    const missing = silentVoters.length > 0 ? silentVoters : brokersOf(view, behind);
    const what = `${lastIndex - commitIndex} entries wait until ${majority} replicas have them durably`;
    const progress = { done: Math.min(holders, majority), total: majority };
    // a moment of it is what every append has; only without enough replicas does it last
    const blocks = voters.length - silentVoters.length < majority ? 'produce' : 'neither';
    stalls.push(stall('waiting-for-quorum', what, blocks, missing, progress));
  }
  if (insyncMin > majority && live < insyncMin) {
    const what = `${live} of the ${insyncMin} replicas that min.insync.replicas asks for are in sync`;
    stalls.push(stall('not-enough-replicas', what, 'produce', silentVoters, { done: live, total: insyncMin }));
  }
  if (!view.diskAdmits) {
    stalls.push(stall('disk-reserve', 'the disk of this broker is down to its reserve', 'produce'));
  }
  if (inFlight.bytes >= inFlight.bytesMax) {
    const what = 'as many bytes as may wait to become durable on this broker';
    stalls.push(stall('throttled', what, 'produce', [], { done: inFlight.bytes, total: inFlight.bytesMax }));
  }
  for (const { id, state, match } of followers) {
    if (state !== 'snapshot' && match + limits.inSyncLagMax >= commitIndex) continue;
    const how = state === 'snapshot' ? 'gets a snapshot' : 'catches up';
    const brokers = brokersOf(view, [id]);
    const progress = { done: match, total: lastIndex };
    stalls.push(stall('replica-catching-up', `replica ${id} ${how}`, 'neither', brokers, progress));
  }
  return stalls;
}

const brokersOf = ({ brokerOf }: ExplainView, replicas: readonly ReplicaId[]): readonly BrokerId[] =>
  replicas.flatMap((replica) => brokerOf(replica) ?? []).sort((a, b) => a - b);

/** @param blocks what waits for it */
export function stall(
  reason: StallReason,
  message: string,
  blocks: 'both' | 'produce' | 'neither',
  missing: readonly BrokerId[] = [],
  progress: Stall['progress'] = null,
): Stall {
  return { reason, message, blocksProduce: blocks !== 'neither', blocksFetch: blocks === 'both', missing, progress };
}
