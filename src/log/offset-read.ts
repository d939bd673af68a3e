/** Reads batches by offset from the store. */
import type { Entry } from '../model/entry.ts';
import type { LogIndex, Offset } from '../model/ids.ts';
import { toLogIndex } from '../model/ids.ts';
import type { StoredEntry } from './entry-codec.ts';
import { storedEndOffset } from './entry-codec.ts';
import { LogCorruption } from './reader.ts';
import type { StoredEntries } from './stored-entries.ts';
import { entriesPerReadMax } from './stored-entries.ts';

export interface OffsetRead {
  /** Entries that are stored: from `first` through `through`. */
  readonly first: LogIndex;
  readonly through: LogIndex;
  /** Offsets wanted: from `from`, below `below`. */
  readonly from: Offset;
  readonly below: Offset;
  readonly bytesMax: number;
}

/** Batches that overlap the offsets wanted, at least one if there is any. Rejects with LogCorruption. */
export async function readBelow(entries: StoredEntries, read: OffsetRead): Promise<readonly Entry[]> {
  const point = (await entries.pointAtOrBefore(read.from)) ?? read.first;
  const selection = new Selection(read);
  for await (const page of entries.pages(toLogIndex(Math.max(point, read.first)), read.through)) {
    if (!selection.add(page)) break;
  }
  const first = selection.chosen[0];
  if (first !== undefined && first.baseOffset > read.from) {
    throw new LogCorruption(`offset ${read.from} is missing: the first batch found starts at ${first.baseOffset}`);
  }
  return entries.withPayloads(selection.chosen);
}

class Selection {
  readonly chosen: StoredEntry[] = [];
  readonly #read: OffsetRead;
  #bytes = 0;

  constructor(read: OffsetRead) {
    this.#read = read;
  }

  /** False: no more is wanted. */
  add(page: readonly StoredEntry[]): boolean {
    for (const entry of page) {
      if (entry.baseOffset >= this.#read.below) return false;
      if (storedEndOffset(entry) <= this.#read.from || entry.count === 0) continue;
      this.#bytes += entry.payloadLength;
      const full = this.#bytes > this.#read.bytesMax || this.chosen.length === entriesPerReadMax;
      if (full && this.chosen.length > 0) return false;
      this.chosen.push(entry);
    }
    return true;
  }
}
