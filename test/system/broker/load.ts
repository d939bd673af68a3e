/**
 * What beats on the broker while it is crashed: idempotent producers of the client library that live through every crash
 * and retry across it, raw streams that send everything once, commits of groups, and topics that come and go.
 */
import { Client } from '../../../clients/typescript/src/index.ts';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import type { BrokerError, Producer } from '../../../clients/typescript/src/index.ts';
import { createCompression } from '../../../src/runtime/compression.ts';
import { crc32c } from '../../../src/runtime/crc32c.ts';
import type { SeededChance } from '../durability/random.ts';
import { FrontDoor } from './front-door.ts';
import { mixedBytes, type CommitBook, type Ledger, type PartitionBook, type TopicBook } from './ledger.ts';
import { patience, until, wait } from './patience.ts';
import { StreamWriter } from './stream-writer.ts';

const producersCount = 2;
const streamsCount = 2;
const groupsCount = 3;
/** Records of one idempotent producer that wait for their acknowledgement. */
const producerRecordsMax = 150;
/** Batches of one raw stream that wait for theirs. */
const streamBatchesMax = 12;
const turnMs = 8;
const batchBytesMax = 64 * 1024;
/** Longer than any case: what a crash interrupted is retried until it is answered. */
const deliveryTimeoutMs = 3_600_000;
/** Of an idle machine. */
const flushMsMax = 20_000;
/** Of a call beside the load: whatever it did by then is found out by the next audit. */
const topicCallMsMax = 3_000;

export interface LoadOptions {
  readonly address: string;
  readonly ledger: Ledger;
  readonly chance: SeededChance;
  /** Partitions of each of the two topics that stay. */
  readonly partitions: number;
  /** Creates and deletes topics with data beside the rest. */
  readonly churn: boolean;
}

export class Load {
  readonly client: Client;
  readonly door: FrontDoor;
  readonly streams: readonly StreamWriter[];
  readonly topics: readonly TopicBook[];
  /** Commits that were answered with an error of their own, by code. */
  readonly commitErrors = new Map<string, number>();
  readonly #options: LoadOptions;
  readonly #producers: readonly Producer[];
  readonly #inFlight: number[];
  #paused = true;
  #ended = false;
  /** Loops that are in the middle of something. */
  #busy = 0;
  #churned = 0;
  readonly #loops: Promise<void>[] = [];

  /** Creates the topics that stay; nothing flows before `resume`. */
  static async start(options: LoadOptions): Promise<Load> {
    const codecs = { compression: await createCompression(), crc32c };
    const load = new Load(options, codecs);
    for (const topic of load.topics) await load.#create(topic, topicCallMsMax * patience());
    load.#begin();
    return load;
  }

