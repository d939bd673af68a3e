/** Turns chunks into records, and remembers how far the records were handed out. */
import { decodeBatch } from '../../../src/model/batch-decoder.ts';
import { toOffset } from '../../../src/model/ids.ts';
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import { splitBatches } from '../../../src/model/record-batch.ts';
import type { StoredRecord } from '../../../src/model/record.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import type { Chunk, Cursor, Fetcher } from './fetcher.ts';
import { InRecord } from './record.ts';
import type { RecordBatch } from './record.ts';
import { deserialized } from './serde.ts';
import type { Bytes, SerdePair } from './serde.ts';

interface OpenChunk {
  readonly chunk: Chunk;
  /** Null: not cut apart yet. */
  batches: readonly Uint8Array[] | null;
  /** The batch whose records are at hand. */
  batch: number;
  records: readonly StoredRecord[];
  /** The next record of `records`. */
  at: number;
}

/** A record as it is stored, with its chunk. */
export interface StoredInChunk {
  readonly stored: StoredRecord;
  readonly chunk: Chunk;
  /** Where to go on after it. */
  readonly nextOffset: number;
}

const noHeaders: readonly (readonly [string, Bytes | null])[] = [];

export class ChunkReader<K, V> {
  readonly #fetcher: Fetcher;
  readonly #codecs: BatchCodecs;
  readonly #serdes: (topic: string) => SerdePair<K, V>;
  #open: OpenChunk | null = null;
  /** Opened chunks of partitions that are held back, and those that may be read on again. */
  readonly #aside = new Map<Cursor, OpenChunk>();
  readonly #back: OpenChunk[] = [];

  constructor(fetcher: Fetcher, codecs: BatchCodecs, serdesOf: (topic: string) => SerdePair<K, V>) {
    this.#fetcher = fetcher;
    this.#codecs = codecs;
    this.#serdes = serdesOf;
  }

  /**
   * The next record, with where to go on after it; null: nothing is there. Throws CORRUPT_MESSAGE or SERDE_FAILED, again
   * and again until the partition is sought past it.
   */
  next(): { readonly record: InRecord<K, V>; readonly cursor: Cursor; readonly nextOffset: number } | null {
    const open = this.#fill();
    if (open === null) return null;
    const record = this.#convert(storedIn(open), open.chunk, this.#serdes(open.chunk.cursor.topic));
    const { nextOffset } = this.#pass(open);
    return { record, cursor: open.chunk.cursor, nextOffset };
  }

  /**
   * The next record of a partition that is wanted, as it is stored; null: there is none. A partition that is not wanted is
   * held back until `letGo`. Throws CORRUPT_MESSAGE as `next`.
   */
  nextStored(isWanted: (cursor: Cursor) => boolean): StoredInChunk | null {
    const open = this.#fill(isWanted);
    return open === null ? null : this.#pass(open);
  }

  /** Reads a partition on that was held back. */
  letGo(cursor: Cursor): void {
    this.#fetcher.letGo(cursor);
    const open = this.#aside.get(cursor);
    if (open === undefined) return;
    this.#aside.delete(cursor);
    this.#back.push(open);
  }

  /** The record for the application. Throws SERDE_FAILED. */
  toRecord({ stored, chunk }: StoredInChunk): InRecord<K, V> {
    return this.#convert(stored, chunk, this.#serdes(chunk.cursor.topic));
  }

  /** The record that the next call would begin with, as it is stored; null: none is at hand. It stays the next one. */
  peekStored(): StoredInChunk | null {
    const open = this.#open;
    if (open === null || open.chunk.generation !== open.chunk.cursor.generation) return null;
    const stored = open.records[open.at];
    return stored === undefined ? null : { stored, chunk: open.chunk, nextOffset: stored.offset + 1 };
  }

  /** Passes over that record; null: it is not the next one any more. */
  skip({ stored }: StoredInChunk): StoredInChunk | null {
    return this.#open !== null && this.peekStored()?.stored === stored ? this.#pass(this.#open) : null;
  }

