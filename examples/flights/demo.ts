/**
 * The main job on real input: flights go through a broker while both sides die in the middle.
 *
 * 200,000 flights, keyed by origin airport, are produced at 20,000 a second and consumed by a group while they arrive.
 * At a third of the way the broker is killed with SIGKILL, at two thirds the consumer; both are started again. Then the
 * log is read once more from its beginning, and everything is compared with the file. Exit code 1 if anything is wrong.
 */
import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from '../../clients/typescript/src/index.ts';
import type { Flight } from './flights.ts';
import { readFlights, worstOrigins } from './flights.ts';
import { Progress } from './progress.ts';
import type { Side } from './progress.ts';
import { Sink } from './sink.ts';
import type { Delivered } from './sink.ts';

const { values: options } = parseArgs({
  options: { records: { type: 'string', default: '200000' }, rate: { type: 'string', default: '20000' } },
});
const total = Number(options.records);
const perSecond = Number(options.rate);
const topic = 'flights';
const partitions = 6;
const drainMsMax = 60_000;
const root = path.resolve(import.meta.dirname, '../..');
const encoder = new TextEncoder();

const started = Date.now();
const elapsed = (): string => `${((Date.now() - started) / 1000).toFixed(1)} s`;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function startBroker(port: number, dataDir: string): ChildProcess {
  const main = path.join(root, 'dist/src/main.js');
  const settings = [
    '--set',
    `listen.client.port=${port}`,
    '--set',
    'listen.broker.port=0',
    '--set',
    `storage.dataDir=${dataDir}`,
    '--set',
    'log.level=warn',
  ];
  return spawn(process.execPath, [main, ...settings], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, UV_THREADPOOL_SIZE: '8' },
  });
}

/** Waits until the broker answers; gives up after 20 s. */
async function untilReady(client: Client): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      await client.admin.describeCluster({ timeoutMs: 500 });
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}

/** Ends a process with SIGKILL; resolves when it is gone and everything that it had said was heard. */
async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const heard = child.connected ? new Promise((resolve) => child.once('disconnect', resolve)) : null;
  child.kill('SIGKILL');
  await gone;
  await heard;
}

/** Produces all flights at the pace; resolves with the number of those that were acknowledged. */
async function produceAll(client: Client, flights: readonly Flight[], side: Side): Promise<number> {
  const producer = client.producer({ batch: { lingerMs: 5 }, deliveryTimeoutMs: 60_000 });
  const sends: Promise<unknown>[] = [];
  const start = Date.now();
  while (sends.length < flights.length) {
    const due = Math.min(flights.length, Math.floor(((Date.now() - start) / 1000) * perSecond));
    for (const flight of flights.slice(sends.length, due)) {
      const record = {
        key: encoder.encode(flight.origin),
        value: encoder.encode(JSON.stringify(flight)),
        timestampMs: Date.parse(flight.date),
      };
      sends.push(producer.send(topic, record).then(() => (side.done += 1)));
    }
    await sleep(5);
  }
  const results = await Promise.allSettled(sends);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) console.error(`a produce failed: ${String(failed.reason)}`);
  await producer.close();
  return side.done;
}

/** Reads the whole log once more, from its first offset, with no group and no memory of what went before. */
async function auditLog(client: Client): Promise<Sink> {
  const audit = new Sink();
  const text = new TextDecoder();
  for (let partition = 0; partition < partitions; partition++) {
    const reader = client.reader({ topic, partition, from: 0, until: 'latest' });
    for await (const record of reader) {
      const { n, origin, delay } = JSON.parse(text.decode(record.value ?? new Uint8Array())) as Flight;
      audit.take({ partition, offset: record.offset, flight: { n, origin, delay } });
    }
  }
  return audit;
}

async function committedOffsets(client: Client): Promise<number[]> {
  const offsets = new Array<number>(partitions).fill(0);
  for (const { partition, offset } of await client.admin.fetchCommitted('delays')) offsets[partition] = offset ?? 0;
  return offsets;
}

