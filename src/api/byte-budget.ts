import { assert } from '../model/assert.ts';

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
