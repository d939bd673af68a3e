/** Three brokers of one cluster as processes, each at a place of its own that a process can leave and come back to. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { freePort } from '../system/broker/broker-process.ts';
import type { BrokerProcess } from './broker-process.ts';
import { dataDirectory, startBroker } from './broker-process.ts';

export const secret = 'of three brokers';

interface Place {
  readonly id: number;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly dataDir: string;
}

/** The places of three founders; processes come and go on them. */
export class Cluster {
  readonly places: readonly Place[];
  readonly #t: TestContext;
  readonly #running = new Map<number, BrokerProcess>();

  static async plan(t: TestContext): Promise<Cluster> {
    const places: Place[] = [];
    for (const id of [0, 1, 2])
      places.push({ id, clientPort: await freePort(), peerPort: await freePort(), dataDir: dataDirectory(t) });
    return new Cluster(t, places);
  }

  private constructor(t: TestContext, places: readonly Place[]) {
    this.#t = t;
    this.places = places;
  }

  get founders(): string {
    return this.places.map(({ id, peerPort }) => `${id}@127.0.0.1:${peerPort}`).join(',');
  }

  address(id: number): string {
    return `127.0.0.1:${this.place(id).clientPort}`;
  }

  place(id: number): Place {
    const place = this.places[id];
    assert.ok(place);
    return place;
  }

  broker(id: number): BrokerProcess {
    const broker = this.#running.get(id);
    assert.ok(broker);
    return broker;
  }

  start(id: number, settings: Readonly<Record<string, string | number>> = {}): BrokerProcess {
    const { clientPort, peerPort, dataDir } = this.place(id);
    const broker = startBroker(this.#t, {
      'broker.id': id,
      'cluster.founders': this.founders,
      'cluster.secret': secret,
      'listen.client.port': clientPort,
      'listen.broker.port': peerPort,
      'storage.dataDir': dataDir,
      ...settings,
    });
    this.#running.set(id, broker);
    return broker;
  }
}
