/**
 * The newest entries of one log in memory: a contiguous run that ends at the log's last entry. Fetches at the tail and
 * followers are served from here, without a copy.
 *
 * Invariant: log-8: an entry that is not durable yet is in the cache, so that it can be read before the store has it.
 *
 * Payloads are views. One that is much smaller than the buffer behind it (a record in a network frame) would keep the
 * whole of it alive; such a payload is copied when it is pushed (P37), unless what is pushed with it fills the buffer: the
 * entries of an append request stay in the frame that they came in. A buffer counts whole until the last view of it goes.
 */
import { assert } from '../model/assert.ts';
import type { Entry } from '../model/entry.ts';
import { entryEndOffset } from '../model/entry.ts';
import type { LogIndex, Offset } from '../model/ids.ts';
import { toLogIndex } from '../model/ids.ts';
import { entryFrom } from './entry-codec.ts';
import { IndexRun } from './index-run.ts';
import type { BudgetMember, TailCacheBudget } from './tail-cache-budget.ts';

/** What an entry costs beside its payload: its object, its numbers, the view, its slot. 350 measured on Node 20. */
export const cachedEntryOverheadBytes = 384;

/** Payloads are copied if the buffer behind them is more than this many times their size. */
const pinnedFactorMax = 2;

export class TailCache implements BudgetMember {
  readonly #budget: TailCacheBudget;
  #run: IndexRun<Entry>;
  #durableThrough: LogIndex;
  #bytes = 0;

  /** @param lastIndex of the log, which is durable up to there; the cache starts empty behind it */
  constructor(budget: TailCacheBudget, lastIndex: LogIndex) {
    this.#budget = budget;
    this.#durableThrough = lastIndex;
    this.#run = new IndexRun(toLogIndex(lastIndex + 1));
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** First index that is held; lastIndex + 1 if none is. */
  get firstIndex(): LogIndex {
    return this.#run.firstIndex;
  }

  /** Newest index that the store has. */
  get durableThrough(): LogIndex {
    return this.#durableThrough;
  }

  /**
   * Appends the next entry; returns it as it is kept, with a payload that keeps little else alive.
   * @param heldBytes payload bytes in the same buffer of all that is pushed now (`payloadBytesByBuffer`)
   */
  push(entry: Entry, heldBytes: number = entry.payload.byteLength): Entry {
    assert(entry.index === this.#run.endIndex, 'log-8: the cache ends at the last entry', `${entry.index}`);
    const pinsTooMuch = entry.payload.buffer.byteLength > heldBytes * pinnedFactorMax;
    const kept = pinsTooMuch ? entryFrom(entry, new Uint8Array(entry.payload)) : entry;
    const cost = costBeside(kept, this.#last);
    this.#run.push(kept);
    this.#grow(cost);
    this.#budget.enforce(this);
    return kept;
  }

  /** Entries through `index` are durable and may be evicted from now on. */
  markDurable(index: LogIndex): void {
    if (index <= this.#durableThrough) return;
    this.#durableThrough = index;
    this.#budget.enforce(this);
  }

  /** Forgets entries above `index` (P28). */
  truncateAfter(index: LogIndex): void {
    let freed = 0;
    while (this.#run.length > 0 && this.#run.endIndex > index + 1) freed += this.#dropLast();
    this.#run.truncateAfter(index);
    if (index < this.#durableThrough) this.#durableThrough = index;
    this.#grow(-freed);
  }

  /** Forgets entries below `index`. */
  dropBefore(index: LogIndex): void {
    let freed = 0;
    while (this.#run.length > 0 && this.#run.firstIndex < index) freed += this.#dropFirst();
    this.#run.dropBefore(index);
    this.#grow(-freed);
  }

  /** Forgets everything: the log is empty and durable, and goes on after `lastIndex`. */
  restartAfter(lastIndex: LogIndex): void {
    this.#grow(-this.#bytes);
    this.#run = new IndexRun(toLogIndex(lastIndex + 1));
    this.#durableThrough = lastIndex;
  }

  evictOldest(): number {
    if (this.#run.length === 0 || this.#run.firstIndex > this.#durableThrough) return 0;
    const freed = this.#dropFirst();
    this.#grow(-freed);
    return freed;
  }

  /** Null: not held. */
  get(index: LogIndex): Entry | null {
    return this.#run.get(index);
  }

  /** Batches that overlap [from, below), at least one if there is any, up to `bytesMax`; null: they are not all held. */
  readOffsets(from: Offset, below: Offset, bytesMax: number): readonly Entry[] | null {
    if (this.#run.length === 0 || from < this.#run.at(0).baseOffset) return null;
    const entries: Entry[] = [];
    let bytes = 0;
    for (let at = this.#firstEndingAfter(from); at < this.#run.length; at++) {
      const entry = this.#run.at(at);
      if (entry.baseOffset >= below) break;
      if (entry.count === 0) continue;
      bytes += entry.payload.length;
      if (bytes > bytesMax && entries.length > 0) break;
      entries.push(entry);
    }
    return entries;
  }

  /** Entries from `from` through `through`, at least one, up to `bytesMax`; null: the first one is not held. */
  readIndexes(from: LogIndex, through: LogIndex, bytesMax: number): readonly Entry[] | null {
    if (this.#run.get(from) === null) return null;
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= through; index = toLogIndex(index + 1)) {
      const entry = this.#run.get(index);
      if (entry === null) break;
      bytes += entry.payload.length;
      if (bytes > bytesMax && entries.length > 0) break;
      entries.push(entry);
    }
    return entries;
  }

  /** Distance of the first entry that ends after `offset`: ends never fall, so a binary search finds it. */
  #firstEndingAfter(offset: Offset): number {
    let low = 0;
    let high = this.#run.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (entryEndOffset(this.#run.at(middle)) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  get #last(): Entry | null {
    return this.#run.length === 0 ? null : this.#run.at(this.#run.length - 1);
  }

  /** Returns what it gives back. */
  #dropFirst(): number {
    const dropped = this.#run.shift();
    return costBeside(dropped, this.#run.length === 0 ? null : this.#run.at(0));
  }

  #dropLast(): number {
    const dropped = this.#run.pop();
    return costBeside(dropped, this.#last);
  }

  #grow(delta: number): void {
    this.#bytes += delta;
    this.#budget.changed(this, delta);
  }
}

/** What an entry costs beside the one next to it, whose buffer it may share. */
const costBeside = ({ payload }: Entry, neighbour: Entry | null): number =>
  cachedEntryOverheadBytes + (neighbour?.payload.buffer === payload.buffer ? 0 : payload.buffer.byteLength);

/** For `push`: payload bytes of `entries` in each buffer. */
export function payloadBytesByBuffer(entries: readonly Entry[]): ReadonlyMap<ArrayBufferLike, number> {
  const bytes = new Map<ArrayBufferLike, number>();
  for (const { payload } of entries) bytes.set(payload.buffer, (bytes.get(payload.buffer) ?? 0) + payload.byteLength);
  return bytes;
}
