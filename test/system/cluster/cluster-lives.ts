/** Three brokers on one machine under load, which are killed and come back; the ledger says what they owe. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '../../../clients/typescript/src/index.ts';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import type { Producer } from '../../../clients/typescript/src/index.ts';
import { partitionForKey } from '../../../src/model/partitioner.ts';
import { addTo, audit, isClean, nothingFound } from '../broker/audit.ts';
import { BrokerProcess, freePort } from '../broker/broker-process.ts';
import { FrontDoor } from '../broker/front-door.ts';
import type { PartitionBook, TopicBook } from '../broker/ledger.ts';
import { Ledger, mixedBytes } from '../broker/ledger.ts';
import { patience, until, wait } from '../broker/patience.ts';
import type { SeededChance } from '../durability/random.ts';
import { ProbeWriter } from './probe-writer.ts';

export const brokersCount = 3;
const partitionsCount = 12;
const topicName = 'records';
const turnMs = 4;
/** Longer than any case: what a crash interrupted is retried until it is answered. */
const deliveryTimeoutMs = 3_600_000;
/** Of an idle machine. */
const settleMsMax = 20_000;
/** Acknowledgements of the load that a life of the cluster has at least. */
const ackedPerLifeMin = 200;

/** What the producers of the load do. */
export interface LoadShape {
  readonly producers: number;
  /** Keys that all producers share; 0: records have none, and go to a partition by chance. */
  readonly keys: number;
  /** Records of one request. Null: as many as there are. */
  readonly batchRecordsMax: number | null;
  /** Records of one producer that wait for their acknowledgement. */
  readonly openMax: number;
  /** Bytes of a value. */
  readonly bytes: (chance: SeededChance) => number;
}

const defaultLoad: LoadShape = { producers: 2, keys: 0, batchRecordsMax: null, openMax: 300, bytes: mixedBytes };

interface LivesOptions {
  readonly chance: SeededChance;
  /** The data directory of a broker; none: one in a folder of its own that goes at the end. */
  readonly dataDirOf?: (id: number) => string;
  /** Gives the address at which clients reach the broker that listens at this port. Default: there. */
  readonly front?: (port: number) => Promise<string>;
  /** More settings of every broker, as for --set. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Default: two producers of mixed records. */
  readonly load?: LoadShape;
}

interface Place {
  readonly port: number;
  /** "host:port" that clients use. */
  readonly address: string;
  readonly peerPort: number;
  readonly dataDir: string;
}

export class ClusterLives {
  readonly ledger = new Ledger();
  readonly findings = nothingFound();
  readonly problems: string[] = [];
  readonly topic: TopicBook;
  readonly client: Client;
  readonly pulse: ProbeWriter;
  readonly #chance: SeededChance;
  readonly #load: LoadShape;
  readonly #folder: string;
  readonly #settings: Readonly<Record<string, string | number>>;
  readonly #places: readonly Place[];
  readonly #door: FrontDoor;
  readonly #brokers: BrokerProcess[] = [];
  readonly #producers: readonly Producer[];
  readonly #inFlight: number[];
  readonly #loops: Promise<void>[] = [];
  #ended = false;

