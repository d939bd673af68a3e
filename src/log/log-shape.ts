/**
 * What is known of one log without reading it: where it starts and ends, its terms, its configurations, and the
 * positions after each entry that could still be truncated. Pure and synchronous.
 *
 * Invariants (log.ts has log-1 to log-5):
 * - log-6: nothing at or below a commit index that this log was told of is truncated (P21); the hard state never goes back.
 * - log-7: entries follow each other without a gap, in index, offset, term and chain (entry-1 to entry-3).
 */
import { assert, must } from '../model/assert.ts';
import type { Crc32c } from '../model/crc32c.ts';
import type { Entry } from '../model/entry.ts';
import { chainAfter } from '../model/entry.ts';
import type { LogIndex, Term } from '../model/ids.ts';
import { indexZero, termZero, toLogIndex } from '../model/ids.ts';
import type { HardState, TermStart } from '../model/raft-state.ts';
import { IndexRun } from './index-run.ts';
import type { LogPosition } from './log-position.ts';
import { positionAfter } from './log-position.ts';

/** A configuration entry: its index and payload. */
export interface ConfigurationEntry {
  readonly index: LogIndex;
  readonly payload: Uint8Array;
}

/** Positions kept for truncation, one per uncommitted entry; the consensus core refuses proposals long before. */
export const tailPositionsMax = 262_144;

export class LogShape {
  readonly #crc32c: Crc32c;
  /** Position before the first entry in the log. */
  #base: LogPosition;
  /** Position after the last entry. */
  #tail: LogPosition;
  #hardState: HardState;
  /**
   * Positions from the newest known commit (or the log's base) to the tail.
   * Invariant: truncation is possible exactly to these.
   */
  readonly #positions: IndexRun<LogPosition>;
  #terms: readonly TermStart[];
  #configurations: readonly ConfigurationEntry[];

  /** @param positions ascending without a gap; the last one is the tail */
  constructor(
    start: {
      readonly base: LogPosition;
      readonly hardState: HardState;
      readonly positions: readonly LogPosition[];
      readonly terms: readonly TermStart[];
      readonly configurations: readonly ConfigurationEntry[];
    },
    crc32c: Crc32c,
  ) {
    this.#crc32c = crc32c;
    this.#base = start.base;
    this.#hardState = start.hardState;
    this.#tail = start.positions.at(-1) ?? start.base;
    this.#positions = new IndexRun(start.positions[0]?.index ?? start.base.index);
    for (const position of start.positions) this.#positions.push(position);
    if (start.positions.length === 0) this.#positions.push(start.base);
    this.#terms = start.terms;
    this.#configurations = start.configurations;
  }

  get base(): LogPosition {
    return this.#base;
  }
  get tail(): LogPosition {
    return this.#tail;
  }
  get hardState(): HardState {
    return this.#hardState;
  }
  get terms(): readonly TermStart[] {
    return this.#terms;
  }
  get configurations(): readonly ConfigurationEntry[] {
    return this.#configurations;
  }

  /** Position after the entry at `index`; null: not known without a read. */
  positionAt(index: LogIndex): LogPosition | null {
    return index === this.#base.index ? this.#base : this.#positions.get(index);
  }

