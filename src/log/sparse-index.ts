/**
 * Decides which entries get a point in the sparse indexes by offset and by timestamp, so that a read seeks to at most
 * `indexIntervalEntries` before its target. Pure; what it remembers is the distance since the last point.
 */
import type { Entry } from '../model/entry.ts';
import type { Millis } from '../model/ids.ts';
import { laterOf } from './log-position.ts';

/** Entries from one point to the next, at most. Metadata is small, so a seek over this many costs little. */
export const indexIntervalEntries = 32;

export class SparseIndex {
  /** Infinity: the next batch gets a point, because the distance since the last one is not known. */
  #entriesSince = Number.POSITIVE_INFINITY;
  /** At least the largest timestamp since the last point; null: none. */
  #maxTimestampMs: Millis | null;

  /** @param maxTimestampMs largest timestamp of the log so far: an upper bound for what follows its last point */
  constructor(maxTimestampMs: Millis | null) {
    this.#maxTimestampMs = maxTimestampMs;
  }

  /** Passes the next entry. Says whether it gets a point, and then the largest timestamp since the one before. */
  pass(entry: Entry): { readonly maxTimestampBeforeMs: Millis | null } | null {
    const due = entry.kind === 'batch' && this.#entriesSince >= indexIntervalEntries - 1;
    const maxTimestampBeforeMs = this.#maxTimestampMs;
    this.#entriesSince = due ? 0 : this.#entriesSince + 1;
    this.#maxTimestampMs = due ? entry.maxTimestampMs : laterOf(maxTimestampBeforeMs, entry.maxTimestampMs);
    return due ? { maxTimestampBeforeMs } : null;
  }

  /** The log was truncated: as after the constructor. */
  reset(maxTimestampMs: Millis | null): void {
    this.#entriesSince = Number.POSITIVE_INFINITY;
    this.#maxTimestampMs = maxTimestampMs;
  }
}
