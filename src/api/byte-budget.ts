import { assert } from '../model/assert.ts';

/** One caller may hold the free bytes divided by this: n callers that do leave 1 / (1 + n / 8) of the budget free. */
const shareOfFree = 8;

/**
 * Bytes that all calls may hold together. One more is always given, so that the largest fits; `full` says when to stop,
 * and whoever waits is called in turn as soon as there is room.
 *
 * Invariant: budget-1: what was taken is given back once.
 */
export class ByteBudget {
  readonly bytesMax: number;
  readonly #waiting = new Set<() => void>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get full(): boolean {
    return this.#bytes >= this.bytesMax;
  }

  /**
   * What one caller may hold now: a part of what is free, so that however many callers hold on to theirs, some is left for
   * the next one (dynamic thresholds: Choudhury and Hahne, 1998). Bytes.
   */
  get share(): number {
    return Math.max(0, Math.floor((this.bytesMax - this.#bytes) / shareOfFree));
  }

  take(bytes: number): void {
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    assert(this.#bytes >= 0, 'budget-1: bytes are given back once', String(this.#bytes));
    for (const resume of [...this.#waiting]) {
      if (this.full) return;
      this.#waiting.delete(resume);
      resume();
    }
  }

  /** Calls `resume` once, when there is room. A second time for the same function changes nothing. */
  whenNotFull(resume: () => void): void {
    this.#waiting.add(resume);
  }

  forget(resume: () => void): void {
    this.#waiting.delete(resume);
  }
}
