/**
 * Chaos for the client: leaders are killed, brokers restarted and connections reset under load, while producers write, the
 * members of a group read, and members come and go. The ledger holds what was acknowledged; a process of its own does the
 * reading, and tells what it handled, how soon it went on, and how much memory it takes.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import { figuresOf } from '../broker/audit.ts';
import { freePort } from '../broker/broker-process.ts';
import { patience, until, wait } from '../broker/patience.ts';
import { ClusterLives } from '../cluster/cluster-lives.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { ResetProxy } from './reset-proxy.ts';
import type { SubjectReport, Word } from './subject.ts';

const subjectFile = fileURLToPath(new URL('subject.ts', import.meta.url));
const topic = 'records';
const ownTopic = 'own';
/** The goal for the pause of a partition's reader, on a machine that has nothing else to do. */
const resumeMsMax = 5_000;
/** Between two disturbances. */
const quietMs = { from: 500, below: 2_000 };
const catchUpMsMax = 30_000;
/** What may be added to the memory of the first third, after a garbage collection. */
const heapGrowth = { factor: 1.25, bytes: 8 << 20 };
/** Handled records of each partition at least: else it proves little. */
const recordsPerPartitionMin = 20;

const disturbances = ['leader-kill', 'restart', 'reset-one', 'reset-all', 'replace-member'] as const;
type Disturbance = (typeof disturbances)[number];

