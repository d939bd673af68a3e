/**
 * How many snapshots a broker sends, and takes, at a time (P80): when a node comes back, all its groups may be behind at
 * once. Who gets no place is asked again later.
 */
import { assert } from '../model/assert.ts';

export class SnapshotSlots {
  readonly #max: number;
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get taken(): number {
    return this.#taken;
  }

  /** False: all are taken. */
  take(): boolean {
    if (this.#taken >= this.#max) return false;
    this.#taken++;
    return true;
  }

  give(): void {
    assert(this.#taken > 0, 'snapshot-slots-1: only what was taken is given back');
    this.#taken--;
  }
}
