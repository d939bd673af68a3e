/** Broker processes on this machine that can be killed and started again at the same ports with the same data. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import path from 'node:path';

const program = path.resolve(import.meta.dirname, '../../dist/src/main.js');
const host = '127.0.0.1';
/** Broker n listens 10 n above the first one, and one above that for the other brokers, as with `sluice dev`. */
const portStep = 10;
const portFirst = 9_400;
/** Below what systems take for outgoing connections, so that nobody takes the port of a broker that is down. */
const portLast = 30_000;

export class BrokerProcesses {
  /** Client address of each broker, at the index of its id. */
  readonly addresses: readonly string[];
  /** Resolves with what happened when a broker ends that nobody killed. */
  readonly died: Promise<string>;
  #tellDied: (why: string) => void = () => undefined;
  readonly #base: number;
  readonly #folder: string;
  /** At the index of the id; null: it does not run. */
  readonly #running: (ChildProcess | null)[];

  private constructor(base: number, count: number, folder: string) {
    this.#base = base;
    this.#folder = folder;
    this.#running = Array.from({ length: count }, () => null);
    this.addresses = this.#running.map((_, id) => `${host}:${base + portStep * id}`);
    this.died = new Promise((resolve) => (this.#tellDied = resolve));
  }

  /** Starts `count` brokers, one cluster, at the first ports from 9400 on that are free; their data goes to `folder`. */
  static async start(count: number, folder: string): Promise<BrokerProcesses> {
    const brokers = new BrokerProcesses(await freeBase(count), count, folder);
    for (let id = 0; id < count; id++) brokers.start(id);
    return brokers;
  }

  /** @param id of a broker that does not run */
  start(id: number): void {
    const founders = this.addresses.map((_, each) => `${each}@${host}:${this.#base + portStep * each + 1}`);
    const settings = [
      `broker.id=${id}`,
      `listen.client.port=${this.#base + portStep * id}`,
      `listen.broker.port=${this.#base + portStep * id + 1}`,
      'listen.http.port=0',
      `storage.dataDir=${path.join(this.#folder, String(id))}`,
      'log.level=error',
      ...(founders.length > 1 ? [`cluster.founders=${founders.join(',')}`] : []),
    ];
    const child = spawn(process.execPath, [program, ...settings.map((setting) => `--set=${setting}`)], {
      // the channel tells the broker if this process dies: it ends then; its own session keeps Ctrl-C from it
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { UV_THREADPOOL_SIZE: '8', ...process.env, SLUICE_STANDS_IN: '1' },
      detached: true,
    });
    this.#running[id] = child;
    child.once('exit', (code, signal) => {
      if (this.#running[id] !== child) return;
      this.#running[id] = null;
      this.#tellDied(`broker ${id} ended by itself (${signal ?? `exit code ${code}`})`);
    });
  }

  /** Ends a broker with SIGKILL; resolves when it is gone. */
  async kill(id: number): Promise<void> {
    const child = this.#running[id] ?? null;
    if (child === null) return;
    this.#running[id] = null;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  async killAll(): Promise<void> {
    await Promise.all(this.#running.map((_, id) => this.kill(id)));
  }
}

/** The first port from 9400 on from which on all that so many brokers need are free. */
async function freeBase(count: number): Promise<number> {
  const span = portStep * count;
  for (let base = portFirst; base + span <= portLast; base += span) {
    const needed = Array.from({ length: count }, (_, id) => [base + portStep * id, base + portStep * id + 1]).flat();
    if ((await Promise.all(needed.map(isFree))).every(Boolean)) return base;
  }
  throw new Error(`No ${2 * count} ports are free between ${portFirst} and ${portLast}.`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