export async function runChaos(durationMs: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const proxies: ResetProxy[] = [];
  const front = async (port: number): Promise<string> => {
    const proxy = await ResetProxy.open(await freePort(), port);
    proxies.push(proxy);
    return proxy.address;
  };
  const unhandled: string[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(String(reason));
  process.on('unhandledRejection', onUnhandled);
  const lives = await ClusterLives.begin({ chance, front });
  const counts = Object.fromEntries(disturbances.map((name) => [name, 0])) as Record<Disturbance, number>;
  /** Of each disturbance, until the last partition was read again, and by how much that was later than it was written again. */
  const resumesMs: number[] = [];
  const behindMs: number[] = [];
  const heaps: number[] = [];
  let subject: Subject | null = null;
  let last: SubjectReport;
  try {
    if (!(await until(() => isThere(lives), catchUpMsMax)))
      lives.problems.push(`topic "${ownTopic}" does not come to be`);
    lives.ledger.addTopic(ownTopic, 0).state = 'doubtful'; // its records are counted, not kept
    subject = new Subject(proxies.map(({ address }) => address).join(','));
    const isReading = await until(async () => everyPartition(await subject?.report(), lives), catchUpMsMax);
    if (!isReading) lives.problems.push('the group does not begin to read');
    const endMs = performance.now() + durationMs;
    // each of them once, however slow the machine is
    for (let round = 0; round < disturbances.length || performance.now() < endMs; round++) {
      if (lives.problems.length > 0) break;
      const name = disturbances[round] ?? chance.pick(disturbances);
      const label = `${name} ${round + 1} (seed ${seed})`;
      counts[name] += 1;
      const brokenMs = performance.now();
      const served = lives.served(brokenMs);
      await disturb(name, lives, proxies, subject, chance, label);
      const resumed = await resumption(subject, lives);
      const pauses = await served;
      if (resumed === null || pauses === null)
        lives.problems.push(`${label}: a partition is not written or read any more`);
      else {
        resumesMs.push(Math.max(...resumed.values()));
        behindMs.push(Math.max(...[...resumed].map(([partition, ms]) => ms - (pauses[partition] ?? 0))));
      }
      await wait(quietMs.from + chance.below(quietMs.below));
      heaps.push((await subject.weigh()).heapBytes);
    }
    await lives.finish();
    if (!(await caughtUp(subject, lives))) lives.problems.push('the group does not come to the end of the log');
    last = await subject.end();
  } finally {
    process.off('unhandledRejection', onUnhandled);
    subject?.kill();
    await lives.end();
    for (const proxy of proxies) proxy.close();
  }
  const problems = [...lives.problems, ...verdict(last, lives, resumesMs, heaps, unhandled)];
  const { acked, retried, unknown } = lives.ledger.counts;
  const mib = (bytes: number): string => (bytes / (1 << 20)).toFixed(1);
  const figures = {
    ...{ acked, retried, unknown, handled: last.records, handledAgain: last.again, ownAcked: last.produced },
    ...counts,
    connectionsReset: proxies.reduce((sum, { resets }) => sum + resets, 0),
    ...{ resumeP50Ms: Math.round(median(resumesMs)), resumeMaxMs: Math.round(Math.max(...resumesMs)) },
    ...{ behindP50Ms: Math.round(median(behindMs)), behindMaxMs: Math.round(Math.max(...behindMs)) },
    ...{ heapMiBFirst: mib(median(firstThird(heaps))), heapMiBLast: mib(median(lastThird(heaps))) },
    ...{ patience: patience().toFixed(1), ...figuresOf(lives.findings), seed },
  };
  return { figures, problems };
}

/** Makes the subject's own topic. What became of an attempt may be unknown; then the next one tells. */
async function isThere({ client }: ClusterLives): Promise<boolean> {
  try {
    await client.admin.createTopic({ name: ownTopic, partitions: 3, replicationFactor: 3 });
    return true;
  } catch (thrown) {
    const error = asBrokerError(thrown);
    if (error.code === 'TOPIC_ALREADY_EXISTS') return true;
    if (!error.retriable && !error.indeterminate) throw error;
    return false;
  }
}

async function disturb(
  name: Disturbance,
  lives: ClusterLives,
  proxies: readonly ResetProxy[],
  subject: Subject,
  chance: SeededChance,
  label: string,
): Promise<void> {
  switch (name) {
    case 'leader-kill': {
      const leaders = await lives.leaders();
      const victim = leaders?.[lives.busiest()] ?? 0;
      subject.say({ type: 'disturbed' });
      await lives.kill([victim]);
      await wait(chance.below(1_000));
      await lives.start([victim], label);
      break;
    }
    case 'restart': {
      const id = chance.pick(lives.all);
      subject.say({ type: 'disturbed' });
      lives.broker(id).signal('SIGTERM');
      await lives.broker(id).exited;
      await lives.start([id], label);
      break;
    }
    case 'reset-one':
      subject.say({ type: 'disturbed' });
      chance.pick(proxies).reset();
      break;
    case 'reset-all':
      subject.say({ type: 'disturbed' });
      for (const proxy of proxies) proxy.reset();
      break;
    case 'replace-member':
      subject.say({ type: 'disturbed' });
      subject.say({ type: 'replace' });
  }
}

/** Of each partition, the time from the disturbance until it was read again; null: one is not. */
async function resumption(subject: Subject, lives: ClusterLives): Promise<ReadonlyMap<number, number> | null> {
  let resumed = new Map<number, number>();
  const isBack = await until(async () => {
    const { resumedMs } = await subject.report();
    resumed = new Map(Object.entries(resumedMs).map(([partition, ms]) => [Number(partition), ms]));
    return resumed.size === lives.partitions.length;
  }, catchUpMsMax);
  return isBack ? resumed : null;
}

const everyPartition = (report: SubjectReport | undefined, lives: ClusterLives): boolean =>
  report !== undefined && Object.keys(report.handled).length === lives.partitions.length;

async function caughtUp(subject: Subject, lives: ClusterLives): Promise<boolean> {
  const ends = await lives.client.admin.listOffsets(
    lives.partitions.map((partition) => ({ topic, partition, at: 'latest' as const })),
  );
  return until(async () => {
    const { handled } = await subject.report();
    return ends.every(({ partition, offset }) => handled[partition]?.at(-1)?.[1] === offset);
  }, catchUpMsMax);
}

/** What is wrong with it, one sentence each. */
function verdict(
  last: SubjectReport,
  lives: ClusterLives,
  resumesMs: readonly number[],
  heaps: readonly number[],
  unhandled: readonly string[],
): string[] {
  const problems: string[] = [];
  for (const partition of lives.partitions) {
    const ranges = last.handled[partition] ?? [];
    const [first] = ranges;
    if (ranges.length !== 1 || first?.[0] !== 0)
      problems.push(`partition ${partition} was handled in parts: ${JSON.stringify(ranges.slice(0, 4))}`);
    else if (first[1] < recordsPerPartitionMin) problems.push(`partition ${partition} had ${first[1]} records only`);
  }
  const limitMs = resumeMsMax * patience();
  const slowest = Math.max(...resumesMs);
  if (slowest > limitMs) problems.push(`a reader went on after ${slowest} ms, which is more than ${limitMs} ms`);
  const [before, after] = [median(firstThird(heaps)), median(lastThird(heaps))];
  if (after > before * heapGrowth.factor + heapGrowth.bytes) problems.push(`memory grew from ${before} to ${after}`);
  for (const reason of [...unhandled, ...last.unhandled]) problems.push(`unhandled rejection: ${reason}`);
  for (const failure of last.failures) problems.push(`ended by itself: ${failure}`);
  return problems;
}

const firstThird = (values: readonly number[]): readonly number[] => values.slice(0, Math.ceil(values.length / 3));
const lastThird = (values: readonly number[]): readonly number[] => values.slice(-Math.ceil(values.length / 3));

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

/** The process that reads, as the parent sees it. */
class Subject {
  readonly #child: ChildProcess;
  readonly #waiting: { readonly answer: (report: SubjectReport) => void; readonly fail: (error: Error) => void }[] = [];

  constructor(addresses: string) {
    const args = ['--expose-gc', '--import', 'tsx', subjectFile, addresses, topic, ownTopic];
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (report) => this.#waiting.shift()?.answer(report as SubjectReport));
    this.#child.on('exit', () => {
      for (const { fail } of this.#waiting.splice(0)) fail(new Error('the subject died'));
    });
  }

  say(word: Word): void {
    this.#child.send(word);
  }

  report(): Promise<SubjectReport> {
    return this.#ask({ type: 'report' });
  }

  /** A report after a garbage collection. */
  weigh(): Promise<SubjectReport> {
    return this.#ask({ type: 'weigh' });
  }

  /** Closes what it has open; gives its last report. */
  end(): Promise<SubjectReport> {
    return this.#ask({ type: 'end' });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Answers come in the order of the questions. */
  #ask(word: Word): Promise<SubjectReport> {
    return new Promise((answer, fail) => {
      if (this.#child.exitCode !== null) fail(new Error('the subject died'));
      this.#waiting.push({ answer, fail });
      this.say(word);
    });
  }
}
