/**
 * Services that produce at a steady rate with a client's default settings, whatever the brokers do: how long each record
 * took to be acknowledged, and the ledger of what is owed.
 */
import { Client } from '../../../clients/typescript/src/index.ts';
import type { Producer } from '../../../clients/typescript/src/index.ts';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import { addTo, audit, isClean, nothingFound } from '../broker/audit.ts';
import { FrontDoor } from '../broker/front-door.ts';
import type { PartitionBook, TopicBook } from '../broker/ledger.ts';
import { Ledger } from '../broker/ledger.ts';
import { patience, until, wait } from '../broker/patience.ts';
import { Pauses } from '../cluster/pauses.ts';
import type { SeededChance } from '../durability/random.ts';

const topicName = 'orders';
export const partitionsCount = 12;
const replicationFactor = 3;
const producersCount = 2;
/** Between two records of one producer: 200 a second together. */
const turnMs = 10;
const valueBytes = { from: 100, below: 900 };
/** Of an idle machine: what is open at the end has its answer by then, or its producer gave up. */
const settleMsMax = 20_000;
/** Of an idle machine: what the cluster is asked or told is answered by then. */
const answerMsMax = 20_000;

export class SteadyLoad {
  readonly ledger = new Ledger();
  readonly findings = nothingFound();
  /** From `send` to the acknowledgement, of every record. */
  readonly latencies = new Pauses();
  /** What `send` rejected with, for people. */
  readonly failures: string[] = [];
  /** For questions and orders; producers have one with default settings. */
  readonly client: Client;
  readonly topic: TopicBook;
  readonly #producing: Client;
  readonly #producers: readonly Producer[];
  readonly #chance: SeededChance;
  readonly #addresses: readonly string[];
  #running: Promise<unknown> = Promise.resolve();
  #open = 0;
  #ended = false;

  /** Makes the topic and begins. */
  static async begin(addresses: readonly string[], chance: SeededChance): Promise<SteadyLoad> {
    const load = new SteadyLoad(addresses, chance);
    const wish = { name: topicName, partitions: partitionsCount, replicationFactor };
    const { topicId } = await load.client.admin.createTopic(wish);
    Object.assign(load.topic, { topicId, state: 'live' });
    load.#running = Promise.all(load.#producers.map((producer, writer) => load.#produce(producer, writer)));
    return load;
  }

  private constructor(addresses: readonly string[], chance: SeededChance) {
    const totalMs = answerMsMax * patience();
    this.client = new Client({ brokers: addresses, timeouts: { totalMs, requestMs: totalMs } });
    this.#producing = new Client({ brokers: addresses });
    this.topic = this.ledger.addTopic(topicName, partitionsCount);
    this.#addresses = addresses;
    this.#chance = chance;
    this.#producers = Array.from({ length: producersCount }, () => this.#producing.producer());
  }

  /** Lets it go on until so many more are acknowledged. False: it does not get through. */
  async goOn(acknowledgements: number): Promise<boolean> {
    const { acked } = this.ledger.counts;
    return until(() => this.ledger.counts.acked - acked >= acknowledgements, settleMsMax);
  }

  /** Sends no more, waits for what is open, and compares everything with what one broker serves. */
  async finish(): Promise<readonly string[]> {
    this.#ended = true;
    await this.#running;
    if (!(await until(() => this.#open === 0, settleMsMax))) return [`${this.#open} records have no answer`];
    const door = new FrontDoor(this.#addresses[0] ?? '');
    try {
      const found = await audit(this.ledger, this.client, door);
      addTo(this.findings, found);
      return isClean(found) ? [] : [JSON.stringify(found)];
    } finally {
      door.close();
    }
  }

  close(): void {
    this.#ended = true;
    for (const producer of this.#producers) producer.abandon();
    for (const client of [this.client, this.#producing]) void client.close().catch(() => undefined);
  }

  async #produce(producer: Producer, writer: number): Promise<void> {
    while (!this.#ended) {
      void this.#send(producer, writer, this.#chance.pick(this.topic.partitions));
      await wait(turnMs);
    }
  }

  async #send(producer: Producer, writer: number, book: PartitionBook): Promise<void> {
    const { record, value } = this.ledger.sending(book, writer, valueBytes.from + this.#chance.below(valueBytes.below));
    const sentMs = performance.now();
    this.#open++;
    try {
      const { offset, duplicate } = await producer.send(topicName, { value, partition: book.partition });
      this.ledger.acknowledged(book, record, offset, duplicate);
      this.latencies.add(performance.now() - sentMs);
    } catch (error) {
      const failed = asBrokerError(error);
      this.ledger.failed(record, failed.indeterminate);
      this.failures.push(`${topicName}/${book.partition}: ${failed.message}`);
    } finally {
      this.#open--;
    }
  }
}
