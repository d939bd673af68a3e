/**
 * Accepted proposals whose outcome is open. Invariant: every one that is added gets exactly one outcome, in the order
 * of the log; `durable` comes before it, if at all.
 */
import { assert } from '../model/assert.ts';
import type { LogIndex } from '../model/ids.ts';
import type { ProposalListener, ProposalOutcome } from './group.ts';

interface Pending {
  readonly index: LogIndex;
  readonly listener: ProposalListener;
}

const committed: ProposalOutcome = { kind: 'committed' };

export class PendingProposals {
  /** Ascending by index from #head on. Bounded by the core's uncommitted limit. */
  #pending: Pending[] = [];
  #head = 0;
  /** Position of the first one that is not durable yet. */
  #durableHead = 0;

  get size(): number {
    return this.#pending.length - this.#head;
  }

  add(index: LogIndex, listener: ProposalListener): void {
    assert((this.#pending.at(-1)?.index ?? 0) < index || this.size === 0, 'proposals-1: in log order', `${index}`);
    this.#pending.push({ index, listener });
  }

  /** The leader's own write through `index` is durable. */
  durable(index: LogIndex): void {
    for (;;) {
      const next = this.#pending[this.#durableHead];
      if (next === undefined || next.index > index) return;
      this.#durableHead++;
      next.listener.durable?.();
    }
  }

  /** Everything through `index` is committed and applied. */
  applied(index: LogIndex): void {
    for (;;) {
      const next = this.#pending[this.#head];
      if (next === undefined || next.index > index) break;
      this.#head++;
      this.#durableHead = Math.max(this.#durableHead, this.#head);
      next.listener.outcome(committed);
    }
    this.#compact();
  }

  /** Whatever lies above `index` may or may not happen (P30). */
  unknownAbove(index: LogIndex, why: 'leadership-lost' | 'stopped' | 'quarantined'): void {
    let keep = this.#head;
    while ((this.#pending[keep]?.index ?? Infinity) <= index) keep++;
    const lost = this.#pending.splice(keep);
    this.#durableHead = Math.min(this.#durableHead, this.#pending.length);
    for (const one of lost) one.listener.outcome({ kind: 'unknown', why });
  }

  #compact(): void {
    const empty = this.#head === this.#pending.length;
    if (this.#head === 0 || (!empty && (this.#head < 256 || this.#head * 2 < this.#pending.length))) return;
    this.#pending = this.#pending.slice(this.#head);
    this.#durableHead -= this.#head;
    this.#head = 0;
  }
}
