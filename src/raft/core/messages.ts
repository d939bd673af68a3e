/** What replicas of one group say to each other. A union: a variant holds exactly the fields that are valid in it. */
import type { Entry } from '../../model/entry.ts';
import type { LogIndex, Offset, ReplicaId, Term } from '../../model/ids.ts';
import type { Configuration } from './configuration.ts';
import type { SnapshotMeta } from './snapshot.ts';

interface Addressed {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  /** The sender's term; for a pre-vote request the term it would campaign in. */
  readonly term: Term;
}

export type VoteRequest = Addressed & {
  readonly kind: 'vote-request';
  /** A pre-vote changes nothing at the receiver. */
  readonly pre: boolean;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** True: the leader asked for this campaign (transfer), so stickiness does not apply. */
  readonly transfer: boolean;
  /** The newest in the candidate's log: the election is held among its voters. Without voters: not told. */
  readonly configuration: Configuration;
};
export type VoteReply = Addressed & { readonly kind: 'vote-reply'; readonly pre: boolean; readonly granted: boolean };
export type AppendRequest = Addressed & {
  readonly kind: 'append-request';
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  /** End offset at prevIndex: checked after log matching (design D7). */
  readonly prevEndOffset: Offset;
  /** Chain value at prevIndex (entry-3): two logs that match there agree on it, or have diverged. Null: not known. */
  readonly prevChain: number | null;
  /** Rises with every append request to this replica in this term; comes back in the reply (P26, P27). */
  readonly sequence: number;
  readonly entries: readonly Entry[];
  /** The leader's commit index; the receiver uses at most what this leader has verified (P19). */
  readonly commit: LogIndex;
};
export type AppendReply = Addressed & {
  readonly kind: 'append-reply';
  /** prevIndex and sequence of the request that is answered, so that stale rejections are told apart (P26). */
  readonly prevIndex: LogIndex;
  readonly sequence: number;
  readonly result:
    | { readonly kind: 'accepted'; readonly durableIndex: LogIndex }
    /** The log does not match; hints for a fast back-off. */
    | { readonly kind: 'mismatch'; readonly hintIndex: LogIndex; readonly hintTerm: Term };
};
export type HeartbeatRequest = Addressed & {
  readonly kind: 'heartbeat-request';
  /** min(match of the receiver, commit). */
  readonly commit: LogIndex;
  /** Rises with every round, for ReadIndex and CheckQuorum. */
  readonly round: number;
};
export type HeartbeatReply = Addressed & {
  readonly kind: 'heartbeat-reply';
  readonly round: number;
  /** The log is known to equal this leader's through this index, durable or not: shows what was lost on the way (P34). */
  readonly verified: LogIndex;
};
export type SnapshotChunk = Addressed & {
  readonly kind: 'snapshot-chunk';
  readonly meta: SnapshotMeta;
  readonly position: number;
  readonly bytes: Uint8Array;
  readonly last: boolean;
};
export type SnapshotReply = Addressed & {
  readonly kind: 'snapshot-reply';
  readonly snapshotId: string;
  readonly result: 'next' | 'installed' | 'refused';
  /** Bytes received so far. */
  readonly position: number;
};
export type TimeoutNow = Addressed & { readonly kind: 'timeout-now' };

export type Message =
  | VoteRequest
  | VoteReply
  | AppendRequest
  | AppendReply
  | HeartbeatRequest
  | HeartbeatReply
  | SnapshotChunk
  | SnapshotReply
  | TimeoutNow;
