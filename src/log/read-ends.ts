/**
 * Remembers where reads from the store ended, so that the next read of the same consumer starts there without looking the
 * offset up. Only a hint: who uses it checks what is found.
 */
import type { LogIndex, Offset } from '../model/ids.ts';

/** Places remembered per log; the oldest gives way. */
const placesMax = 64;

export class ReadEnds {
  readonly #indexes = new Map<Offset, LogIndex>();

  /** Index at which a batch probably starts at `offset`; null: not known. */
  at(offset: Offset): LogIndex | null {
    return this.#indexes.get(offset) ?? null;
  }

  remember(offset: Offset, index: LogIndex): void {
    this.#indexes.delete(offset);
    this.#indexes.set(offset, index);
    if (this.#indexes.size <= placesMax) return;
    for (const oldest of this.#indexes.keys()) {
      this.#indexes.delete(oldest);
      return;
    }
  }
}
