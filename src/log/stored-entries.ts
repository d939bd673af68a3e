/**
 * Reads one log's entries from the store and checks all of it (log-5): each record's seal, the chain from entry to
 * entry, each payload's CRC. Knows nothing of what is in memory; its callers say how far the store can be trusted.
 */
import type { Crc32c } from '../model/crc32c.ts';
import type { Entry } from '../model/entry.ts';
import { chainAfter } from '../model/entry.ts';
import type { LogIndex, Millis, Offset } from '../model/ids.ts';
import { nextIndex, offsetPlus, toLogIndex, toOffset } from '../model/ids.ts';
import type { StoredEntry } from './entry-codec.ts';
import { entryFrom, readMetadata, storedEndOffset } from './entry-codec.ts';
import type { OffsetPoint } from './group-records.ts';
import { offsetPointCodec } from './group-records.ts';
import type { GroupKeys } from './keys.ts';
import { indexOfKey, keyTags } from './keys.ts';
import { LogCorruption } from './reader.ts';
import type { StoreReads } from './store.ts';

/** Metadata records fetched at a time, unless the caller knows better. */
const metadataPageUsual = 64;
/** The same at most; small payloads come with them. */
export const metadataPageMax = 512;
/** Entries that one read from disk returns at most. */
export const entriesPerReadMax = 4_096;

/** An offset point together with the offset that it stands for. */
export interface LocatedPoint extends OffsetPoint {
  readonly offset: Offset;
}

export class StoredEntries {
  readonly #store: StoreReads;
  readonly #keys: GroupKeys;
  readonly #crc32c: Crc32c;

  constructor(store: StoreReads, keys: GroupKeys, crc32c: Crc32c) {
    this.#store = store;
    this.#keys = keys;
    this.#crc32c = crc32c;
  }

  /** The newest entry that is stored; null: none. */
  async last(): Promise<StoredEntry | null> {
    const [found] = await this.#store.scan({ ...this.#keys.tagged(keyTags.metadata), limit: 1, reverse: true });
    return found === undefined ? null : readMetadata(found.key, found.value, this.#crc32c);
  }

  /** Metadata of [from, through], at most `limit`. Rejects with LogCorruption if any of it is missing or altered. */
  async metadata(from: LogIndex, through: LogIndex, limit = metadataPageUsual): Promise<readonly StoredEntry[]> {
    const expected = Math.min(limit, through - from + 1);
    if (expected <= 0) return [];
    const range = this.#keys.numberedRange(keyTags.metadata, from, nextIndex(through));
    const records = await this.#store.scan({ ...range, limit: expected });
    const entries = records.map(({ key, value }) => readMetadata(key, value, this.#crc32c));
    this.#checkSequence(from, expected, entries);
    return entries;
  }

  /** Metadata from `from` on in pages of `limit`; ends after `through`. */
  async *pages(from: LogIndex, through: LogIndex, limit = metadataPageUsual): AsyncGenerator<readonly StoredEntry[]> {
    for (let index = from; index <= through;) {
      const page = await this.metadata(index, through, Math.min(limit, metadataPageMax));
      yield page;
      index = toLogIndex(index + page.length);
    }
  }

  /** The entries with their payloads. Rejects with LogCorruption if one is missing or altered. */
  async withPayloads(stored: readonly StoredEntry[]): Promise<readonly Entry[]> {
    const apart = stored.filter(({ inlinePayload }) => inlinePayload === null);
    const keys = apart.map(({ index }) => this.#keys.numbered(keyTags.payload, index));
    const payloads = keys.length === 0 ? [] : await this.#store.getMany(keys);
    let next = 0;
    return stored.map((entry) =>
      entryFrom(entry, this.#checkedPayload(entry, entry.inlinePayload ?? payloads[next++] ?? null)),
    );
  }

  /** Index of a batch at or shortly before the one that holds `offset`; null: no point that low. */
  async pointAtOrBefore(offset: Offset): Promise<LogIndex | null> {
    const { from } = this.#keys.tagged(keyTags.offsetIndex);
    const to = this.#keys.numbered(keyTags.offsetIndex, offsetPlus(offset, 1));
    const [found] = await this.#store.scan({ from, to, limit: 1, reverse: true });
    return found === undefined ? null : offsetPointCodec.decode(found, this.#crc32c).index;
  }

  /** Points of the offset index from `offset` on, ascending, at most `limit`. */
  async pointsFrom(offset: Offset, limit: number): Promise<readonly LocatedPoint[]> {
    const from = this.#keys.numbered(keyTags.offsetIndex, offset);
    const { to } = this.#keys.tagged(keyTags.offsetIndex);
    const found = await this.#store.scan({ from, to, limit });
    return found.map((stored) => ({
      ...offsetPointCodec.decode(stored, this.#crc32c),
      offset: toOffset(indexOfKey(stored.key)),
    }));
  }

  /** An index up to which no entry has a timestamp at or after `timestampMs`; null: no such point. */
  async pointEarlierThan(timestampMs: Millis): Promise<LogIndex | null> {
    const { from } = this.#keys.tagged(keyTags.timeIndex);
    const to = this.#keys.timePoint(timestampMs, toLogIndex(0));
    const [found] = await this.#store.scan({ from, to, limit: 1, reverse: true });
    return found === undefined ? null : indexOfKey(found.key);
  }

  #checkSequence(from: LogIndex, expected: number, entries: readonly StoredEntry[]): void {
    let before: StoredEntry | null = null;
    for (const [at, entry] of entries.entries()) {
      if (entry.index !== from + at) throw this.#corruption(`entry ${from + at} is missing`);
      if (before !== null) this.#checkFollows(before, entry);
      before = entry;
    }
    if (entries.length !== expected) throw this.#corruption(`entry ${from + entries.length} is missing`);
  }

  #checkFollows(before: StoredEntry, entry: StoredEntry): void {
    const links = chainAfter(before.chain, entry, this.#crc32c) === entry.chain;
    if (!links || entry.baseOffset !== storedEndOffset(before)) {
      throw this.#corruption(`entry ${entry.index} does not follow the one before it`);
    }
  }

  #checkedPayload(entry: StoredEntry, payload: Uint8Array | null): Uint8Array {
    if (payload?.length !== entry.payloadLength || this.#crc32c(payload) !== entry.payloadCrc) {
      throw this.#corruption(`the payload of entry ${entry.index} is missing or does not match its checksum`);
    }
    return payload;
  }

  #corruption(what: string): LogCorruption {
    return new LogCorruption(`group ${this.#keys.group}: ${what}`);
  }
}
