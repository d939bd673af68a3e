/** Broker processes to measure, as users run them, and the load generator beside them. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';

const root = path.dirname(import.meta.dirname);
/** How long brokers may take until they are ready, milliseconds: the machine may be busy. */
const readyMsMax = 120_000;
/** Ticks of the kernel's CPU accounting a second. */
const ticksPerSecond = 100;

export interface LoadFigures {
  readonly megabytesPerSecond: number;
  readonly callsPerSecond?: number;
  /** How often a leader was lost while batches were sent to several brokers. */
  readonly leaderChanges?: number;
  readonly clientCpuSecondsPerGigabyte: number;
}

export interface ClientFigures {
  /** CPU of the process for each record, microseconds. */
  readonly microsPerRecord: number;
  readonly recordsPerSecond: number;
  /** After a garbage collection, at each tenth of the records. */
  readonly heapMebibytes: readonly number[];
  /** All that the process has in memory, at the same times. */
  readonly residentMebibytes: readonly number[];
}

export const load = (address: string, args: readonly string[]): Promise<LoadFigures> =>
  measured<LoadFigures>('load.ts', ['--address', address, ...args]);

/** The client in a process of its own. */
export const clientLoad = (address: string, args: readonly string[]): Promise<ClientFigures> =>
  measured<ClientFigures>('client.ts', ['--address', address, ...args]);

/** Runs a program of this folder; its output is its figures. */
function measured<T>(program: string, args: readonly string[]): Promise<T> {
  const file = path.join(import.meta.dirname, program);
  const child = spawn(process.execPath, ['--expose-gc', '--import', 'tsx', file, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(text) as T);
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}`));
    });
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

export interface RunningBroker {
  readonly address: string;
  /** CPU time of all its threads so far, seconds. */
  cpuSeconds(): number;
}

/** Runs `measure` against fresh brokers of one cluster; one broker is a cluster by itself. */
export async function withBrokers<T>(
  count: number,
  measure: (brokers: readonly RunningBroker[]) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-bench-broker-'));
  const ports = await Promise.all(Array.from({ length: 2 * count }, freePort));
  const founders = ports.slice(count).map((port, id) => `${id}@127.0.0.1:${port}`);
  const children = ports.slice(0, count).map((port, id) => {
    const settings = [
      `broker.id=${id}`,
      `listen.client.port=${port}`,
      `listen.broker.port=${ports[count + id] ?? 0}`,
      'listen.http.port=0',
      `storage.dataDir=${path.join(folder, String(id))}`,
      ...(count === 1 ? [] : [`cluster.founders=${founders.join(',')}`]),
    ];
    return start(settings);
  });
  try {
    await Promise.all(children.map(ready));
    const brokers = children.map((child, id) => ({
      address: `127.0.0.1:${ports[id] ?? 0}`,
      cpuSeconds: () => cpuSecondsOf(child.pid ?? 0),
    }));
    return await measure(brokers);
  } finally {
    await Promise.all(children.map(stop));
    await rm(folder, { recursive: true, force: true });
  }
}

function start(settings: readonly string[]): ChildProcess {
  const flags = settings.flatMap((each) => ['--set', each]);
  return spawn(process.execPath, [path.join(root, 'dist/src/main.js'), ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, UV_THREADPOOL_SIZE: '8' },
  });
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('a broker does not get ready')), readyMsMax);
    const settle = (done: () => void): void => {
      clearTimeout(late);
      done();
    };
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      // goes on reading: a pipe that nobody empties would stop the broker
      said = `${said}${chunk.toString()}`.slice(-4_096);
      if (said.includes('"msg":"ready"')) settle(resolve);
    });
    child.once('exit', (code) => settle(() => reject(new Error(`a broker ended with ${code}: ${said}`))));
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
}

/** User and system time of a process, from /proc (Linux). */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // the name in parentheses may hold anything; the fields that count come behind it
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