  /** Null: not in the log. The term of the entry before the first one is known, and that before all entries is 0. */
  termAt(index: LogIndex): Term | null {
    if (index === indexZero) return termZero;
    if (index < this.#base.index || index > this.#tail.index) return null;
    if (index === this.#base.index) return this.#base.term;
    const start = this.#terms.findLast(({ startIndex }) => startIndex <= index);
    return must(start, 'every entry of a log belongs to a term of its table').term;
  }

  /** Appends in memory; returns the term that starts with this entry, if one does. */
  append(entry: Entry): TermStart | null {
    this.#assertFollows(entry);
    const newTerm = entry.term > this.#tail.term;
    this.#tail = positionAfter(this.#tail, entry);
    this.#positions.push(this.#tail);
    if (this.#positions.length > tailPositionsMax) this.#positions.shift();
    if (entry.kind === 'configuration') {
      const payload = new Uint8Array(entry.payload);
      this.#configurations = [...this.#configurations, { index: entry.index, payload }];
    }
    if (!newTerm) return null;
    const start = { term: entry.term, startIndex: entry.index, startOffset: entry.baseOffset };
    this.#terms = [...this.#terms, start];
    return start;
  }

  /** Drops everything above `index` in memory; returns the new tail. */
  truncateAfter(index: LogIndex): LogPosition {
    assert(index >= this.#hardState.commit, 'log-6: nothing committed is truncated', `${index}`);
    assert(index >= this.#base.index, 'log-4: truncation stays within the log', `${index}`);
    const position = this.#positions.get(index);
    assert(position !== null, 'log-6: truncation stays above what was committed, and within the log', `${index}`);
    this.#positions.truncateAfter(index);
    this.#tail = position;
    if (this.#terms.some(({ startIndex }) => startIndex > index)) {
      this.#terms = this.#terms.filter(({ startIndex }) => startIndex <= index);
    }
    if (this.#configurations.some((configuration) => configuration.index > index)) {
      this.#configurations = this.#configurations.filter((configuration) => configuration.index <= index);
    }
    return position;
  }

  /** Asserts that it does not go back, and forgets the positions below its commit index. */
  replaceHardState(next: HardState): void {
    const previous = this.#hardState;
    assert(next.term >= previous.term, 'log-6: the term never falls', `${previous.term} to ${next.term}`);
    assert(
      next.term > previous.term || previous.vote === null || next.vote === previous.vote,
      'log-6: one vote in a term',
      `term ${next.term}`,
    );
    assert(next.commit >= previous.commit, 'log-6: the commit index never falls', `${next.commit}`);
    assert(next.commit <= this.#tail.index, 'log-6: what is committed is in the log', `${next.commit}`);
    this.#hardState = next;
    this.settle(next.commit);
  }

  /** Everything through `index` is committed: positions below it are not needed any more. */
  settle(index: LogIndex): void {
    this.#positions.dropBefore(index);
  }

  /** The log begins after `base` now. Terms and configurations that only what was removed needed are forgotten. */
  dropThrough(base: LogPosition): void {
    assert(
      base.index > this.#base.index && base.index <= this.#tail.index,
      'log-4: a prefix is removed',
      `${base.index}`,
    );
    this.#base = base;
    this.settle(base.index);
    // the term of the base stays: after a truncation down to it, entries of that term may follow again
    const firstTerm = this.#terms.findLastIndex(({ startIndex }) => startIndex <= base.index);
    if (firstTerm > 0) this.#terms = this.#terms.slice(firstTerm);
    const first = this.#configurations.findLastIndex(({ index }) => index <= base.index);
    if (first > 0) this.#configurations = this.#configurations.slice(first);
  }

  /** Lowest index that truncation may name. */
  get truncatableFrom(): LogIndex {
    return toLogIndex(Math.max(this.#positions.firstIndex, this.#hardState.commit));
  }

  #assertFollows(entry: Entry): void {
    const tail = this.#tail;
    assert(entry.index === tail.index + 1, 'log-7: indexes follow each other', `${entry.index} after ${tail.index}`);
    assert(entry.term >= tail.term, 'log-7: terms never fall', `${entry.term} at ${entry.index}`);
    assert(entry.baseOffset === tail.endOffset, 'log-7: offsets are dense', `${entry.baseOffset} at ${entry.index}`);
    assert(entry.appendTimeMs >= tail.appendTimeMs, 'log-7: append times never fall', `at ${entry.index}`);
    assert(entry.kind === 'batch' ? entry.count > 0 : entry.count === 0, 'entry-2: only batches have records');
    assert(
      chainAfter(tail.chain, entry, this.#crc32c) === entry.chain,
      'entry-3: the chain holds',
      `at ${entry.index}`,
    );
  }
}
