/**
 * The main job on real input: flights go through brokers while leaders and the consumer die in the middle.
 *
 * 200,000 flights, keyed by origin airport, are produced at 20,000 a second and consumed by a group while they arrive. At a
 * third of the way the broker that leads the busiest partition is killed with SIGKILL, at two thirds whichever leads it by
 * then, and the consumer; all are started again. Then the log is read once more from its beginning, and everything is
 * compared with the file. Exit code 1 if anything is wrong. With `--brokers 1` the one broker dies at a third.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BrokerError, Client } from '../../clients/typescript/src/index.ts';
import { BrokerProcesses } from './brokers.ts';
import type { Flight } from './flights.ts';
import { readFlights, worstOrigins } from './flights.ts';
import { Progress } from './progress.ts';
import type { Side } from './progress.ts';
import { Sink } from './sink.ts';
import type { Delivered } from './sink.ts';
import { Waits } from './waits.ts';

const { values: options } = parseArgs({
  options: {
    brokers: { type: 'string', default: '3' },
    records: { type: 'string', default: '200000' },
    rate: { type: 'string', default: '20000' },
  },
});

function positive(name: 'brokers' | 'records' | 'rate', max: number): number {
  const value = Number(options[name]);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  console.error(`--${name} is a number from 1 to ${max.toLocaleString('en')}, not "${options[name]}".`);
  process.exit(2);
}

const brokerCount = positive('brokers', 7);
const total = positive('records', 3_000_000);
const perSecond = positive('rate', 1_000_000);
const topic = 'flights';
const partitions = 6;
const replicationFactor = Math.min(3, brokerCount);
/** How long any step may take before the demo gives up, milliseconds. */
const stepMsMax = 120_000;
const encoder = new TextEncoder();

const started = Date.now();
const elapsed = (): string => `${((Date.now() - started) / 1000).toFixed(1)} s`;
const since = (startMs: number): string => `${((performance.now() - startMs) / 1000).toFixed(1)} s`;
const count = (n: number): string => n.toLocaleString('en');

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + stepMsMax;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`in vain for ${stepMsMax / 1000} s: ${what}`);
    await sleep(5);
  }
}

/** What a retriable error leaves open counts as "not yet". */
async function soon(holds: () => Promise<boolean>): Promise<boolean> {
  try {
    return await holds();
  } catch (error) {
    if (!BrokerError.is(error) || !error.retriable) throw error;
    return false;
  }
}

/** The broker that leads a partition. */
async function leaderOf(client: Client, partition: number): Promise<number> {
  const leaders: number[] = [];
  await until(`partition ${partition} has a leader`, () =>
    soon(async () => {
      const { leader } = (await client.admin.describeTopic(topic)).partitions[partition] ?? { leader: null };
      if (leader !== null) leaders.push(leader);
      return leader !== null;
    }),
  );
  return leaders[0] ?? 0;
}

async function createTopic(client: Client): Promise<void> {
  await until('the topic can be created', () =>
    soon(async () => {
      try {
        await client.admin.createTopic({ name: topic, partitions, replicationFactor }, { timeoutMs: 5_000 });
      } catch (error) {
        // an attempt whose answer was lost may have made it
        if (BrokerError.is(error, 'TOPIC_ALREADY_EXISTS')) return true;
        // brokers that still join each other count one by one
        if (!BrokerError.is(error, 'INVALID_REPLICATION_FACTOR')) throw error;
        return false;
      }
      return true;
    }),
  );
  for (let partition = 0; partition < partitions; partition++) await leaderOf(client, partition);
}

/** Ends the consumer with SIGKILL; resolves when it is gone and everything that it had said was heard. */
async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const heard = child.connected ? new Promise((resolve) => child.once('disconnect', resolve)) : null;
  child.kill('SIGKILL');
  await gone;
  await heard;
}

/** Produces all flights at the pace; resolves with the number of those that were acknowledged. */
async function produceAll(client: Client, flights: readonly Flight[], side: Side, waits: Waits): Promise<number> {
  const producer = client.producer({ batch: { lingerMs: 5 }, deliveryTimeoutMs: stepMsMax });
  const sends: Promise<unknown>[] = [];
  const start = performance.now();
  while (sends.length < flights.length) {
    const due = Math.min(flights.length, Math.floor(((performance.now() - start) / 1000) * perSecond));
    for (const flight of flights.slice(sends.length, due)) {
      const record = {
        key: encoder.encode(flight.origin),
        value: encoder.encode(JSON.stringify(flight)),
        timestampMs: Date.parse(flight.date),
      };
      const sentMs = performance.now();
      const acknowledged = producer.send(topic, record).then(({ partition }) => {
        side.done += 1;
        waits.take(partition, performance.now() - sentMs);
      });
      acknowledged.catch(() => undefined); // all are looked at in the end
      sends.push(acknowledged);
    }
    await sleep(5);
  }
  const results = await Promise.allSettled(sends);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) console.error(`a produce failed: ${String(failed.reason)}`);
  await producer.close().catch(() => undefined); // what failed is told above
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

/** What must end with the demo, however it ends. */
class Stage {
  readonly folder: string;
  readonly brokers: BrokerProcesses;
  readonly client: Client;
  consumer: ChildProcess | null = null;

