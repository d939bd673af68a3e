/**
 * A broker among abusers, on a disk of 20 MB/s: 1,000 clients that open a stream and never read, and 200 producers that push
 * twice what the disk takes and do not care what they are told, all of them held to half a core. Its memory stays below
 * what its limits add up to, and clients that behave hardly notice: they are compared with themselves beside a load that
 * pushes as much, but by 8 producers that rest when they are told to.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '../../../clients/typescript/src/index.ts';
import { BrokerProcess, freePort } from '../broker/broker-process.ts';
import type { CaseResult, Figures } from '../report.ts';
import { memoryLimits } from './configured-limits.ts';
import type { Crowd, CrowdTally } from './crowd.ts';
import { RunningCrowd } from './crowd-of.ts';
import type { Measured } from './well-behaved.ts';
import { runWellBehaved } from './well-behaved.ts';
import { SlowDisk } from './slow-disk.ts';

const diskBytesPerSecond = 20_000_000;
const imageMegabytes = 16 << 10;
const history = { topic: 'history', partitions: 4 };
const flood = { topic: 'flood', partitions: 8 };
const polite = { topic: 'polite', partitions: 4 };
/** For those who never read: more than the broker may hold for one of them. */
const historyBytes = 64 << 20;
const historyValueBytes = 64 << 10;
/** Beside the limits: the program itself, V8, what the allocator keeps, and what nothing counts. */
const baseBytes = 512 << 20;
const crowdCores = 0.5;
const sampleMs = 250;
const slowerMax = 2;
/** With fewer calls than this a p99 is the slowest of all, by chance: a short run compares p90. */
const callsForP99 = 400;
/** Of 64 KiB: what the disk takes in this time, at the least half of it. */
const ackedMin = (forMs: number): number => (forMs / 1_000) * (diskBytesPerSecond / historyValueBytes / 8);

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

export interface AbuserTimes {
  /** Beside the obedient load, then beside the abusers. */
  readonly obedientMs: number;
  readonly abusedMs: number;
}

interface Phase {
  readonly measured: Measured;
  readonly tally: CrowdTally;
  readonly residentMax: number;
}

export async function runAbusers({ obedientMs, abusedMs }: AbuserTimes): Promise<CaseResult> {
  const disk = SlowDisk.create(imageMegabytes);
  const port = await freePort();
  const broker = new BrokerProcess({ dataDir: join(disk.path, 'data'), port, settings: {} });
  const { blocks, bsize } = statfsSync(disk.path);
  const limits = memoryLimits(blocks * bsize);
  const allowed = Object.values(limits).reduce((sum, bytes) => sum + bytes, baseBytes);
  try {
    if (!(await broker.ready())) throw new Error(`the broker does not serve: ${broker.lastWords}`);
    await prepare(port);
    disk.limit(diskBytesPerSecond);
    const floor = disk.floor();
    const crowd = { port, history, flood, pushBytesPerSecond: 2 * diskBytesPerSecond };
    const without = await phase(broker, { ...crowd, neverReaders: 0, producers: 8, obeys: true }, obedientMs);
    const abused = await phase(broker, { ...crowd, neverReaders: 1_000, producers: 200, obeys: false }, abusedMs);
    const figures = {
      floorMBps: Math.round(floor / 1e5) / 10,
      limitsMiB: Object.entries(limits)
        .map(([name, bytes]) => `${name}:${mib(bytes)}`)
        .join('+'),
      allowedMiB: mib(allowed),
      residentMaxMiB: mib(abused.residentMax),
      ...figuresOf('obedient', without, obedientMs),
      ...figuresOf('abused', abused, abusedMs),
    };
    return { figures, problems: problemsOf(broker, { without, abused, allowed, abusedMs }) };
  } finally {
    await broker.kill();
    disk.destroy();
  }
}