async function main(): Promise<number> {
  console.log(`Reading the first ${total.toLocaleString('en')} flights of vega-datasets' flights-3m.parquet ...`);
  const flights = await readFlights(total);
  const expected = worstOrigins(flights);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-demo-'));
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const client = new Client({ brokers: address });
  const sink = new Sink();
  let broker = startBroker(port, path.join(folder, 'data'));
  let consumer: ChildProcess | null = null;
  try {
    await untilReady(client);
    await client.admin.createTopic({ name: topic, partitions });
    const produced: Side = { label: 'produced', total, done: 0, note: '' };
    const consumed: Side = { label: 'consumed', total, done: 0, note: '' };
    const progress = new Progress([produced, consumed]);
    const startConsumer = (): ChildProcess => {
      const script = path.join(import.meta.dirname, 'consumer.ts');
      const child = fork(script, [address, topic, path.join(folder, 'resume-token')], {
        execArgv: ['--import', 'tsx'],
      });
      child.on('message', (batch) => {
        for (const delivered of batch as Delivered[]) sink.take(delivered);
        consumed.done = sink.distinct;
      });
      return child;
    };
    consumer = startConsumer();
    progress.say(`${elapsed()}  broker on ${address}, topic "${topic}" with ${partitions} partitions, group "delays"`);

    const producing = produceAll(client, flights, produced);
    while (produced.done < total / 3) await sleep(5);
    await kill(broker);
    const brokerDied = Date.now();
    produced.note = '(broker killed)';
    progress.say(
      `${elapsed()}  killed the broker with SIGKILL at ${produced.done.toLocaleString('en')} acknowledged; starting it again`,
    );
    broker = startBroker(port, path.join(folder, 'data'));
    const doneBefore = produced.done;
    while (produced.done === doneBefore) await sleep(5);
    produced.note = '';
    progress.say(`${elapsed()}  acknowledged again ${((Date.now() - brokerDied) / 1000).toFixed(1)} s after the kill`);

    while (sink.distinct < (total * 2) / 3) await sleep(5);
    await kill(consumer);
    consumed.note = '(consumer killed)';
    const committed = await committedOffsets(client);
    const uncommitted = sink.positions.reduce(
      (sum, position, partition) => sum + position - (committed[partition] ?? 0),
      0,
    );
    progress.say(
      `${elapsed()}  killed the consumer with SIGKILL at ${sink.distinct.toLocaleString('en')} consumed, ${uncommitted} of them not committed; starting it again`,
    );
    const distinctBefore = sink.distinct;
    const consumerDied = Date.now();
    consumer = startConsumer();
    while (sink.distinct === distinctBefore) await sleep(5);
    consumed.note = '';
    progress.say(`${elapsed()}  consuming again ${((Date.now() - consumerDied) / 1000).toFixed(1)} s after the kill`);

    const acknowledged = await producing;
    const deadline = Date.now() + drainMsMax;
    while (sink.distinct < acknowledged && Date.now() < deadline) await sleep(20);
    progress.end();
    const gone = new Promise((resolve) => consumer?.once('exit', resolve));
    consumer.kill('SIGTERM');
    await gone;
    const audit = await auditLog(client);
    return report({ flights, expected, acknowledged, sink, audit, uncommitted });
  } finally {
    consumer?.kill('SIGKILL');
    await client.close();
    await kill(broker);
    await rm(folder, { recursive: true, force: true });
  }
}

interface Outcome {
  readonly flights: readonly Flight[];
  readonly expected: ReturnType<typeof worstOrigins>;
  readonly acknowledged: number;
  readonly sink: Sink;
  readonly audit: Sink;
  /** Deliveries that were not committed when the consumer died: what may be redelivered. */
  readonly uncommitted: number;
}

function report({ flights, expected, acknowledged, sink, audit, uncommitted }: Outcome): number {
  const worst = worstOrigins(sink.flights);
  console.log('\nWorst mean delay by origin (at least 100 flights), from what was consumed:');
  for (const { origin, flights: count, meanDelay } of worst) {
    console.log(`  ${origin}  ${meanDelay.toFixed(2).padStart(7)} min  ${String(count).padStart(6)} flights`);
  }
  const lostInLog = flights.filter(({ n }) => !audit.has(n)).length;
  const lostAtConsumer = flights.filter(({ n }) => !sink.has(n)).length;
  const checks: [string, string, boolean][] = [
    ['the ten worst origins equal the file', '', JSON.stringify(worst) === JSON.stringify(expected)],
    ['produced', `${acknowledged} of ${flights.length}`, acknowledged === flights.length],
    ['lost in the log', String(lostInLog), lostInLog === 0],
    ['lost on the way to the consumer', String(lostAtConsumer), lostAtConsumer === 0],
    ['duplicated in the log', String(audit.duplicated), audit.duplicated === 0],
    ['out of order per key, in the log', String(audit.outOfOrder), audit.outOfOrder === 0],
    ['out of order per key, as consumed', String(sink.outOfOrder), sink.outOfOrder === 0],
    [
      'redelivered',
      `${sink.redelivered} (at most ${uncommitted}, what was not committed)`,
      sink.redelivered <= uncommitted,
    ],
  ];
  console.log('');
  for (const [what, value, right] of checks)
    console.log(`  ${right ? 'ok   ' : 'WRONG'}  ${what}${value === '' ? '' : `: ${value}`}`);
  const right = checks.every(([, , fine]) => fine);
  console.log(right ? `\nEverything is right, ${elapsed()} in all.` : '\nSomething is wrong.');
  return right ? 0 : 1;
}

process.exitCode = await main();
