/** Reads batches by offset from the store. */
import type { Entry } from '../model/entry.ts';
import type { LogIndex, Offset } from '../model/ids.ts';
import { toLogIndex } from '../model/ids.ts';
import type { StoredEntry } from './entry-codec.ts';
import { storedEndOffset } from './entry-codec.ts';
import { LogCorruption } from './reader.ts';
import type { StoredEntries } from './stored-entries.ts';
import { entriesPerReadMax } from './stored-entries.ts';
import { indexIntervalEntries } from './sparse-index.ts';

export interface OffsetRead {
  /** Entries that are stored: from `first` through `through`. */
  readonly first: LogIndex;
  readonly through: LogIndex;
  /** Offsets wanted: from `from`, below `below`. */
  readonly from: Offset;
  readonly below: Offset;
  readonly bytesMax: number;
  /** How many entries fill `bytesMax`, more or less. */
  readonly entriesExpected: number;
  /** Index at which a batch probably starts at `from`: where an earlier read ended. Null: look it up. */
  readonly hint: LogIndex | null;
}

/** Batches that overlap the offsets wanted, the one that holds `from` first. Rejects with LogCorruption. */
export async function readBelow(entries: StoredEntries, read: OffsetRead): Promise<readonly Entry[]> {
  const chosen = await select(entries, read);
  const first = chosen[0];
  if (first !== undefined && first.baseOffset <= read.from) return entries.withPayloads(chosen);
  if (read.hint !== null) return readBelow(entries, { ...read, hint: null });
  throw new LogCorruption(`no batch holds offset ${read.from}, which lies in the log`);
}

async function select(entries: StoredEntries, read: OffsetRead): Promise<readonly StoredEntry[]> {
  const point = read.hint ?? (await entries.pointAtOrBefore(read.from)) ?? read.first;
  const pageLength = read.entriesExpected + (read.hint === null ? indexIntervalEntries : 0);
  const selection = new Selection(read);
  const start = toLogIndex(Math.max(point, read.first));
  for await (const page of entries.pages(start, read.through, pageLength)) {
    if (!selection.add(page)) break;
  }
  return selection.chosen;
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