async function prepare(port: number): Promise<void> {
  const client = new Client({ brokers: [`127.0.0.1:${port}`] });
  for (const { topic, partitions } of [history, flood, polite])
    await client.admin.createTopic({ name: topic, partitions, replicationFactor: 1 });
  const producer = client.producer();
  const value = randomBytes(historyValueBytes);
  for (let n = 0; n < historyBytes / historyValueBytes; n += history.partitions)
    await Promise.all(
      Array.from({ length: history.partitions }, (_, partition) => producer.send(history.topic, { value, partition })),
    );
  await client.close();
}

async function phase(broker: BrokerProcess, crowd: Crowd, forMs: number): Promise<Phase> {
  const running = await RunningCrowd.begin(crowd, crowdCores);
  forgetPeak(broker.pid);
  let residentMax = 0;
  const sampler = setInterval(() => (residentMax = Math.max(residentMax, peakOf(broker.pid))), sampleMs);
  try {
    const measured = await runWellBehaved(`127.0.0.1:${crowd.port}`, polite.topic, polite.partitions, forMs);
    return { measured, tally: await running.tally(), residentMax };
  } finally {
    clearInterval(sampler);
    await running.end();
  }
}

/** The largest resident size since it was forgotten, bytes; what it was if the process is gone. */
function peakOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}

const forgetPeak = (pid: number): void => writeFileSync(`/proc/${pid}/clear_refs`, '5');

function figuresOf(name: string, { measured, tally }: Phase, forMs: number): Figures {
  const { produce, read, failed } = measured;
  const errors = Object.entries(tally.errors).map(([code, count]) => `${code}:${count}`);
  return {
    [`${name}P50Ms`]: produce.quantile(0.5),
    [`${name}P90Ms`]: produce.quantile(0.9),
    [`${name}P99Ms`]: produce.quantile(0.99),
    [`${name}ReadP99Ms`]: read.quantile(0.99),
    [`${name}Sends`]: produce.count,
    [`${name}Failed`]: [...failed].map(([code, count]) => `${code}:${count}`).join(',') || 0,
    [`${name}PushedMBps`]: Math.round((tally.sent * historyValueBytes) / forMs / 100) / 10,
    [`${name}AckedMBps`]: Math.round((tally.acked * historyValueBytes) / forMs / 100) / 10,
    [`${name}HeldBack`]: tally.heldBack,
    [`${name}Refused`]: errors.join(',') || 0,
    ...(tally.opened > 0 ? { opened: tally.opened, cut: tally.cut } : {}),
  };
}

interface Judged {
  readonly without: Phase;
  readonly abused: Phase;
  readonly allowed: number;
  readonly abusedMs: number;
}

function problemsOf(broker: BrokerProcess, { without, abused, allowed, abusedMs }: Judged): string[] {
  const problems: string[] = [];
  if (broker.hasEnded) problems.push(`the broker died: ${broker.lastWords}`);
  for (const line of broker.errors) problems.push(`the broker says: ${JSON.stringify(line)}`);
  if (abused.residentMax > allowed)
    problems.push(`${mib(abused.residentMax)} MiB are resident, and its limits allow ${mib(allowed)}`);
  for (const what of ['produce', 'read'] as const) {
    const [before, then] = [without.measured[what], abused.measured[what]];
    const share = Math.min(before.count, then.count) < callsForP99 ? 0.9 : 0.99;
    const [beforeMs, thenMs] = [before.quantile(share), then.quantile(share)];
    if (thenMs > slowerMax * beforeMs)
      problems.push(`${what}: p${share * 100} is ${thenMs} ms beside the abusers, and ${beforeMs} ms without them`);
  }
  for (const { measured } of [without, abused])
    if (measured.failed.size > 0)
      problems.push(`records of well-behaved clients failed: ${[...measured.failed].join()}`);
  const { tally } = abused;
  if (tally.opened < 1_000) problems.push(`only ${tally.opened} streams were opened: this proves nothing`);
  if (tally.acked < ackedMin(abusedMs)) problems.push(`only ${tally.acked} batches were taken: this proves nothing`);
  if (tally.heldBack + sum(tally.errors) < tally.acked / 4)
    problems.push('hardly anything was refused or held back: the disk was not overloaded, and this proves nothing');
  return problems;
}

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);