  #pass(open: OpenChunk): StoredInChunk {
    const stored = storedIn(open);
    open.at += 1;
    const nextOffset = this.#isUsedUp(open) ? open.chunk.nextOffset : stored.offset + 1;
    this.#drop(open);
    return { stored, chunk: open.chunk, nextOffset };
  }

  /** Up to `recordsMax` next records of one partition; null: nothing is there. Throws as `next`. */
  nextBatch(recordsMax: number): { readonly batch: RecordBatch<K, V>; readonly cursor: Cursor } | null {
    const open = this.#fill();
    if (open === null) return null;
    const { chunk } = open;
    const { cursor } = chunk;
    const pair = this.#serdes(cursor.topic);
    const until = Math.min(open.records.length, open.at + recordsMax);
    const records: InRecord<K, V>[] = [];
    for (; open.at < until; open.at++) {
      const stored = open.records[open.at];
      if (stored === undefined) continue;
      try {
        records.push(this.#convert(stored, chunk, pair));
      } catch (error) {
        if (records.length === 0) throw error;
        break; // those before it are good; the next call begins with it
      }
    }
    const last = records.at(-1);
    const nextOffset = this.#isUsedUp(open) || last === undefined ? chunk.nextOffset : last.offset + 1;
    this.#drop(open);
    const { topic, partition } = cursor;
    const { highWatermark, leaderEpoch } = chunk;
    return { batch: { topic, partition, records, nextOffset, highWatermark, leaderEpoch }, cursor };
  }

  /** The chunk at hand, with a record in it; opens the next one if need be. */
  #fill(isWanted: (cursor: Cursor) => boolean = always): OpenChunk | null {
    for (;;) {
      let open = this.#open;
      if (open !== null && open.chunk.generation !== open.chunk.cursor.generation) {
        this.#fetcher.release(open.chunk);
        open = null;
      }
      if (open === null) {
        open = this.#back.pop() ?? this.#take();
        this.#open = open;
        if (open === null) return null;
        continue; // it may have become unwanted while it lay aside
      }
      if (!isWanted(open.chunk.cursor)) {
        this.#putAside(open);
        continue;
      }
      this.#open = open; // before anything throws: what can not be decoded must not be passed over
      open.batches ??= this.#split(open.chunk);
      if (open.at < open.records.length) return open;
      if (this.#isUsedUp(open)) {
        this.#drop(open);
      } else {
        open.records = this.#decode(open.batches[open.batch + 1], open.chunk);
        open.batch += 1;
        open.at = 0;
      }
    }
  }

  #take(): OpenChunk | null {
    const chunk = this.#fetcher.take();
    return chunk === null ? null : { chunk, batches: null, batch: -1, records: [], at: 0 };
  }

  #putAside(open: OpenChunk): void {
    const { cursor } = open.chunk;
    this.#fetcher.holdBack(cursor);
    this.#aside.set(cursor, open);
    this.#open = null;
  }

  #isUsedUp(open: OpenChunk): boolean {
    return open.at >= open.records.length && open.batch + 1 >= (open.batches?.length ?? 0);
  }

  /** Gives a used up chunk back at once, so that its credit does not wait for the next call. */
  #drop(open: OpenChunk): void {
    if (!this.#isUsedUp(open)) return;
    this.#open = null;
    this.#fetcher.release(open.chunk);
  }

  #split(chunk: Chunk): readonly Uint8Array[] {
    const split = splitBatches(chunk.bytes);
    if (split.kind === 'ok') return split.value;
    const { topic, partition } = chunk.cursor;
    throw new BrokerError(split.error.code, split.error.message, { topic, partition });
  }

  #decode(bytes: Uint8Array | undefined, chunk: Chunk): readonly StoredRecord[] {
    const decoded = decodeBatch(bytes ?? new Uint8Array(), this.#codecs, { fromOffset: toOffset(chunk.fromOffset) });
    if (decoded.kind === 'ok') return decoded.value.records;
    const { code, message, fields } = decoded.error;
    const { topic, partition } = chunk.cursor;
    throw new BrokerError(code, `${topic}/${partition} at offset ${chunk.fromOffset} or after: ${message}`, {
      topic,
      partition,
      fields,
    });
  }

  #convert(stored: StoredRecord, chunk: Chunk, pair: SerdePair<K, V>): InRecord<K, V> {
    const { topic, partition } = chunk.cursor;
    try {
      const key = deserialized(pair.key, stored.key, topic, 'key');
      return inRecord(stored, chunk, key, deserialized(pair.value, stored.value, topic, 'value'));
    } catch (thrown) {
      const error = asBrokerError(thrown);
      throw error.with({ topic, partition, fields: { ...error.fields, offset: String(stored.offset) } });
    }
  }
}

/** A record with its bytes, for those who look at what a serde can not read. */
export const rawRecord = ({ stored, chunk }: StoredInChunk): InRecord =>
  inRecord(stored, chunk, stored.key, stored.value);

function inRecord<K, V>(stored: StoredRecord, chunk: Chunk, key: K | null, value: V | null): InRecord<K, V> {
  const { headers } = stored;
  return new InRecord({
    topic: chunk.cursor.topic,
    partition: chunk.cursor.partition,
    offset: stored.offset,
    timestampMs: stored.timestampMs,
    leaderEpoch: chunk.leaderEpoch,
    key,
    value,
    headers: headers.length === 0 ? noHeaders : headers.map(({ name, value: bytes }) => [name, bytes] as const),
  });
}

const always = (): boolean => true;

function storedIn(open: OpenChunk): StoredRecord {
  const stored = open.records[open.at];
  if (stored === undefined) throw new BrokerError('INTERNAL', 'A chunk was filled with nothing.');
  return stored;
}
