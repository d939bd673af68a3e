/**
 * Sends records. Idempotent by default: a retry is recognised by the broker, so a record is in the log once however
 * often its batch was sent. Order within a partition is the order of the calls to `send`. partition-lane.ts says what
 * may be resent and when; topic-writer.ts fills batches; this file owns the promises and the room in the queue.
 */
import { setMaxListeners } from 'node:events';
import { toMillis } from '../../../src/model/ids.ts';
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import type { RecordHeader } from '../../../src/model/record.ts';
import { unlessAborted } from './abortable.ts';
import type { Brokers } from './brokers.ts';
import { Delivery } from './delivery.ts';
import type { RecordMeta } from './delivery.ts';
import { abortedError, asBrokerError, BrokerError, closedError } from './errors.ts';
import { LaneDriver } from './lane-driver.ts';
import type { ProduceBatch } from './produce-batch.ts';
import { producerSettings } from './producer-options.ts';
import type { ProducerOptions, ProducerSettings } from './producer-options.ts';
import type { OutRecord } from './record.ts';
import { serdesOrBytes, serialized } from './serde.ts';
import type { Bytes, SerdePair, Topic } from './serde.ts';
import { topicChanged } from './topic-metadata.ts';
import { channels, traced } from './tracing.ts';
import { TopicWriter } from './topic-writer.ts';
import type { QueuedRecord } from './topic-writer.ts';

export interface SendOptions {
  /**
   * Appends only if the record would get this offset: if nothing was appended meanwhile. Else the send rejects with
   * UNEXPECTED_END_OFFSET, whose `fields.actual` says where the partition ends. Needs the record's `partition`. Range 0 to
   * 2^53-1. The record is a batch of its own.
   */
  readonly expectedEndOffset?: number;
  /** Rejects the promise with ABORTED. A record that is queued already may be appended all the same. */
  readonly signal?: AbortSignal;
}

/** Some of many records failed. */
export class PartialSendError extends BrokerError {
  /** One for each record, in order. */
  readonly results: readonly PromiseSettledResult<RecordMeta>[];

  constructor(results: readonly PromiseSettledResult<RecordMeta>[], first: BrokerError) {
    const errors = results.flatMap((result) => (result.status === 'rejected' ? [asBrokerError(result.reason)] : []));
    super(first.code, `${errors.length} of ${results.length} records failed, the first one: ${first.message}`, {
      cause: first,
      retriable: first.retriable,
      indeterminate: errors.some((error) => error.indeterminate),
    });
    this.results = results;
  }
}

/** Topics that one producer writes to. */
const topicsMax = 10_000;
/** Sends that may wait for room in the queue; one more is refused with QUEUE_FULL. */
const waitingSendsMax = 100_000;
/** What a record takes in a batch beside key, value and headers, about. */
const recordOverheadBytes = 24;
const noHeaders: readonly RecordHeader[] = [];
const encoder = new TextEncoder();

interface Waiting {
  readonly writer: TopicWriter;
  readonly queued: QueuedRecord;
}

export class Producer<K = Bytes, V = Bytes> implements AsyncDisposable {
  readonly #brokers: Brokers;
  readonly #settings: ProducerSettings;
  readonly #serdes: SerdePair<K, V>;
  readonly #loadCodecs: () => Promise<BatchCodecs>;
  readonly #onClosed: () => void;
  #driver: LaneDriver | null = null;
  readonly #writers = new Map<string, TopicWriter>();
  /** Sends that wait for room, oldest first. Invariant: at most `waitingSendsMax`. */
  readonly #waiting: Waiting[] = [];
  /** Bytes of the records that have their place and are not settled. Invariant: at most `queuedBytesMax`, or one record. */
  #queuedBytes = 0;
  #nextSerial = 0;
  #draining = 0;
  /** The first error since the last flush: somebody must learn of it even if nobody looked at the record's promise. */
  #unreported: BrokerError | null = null;
  readonly #roomWaiters: (() => void)[] = [];
  /** Those who wait until every record with a serial below `before` is settled. */
  #drainWaiters: { readonly before: number; readonly done: () => void }[] = [];
  #closing: Promise<void> | null = null;

  /** Use `client.producer()`. */
  constructor(
    brokers: Brokers,
    options: ProducerOptions<K, V>,
    loadCodecs: () => Promise<BatchCodecs>,
    onClosed: () => void,
  ) {
    this.#brokers = brokers;
    this.#settings = producerSettings(options);
    this.#serdes = serdesOrBytes(options);
    this.#loadCodecs = loadCodecs;
    this.#onClosed = onClosed;
  }

