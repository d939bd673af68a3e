/** What a leader knows of one other replica. */
import type { LogIndex, ReplicaId } from '../../model/ids.ts';

export class Progress {
  readonly id: ReplicaId;
  /** Durable at the replica and equal to the leader's log through this index. Invariant: rises only; below `next`. */
  match: LogIndex;
  /** The next index to send. */
  next: LogIndex;

  constructor(id: ReplicaId, match: LogIndex, next: LogIndex) {
    this.id = id;
    this.match = match;
    this.next = next;
  }
}
