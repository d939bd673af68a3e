/** What each change of a log means in keys and values. Every function adds to one atomic write (log-1). */
import type { Crc32c } from '../model/crc32c.ts';
import type { Entry } from '../model/entry.ts';
import type { LogIndex } from '../model/ids.ts';
import { indexZero, nextIndex, offsetPlus, toMillis } from '../model/ids.ts';
import type { HardState, TermStart } from '../model/raft-state.ts';
import { isInline, storedLength, writeMetadata } from './entry-codec.ts';
import type { RecordCodec } from './group-records.ts';
import { hardStateCodec, offsetPointCodec, opaqueCodec, termStartCodec } from './group-records.ts';
import type { GroupKeys, KeyRange } from './keys.ts';
import { keyTags, numberedKeyLength } from './keys.ts';
import type { LogPosition } from './log-position.ts';
import type { SparseIndex } from './sparse-index.ts';
import type { StoreChange } from './store.ts';

/** Everything that one write changes, in order. */
export class LogChanges {
  readonly list: StoreChange[] = [];
  readonly #keys: GroupKeys;
  readonly #crc32c: Crc32c;

  constructor(keys: GroupKeys, crc32c: Crc32c) {
    this.#keys = keys;
    this.#crc32c = crc32c;
  }

  /** Puts a small record. */
  put<T>(key: Uint8Array, value: T, codec: RecordCodec<T>): void {
    this.list.push({ kind: 'put', key, value: codec.encode(key, value, this.#crc32c) });
  }

  /** Metadata, payload, and the points of the sparse indexes that are due. */
  appendEntry(entry: Entry, after: LogPosition, startsTerm: TermStart | null, sparse: SparseIndex): void {
    this.#putEntry(entry, after);
    if (startsTerm !== null) {
      this.put(this.#keys.numbered(keyTags.termStart, entry.index), startsTerm, termStartCodec);
    }
    if (entry.kind === 'configuration') {
      this.put(this.#keys.numbered(keyTags.configuration, entry.index), entry.payload, opaqueCodec);
    }
    const point = sparse.pass(entry);
    if (point === null) return;
    const offsetKey = this.#keys.numbered(keyTags.offsetIndex, entry.baseOffset);
    this.put(offsetKey, { index: entry.index, ...point }, offsetPointCodec);
    if (after.maxTimestampMs === null) return;
    const key = this.#keys.timePoint(after.maxTimestampMs, entry.index);
    this.list.push({ kind: 'put', key, value: new Uint8Array(0) });
  }

  /** Deletes all that entries above `to` left behind; `from` is the tail that is given up. */
  truncate(from: LogPosition, to: LogPosition): void {
    const first = nextIndex(to.index);
    const end = nextIndex(from.index);
    for (const tag of [keyTags.metadata, keyTags.payload, keyTags.termStart, keyTags.configuration] as const) {
      this.deleteRange(this.#keys.numberedRange(tag, first, end));
    }
    this.deleteRange(this.#keys.numberedRange(keyTags.offsetIndex, to.endOffset, offsetPlus(from.endOffset, 1)));
    this.deleteRange({ from: this.#timePointAfter(to), to: this.#timePointAfter(from) });
  }

  /**
   * Deletes the entries after `from` through `to`, which is the new base.
   * @param firstTerm the oldest start of a term that is still needed; null: none is
   * @param firstConfiguration the same for configurations
   */
  removePrefix(
    from: LogPosition,
    to: LogPosition,
    firstTerm: LogIndex | null,
    firstConfiguration: LogIndex | null,
  ): void {
    const end = nextIndex(to.index);
    for (const tag of [keyTags.metadata, keyTags.payload] as const) {
      this.deleteRange(this.#keys.numberedRange(tag, nextIndex(from.index), end));
    }
    if (to.endOffset > from.endOffset) {
      this.deleteRange(this.#keys.numberedRange(keyTags.offsetIndex, from.endOffset, to.endOffset));
      this.deleteRange({ from: this.#keys.tagged(keyTags.timeIndex).from, to: this.#timePointAfter(to) });
    }
    if (firstTerm !== null) {
      this.deleteRange(this.#keys.numberedRange(keyTags.termStart, indexZero, firstTerm));
    }
    if (firstConfiguration !== null) {
      this.deleteRange(this.#keys.numberedRange(keyTags.configuration, indexZero, firstConfiguration));
    }
  }

  /** Deletes all entries and checkpoints; what a log begins with that goes on after a snapshot comes instead. */
  replaceAll(
    hardState: HardState,
    terms: readonly TermStart[],
    configurations: readonly { readonly index: LogIndex; readonly payload: Uint8Array }[],
  ): void {
    this.deleteRange(this.#keys.entriesAndCheckpoints());
    this.put(this.#keys.single(keyTags.hardState), hardState, hardStateCodec);
    for (const start of terms)
      this.put(this.#keys.numbered(keyTags.termStart, start.startIndex), start, termStartCodec);
    for (const { index, payload } of configurations) {
      this.put(this.#keys.numbered(keyTags.configuration, index), payload, opaqueCodec);
    }
  }

  deleteKey(key: Uint8Array): void {
    this.list.push({ kind: 'delete', key });
  }

  deleteRange(range: KeyRange): void {
    this.list.push({ kind: 'delete-range', ...range });
  }

  /** Keys and metadata lie in one allocation: this runs for every entry. */
  #putEntry(entry: Entry, after: LogPosition): void {
    const end = numberedKeyLength + storedLength(entry);
    const bytes = Buffer.allocUnsafe(end + (isInline(entry) ? 0 : numberedKeyLength));
    this.#keys.writeNumbered(bytes, 0, keyTags.metadata, entry.index);
    writeMetadata(bytes, 0, entry, after, this.#crc32c);
    const key = bytes.subarray(0, numberedKeyLength);
    this.list.push({ kind: 'put', key, value: bytes.subarray(numberedKeyLength, end) });
    if (isInline(entry)) return;
    this.#keys.writeNumbered(bytes, end, keyTags.payload, entry.index);
    this.list.push({ kind: 'put', key: bytes.subarray(end), value: entry.payload });
  }

  /** Where the time points of later entries begin: both parts of these keys rise from entry to entry. */
  #timePointAfter(position: LogPosition): Uint8Array {
    return this.#keys.timePoint(position.maxTimestampMs ?? toMillis(0), nextIndex(position.index));
  }
}
