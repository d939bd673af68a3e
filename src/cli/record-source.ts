/** Where `consume` takes records from: a group's share of the topics, or all partitions read on its own account. */
import { BrokerError } from '../../clients/typescript/src/errors.ts';
import type {
  Client,
  Consumer,
  InRecord,
  Reader,
  ReaderOptions,
  RecordBatch,
} from '../../clients/typescript/src/index.ts';
import type { StartingPoint } from './starting-point.ts';

export interface RecordSource {
  /** The next records, at most `recordsMax`; null: the end. Asking says that those before are dealt with. */
  next(recordsMax: number): Promise<readonly InRecord[] | null>;
  /** Everything that was handed out is dealt with: keep that. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

/** How often a consumer that stops at the end looks whether its partitions have changed, milliseconds. */
const endCheckMs = 250;

/** Member of a group; what was handed out before the last `next` is committed in the background. */
export class GroupSource implements RecordSource {
  readonly #client: Client;
  readonly #consumer: Consumer;
  readonly #interrupted: AbortSignal;
  readonly #stopAtEnd: boolean;
  /** Where the partitions ended when they came to us. */
  readonly #ends = new Map<string, number>();

  constructor(client: Client, consumer: Consumer, stopAtEnd: boolean, interrupted: AbortSignal) {
    this.#client = client;
    this.#consumer = consumer;
    this.#stopAtEnd = stopAtEnd;
    this.#interrupted = interrupted;
  }

  async next(recordsMax: number): Promise<readonly InRecord[] | null> {
    if (!this.#stopAtEnd) return this.#take(recordsMax, this.#interrupted);
    await this.#consumer.start({ signal: this.#interrupted });
    while (!(await this.#isAtEnd())) {
      const wait = AbortSignal.any([this.#interrupted, AbortSignal.timeout(endCheckMs)]);
      try {
        return await this.#take(recordsMax, wait);
      } catch (error) {
        if (!BrokerError.is(error, 'ABORTED') || this.#interrupted.aborted) throw error;
      }
    }
    return null;
  }

  finish(): Promise<void> {
    return this.#consumer.commit();
  }

  close(): Promise<void> {
    return this.#consumer.close();
  }

  async #take(recordsMax: number, signal: AbortSignal): Promise<readonly InRecord[] | null> {
    const next = await this.#consumer.batches({ maxRecords: recordsMax, signal }).next();
    return next.done === true ? null : next.value.records;
  }

  /** Never before a partition is assigned: the group may be waiting for a member that died. */
  async #isAtEnd(): Promise<boolean> {
    const assigned = this.#consumer.assignment;
    const fresh = assigned.filter(({ topic, partition }) => !this.#ends.has(`${topic}/${partition}`));
    if (fresh.length > 0) {
      const options = { signal: this.#interrupted };
      const found = await this.#client.admin.listOffsets(
        fresh.map((where) => ({ ...where, at: 'latest' })),
        options,
      );
      for (const { topic, partition, offset } of found) this.#ends.set(`${topic}/${partition}`, offset ?? 0);
    }
    return (
      assigned.length > 0 &&
      assigned.every((where) => {
        const end = this.#ends.get(`${where.topic}/${where.partition}`) ?? Infinity;
        return (this.#consumer.position(where) ?? 0) >= end;
      })
    );
  }
}

type Arrival = { readonly reader: Reader; readonly batch: RecordBatch | undefined };

/** Readers side by side; each partition in its order, no order between them. */
export class ReaderSource implements RecordSource {
  readonly #readers: readonly Reader[];
  /** What each reader that has not ended is asked for. */
  readonly #pending = new Map<Reader, Promise<Arrival>>();
  readonly #interrupted: AbortSignal;
  #rest: readonly InRecord[] = [];

  constructor(readers: readonly Reader[], interrupted: AbortSignal) {
    this.#readers = readers;
    this.#interrupted = interrupted;
    for (const reader of readers) this.#ask(reader);
  }

  async next(recordsMax: number): Promise<readonly InRecord[] | null> {
    while (this.#rest.length === 0) {
      if (this.#pending.size === 0) return null;
      const { reader, batch } = await Promise.race(this.#pending.values());
      this.#pending.delete(reader);
      if (batch === undefined) continue;
      this.#rest = batch.records;
      this.#ask(reader);
    }
    const taken = this.#rest.slice(0, recordsMax);
    this.#rest = this.#rest.slice(recordsMax);
    return taken;
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()));
  }

  #ask(reader: Reader): void {
    const next = reader.batches({ signal: this.#interrupted }).next();
    const arrival = next.then((result) => ({ reader, batch: result.done === true ? undefined : result.value }));
    arrival.catch(() => undefined); // heard by the next race, if there is one
    this.#pending.set(reader, arrival);
  }
}

export interface ReadPlan {
  readonly topics: readonly string[];
  readonly partition: number | null;
  readonly from: StartingPoint;
  readonly stopAtEnd: boolean;
}

/** One reader for each topic; one for each partition where they begin at different offsets. */
export async function openReaders(client: Client, plan: ReadPlan): Promise<Reader[]> {
  const options = await Promise.all(plan.topics.map((topic) => readerOptions(client, topic, plan)));
  const readers = options.flat().map((each) => client.reader(each));
  await Promise.all(readers.map((reader) => reader.start()));
  return readers;
}

type Options = ReaderOptions<Uint8Array, Uint8Array>;

async function readerOptions(client: Client, topic: string, plan: ReadPlan): Promise<Options[]> {
  const { partition, from, stopAtEnd } = plan;
  const base: Options = {
    topic,
    ...(partition === null ? {} : { partition }),
    ...(stopAtEnd ? { until: 'latest' as const } : {}),
  };
  switch (from.kind) {
    case 'earliest':
    case 'latest':
      return [{ ...base, from: from.kind }];
    case 'offset':
      return [{ ...base, from: from.offset }];
    case 'time':
      return [{ ...base, from: { timestampMs: from.timestampMs } }];
    case 'last': {
      const { partitions } = await client.admin.describeTopic(topic);
      return partitions
        .filter((each) => partition === null || each.partition === partition)
        .map(({ partition: number, logStartOffset, highWatermark }) => {
          const start = Math.max(logStartOffset ?? 0, (highWatermark ?? 0) - from.count);
          return { ...base, partition: number, from: start };
        });
    }
  }
}
