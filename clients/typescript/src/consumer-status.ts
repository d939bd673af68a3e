import type { TopicPartition } from './admin.ts';
import type { BrokerError } from './errors.ts';
import type { Stall } from './explanation.ts';
import type { StatusesMissed } from './status.ts';

/** What happens to a consumer in the background. */
export type ConsumerStatus =
  | StatusesMissed
  /** It is a member of its group. */
  | { readonly type: 'joined'; readonly memberId: string; readonly memberEpoch: number }
  /** These partitions are read from now on. */
  | { readonly type: 'assigned'; readonly partitions: readonly TopicPartition[] }
  /** These were given away. */
  | { readonly type: 'revoked'; readonly partitions: readonly TopicPartition[] }
  /** The membership is gone, and these with it; it joins again by itself. */
  | { readonly type: 'lost'; readonly partitions: readonly TopicPartition[]; readonly error: BrokerError | null }
  /** A heartbeat was not answered; it goes on trying. */
  | { readonly type: 'heartbeat-failed'; readonly error: BrokerError }
  /** A commit in the background failed; it is made again, unless `failed` follows. */
  | { readonly type: 'commit-failed'; readonly error: BrokerError }
  /** Records wait in this partition and nothing comes. The client begins to read it anew. */
  | PartitionStalled
  /** It goes on. */
  | { readonly type: 'recovered'; readonly partition: TopicPartition }
  /** A handler of `run` failed, and the record is tried again. */
  | (HandlerTrouble & { readonly type: 'retrying'; readonly waitMs: number })
  /** A record could not be deserialized and was passed over (`onDecodeError`). */
  | {
      readonly type: 'skipped';
      readonly partition: TopicPartition;
      readonly offset: number;
      readonly error: BrokerError;
    }
  /** A record went to the dead-letter topic. */
  | (HandlerTrouble & { readonly type: 'dead-lettered' })
  /** It can not go on; the next call rejects with the same error. The last but one status. */
  | { readonly type: 'failed'; readonly error: BrokerError }
  /** The last one. */
  | { readonly type: 'closed' };

export interface PartitionStalled {
  readonly type: 'stalled';
  readonly partition: TopicPartition;
  /** Next offset to read. */
  readonly position: number;
  readonly highWatermark: number;
  /** Records that wait. */
  readonly lag: number;
  /** For how long nothing came, milliseconds. */
  readonly forMs: number;
  /** What the cluster says of it (ClusterService.Explain); empty: nothing, or it could not be asked. */
  readonly stalls: readonly Stall[];
}

export interface HandlerTrouble {
  readonly partition: TopicPartition;
  readonly offset: number;
  /** From 1. */
  readonly attempt: number;
  /** What the handler threw. */
  readonly error: unknown;
}