  private constructor(options: LoadOptions, codecs: ConstructorParameters<typeof StreamWriter>[2]) {
    const { address, ledger, partitions } = options;
    this.#options = options;
    this.client = new Client({ brokers: address });
    this.door = new FrontDoor(address);
    this.topics = ['records', 'batches'].map((name) => ledger.addTopic(name, partitions));
    this.#producers = Array.from({ length: producersCount }, () =>
      this.client.producer({ deliveryTimeoutMs, batch: { maxBytes: batchBytesMax } }),
    );
    this.#inFlight = this.#producers.map(() => 0);
    this.streams = Array.from(
      { length: streamsCount },
      (_, n) => new StreamWriter(this.door, ledger, codecs, producersCount + n),
    );
  }

  resume(): void {
    this.#paused = false;
  }

  /** Resolves when nothing new is sent and everything that is sent once is answered or lost. */
  async pause(): Promise<void> {
    this.#paused = true;
    while (this.#busy > 0) await wait(2);
    await Promise.all(this.streams.map((stream) => stream.settled()));
  }

  /** Ends the load; the idempotent producers get through what they still hold. Resolves with whether they did in time. */
  async finish(): Promise<boolean> {
    await this.pause();
    this.#ended = true;
    await Promise.all(this.#loops);
    return until(() => this.#inFlight.every((count) => count === 0), flushMsMax);
  }

  /** Closes without waiting. */
  stop(): void {
    this.#ended = true;
    for (const stream of this.streams) stream.close();
    for (const producer of this.#producers) producer.abandon();
    void this.client.close().catch(() => undefined);
    this.door.close();
  }

  #begin(): void {
    const loops = [
      ...this.#producers.map((producer, n) => () => this.#produce(producer, n)),
      ...this.streams.map((stream) => () => this.#stream(stream)),
      ...Array.from({ length: groupsCount }, (_, n) => () => this.#commit(`group-${n}`)),
      ...(this.#options.churn ? [(): Promise<void> => this.#churn()] : []),
    ];
    this.#loops.push(...loops.map((turn) => this.#loop(turn)));
  }

  async #loop(turn: () => Promise<void>): Promise<void> {
    while (!this.#ended) {
      if (!this.#paused) {
        this.#busy++;
        await turn().finally(() => this.#busy--);
      }
      await wait(turnMs);
    }
  }

  #produce(producer: Producer, writer: number): Promise<void> {
    const { chance } = this.#options;
    const topic = chance.pick(this.topics);
    for (let n = 1 + chance.below(8); n > 0; n--) {
      if ((this.#inFlight[writer] ?? 0) >= producerRecordsMax) break;
      this.#produceOne(producer, writer, topic, chance.pick(topic.partitions));
    }
    return Promise.resolve();
  }

  #produceOne(producer: Producer, writer: number, topic: TopicBook, book: PartitionBook): void {
    const { ledger, chance } = this.#options;
    const { record, value } = ledger.sending(book, writer, mixedBytes(chance));
    this.#inFlight[writer] = (this.#inFlight[writer] ?? 0) + 1;
    producer
      .send(topic.name, { value, partition: book.partition })
      .then(
        ({ offset, duplicate }) => ledger.acknowledged(book, record, offset, duplicate),
        (error: unknown) => ledger.failed(record, asBrokerError(error).indeterminate),
      )
      .finally(() => (this.#inFlight[writer] = (this.#inFlight[writer] ?? 0) - 1));
  }

  async #stream(stream: StreamWriter): Promise<void> {
    const { chance } = this.#options;
    if (stream.inFlight >= streamBatchesMax) return;
    const topic = chance.pick(this.topics);
    await stream.send(topic, chance.below(topic.partitions.length), batchSizes(chance));
  }

  async #commit(group: string): Promise<void> {
    const { chance } = this.#options;
    const topic = chance.pick(this.topics);
    const { partition } = chance.pick(topic.partitions);
    const book = this.#commitBook(group, topic.name, partition);
    const offset = ++book.sent;
    try {
      const refused = await this.door.commit({ group, topic: topic.name, partition, offset });
      if (refused !== null) this.#count(refused);
      else if (this.#options.ledger.isHeard) book.acked = offset;
    } catch (error) {
      this.#count(asBrokerError(error));
    }
  }

  #count({ code }: BrokerError): void {
    this.commitErrors.set(code, (this.commitErrors.get(code) ?? 0) + 1);
  }

  #commitBook(group: string, topic: string, partition: number): CommitBook {
    const { commits } = this.#options.ledger;
    const known = commits.find((one) => one.group === group && one.topic === topic && one.partition === partition);
    if (known !== undefined) return known;
    const book: CommitBook = { group, topic, partition, acked: null, sent: 0 };
    commits.push(book);
    return book;
  }

  /** A topic comes, gets some data, and every second time goes again at once; what stays is deleted by a later turn. */
  async #churn(): Promise<void> {
    const { ledger, chance } = this.#options;
    const stayed = ledger.topics.filter((topic) => topic.state === 'live' && !this.topics.includes(topic));
    const old = stayed[0];
    if (old !== undefined && (stayed.length > 4 || chance.below(2) === 0)) {
      await this.#delete(old);
      return;
    }
    const topic = ledger.addTopic(`churn-${this.#churned++}`, 1 + chance.below(2));
    await this.#create(topic, topicCallMsMax).catch(() => undefined); // whatever came of it, the book says
    const [stream] = this.streams;
    if (topic.state !== 'live' || stream === undefined) return;
    for (let n = 0; n < 4; n++) await stream.send(topic, chance.below(topic.partitions.length), batchSizes(chance));
  }

  async #create(topic: TopicBook, timeoutMs: number): Promise<void> {
    const { name, partitions } = topic;
    try {
      const created = await this.client.admin.createTopic({ name, partitions: partitions.length }, { timeoutMs });
      if (!this.#options.ledger.isHeard) return;
      topic.topicId = created.topicId;
      topic.state = 'live';
    } catch (error) {
      const failure = asBrokerError(error);
      if (!failure.indeterminate && this.#options.ledger.isHeard) topic.state = 'deleted';
      throw failure;
    }
  }

  async #delete(topic: TopicBook): Promise<void> {
    topic.state = 'doubtful';
    try {
      await this.client.admin.deleteTopic(topic.name, { timeoutMs: topicCallMsMax });
      if (this.#options.ledger.isHeard) topic.state = 'deleted';
    } catch (error) {
      if (!asBrokerError(error).indeterminate && this.#options.ledger.isHeard) topic.state = 'live';
    }
  }
}

/** One small record, or as many mixed ones as a batch holds. */
function batchSizes(chance: SeededChance): number[] {
  const sizes = [mixedBytes(chance)];
  if (chance.below(3) === 0) return sizes;
  let left = batchBytesMax - (sizes[0] ?? 0);
  for (let n = chance.below(40); n > 0; n--) {
    const bytes = mixedBytes(chance);
    if (bytes > left) break;
    left -= bytes;
    sizes.push(bytes);
  }
  return sizes;
}
