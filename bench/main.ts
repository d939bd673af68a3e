/**
 * `npm run bench`: the figures of docs/BENCHMARKS.md. Every round measures the floors (a plain file with fdatasync, the
 * store alone) and the whole broker one after the other, so that the ratios hold when the machine's speed drifts; the
 * median of the rounds is printed. Broker and load generator share the machine.
 *
 *   --rounds N      default 5
 *   --megabytes N   of each throughput run, default 1000
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { benchFloor, benchStore } from './store.ts';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, megabytes: { type: 'string', default: '1000' } },
});
const rounds = Number(options.rounds);
const megabytes = options.megabytes;
const root = path.dirname(import.meta.dirname);

interface LoadFigures {
  readonly megabytesPerSecond: number;
  readonly callsPerSecond?: number;
  readonly clientCpuSecondsPerGigabyte: number;
}

function load(address: string, args: readonly string[]): Promise<LoadFigures> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', path.join(import.meta.dirname, 'load.ts'), '--address', address, ...args],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(text) as LoadFigures);
      else reject(new Error(`load ${args.join(' ')} ended with ${code}`));
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

/** Runs `measure` against a fresh broker. */
async function withBroker<T>(measure: (address: string, pid: number) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-bench-broker-'));
  const port = await freePort();
  const settings = [
    `listen.client.port=${port}`,
    'listen.broker.port=0',
    `storage.dataDir=${folder}`,
    'log.level=warn',
  ].flatMap((each) => ['--set', each]);
  const broker = spawn(process.execPath, [path.join(root, 'dist/src/main.js'), ...settings], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, UV_THREADPOOL_SIZE: '8' },
  });
  try {
    await sleep(2_000);
    return await measure(`127.0.0.1:${port}`, broker.pid ?? 0);
  } finally {
    const gone = new Promise((resolve) => broker.once('exit', resolve));
    broker.kill('SIGTERM');
    await gone;
    await rm(folder, { recursive: true, force: true });
  }
}

const batches = {
  name: 'batches',
  valueBytes: 65_536,
  valuesPerWrite: 1,
  writers: 64,
  totalBytes: Number(megabytes) * 1e6,
};
const groups = {
  name: 'groups',
  valueBytes: 65_536,
  valuesPerWrite: 16,
  writers: 1,
  totalBytes: Number(megabytes) * 1e6,
};

const rows: Record<string, number[]> = {};
const note = (name: string, value: number): void => {
  (rows[name] ??= []).push(value);
};

async function round(): Promise<void> {
  note('plain file + fdatasync, 1 MiB groups, MB/s', (await benchFloor(groups)).megabytesPerSecond);
  const store = (await benchStore(batches)).megabytesPerSecond;
  note('store alone, 64 KiB values, MB/s', store);
  await withBroker(async (address) => {
    const produce = await load(address, [
      '--mode',
      'produce-stream',
      '--topic',
      'stream',
      '--megabytes',
      megabytes,
      '--inflight',
      '256',
    ]);
    note('ProduceStream, acks=all, 1 KiB records in 64 KiB batches, 256 in flight, MB/s', produce.megabytesPerSecond);
    note('ProduceStream as a share of the store alone, %', (produce.megabytesPerSecond / store) * 100);
  });
  await withBroker(async (address) => {
    await load(address, ['--mode', 'produce-stream', '--topic', 'tail', '--megabytes', '64']);
    const fetch = await load(address, ['--mode', 'fetch-stream', '--topic', 'tail', '--megabytes', megabytes]);
    note('FetchStream from a filled tail cache, MB/s', fetch.megabytesPerSecond);
  });
  await withBroker(async (address) => {
    const unary = await load(address, [
      '--mode',
      'produce-unary',
      '--topic',
      'unary',
      '--calls',
      '20000',
      '--inflight',
      '256',
    ]);
    note('unary Produce of one 1 KiB record, 256 callers, calls/s', unary.callsPerSecond ?? 0);
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

console.log(
  `Node ${process.versions.node}, ${os.cpus().length} cores (${os.cpus()[0]?.model ?? '?'}), load ${os.loadavg()[0]?.toFixed(2)}`,
);
for (let i = 1; i <= rounds; i++) {
  await round();
  console.error(
    `round ${i} of ${rounds}: ${Object.values(rows)
      .map((values) => values.at(-1)?.toFixed(0))
      .join('  ')}`,
  );
}
console.log('| what | median | lowest | highest |\n|---|---|---|---|');
for (const [name, values] of Object.entries(rows)) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  console.log(`| ${name} | ${median(values).toFixed(0)} | ${low.toFixed(0)} | ${high.toFixed(0)} |`);
}
