/**
 * Reads the entries of one log, from memory where they are there and from the store otherwise, and again if entries went
 * away meanwhile (log-2, log-8).
 */
import { must } from '../model/assert.ts';
import type { Entry } from '../model/entry.ts';
import { entryEndOffset } from '../model/entry.ts';
import type { LogIndex, Millis, Offset } from '../model/ids.ts';
import { nextIndex, previousIndex, toLogIndex, toOffset } from '../model/ids.ts';
import type { StoredEntry } from './entry-codec.ts';
import { storedEndOffset } from './entry-codec.ts';
import type { LogPosition } from './log-position.ts';
import { readBelow } from './offset-read.ts';
import { ReadEnds } from './read-ends.ts';
import type { EntryMark } from './reader.ts';
import { LogCorruption } from './reader.ts';
import type { StoredEntries } from './stored-entries.ts';
import { entriesPerReadMax } from './stored-entries.ts';
import type { TailCache } from './tail-cache.ts';
import { findTimestamp } from './timestamp-search.ts';

/** What a read needs to know of the log, as it is at each moment. */
export interface ReadableLog {
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly endOffset: Offset;
  readonly logStart: Offset;
  /** After the last entry. */
  readonly tail: LogPosition;
  /** Rises whenever entries go away or are hidden: what was read meanwhile is read again. */
  readonly shrinkCount: number;
  readonly isRemoved: boolean;
  /** Settles when everything that is in the log now is stored. */
  readonly newestWrite: Promise<unknown>;
}

export class EntryReads {
  readonly #log: ReadableLog;
  readonly #entries: StoredEntries;
  readonly #cache: TailCache;
  readonly #readEnds = new ReadEnds();

  constructor(log: ReadableLog, entries: StoredEntries, cache: TailCache) {
    this.#log = log;
    this.#entries = entries;
    this.#cache = cache;
  }