  static async set(): Promise<Stage> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-demo-'));
    return new Stage(folder, await BrokerProcesses.start(brokerCount, folder));
  }

  private constructor(folder: string, brokers: BrokerProcesses) {
    this.folder = folder;
    this.brokers = brokers;
    this.client = new Client({ brokers: brokers.addresses });
  }

  async clear(): Promise<void> {
    this.consumer?.kill('SIGKILL');
    await this.brokers.killAll();
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function main(): Promise<number> {
  console.log(`Reading the first ${count(total)} flights of vega-datasets' flights-3m.parquet ...`);
  const flights = await readFlights(total);
  const stage = await Stage.set();
  const interrupted = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => resolve(128 + os.constants.signals[signal]));
  });
  try {
    const died = stage.brokers.died.then((why): never => {
      throw new Error(why);
    });
    return await Promise.race([run(stage, flights), interrupted, died]);
  } catch (error) {
    console.error(`\nThe demo could not go on: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    await stage.clear();
  }
}

async function run(stage: Stage, flights: readonly Flight[]): Promise<number> {
  const { brokers, client, folder } = stage;
  const expected = worstOrigins(flights);
  const sink = new Sink();
  const waits = new Waits();
  await createTopic(client);
  const produced: Side = { label: 'produced', total, done: 0, note: '' };
  const consumed: Side = { label: 'consumed', total, done: 0, note: '' };
  const progress = new Progress([produced, consumed]);
  let joined = 0;
  const startConsumer = (): ChildProcess => {
    const script = path.join(import.meta.dirname, 'consumer.ts');
    const child = fork(script, [brokers.addresses.join(','), topic, path.join(folder, 'resume-token')], {
      execArgv: ['--import', 'tsx'],
    });
    child.on('message', (message) => {
      if (message === 'joined') joined += 1;
      else for (const delivered of message as Delivered[]) sink.take(delivered);
      consumed.done = sink.distinct;
    });
    return child;
  };
  const cluster = brokerCount === 1 ? 'broker on' : `${brokerCount} brokers on`;
  const copies = brokerCount === 1 ? '' : `, ${replicationFactor} replicas each`;
  progress.say(`${elapsed()}  ${cluster} ${brokers.addresses.join(', ')}`);
  progress.say(`${elapsed()}  topic "${topic}" with ${partitions} partitions${copies}, group "delays"`);
  stage.consumer = startConsumer();
  await until('the consumer is a member of its group', () => joined === 1);
  const producing = produceAll(client, flights, produced, waits);

  /** Kills who leads the busiest partition. */
  const killLeader = async (): Promise<{ readonly id: number; readonly partition: number; readonly ms: number }> => {
    const partition = waits.busiest;
    const id = await leaderOf(client, partition);
    await brokers.kill(id);
    progress.say(
      `${elapsed()}  killed broker ${id}, the leader of partition ${partition}, the busiest, with SIGKILL at ${count(produced.done)} acknowledged and ${count(sink.distinct)} consumed`,
    );
    return { id, partition, ms: performance.now() };
  };

  await until('a third is acknowledged', () => produced.done >= total / 3);
  const first = await killLeader();
  produced.note = `(broker ${first.id} killed)`;
  if (brokerCount === 1) brokers.start(first.id);
  const before = waits.of(first.partition);
  await until('the partition acknowledges again', () => waits.of(first.partition) > before);
  progress.say(`${elapsed()}  partition ${first.partition} acknowledged again ${since(first.ms)} after the kill`);
  if (brokerCount > 1) {
    brokers.start(first.id);
    progress.say(`${elapsed()}  started broker ${first.id} again`);
  }
  produced.note = '';

  await until('two thirds are consumed', () => sink.distinct >= (total * 2) / 3);
  const second = brokerCount > 1 ? await killLeader() : null;
  await kill(stage.consumer);
  const consumerDied = performance.now();
  consumed.note = '(consumer killed)';
  progress.say(`${elapsed()}  killed the consumer with SIGKILL at ${count(sink.distinct)} consumed`);
  const committed = await committedOffsets(client);
  const uncommitted = sink.positions.reduce(
    (sum, position, partition) => sum + position - (committed[partition] ?? 0),
    0,
  );
  progress.say(`${elapsed()}  ${count(uncommitted)} of them are not committed; starting it again`);
  const distinctBefore = sink.distinct;
  stage.consumer = startConsumer();
  await until('the consumer goes on', () => sink.distinct > distinctBefore);
  consumed.note = '';
  progress.say(`${elapsed()}  consuming again ${since(consumerDied)} after the kill`);
  if (second !== null) {
    brokers.start(second.id);
    progress.say(`${elapsed()}  started broker ${second.id} again`);
  }

  const acknowledged = await producing;
  const deadline = Date.now() + stepMsMax;
  while (sink.distinct < acknowledged && Date.now() < deadline) await sleep(20);
  progress.end();
  const { consumer } = stage;
  const gone = new Promise((resolve) => consumer.once('exit', resolve));
  consumer.kill('SIGTERM');
  await gone;
  const audit = await auditLog(client);
  await client.close();
  return report({ flights, expected, acknowledged, sink, audit, uncommitted, waits });
}

interface Outcome {
  readonly flights: readonly Flight[];
  readonly expected: ReturnType<typeof worstOrigins>;
  readonly acknowledged: number;
  readonly sink: Sink;
  readonly audit: Sink;
  /** Deliveries that were not committed when the consumer died: what may be redelivered. */
  readonly uncommitted: number;
  readonly waits: Waits;
}

function report({ flights, expected, acknowledged, sink, audit, uncommitted, waits }: Outcome): number {
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
  const { longest } = waits;
  if (longest !== null)
    console.log(
      `\n  Longest pause that the producer saw, from sending a record to its acknowledgement: ${(longest.ms / 1000).toFixed(2)} s (partition ${longest.partition}).`,
    );
  const right = checks.every(([, , fine]) => fine);
  console.log(right ? `\nEverything is right, ${elapsed()} in all.` : '\nSomething is wrong.');
  return right ? 0 : 1;
}

// whatever still goes on when it was interrupted has nobody left to talk to
process.exit(await main());
