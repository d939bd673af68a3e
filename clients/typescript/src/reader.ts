/** Reads partitions from positions of the application's own, without a group: nothing is committed anywhere. */
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import { unlessAborted } from './abortable.ts';
import type { Admin, OffsetQuery, TopicPartition } from './admin.ts';
import type { Brokers, CallOptions } from './brokers.ts';
import { ChunkReader } from './chunk-reader.ts';
import type { BatchesOptions, IterateOptions } from './consumer.ts';
import { fetchSettings } from './consumer-options.ts';
import type { FetchOptions } from './consumer-options.ts';
import { Doorbell } from './doorbell.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import { Fetcher, partitionKey } from './fetcher.ts';
import type { Cursor } from './fetcher.ts';
import { iterateOneAtATime } from './one-at-a-time.ts';
import type { InRecord, RecordBatch } from './record.ts';
import { inRange } from './producer-options.ts';
import { serdePairs } from './serde.ts';
import type { Bytes, Serde, Topic } from './serde.ts';
import { offsetsAt } from './start-offsets.ts';
import { loadTopic } from './topic-metadata.ts';

export interface ReaderOptions<K, V> {
  readonly topic: string | Topic<K, V>;
  /** One partition, from 0. Default: all of the topic. */
  readonly partition?: number;
  /** Default: bytes. */
  readonly key?: Serde<K>;
  /** Default: bytes. */
  readonly value?: Serde<V>;
  /** Where to begin: an offset (the same in each partition), an end, or a time. Default `earliest`. */
  readonly from?: number | OffsetQuery['at'];
  /**
   * Where to end: `latest` at what is the end of each partition when the reader starts, a number before that offset.
   * Default: never; the reader waits for more.
   */
  readonly until?: number | 'latest';
  readonly fetch?: FetchOptions;
}

export class Reader<K = Bytes, V = Bytes> implements AsyncIterable<InRecord<K, V>>, AsyncDisposable {
  readonly #brokers: Brokers;
  readonly #admin: Admin;
  readonly #options: ReaderOptions<K, V>;
  readonly #topic: string;
  readonly #loadCodecs: () => Promise<BatchCodecs>;
  readonly #onClosed: () => void;
  readonly #fetcher: Fetcher;
  readonly #news = new Doorbell();
  readonly #stopped = new AbortController();
  #chunks: ChunkReader<K, V> | null = null;
  /** Offset of the next record of each partition that is still read, and where it ends. */
  readonly #open = new Map<string, { position: number; readonly until: number }>();
  #starting: Promise<void> | null = null;
  #failure: BrokerError | null = null;

