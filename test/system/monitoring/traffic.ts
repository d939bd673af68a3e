/** A little of everything that the dashboards show: a producer, a consumer group, and unary fetches. */
import { credentials } from '@grpc/grpc-js';
import { Client } from '../../../clients/typescript/src/index.ts';
import type { FetchRequest } from '../../../src/gen/sluice/v1/log.ts';
import { FetchFormat, LogServiceClient } from '../../../src/gen/sluice/v1/log.ts';
import { wait } from '../broker/patience.ts';
import type { ThreeBrokers } from '../cluster/three-brokers.ts';

const topic = 'orders';
const pauseMs = 20;
const utf8 = new TextEncoder();

export class Traffic {
  produced = 0;
  consumed = 0;
  readonly #client: Client;
  readonly #fetching: LogServiceClient;
  readonly #running: readonly Promise<void>[];
  #ended = false;

  static async begin(brokers: ThreeBrokers): Promise<Traffic> {
    const client = new Client({ brokers: brokers.addresses });
    await client.admin.createTopic({ name: topic, partitions: 3, replicationFactor: 3 });
    return new Traffic(client, brokers.addresses[0] ?? '');
  }

  private constructor(client: Client, address: string) {
    this.#client = client;
    this.#fetching = new LogServiceClient(address, credentials.createInsecure());
    this.#running = [this.#produce(), this.#consume(), this.#fetch()];
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#client.close().catch(() => undefined);
    await Promise.allSettled(this.#running);
    this.#fetching.close();
  }

  async #produce(): Promise<void> {
    const producer = this.#client.producer();
    while (!this.#ended) {
      // what a killed broker makes fail is told by the metrics
      await producer.send(topic, { key: utf8.encode(String(this.produced)), value: utf8.encode('x'.repeat(200)) }).then(
        () => (this.produced += 1),
        () => undefined,
      );
      await wait(pauseMs);
    }
  }

  /** Consumers stream: unary fetches have to be asked for. */
  async #fetch(): Promise<void> {
    const partitions = [0, 1, 2].map((partition) => ({ topic, partition, fetchOffset: 0n }));
    // always from the beginning: not more than a few batches of it
    const request: FetchRequest = { partitions, format: FetchFormat.FETCH_FORMAT_RECORD_BATCHES, maxBytes: 1_024 };
    while (!this.#ended) {
      await new Promise<void>((resolve) => this.#fetching.fetch(request, () => resolve()));
      await wait(pauseMs * 5);
    }
  }

  async #consume(): Promise<void> {
    const consumer = this.#client.consumer({ group: 'billing', topics: [topic], onNoOffset: 'earliest' });
    for await (const record of consumer) {
      if (this.#ended) return;
      this.consumed += record.value === null ? 0 : 1;
    }
  }
}