  readFromCache(from: Offset, below: Offset, bytesMax: number): readonly Entry[] | null {
    const visibleFrom = from < this.#log.logStart ? this.#log.logStart : from;
    if (visibleFrom >= below || visibleFrom >= this.#log.endOffset) return [];
    return this.#cache.readOffsets(visibleFrom, below, bytesMax);
  }

  async readFrom(from: Offset, below: Offset, bytesMax: number): Promise<readonly Entry[]> {
    return this.unlessShrunk<readonly Entry[]>([], async () => {
      const cached = this.readFromCache(from, below, bytesMax);
      if (cached !== null) return cached;
      const visibleFrom = toOffset(Math.max(from, this.#log.logStart));
      const stored = await readBelow(this.#entries, {
        first: this.#log.firstIndex,
        through: this.#storedThrough,
        from: visibleFrom,
        below,
        bytesMax,
        entriesExpected: this.#entriesIn(bytesMax),
        hint: this.#readEnds.at(visibleFrom),
      });
      const last = stored.at(-1);
      if (last !== undefined) this.#readEnds.remember(entryEndOffset(last), nextIndex(last.index));
      return this.#continued(stored, bytesMax, (last, left) => this.readFromCache(entryEndOffset(last), below, left));
    });
  }

  readEntriesFromCache(from: LogIndex, through: LogIndex, bytesMax: number): readonly Entry[] | null {
    return this.#cache.readIndexes(from, through, bytesMax);
  }

  async readEntries(from: LogIndex, through: LogIndex, bytesMax: number): Promise<readonly Entry[]> {
    return this.unlessShrunk<readonly Entry[]>([], async () => {
      if (from < this.#log.firstIndex || from > this.#log.lastIndex || from > through) return [];
      const cached = this.readEntriesFromCache(from, through, bytesMax);
      if (cached !== null) return cached;
      const stored = await this.#readIndexes(from, toLogIndex(Math.min(through, this.#storedThrough)), bytesMax);
      return this.#continued(stored, bytesMax, (last, left) =>
        last.index >= through ? [] : this.readEntriesFromCache(nextIndex(last.index), through, left),
      );
    });
  }

  async findByTimestamp(timestampMs: Millis, below: Offset): Promise<Entry | null> {
    return this.unlessShrunk<Entry | null>(null, async () => {
      const { maxTimestampMs } = this.#log.tail;
      if (maxTimestampMs === null || maxTimestampMs < timestampMs) return null;
      await this.#log.newestWrite; // then all that was in the log at the call is stored, and nothing else
      const stored = { first: this.#log.firstIndex, through: this.#cache.durableThrough, logStart: this.#log.logStart };
      const index = await findTimestamp(this.#entries, { ...stored, timestampMs, below });
      return index === null ? null : ((await this.readEntries(index, index, 0))[0] ?? null);
    });
  }

  async firstEntry(through: LogIndex, holds: (entry: EntryMark) => boolean): Promise<EntryMark | null> {
    return this.unlessShrunk<EntryMark | null>(null, async () => {
      await this.#log.newestWrite; // then all that was in the log at the call is stored
      let found: EntryMark | null = null;
      let [low, high] = [this.#log.firstIndex, nextIndex(through)];
      while (low < high) {
        const middle = toLogIndex(low + Math.floor((high - low) / 2));
        const [stored] = await this.#entries.metadata(middle, middle);
        const mark = markOf(must(stored, 'metadata() answers with what was asked for'));
        if (holds(mark)) [found, high] = [mark, middle];
        else low = nextIndex(middle);
      }
      return found;
    });
  }

  /** Entries that fill `bytes`, if they are like the average of this log. */
  #entriesIn(bytes: number): number {
    const { payloadBytes, index } = this.#log.tail;
    return Math.ceil((bytes * index) / Math.max(1, payloadBytes)) + 1;
  }

  /** Newest entry that has to be read from the store: durable, and not in the cache. */
  get #storedThrough(): LogIndex {
    return toLogIndex(Math.min(this.#cache.durableThrough, previousIndex(this.#cache.firstIndex)));
  }

  async #readIndexes(from: LogIndex, through: LogIndex, bytesMax: number): Promise<readonly Entry[]> {
    const chosen = [];
    let bytes = 0;
    pages: for await (const page of this.#entries.pages(from, through, this.#entriesIn(bytesMax))) {
      for (const entry of page) {
        bytes += entry.payloadLength;
        if (chosen.length > 0 && (bytes > bytesMax || chosen.length === entriesPerReadMax)) break pages;
        chosen.push(entry);
      }
    }
    return this.#entries.withPayloads(chosen);
  }

  /** What was read from the store, and what follows it in the cache. */
  #continued(
    stored: readonly Entry[],
    bytesMax: number,
    follow: (last: Entry, bytesLeft: number) => readonly Entry[] | null,
  ): readonly Entry[] {
    const last = stored.at(-1);
    if (last === undefined) return stored;
    const left = stored.reduce((bytes, entry) => bytes - entry.payload.length, bytesMax);
    const more = left < 0 ? [] : (follow(last, left) ?? []);
    return (more[0]?.payload.length ?? 0) > left ? stored : [...stored, ...more];
  }

  /**
   * Reads again if entries went away meanwhile: what was read may be among them, and what was missing, too. Ends,
   * because the log shrinks by elections, retention and compaction only.
   */
  async unlessShrunk<T>(nothing: T, read: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#log.isRemoved) return nothing;
      const before = this.#log.shrinkCount;
      try {
        const result = await read();
        if (before === this.#log.shrinkCount) return result;
      } catch (error) {
        if (!(error instanceof LogCorruption) || before === this.#log.shrinkCount) throw error;
      }
    }
  }
}

const markOf = (stored: StoredEntry): EntryMark => ({
  index: stored.index,
  baseOffset: stored.baseOffset,
  endOffset: storedEndOffset(stored),
  appendTimeMs: stored.appendTimeMs,
  payloadBytesThrough: stored.payloadBytesThrough,
});
