/**
 * Raw batches without a producer identity over ProduceStream, sent once each: whatever is not answered has an unknown
 * outcome and is never sent again.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { fromDetail, fromStatus } from '../../../clients/typescript/src/decode-error.ts';
import { BrokerError } from '../../../clients/typescript/src/errors.ts';
import { Acks } from '../../../clients/typescript/src/gen/sluice/v1/log.ts';
import type { ProduceStreamRequest, ProduceStreamResponse } from '../../../clients/typescript/src/gen/sluice/v1/log.ts';
import { Compression } from '../../../clients/typescript/src/gen/sluice/v1/record.ts';
import { methods } from '../../../clients/typescript/src/methods.ts';
import { encodeBatch } from '../../../src/model/batch-builder.ts';
import { toMillis } from '../../../src/model/ids.ts';
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import type { FrontDoor } from './front-door.ts';
import type { Ledger, PartitionBook, SentRecord, TopicBook } from './ledger.ts';

type Stream = ClientDuplexStream<ProduceStreamRequest, ProduceStreamResponse>;

interface Batch {
  readonly book: PartitionBook;
  readonly records: readonly SentRecord[];
}

/** What became of the batches of a writer. */
export interface StreamTally {
  produced: number;
  /** Typed errors on the stream, by code. */
  readonly errors: Map<string, number>;
  /** Sent, and the stream ended without an answer to them. */
  unanswered: number;
}

const timeoutMs = 60_000;
const connectMsMax = 5_000;

export class StreamWriter {
  readonly tally: StreamTally = { produced: 0, errors: new Map(), unanswered: 0 };
  /** The newest error of a batch; null: none yet. */
  lastError: BrokerError | null = null;
  /** Why streams of this writer ended, oldest first; may be emptied. */
  readonly ends: BrokerError[] = [];
  readonly #door: FrontDoor;
  readonly #ledger: Ledger;
  readonly #codecs: BatchCodecs;
  readonly #writer: number;
  readonly #open = new Map<bigint, Batch>();
  #stream: Stream | null = null;
  #nextId = 0n;
  #changed: (() => void)[] = [];

  constructor(door: FrontDoor, ledger: Ledger, codecs: BatchCodecs, writer: number) {
    this.#door = door;
    this.#ledger = ledger;
    this.#codecs = codecs;
    this.#writer = writer;
  }

  get inFlight(): number {
    return this.#open.size;
  }

  /** Sends one batch with records of these sizes. False: there is no connection, and nothing was sent. */
  async send(topic: TopicBook, partition: number, sizes: readonly number[]): Promise<boolean> {
    const stream = await this.#connected();
    const book = topic.partitions[partition];
    if (stream === null || book === undefined) return false;
    const made = sizes.map((bytes) => this.#ledger.sending(book, this.#writer, bytes));
    const value = encoded(
      made.map((one) => one.value),
      this.#codecs,
    );
    const correlationId = this.#nextId++;
    this.#open.set(correlationId, { book, records: made.map(({ record }) => record) });
    stream.write({
      correlationId,
      produce: {
        topic: topic.name,
        ...(topic.topicId === null ? {} : { topicId: topic.topicId }),
        partition,
        payload: { $case: 'recordBatch', value },
        acks: Acks.ACKS_ALL,
        compression: Compression.COMPRESSION_UNSPECIFIED,
        timeoutMs,
      },
    });
    return true;
  }

  /** Resolves when fewer than `limit` batches wait for their answer. */
  async room(limit: number): Promise<void> {
    while (this.#open.size >= limit) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  /** Resolves when nothing waits for an answer any more. */
  settled(): Promise<void> {
    return this.room(1);
  }

  close(): void {
    this.#stream?.cancel();
  }

  async #connected(): Promise<Stream | null> {
    if (this.#stream !== null) return this.#stream;
    try {
      await this.#door.connection.ready(connectMsMax);
    } catch {
      return null;
    }
    return (this.#stream ??= this.#begin());
  }

  #begin(): Stream {
    const stream = this.#door.connection.duplex(methods.produceStream);
    stream.on('data', (reply: ProduceStreamResponse) => this.#answered(reply));
    stream.on('error', (error: unknown) => this.#ended(stream, fromStatus(error, {}, true)));
    stream.on('end', () => this.#ended(stream, new BrokerError('UNAVAILABLE', 'ended', { indeterminate: true })));
    return stream;
  }

  #answered({ correlationId, result }: ProduceStreamResponse): void {
    const batch = this.#open.get(correlationId);
    if (batch === undefined || result === undefined) throw new Error(`a reply to nothing: ${correlationId}`);
    this.#open.delete(correlationId);
    if (result.$case === 'produced') this.#produced(batch, Number(result.value.baseOffset));
    else if (result.$case === 'error') this.#failed(batch, fromDetail(result.value, {}));
    else throw new Error('told of what was not asked for');
    this.#wake();
  }

  #produced({ book, records }: Batch, baseOffset: number): void {
    for (const [at, record] of records.entries()) this.#ledger.acknowledged(book, record, baseOffset + at);
    this.tally.produced++;
  }

  #failed({ records }: Batch, error: BrokerError): void {
    this.lastError = error;
    for (const record of records) this.#ledger.failed(record, error.indeterminate);
    this.tally.errors.set(error.code, (this.tally.errors.get(error.code) ?? 0) + 1);
  }

  /** What was never answered: unknown, unless the stream's own typed end says that it was not taken. */
  #ended(stream: Stream, error: BrokerError): void {
    if (this.#stream !== stream) return;
    this.#stream = null;
    this.ends.push(error);
    for (const { records } of this.#open.values()) {
      for (const record of records) this.#ledger.failed(record, error.indeterminate);
      this.tally.unanswered++;
    }
    this.#open.clear();
    this.#wake();
  }

  #wake(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const resolve of changed) resolve();
  }
}

function encoded(values: readonly Buffer[], codecs: BatchCodecs): Uint8Array {
  const timestampMs = toMillis(Date.now());
  const records = values.map((value) => ({ key: null, value, headers: [], timestampMs }));
  const batch = encodeBatch({ records, compression: 'none', producer: null }, codecs);
  if (batch.kind === 'refused') throw new Error(batch.error.message);
  return batch.value;
}