  /** Bytes of records that are queued or sent and not acknowledged yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * Queues a record; resolves when it is acknowledged. Need not be awaited: `flush` and `close` report what failed.
   * Rejects with a BrokerError; if its `indeterminate` is false, the record is not in the log and never will be.
   */
  send(topic: string | Topic<K, V>, record: OutRecord<K, V>, options: SendOptions = {}): Promise<RecordMeta> {
    if (!channels.produce.hasSubscribers) return this.#send(topic, record, options);
    const context = { topic: typeof topic === 'string' ? topic : topic.name, record };
    const sent = traced(
      channels.produce,
      () => context,
      () => this.#send(topic, context.record, options),
    );
    sent.catch(() => undefined); // it may not be awaited: flush() reports it then
    return sent;
  }

  #send(topic: string | Topic<K, V>, record: OutRecord<K, V>, options: SendOptions): Promise<RecordMeta> {
    let queued: QueuedRecord;
    const name = typeof topic === 'string' ? topic : topic.name;
    const nowMs = this.#nowMs();
    try {
      if (this.#closing !== null) throw closedError('producer');
      if (options.signal?.aborted === true) throw abortedError(options.signal);
      if (!this.#writers.has(name) && this.#writers.size >= topicsMax) throw tooManyTopics;
      queued = this.#prepare(name, typeof topic === 'string' ? null : topic, record, options, nowMs);
    } catch (thrown) {
      const error = asBrokerError(thrown);
      this.#failed(error);
      const refused = Promise.reject<RecordMeta>(error);
      refused.catch(() => undefined); // it may not be awaited: flush() reports it then
      return refused;
    }
    if (options.signal !== undefined) rejectOnAbort(queued.delivery, options.signal);
    this.#admit(this.#writer(name), queued, nowMs);
    return queued.delivery;
  }

  /**
   * Sends many records and resolves with where they went, in their order. Takes them from `records` only as fast as
   * there is room. Rejects with PartialSendError, whose `results` say which records failed.
   */
  async sendMany(
    topic: string | Topic<K, V>,
    records: Iterable<OutRecord<K, V>>,
    options: Omit<SendOptions, 'expectedEndOffset'> = {},
  ): Promise<RecordMeta[]> {
    const sends: Promise<RecordMeta>[] = [];
    for (const record of records) {
      if (this.isFull) await this.room();
      sends.push(this.send(topic, record, options));
    }
    const results = await Promise.allSettled(sends);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw new PartialSendError(results, asBrokerError(failed.reason));
    return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  }

  /**
   * A stream to pipe records into, with back-pressure. Closing it flushes. A failed record fails the stream: the next
   * write, or the close, rejects.
   */
  writable(topic: string | Topic<K, V>): WritableStream<OutRecord<K, V>> {
    let failure: BrokerError | null = null;
    const check = (): void => {
      if (failure !== null) throw failure;
    };
    return new WritableStream({
      write: async (record) => {
        check();
        if (this.isFull) await this.room();
        this.send(topic, record).catch((error: unknown) => {
          failure ??= asBrokerError(error);
        });
      },
      close: async () => {
        await this.#drain();
        check();
      },
    });
  }

  /** Whether a record sent now would have to wait for room (or be refused, with `whenFull: 'reject'`). */
  get isFull(): boolean {
    return this.#waiting.length > 0 || this.#queuedBytes >= this.#settings.queuedBytesMax;
  }

  /** Resolves when there is room: for those who send without awaiting each record. */
  room(): Promise<void> {
    if (!this.isFull) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /**
   * Sends what is queued without waiting for more, and resolves when every record queued before is settled. Rejects with
   * the first error since the last flush, so that sends that are not awaited can not fail unseen.
   */
  async flush(options: Pick<SendOptions, 'signal'> = {}): Promise<void> {
    if (this.#closing !== null) throw closedError('producer');
    await unlessAborted(this.#drain(), options.signal);
    const error = this.#unreported;
    this.#unreported = null;
    if (error !== null) throw error;
  }

  /**
   * Waits until everything queued is acknowledged or past its delivery time-out, then lets go. Rejects with the first
   * error that came while it waited.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends at once: what is not acknowledged is rejected with CLOSED, as indeterminate if it was sent. */
  abandon(): void {
    const error = closedError('producer');
    this.#closing ??= Promise.resolve();
    for (const { queued } of this.#waiting.splice(0)) this.#refuse(queued, error);
    for (const writer of this.#writers.values()) writer.abandon(error);
    this.#driver?.stop(error);
    this.#roomChanged();
    this.#onClosed();
  }

  async #close(): Promise<void> {
    this.#unreported = null;
    await this.#drain();
    this.#driver?.stop(null);
    this.#onClosed();
    const error = this.#takeUnreported();
    if (error !== null) throw error;
  }

  #takeUnreported(): BrokerError | null {
    const error = this.#unreported;
    this.#unreported = null;
    return error;
  }

  #prepare(
    name: string,
    topic: Topic<K, V> | null,
    record: OutRecord<K, V>,
    { expectedEndOffset }: SendOptions,
    nowMs: number,
  ): QueuedRecord {
    if (expectedEndOffset !== undefined) checkExpected(expectedEndOffset, record.partition);
    const key = serialized((topic ?? this.#serdes).key, record.key ?? null, name, 'key');
    const value = serialized((topic ?? this.#serdes).value, record.value, name, 'value');
    const headers = record.headers === undefined ? noHeaders : record.headers.map(toHeader);
    const timestampMs = record.timestampMs ?? this.#brokers.environment.clock.wallMs();
    if (!Number.isSafeInteger(timestampMs) || timestampMs < 0)
      throw new BrokerError(
        'INVALID_TIMESTAMP',
        `timestampMs must be an integer from 0 to 2^53-1, not ${timestampMs}.`,
      );
    return {
      record: { key, value, headers, timestampMs: toMillis(timestampMs) },
      partition: record.partition ?? null,
      expectedEndOffset: expectedEndOffset ?? null,
      bytes: bytesOf(key, value, headers),
      delivery: new Delivery(),
      serial: this.#nextSerial++,
      deadlineMs: nowMs + this.#settings.deliveryTimeoutMs,
    };
  }

  #writer(name: string): TopicWriter {
    const known = this.#writers.get(name);
    if (known !== undefined) return known;
    const writer = new TopicWriter(name, {
      brokers: this.#brokers,
      settings: this.#settings,
      loadDriver: () => this.#loadDriver(),
      drop: (queued, error) => this.#drop(queued, error),
    });
    this.#writers.set(name, writer);
    return writer;
  }

  async #loadDriver(): Promise<LaneDriver> {
    const codecs = await this.#loadCodecs();
    this.#driver ??= new LaneDriver(this.#brokers, this.#settings, codecs, {
      settled: (batch) => this.#settled(batch),
      failed: (error) => this.#failed(error),
      tick: (nowMs) => this.#expireWaiting(nowMs),
    });
    this.#driver.hurry = this.#draining > 0;
    return this.#driver;
  }

  /** Gives the record its place, or lets it wait for one. */
  #admit(writer: TopicWriter, queued: QueuedRecord, nowMs: number): void {
    const { bytes } = queued;
    const fits = this.#queuedBytes === 0 || this.#queuedBytes + bytes <= this.#settings.queuedBytesMax;
    if (fits && this.#waiting.length === 0) this.#place(writer, queued, nowMs);
    else if (this.#settings.whenFull === 'reject') this.#refuse(queued, this.#fullError());
    else if (this.#waiting.length >= waitingSendsMax) this.#refuse(queued, this.#fullError());
    else this.#waiting.push({ writer, queued });
  }

  #place(writer: TopicWriter, queued: QueuedRecord, nowMs: number): void {
    this.#queuedBytes += queued.bytes;
    writer.write(queued, nowMs);
  }

  #fullError(): BrokerError {
    const text = `The producer's queue is full (${this.#settings.queuedBytesMax} bytes); wait for acknowledgements.`;
    return new BrokerError('QUEUE_FULL', text, { retriable: true });
  }

  /** Rejects a record that never got its place. */
  #refuse(queued: QueuedRecord, error: BrokerError): void {
    this.#failed(error);
    queued.delivery.reject(error);
  }

  /** Rejects a record that has its place and is in no batch. */
  #drop(queued: QueuedRecord, error: BrokerError): void {
    this.#refuse(queued, error);
    this.#release(queued.bytes);
  }

  #settled(batch: ProduceBatch): void {
    this.#release(batch.reservedBytes);
  }