  /** Use `client.reader()`. */
  constructor(
    brokers: Brokers,
    admin: Admin,
    options: ReaderOptions<K, V>,
    loadCodecs: () => Promise<BatchCodecs>,
    onClosed: () => void,
  ) {
    this.#brokers = brokers;
    this.#admin = admin;
    this.#options = options;
    this.#topic = typeof options.topic === 'string' ? options.topic : options.topic.name;
    this.#loadCodecs = loadCodecs;
    this.#onClosed = onClosed;
    this.#fetcher = new Fetcher(brokers, fetchSettings(options.fetch), {
      available: () => this.#news.ring(),
      outOfRange: (_, error) => this.#fail(error),
      failed: (error) => this.#fail(error),
    });
  }

  /** Finds out where to begin and end. Iterating does it by itself; call it to fail early. */
  async start(options: Pick<CallOptions, 'signal'> = {}): Promise<void> {
    this.#starting ??= this.#start();
    await unlessAborted(this.#starting, options.signal);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<InRecord<K, V>, undefined, undefined> {
    return this.records();
  }

  /** The records, one by one. Leaving the loop closes the reader. */
  records(options: IterateOptions = {}): AsyncIterableIterator<InRecord<K, V>, undefined, undefined> {
    return iterateOneAtATime(
      () => this.#nextOf(options.signal, () => this.#takeRecord()),
      () => this.close(),
    );
  }

  /** The same in batches of one partition each, which is faster. */
  batches(options: BatchesOptions = {}): AsyncIterableIterator<RecordBatch<K, V>, undefined, undefined> {
    const recordsMax = inRange('maxRecords', options.maxRecords ?? 10_000, 1, 100_000);
    return iterateOneAtATime(
      () => this.#nextOf(options.signal, () => this.#takeBatch(recordsMax)),
      () => this.close(),
    );
  }

  /** Offset of the next record that will be handed out; null: not started, or the partition is read to its end. */
  position({ topic, partition }: TopicPartition): number | null {
    return this.#open.get(partitionKey(topic, partition))?.position ?? null;
  }

  close(): Promise<void> {
    this.abandon();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  abandon(): void {
    this.#stopped.abort();
    this.#fetcher.close();
    this.#news.ring();
    this.#onClosed();
  }

  /** A reader that is closed while it starts has come to its end. */
  async #startUnlessClosed(): Promise<void> {
    try {
      await this.start();
    } catch (error) {
      if (!this.#stopped.signal.aborted) throw error;
    }
  }

  async #start(): Promise<void> {
    const options = { signal: this.#stopped.signal };
    const metadata = await loadTopic(this.#brokers, this.#topic, options);
    const partitions = this.#partitions(metadata.partitionCount);
    const [codecs, from, until] = await Promise.all([
      this.#loadCodecs(),
      this.#offsets(partitions, this.#options.from ?? 'earliest'),
      this.#options.until === undefined ? new Map<string, number>() : this.#offsets(partitions, this.#options.until),
    ]);
    this.#chunks = new ChunkReader(
      this.#fetcher,
      codecs,
      serdePairs({ ...this.#options, topics: [this.#options.topic] }),
    );
    for (const { topic, partition } of partitions) {
      const key = partitionKey(topic, partition);
      const position = from.get(key) ?? 0;
      const end = until.get(key) ?? Infinity;
      if (position >= end) continue;
      this.#open.set(key, { position, until: end });
      this.#fetcher.add(topic, metadata.topicId, partition, position);
    }
  }

  #partitions(count: number): TopicPartition[] {
    const all = Array.from({ length: count }, (_, partition) => ({ topic: this.#topic, partition }));
    const { partition } = this.#options;
    if (partition === undefined) return all;
    const one = all[partition];
    if (one !== undefined) return [one];
    const text = `Topic "${this.#topic}" has partitions 0 to ${count - 1}, not ${partition}.`;
    throw new BrokerError('UNKNOWN_TOPIC_OR_PARTITION', text, { topic: this.#topic, partition });
  }

  async #offsets(partitions: readonly TopicPartition[], at: number | OffsetQuery['at']): Promise<Map<string, number>> {
    if (typeof at === 'number')
      return new Map(partitions.map(({ topic, partition }) => [partitionKey(topic, partition), at]));
    const options = { signal: this.#stopped.signal };
    const found = new Map(await offsetsAt(this.#admin, partitions, at, options));
    const late = partitions.filter(({ topic, partition }) => !found.has(partitionKey(topic, partition)));
    // Nothing is as late as the time that was asked for: what comes next is.
    if (late.length > 0)
      for (const [key, offset] of await offsetsAt(this.#admin, late, 'latest', options)) found.set(key, offset);
    return found;
  }

  async #nextOf<T>(signal: AbortSignal | undefined, take: () => T | null): Promise<IteratorResult<T, undefined>> {
    if (!this.#stopped.signal.aborted) await unlessAborted(this.#startUnlessClosed(), signal);
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      if (this.#stopped.signal.aborted) return { done: true, value: undefined };
      const taken = this.#tryTake(take);
      if (taken !== null) return { done: false, value: taken };
      if (this.#open.size === 0) {
        await this.close();
        return { done: true, value: undefined };
      }
      await this.#news.wait(signal);
    }
  }

  #tryTake<T>(take: () => T | null): T | null {
    try {
      return take();
    } catch (error) {
      this.#fail(asBrokerError(error));
      throw error;
    }
  }

  #takeRecord(): InRecord<K, V> | null {
    for (;;) {
      const next = this.#chunks?.next() ?? null;
      if (next === null) return null;
      const isWanted = next.record.offset < this.#untilOf(next.cursor);
      this.#advance(next.cursor, next.nextOffset);
      if (isWanted) return next.record;
    }
  }

  #takeBatch(recordsMax: number): RecordBatch<K, V> | null {
    for (;;) {
      const next = this.#chunks?.nextBatch(recordsMax) ?? null;
      if (next === null) return null;
      const until = this.#untilOf(next.cursor);
      this.#advance(next.cursor, next.batch.nextOffset);
      if (next.batch.nextOffset <= until) return next.batch;
      const records = next.batch.records.filter((record) => record.offset < until);
      if (records.length > 0) return { ...next.batch, records, nextOffset: until };
    }
  }

  #untilOf(cursor: Cursor): number {
    return this.#open.get(partitionKey(cursor.topic, cursor.partition))?.until ?? 0;
  }

  #advance(cursor: Cursor, position: number): void {
    const key = partitionKey(cursor.topic, cursor.partition);
    const open = this.#open.get(key);
    if (open === undefined) return;
    open.position = position;
    if (position < open.until) return;
    this.#open.delete(key);
    this.#fetcher.remove(cursor.topic, cursor.partition);
  }

  #fail(error: BrokerError): void {
    this.#failure ??= error;
    this.abandon();
  }
}
