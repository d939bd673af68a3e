/** State that the consensus core, the log and the state machines all name. */
import type { LogIndex, Offset, ReplicaId, Term } from './ids.ts';

/** A term and the first index and offset that were written in it. */
export interface TermStart {
  readonly term: Term;
  readonly startIndex: LogIndex;
  readonly startOffset: Offset;
}

/** What Raft must never forget. */
export interface HardState {
  readonly term: Term;
  /** Whom this replica voted for in `term`; null: nobody. */
  readonly vote: ReplicaId | null;
  /** A lower bound of the commit index; may trail. */
  readonly commit: LogIndex;
}

/** A change of one state key of a `commands` group. Keys are relative to the group. */
export type StateChange =
  | { readonly kind: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: Uint8Array };

/** One state key of a `commands` group. */
export interface StatePair {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}
