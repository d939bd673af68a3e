/**
 * Which writes are on their way to the disk, and what of the log and the hard state is durable therefore. Completions
 * arrive in order; one that a truncation has overtaken counts only for what the truncation left (P22: the same index
 * and term may come back later, and must not be taken for durable too early).
 */
import { assert } from '../../model/assert.ts';
import type { LogIndex, ReplicaId, Term } from '../../model/ids.ts';
import { toLogIndex } from '../../model/ids.ts';

interface Write {
  readonly number: number;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** What the write still makes durable: lastIndex, or less if a truncation followed. */
  durableThrough: LogIndex;
  readonly term: Term;
  readonly vote: ReplicaId | null;
  /** A snapshot was being installed: the disk may have been ahead already, and written behind the new log's end. */
  readonly beside?: boolean;
}

export class WriteLedger {
  #durableIndex: LogIndex;
  #durableTerm: Term;
  #durableVote: ReplicaId | null;
  /** Ascending by number; bounded by the driver, which hands out a bounded number of writes. */
  readonly #writes: Write[] = [];

  constructor(durableIndex: LogIndex, term: Term, vote: ReplicaId | null) {
    this.#durableIndex = durableIndex;
    this.#durableTerm = term;
    this.#durableVote = vote;
  }

  /** Every entry of the present log through this index is durable. */
  get durableIndex(): LogIndex {
    return this.#durableIndex;
  }

  /** True if this vote of this term is durable: only then may it be counted or told (P1, P2). */
  isDurable(term: Term, vote: ReplicaId | null): boolean {
    return this.#durableTerm === term && this.#durableVote === vote;
  }

  /** Something that was handed out is not durable yet. */
  get busy(): boolean {
    return this.#writes.length > 0;
  }

  handedOut(write: Omit<Write, 'durableThrough'>): void {
    this.#writes.push({ ...write, durableThrough: write.lastIndex });
  }

  /** Entries above `after` are gone from the log. */
  truncated(after: LogIndex): void {
    this.#durableIndex = toLogIndex(Math.min(this.#durableIndex, after));
    for (const write of this.#writes) write.durableThrough = toLogIndex(Math.min(write.durableThrough, after));
  }

  /** The write `number`, and with it every earlier one, is durable. False: a stale completion. */
  completed(number: number, lastIndex: LogIndex, lastTerm: Term): boolean {
    let found = false;
    for (let first = this.#writes[0]; first !== undefined && first.number <= number; first = this.#writes[0]) {
      if (first.number === number) {
        const asHanded = first.lastIndex === lastIndex && first.lastTerm === lastTerm;
        const at = `entry ${lastIndex} of term ${lastTerm}`;
        assert(asHanded || first.beside === true, 'raft-7: the log wrote what it was handed', at);
        found = true;
      }
      this.#writes.shift();
      this.#durableIndex = toLogIndex(Math.max(this.#durableIndex, first.durableThrough));
      this.#durableTerm = first.term;
      this.#durableVote = first.vote;
    }
    return found;
  }

  /** A snapshot that was installed durably replaced the log. */
  reset(durableIndex: LogIndex): void {
    this.truncated(toLogIndex(0));
    this.#durableIndex = durableIndex;
  }
}
