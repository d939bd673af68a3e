/** Bytes of appends in flight on this broker, over all partitions: what memory a stalled quorum or disk can pin. */
import { assert } from '../model/assert.ts';

export class AppendBudget {
  readonly #bytesMax: number;
  #bytes = 0;
  #emptyWaiters: (() => void)[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytesInFlight(): number {
    return this.#bytes;
  }

  /** One append always fits into an empty budget. */
  fits(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#bytesMax;
  }

  take(bytes: number): void {
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    assert(this.#bytes >= 0, 'budget-1: what is given back was taken', `${this.#bytes}`);
    if (this.#bytes > 0) return;
    const waiters = this.#emptyWaiters;
    this.#emptyWaiters = [];
    for (const resolve of waiters) resolve();
  }

  /** Resolves when nothing is in flight. */
  whenEmpty(): Promise<void> {
    if (this.#bytes === 0) return Promise.resolve();
    return new Promise((resolve) => this.#emptyWaiters.push(resolve));
  }
}
