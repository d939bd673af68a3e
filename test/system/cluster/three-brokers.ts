/** Three broker processes on one machine that make one cluster, with nothing going on in them unless a case begins it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '../../../clients/typescript/src/index.ts';
import { BrokerProcess, freePort } from '../broker/broker-process.ts';

export const brokerIds: readonly number[] = [0, 1, 2];

interface Place {
  readonly port: number;
  readonly peerPort: number;
  readonly httpPort: number;
  readonly dataDir: string;
}

export class ThreeBrokers {
  readonly #folder: string;
  readonly #places: readonly Place[];
  readonly #processes: BrokerProcess[] = [];
  readonly #clients: readonly Client[];

  static async prepared(): Promise<ThreeBrokers> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-three-'));
    const places: Place[] = [];
    for (const id of brokerIds)
      places.push({
        port: await freePort(),
        peerPort: await freePort(),
        httpPort: await freePort(),
        dataDir: join(folder, `broker-${id}`),
      });
    return new ThreeBrokers(folder, places);
  }

  private constructor(folder: string, places: readonly Place[]) {
    this.#folder = folder;
    this.#places = places;
    this.#clients = places.map(({ port }) => new Client({ brokers: [`127.0.0.1:${port}`] }));
  }

  /** A client that knows this broker only. */
  client(id: number): Client {
    const client = this.#clients[id];
    if (client === undefined) throw new RangeError(`there is no broker ${id}`);
    return client;
  }

  process(id: number): BrokerProcess {
    const process = this.#processes[id];
    if (process === undefined) throw new RangeError(`broker ${id} was not started`);
    return process;
  }

  /** Where it serves metrics. */
  httpPort(id: number): number {
    return this.#places[id]?.httpPort ?? 0;
  }

  /** Of all of them, for clients. */
  get addresses(): readonly string[] {
    return this.#places.map(({ port }) => `127.0.0.1:${port}`);
  }

  dataDir(id: number): string {
    return this.#places[id]?.dataDir ?? '';
  }

  /** Starts them; rejects if one does not get ready. */
  async start(ids: readonly number[]): Promise<void> {
    const founders = this.#places.map(({ peerPort }, id) => `${id}@127.0.0.1:${peerPort}`).join(',');
    for (const id of ids) {
      const { port = 0, peerPort = 0, httpPort = 0, dataDir = '' } = this.#places[id] ?? {};
      const settings = {
        'broker.id': id,
        'cluster.founders': founders,
        'listen.broker.port': peerPort,
        'listen.http.port': httpPort,
        'storage.ballastBytes': '1MiB',
      };
      this.#processes[id] = new BrokerProcess({ dataDir, port, settings });
    }
    const ready = await Promise.all(ids.map((id) => this.process(id).ready()));
    const missing = ids.filter((_, at) => ready[at] !== true);
    if (missing.length > 0)
      throw new Error(missing.map((id) => `broker ${id} does not serve: ${this.process(id).lastWords}`).join('; '));
  }

  /** kill -9 of these, all in the same moment. */
  async kill(ids: readonly number[]): Promise<void> {
    for (const id of ids) this.process(id).signal('SIGKILL');
    await Promise.all(ids.map((id) => this.process(id).exited));
  }

  async end(): Promise<void> {
    for (const client of this.#clients) void client.close().catch(() => undefined);
    await this.kill(this.#processes.map((_, id) => id));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