  #failed(error: BrokerError): void {
    this.#unreported ??= error;
    if (error.topic !== undefined && topicChanged.has(error.code)) this.#writers.get(error.topic)?.forget();
    if (this.#drainWaiters.length > 0) this.#settleDrains();
  }

  #release(bytes: number): void {
    this.#queuedBytes -= bytes;
    let taken = 0;
    for (const waiting of this.#waiting) {
      const fits = this.#queuedBytes === 0 || this.#queuedBytes + waiting.queued.bytes <= this.#settings.queuedBytesMax;
      if (!fits) break;
      taken += 1;
      this.#place(waiting.writer, waiting.queued, this.#nowMs());
    }
    if (taken > 0) this.#waiting.splice(0, taken);
    this.#roomChanged();
  }

  #roomChanged(): void {
    if (!this.isFull || this.#closing !== null) for (const resolve of this.#roomWaiters.splice(0)) resolve();
    if (this.#drainWaiters.length > 0) this.#settleDrains();
  }

  #expireWaiting(nowMs: number): void {
    const late = this.#waiting.findIndex(({ queued }) => queued.deadlineMs > nowMs);
    const expired = this.#waiting.splice(0, late === -1 ? this.#waiting.length : late);
    for (const { queued } of expired) {
      const text = 'Not acknowledged before the delivery deadline: there was no room in the queue.';
      this.#refuse(queued, new BrokerError('DELIVERY_TIMEOUT', text, { retriable: true }));
    }
  }

  /** Resolves when everything that was sent before is settled. Never rejects. */
  async #drain(): Promise<void> {
    if (this.#oldestSerial() >= this.#nextSerial) return;
    const settled = new Promise<void>((done) => this.#drainWaiters.push({ before: this.#nextSerial, done }));
    this.#draining += 1;
    this.#hurry();
    await settled;
    this.#draining -= 1;
    this.#hurry();
  }

  #hurry(): void {
    if (this.#driver === null) return;
    this.#driver.hurry = this.#draining > 0;
    this.#driver.wakeAll();
  }

  #settleDrains(): void {
    const oldest = this.#oldestSerial();
    const [done, left] = [
      this.#drainWaiters.filter((w) => w.before <= oldest),
      this.#drainWaiters.filter((w) => w.before > oldest),
    ];
    this.#drainWaiters = left;
    for (const waiter of done) waiter.done();
  }

  /** Serial of the oldest record that is not settled; Infinity if there is none. */
  #oldestSerial(): number {
    let oldest = this.#waiting[0]?.queued.serial ?? Infinity;
    for (const writer of this.#writers.values()) oldest = Math.min(oldest, writer.oldestSerial);
    return Math.min(oldest, this.#driver?.oldestSerial ?? Infinity);
  }

  #nowMs(): number {
    return this.#brokers.environment.clock.monotonicMs();
  }
}