  /** Founds the cluster and its topic, and begins to produce. */
  static async begin(options: LivesOptions): Promise<ClusterLives> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-cluster-'));
    const { dataDirOf = (id: number): string => join(folder, `broker-${id}`) } = options;
    const places: Place[] = [];
    const { front = (port: number): Promise<string> => Promise.resolve(`127.0.0.1:${port}`) } = options;
    for (let id = 0; id < brokersCount; id++) {
      const [port, peerPort] = [await freePort(), await freePort()];
      places.push({ port, address: await front(port), peerPort, dataDir: dataDirOf(id) });
    }
    const lives = new ClusterLives(options, folder, places);
    try {
      await lives.#found();
    } catch (error) {
      await lives.end();
      throw error;
    }
    return lives;
  }

  private constructor(options: LivesOptions, folder: string, places: readonly Place[]) {
    const { chance, settings = {}, load = defaultLoad } = options;
    this.#chance = chance;
    this.#load = load;
    this.#folder = folder;
    this.#settings = settings;
    this.#places = places;
    const addresses = places.map(({ address }) => address);
    this.client = new Client({ brokers: addresses });
    this.#door = new FrontDoor(addresses[0] ?? '');
    this.topic = this.ledger.addTopic(topicName, partitionsCount);
    const batch = load.batchRecordsMax === null ? {} : { maxRecords: load.batchRecordsMax };
    this.#producers = Array.from({ length: load.producers }, () => this.client.producer({ deliveryTimeoutMs, batch }));
    this.#inFlight = this.#producers.map(() => 0);
    this.pulse = new ProbeWriter(addresses, this.ledger, this.topic, load.producers);
  }

  get all(): readonly number[] {
    return this.#places.map((_, id) => id);
  }

  get partitions(): readonly number[] {
    return this.topic.partitions.map(({ partition }) => partition);
  }

  broker(id: number): BrokerProcess {
    const broker = this.#brokers[id];
    if (broker === undefined) throw new RangeError(`there is no broker ${id}`);
    return broker;
  }

  dataDir(id: number): string {
    return this.#place(id).dataDir;
  }

  /**
   * Starts the process of a broker.
   * @param prefix a command that runs it
   */
  launch(id: number, prefix: readonly string[] = []): void {
    const founders = this.#places.map(({ peerPort }, each) => `${each}@127.0.0.1:${peerPort}`).join(',');
    const { port, address, peerPort, dataDir } = this.#place(id);
    const settings = {
      'broker.id': id,
      'cluster.founders': founders,
      'listen.broker.port': peerPort,
      'broker.advertisedAddress': address,
      'storage.ballastBytes': '1MiB',
      ...this.#settings,
    };
    this.#brokers[id] = new BrokerProcess({ dataDir, port, settings, prefix });
  }

  /**
   * Starts these brokers; resolves with whether all of them serve.
   * @param prefix a command that runs each of them
   */
  async start(ids: readonly number[], label: string, prefix: readonly string[] = []): Promise<boolean> {
    for (const id of ids) this.launch(id, prefix);
    const served = await Promise.all(ids.map(async (id) => this.#brokers[id]?.ready()));
    for (const [n, id] of ids.entries())
      if (served[n] !== true)
        this.problems.push(`${label}: broker ${id} does not serve: ${this.#brokers[id]?.lastWords ?? ''}`);
    return served.every((one) => one === true);
  }

  /** kill -9 of these, all in the same moment. */
  async kill(ids: readonly number[]): Promise<void> {
    for (const id of ids) this.#brokers[id]?.signal('SIGKILL');
    await Promise.all(ids.map(async (id) => this.#brokers[id]?.exited));
  }

  /** Who leads each partition; waits until each has a leader. Null: some had none for too long. */
  async leaders(): Promise<readonly number[] | null> {
    let found: readonly number[] = [];
    const isLed = await until(async () => {
      try {
        const { partitions } = await this.client.admin.describeTopic(topicName);
        found = partitions.flatMap(({ leader }) => (leader === null ? [] : [leader]));
        return found.length === partitionsCount;
      } catch (error) {
        if (!asBrokerError(error).retriable) throw error;
        return false;
      }
    }, settleMsMax);
    return isLed ? found : null;
  }

  /** Records of the load that wait for their acknowledgement. */
  get open(): number {
    return this.#inFlight.reduce((sum, count) => sum + count, 0);
  }

  /** The partition with most acknowledged records. */
  busiest(): number {
    const counts = this.topic.partitions.map(({ acked }) => acked.length);
    return counts.indexOf(Math.max(...counts));
  }

  /**
   * Waits until each of these partitions takes records again; resolves with how long after `fromMs` each did, or null if
   * one does not.
   */
  async served(fromMs: number, partitions: readonly number[] = this.partitions): Promise<readonly number[] | null> {
    let pauses: readonly number[] | null = null;
    const waiting = partitions.map((partition) => this.pulse.pauseAfter(fromMs, partition));
    void Promise.all(waiting).then((each) => (pauses = each));
    await until(() => pauses !== null, settleMsMax);
    return pauses;
  }

  /** Lets the load run for a random time, and until it proves something. False: it does not get through. */
  async live(fromMs: number, belowMs: number): Promise<boolean> {
    const { acked } = this.ledger.counts;
    await wait(fromMs + this.#chance.below(belowMs));
    return until(() => this.ledger.counts.acked - acked >= ackedPerLifeMin, settleMsMax);
  }

  /** Sends one record to this partition behind those that wait; resolves with whether it was acknowledged. */
  async probe(partition: number): Promise<boolean> {
    const book = this.topic.partitions[partition];
    const [producer] = this.#producers;
    if (book === undefined || producer === undefined) return false;
    return this.#send(producer, 0, book, null);
  }

  /** Audits what was acknowledged so far, while the load goes on. */
  async check(label: string): Promise<boolean> {
    const found = await audit(this.ledger, this.client, this.#door);
    addTo(this.findings, found);
    if (isClean(found)) return true;
    this.problems.push(`${label}: ${JSON.stringify(found)}`);
    return false;
  }

  /** Every record is acknowledged in the end; then the last audit. */
  async finish(): Promise<void> {
    this.#ended = true;
    await Promise.all([...this.#loops, this.pulse.finish()]);
    const isThrough = await until(
      () => this.#inFlight.every((count) => count === 0) && this.pulse.open === 0,
      settleMsMax,
    );
    if (!isThrough) this.problems.push('the end: the producers did not get through');
    await this.check('the end');
  }

  async end(): Promise<void> {
    this.#ended = true;
    for (const producer of this.#producers) producer.abandon();
    this.pulse.close();
    void this.client.close().catch(() => undefined);
    this.#door.close();
    await this.kill(this.all.filter((id) => this.#brokers[id] !== undefined));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #place(id: number): Place {
    const place = this.#places[id];
    if (place === undefined) throw new RangeError(`there is no place for broker ${id}`);
    return place;
  }

  async #found(): Promise<void> {
    if (!(await this.start(this.all, 'founding'))) throw new Error(this.problems.join('; '));
    const created = await this.client.admin.createTopic(
      { name: topicName, partitions: partitionsCount, replicationFactor: brokersCount },
      { timeoutMs: settleMsMax * patience() },
    );
    this.topic.topicId = created.topicId;
    this.topic.state = 'live';
    if ((await this.leaders()) === null) throw new Error('a new topic has no leaders');
    for (const [writer, producer] of this.#producers.entries()) this.#loops.push(this.#produce(producer, writer));
    this.pulse.start();
  }

  async #produce(producer: Producer, writer: number): Promise<void> {
    while (!this.#ended) {
      for (let n = 1 + this.#chance.below(4); n > 0 && (this.#inFlight[writer] ?? 0) < this.#load.openMax; n--)
        this.#sendOne(producer, writer);
      await wait(turnMs);
    }
  }

  #sendOne(producer: Producer, writer: number): void {
    const { keys } = this.#load;
    const key = keys === 0 ? null : Buffer.from(`key-${this.#chance.below(keys)}`);
    const { partitions } = this.topic;
    // the client finds the same one by itself
    const book = key === null ? this.#chance.pick(partitions) : partitions[partitionForKey(key, partitionsCount)];
    if (book !== undefined) void this.#send(producer, writer, book, key);
  }

  async #send(producer: Producer, writer: number, book: PartitionBook, key: Buffer | null): Promise<boolean> {
    const { record, value } = this.ledger.sending(book, writer, this.#load.bytes(this.#chance), key);
    this.#inFlight[writer] = (this.#inFlight[writer] ?? 0) + 1;
    try {
      const { offset, duplicate } = await producer.send(
        topicName,
        key === null ? { value, partition: book.partition } : { key, value },
      );
      this.ledger.acknowledged(book, record, offset, duplicate);
      return true;
    } catch (error) {
      this.ledger.failed(record, asBrokerError(error).indeterminate);
      return false;
    } finally {
      this.#inFlight[writer] = (this.#inFlight[writer] ?? 0) - 1;
    }
  }
}
