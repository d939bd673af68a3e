/** Everything that can happen to a replica. Fed to `RaftNode.step`; completions of I/O come back as events too. */
import type { Entry } from '../../model/entry.ts';
import type { LogIndex, ReplicaId, Term } from '../../model/ids.ts';
import type { Message } from './messages.ts';
import type { SnapshotMeta } from './snapshot.ts';

/** Chosen by the caller, unique per node; comes back in Ready. */
export type RequestId = number;

export type RaftEvent =
  /** Time passed. Deadlines at or before `now` (see RaftNode.nextDeadline) act. */
  | { readonly kind: 'tick' }
  | { readonly kind: 'message'; readonly message: Message }
  /** The write that ended at (lastIndex, lastTerm) is durable; a stale one is ignored by the core. */
  | { readonly kind: 'persisted'; readonly lastIndex: LogIndex; readonly lastTerm: Term; readonly readyNumber: number }
  /** The state machine has applied everything through this index. */
  | { readonly kind: 'applied'; readonly index: LogIndex }
  /** Entries that Ready.reads asked for. */
  | { readonly kind: 'entries-read'; readonly token: number; readonly entries: readonly Entry[] }
  /**
   * A frame between the hosts covers this group in this term (design D3). To a leader it is the answer of `from` to frame
   * number `round`; to a follower a heartbeat of its leader `from`; heard at `heardMs` (default: now).
   */
  | {
      readonly kind: 'peer-heard';
      readonly from: ReplicaId;
      readonly term: Term;
      readonly round: number;
      readonly heardMs?: number;
    }
  /**
   * The connection on which the leader `from` is heard broke, and there is no other: its process may have died. What it
   * sent before was fed before.
   */
  | { readonly kind: 'leader-cut-off'; readonly from: ReplicaId }
  /** What was sent lately may not have arrived, and what was told be forgotten (the peer began anew). */
  | { readonly kind: 'peer-unreachable'; readonly to: ReplicaId }
  /** Answered in Ready.readStates once leadership was confirmed after this event. */
  | { readonly kind: 'read-index'; readonly id: RequestId }
  | { readonly kind: 'transfer'; readonly to: ReplicaId }
  /**
   * A snapshot that Ready.snapshotsToSend asked for: one chunk of it. If none was named, or the named one is not kept any
   * more, the first chunk of the newest.
   */
  | {
      readonly kind: 'snapshot-read';
      readonly to: ReplicaId;
      readonly meta: SnapshotMeta;
      readonly position: number;
      readonly bytes: Uint8Array;
      readonly last: boolean;
    }
  /** The snapshot of Ready.install was installed durably. */
  | { readonly kind: 'snapshot-installed'; readonly meta: SnapshotMeta }
  /** The snapshot that is being received can not be taken: it is damaged, or larger than what is allowed. */
  | { readonly kind: 'snapshot-refused'; readonly id: string }
  /** The log begins at `firstIndex` now; `chain` is the chain value before it. */
  | { readonly kind: 'compacted'; readonly firstIndex: LogIndex; readonly chain: number };