function checkExpected(expectedEndOffset: number, partition: number | undefined): void {
  if (partition === undefined)
    throw new BrokerError(
      'INVALID_REQUEST',
      'expectedEndOffset needs the partition of the record: each has its own end.',
    );
  if (!Number.isSafeInteger(expectedEndOffset) || expectedEndOffset < 0)
    throw new BrokerError(
      'INVALID_REQUEST',
      `expectedEndOffset must be an integer from 0 to 2^53-1, not ${expectedEndOffset}.`,
    );
}

const tooManyTopics = new BrokerError(
  'LIMIT_REACHED',
  `A producer writes to at most ${topicsMax} topics; use another one.`,
);

/** Once it is queued a record can not be taken back, so an abort leaves its outcome open. */
function rejectOnAbort(delivery: Delivery, signal: AbortSignal): void {
  setMaxListeners(0, signal); // any number of records may share a signal
  const onAbort = (): void => delivery.reject(abortedError(signal, true));
  signal.addEventListener('abort', onAbort, { once: true });
  const stop = (): void => signal.removeEventListener('abort', onAbort);
  delivery.then(stop, stop);
}

const toHeader = ([name, value]: readonly [string, string | Bytes | null]): RecordHeader => ({
  name,
  value: typeof value === 'string' ? encoder.encode(value) : value,
});

function bytesOf(key: Bytes | null, value: Bytes | null, headers: readonly RecordHeader[]): number {
  let bytes = recordOverheadBytes + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += header.name.length * 3 + (header.value?.length ?? 0) + 4;
  return bytes;
}
