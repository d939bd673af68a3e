/** Why a partition waits: ClusterService.Explain in the client's terms. */
import { StallReason as WireReason } from './gen/sluice/v1/cluster.ts';
import type { ExplainResponse, Stall as WireStall } from './gen/sluice/v1/cluster.ts';
import { toNumberOrNull } from './int64.ts';

const reasons = {
  [WireReason.STALL_REASON_AT_HIGH_WATERMARK]: 'at-high-watermark',
  [WireReason.STALL_REASON_NO_LEADER]: 'no-leader',
  [WireReason.STALL_REASON_LEADER_UNREACHABLE]: 'leader-unreachable',
  [WireReason.STALL_REASON_LEADER_RECOVERING]: 'leader-recovering',
  [WireReason.STALL_REASON_WAITING_FOR_QUORUM]: 'waiting-for-quorum',
  [WireReason.STALL_REASON_NOT_ENOUGH_REPLICAS]: 'not-enough-replicas',
  [WireReason.STALL_REASON_REPLICA_CATCHING_UP]: 'replica-catching-up',
  [WireReason.STALL_REASON_THROTTLED]: 'throttled',
  [WireReason.STALL_REASON_DISK_RESERVE]: 'disk-reserve',
  [WireReason.STALL_REASON_QUARANTINED]: 'quarantined',
  [WireReason.STALL_REASON_OPENING]: 'opening',
  [WireReason.STALL_REASON_BROKER_NOT_RUNNING]: 'broker-not-running',
} as const;

/** Why something waits; `unknown`: the broker is newer than this client. */
export type StallReason = (typeof reasons)[keyof typeof reasons] | 'unknown';

const reasonOf = new Map<number, StallReason>(
  Object.entries(reasons).map(([number, reason]) => [Number(number), reason]),
);

/** One reason why a partition waits. */
export interface Stall {
  readonly reason: StallReason;
  /** One sentence for people. Not stable. */
  readonly message: string;
  /** Appends wait or are refused for it. */
  readonly blocksProduce: boolean;
  /** Readers wait for it, or are refused. */
  readonly blocksFetch: boolean;
  /** Ids of the brokers that are missing or behind. */
  readonly missingBrokers: readonly number[];
  /** How much of `total` is done, in what the reason counts: replicas, entries or bytes. Null: it can not be counted. */
  readonly done: number | null;
  readonly total: number | null;
}

/** Why a partition waits, as one broker sees it: its leader, if that could be reached. */
export interface Explanation {
  readonly topicId: string;
  /** The broker whose view this is. */
  readonly answeredBy: number;
  /** Broker id; null: none is known. */
  readonly leader: number | null;
  readonly leaderEpoch: number | null;
  /** Null, as the next two: that broker has no replica. */
  readonly logStartOffset: number | null;
  readonly highWatermark: number | null;
  /** End of what is appended, committed or not. */
  readonly endOffset: number | null;
  /** Those that block first. Never empty. */
  readonly stalls: readonly Stall[];
}

export const explanationOf = (wire: ExplainResponse): Explanation => ({
  topicId: wire.topicId,
  answeredBy: wire.answeredBy,
  leader: wire.leader ?? null,
  leaderEpoch: wire.leaderEpoch ?? null,
  logStartOffset: toNumberOrNull(wire.logStartOffset),
  highWatermark: toNumberOrNull(wire.highWatermark),
  endOffset: toNumberOrNull(wire.endOffset),
  stalls: wire.stalls.map(stallOf),
});

const stallOf = ({ reason, message, blocksProduce, blocksFetch, missingBrokers, done, total }: WireStall): Stall => ({
  ...{ reason: reasonOf.get(reason) ?? 'unknown', message, blocksProduce, blocksFetch, missingBrokers },
  done: toNumberOrNull(done),
  total: toNumberOrNull(total),
});
