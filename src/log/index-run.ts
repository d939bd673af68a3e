/** Items at consecutive log indexes: grows at the end, shrinks at both ends, finds by index in constant time. */
import { assert, must } from '../model/assert.ts';
import type { LogIndex } from '../model/ids.ts';
import { toLogIndex } from '../model/ids.ts';

export class IndexRun<T extends object> {
  /** Invariant: `#items[#head]` has index `#firstIndex`; everything before `#head` was let go. */
  #items: (T | null)[] = [];
  #head = 0;
  #firstIndex: LogIndex;

  /** @param firstIndex of the first item that will be pushed */
  constructor(firstIndex: LogIndex) {
    this.#firstIndex = firstIndex;
  }

  get firstIndex(): LogIndex {
    return this.#firstIndex;
  }

  /** Index after the last item's. */
  get endIndex(): LogIndex {
    return toLogIndex(this.#firstIndex + this.length);
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Null: not in the run. */
  get(index: LogIndex): T | null {
    return index < this.#firstIndex ? null : (this.#items[this.#head + index - this.#firstIndex] ?? null);
  }

  /** The item `distance` after the first. */
  at(distance: number): T {
    return must(this.#items[this.#head + distance], 'an item within the run');
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first item away. */
  shift(): T {
    const item = this.at(0);
    this.#items[this.#head++] = null;
    this.#firstIndex = toLogIndex(this.#firstIndex + 1);
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes the last item away. */
  pop(): T {
    assert(this.length > 0, 'index-run-1: only what is there is taken');
    return must(this.#items.pop(), 'an item within the run');
  }

  /** Drops items with an index below `index`; a run that ends below it goes on there. */
  dropBefore(index: LogIndex): void {
    while (this.length > 0 && this.#firstIndex < index) this.shift();
    if (this.length === 0 && this.#firstIndex < index) this.#firstIndex = index;
  }

  /** Drops items with an index above `index`; a run that starts above it goes on after it. */
  truncateAfter(index: LogIndex): void {
    while (this.length > 0 && this.endIndex > index + 1) this.pop();
    if (this.length === 0 && this.#firstIndex > index + 1) this.#firstIndex = toLogIndex(index + 1);
  }
}
