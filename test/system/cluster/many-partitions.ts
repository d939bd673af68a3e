/**
 * What many partitions cost three brokers, what the death of one does to them, and that a broken replica of one partition
 * is its own affair.
 */
import type { BrokerReport, PartitionDescription } from '../../../clients/typescript/src/index.ts';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import { GarbageMeter } from '../../../src/log/garbage-meter.ts';
import { DurableGroupLogs } from '../../../src/log/group-logs.ts';
import { TailCacheBudget } from '../../../src/log/tail-cache-budget.ts';
import type { GroupNumber } from '../../../src/model/ids.ts';
import { toBrokerId } from '../../../src/model/ids.ts';
import { crc32c } from '../../../src/runtime/crc32c.ts';
import { poisonEntry } from '../../fakes/poisoned-entry.ts';
import { patience, until, wait } from '../broker/patience.ts';
import { openStore } from '../durability/open-store.ts';
import type { CaseResult, Figures } from '../report.ts';
import { brokerIds, ThreeBrokers } from './three-brokers.ts';

const topic = 'many';
/** Limits of an idle machine. */
const createMsMax = 60_000;
const startMsMax = 10_000;
const newLeaderMsMax = 3_000;
const loopDelayP99MsMax = 20;
/** Share of one core. */
const idleCpuMax = 0.15;
/** Terms that the death of a broker may cost 99 % of the partitions that it led. */
const termsMax = 2;
/** Longer than two spans of the event loop's delay, so that the newest one lies within. */
const idleMs = 25_000;
const settleMsMax = 60_000;

/** Starts, idles, and loses a broker. */
export async function runPartitions(partitions: number): Promise<CaseResult> {
  return withTopic(partitions, async (brokers, problems) => {
    await brokers.kill(brokerIds);
    const startMs = await timed(async () => {
      await brokers.start(brokerIds);
      await allLed(brokers, 0, partitions);
    });
    if (startMs > startMsMax * patience()) problems.push(`the start took ${startMs} ms`);
    const idle = await idleFigures(brokers, problems);
    const death = await loseOne(brokers, partitions, problems);
    return { partitions, startMs, ...idle, ...death };
  });
}

/** Plants an entry of an unknown kind in one group of a broker that is down (pit-P81). */
export async function runPoison(partitions: number): Promise<CaseResult> {
  return withTopic(partitions, async (brokers, problems) => {
    const victim = 1;
    await brokers.kill([victim]);
    const group = await plant(brokers.dataDir(victim), victim);
    await brokers.start([victim]);
    // asked through another broker, as somebody would who does not know what is wrong with it
    const report = (id: number): Promise<BrokerReport> => reportOf(brokers, (id + 1) % brokerIds.length, id);
    const isNamed = async (): Promise<boolean> => (await report(victim)).quarantined.length > 0;
    if (!(await until(isNamed, settleMsMax))) problems.push('the broken replica is not named');
    const { quarantined, replicas } = await report(victim);
    const [named] = quarantined;
    if (quarantined.length !== 1 || named?.group !== group || named.topic !== topic)
      problems.push(`set apart is ${JSON.stringify(quarantined)}, not group ${group}`);
    for (const other of brokerIds.filter((id) => id !== victim)) {
      const { quarantined: theirs } = await report(other);
      if (theirs.length > 0) problems.push(`broker ${other} has set apart ${JSON.stringify(theirs)}`);
    }
    const producer = brokers.client(0).producer({ deliveryTimeoutMs: settleMsMax * patience() });
    const numbers = Array.from({ length: partitions }, (_, partition) => partition);
    const sent = await Promise.allSettled(
      numbers.map((partition) => producer.send(topic, { value: new Uint8Array(8), partition })),
    );
    const failed = numbers.filter((partition) => sent[partition]?.status !== 'fulfilled');
    if (failed.length > 0) problems.push(`nothing can be written to partitions ${failed.slice(0, 10).join(', ')}`);
    const goingOn = replicas.leaders + replicas.followers;
    return { partitions, goingOn, setApart: replicas.quarantined, reason: JSON.stringify(named?.reason ?? null) };
  });
}

async function withTopic(
  partitions: number,
  run: (brokers: ThreeBrokers, problems: string[]) => Promise<Figures>,
): Promise<CaseResult> {
  const brokers = await ThreeBrokers.prepared();
  const problems: string[] = [];
  try {
    await brokers.start(brokerIds);
    const createMs = await timed(async () => {
      await create(brokers, partitions);
      await allLed(brokers, 0, partitions);
    });
    return { figures: { createMs, ...(await run(brokers, problems)), load: patience().toFixed(1) }, problems };
  } finally {
    await brokers.end();
  }
}

/** Whether it answers in time or not, the topic is there in the end. */
async function create(brokers: ThreeBrokers, partitions: number): Promise<void> {
  const wish = { name: topic, partitions, replicationFactor: brokerIds.length };
  await brokers
    .client(0)
    .admin.createTopic(wish, { timeoutMs: createMsMax * patience() })
    .catch((error: unknown) => {
      const { code, indeterminate } = asBrokerError(error);
      if (!indeterminate && code !== 'TOPIC_ALREADY_EXISTS') throw error;
    });
}

async function timed(run: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await run();
  return Math.round(performance.now() - start);
}

const patiently = (): { readonly timeoutMs: number } => ({ timeoutMs: settleMsMax * patience() });

const reportOf = (brokers: ThreeBrokers, asked: number, about?: number): Promise<BrokerReport> =>
  brokers.client(asked).admin.describeBroker(about, patiently());

/** As one broker sees it; null: it can not tell just now. */
async function describe(brokers: ThreeBrokers, id: number): Promise<readonly PartitionDescription[] | null> {
  try {
    return (await brokers.client(id).admin.describeTopic(topic, patiently())).partitions;
  } catch (error) {
    if (!asBrokerError(error).retriable) throw error;
    return null;
  }
}

async function allLed(brokers: ThreeBrokers, id: number, partitions: number): Promise<readonly PartitionDescription[]> {
  let seen: readonly PartitionDescription[] = [];
  const isLed = async (): Promise<boolean> => {
    seen = (await describe(brokers, id)) ?? [];
    return seen.length === partitions && seen.every(({ leader }) => leader !== null);
  };
  if (await until(isLed, settleMsMax)) return seen;
  const leaderless = seen.filter(({ leader }) => leader === null).length;
  throw new Error(`${leaderless} of ${seen.length} partitions have no leader`);
}

const epochs = (seen: readonly PartitionDescription[] | null): string =>
  (seen ?? []).map(({ leaderEpoch }) => leaderEpoch).join();

/** Until no leadership moves any more. */
async function settled(brokers: ThreeBrokers, id: number): Promise<void> {
  let before = '';
  const isQuiet = async (): Promise<boolean> => {
    const now = epochs(await describe(brokers, id));
    if (now !== '' && now === before) return true;
    before = now;
    await wait(5_000);
    return false;
  };
  if (!(await until(isQuiet, 2 * settleMsMax))) throw new Error('leaderships do not come to rest');
}

async function idleFigures(brokers: ThreeBrokers, problems: string[]): Promise<Figures> {
  await settled(brokers, 0);
  const cpu = async (): Promise<readonly number[]> =>
    Promise.all(brokerIds.map(async (id) => (await reportOf(brokers, id)).runtime?.cpuMs ?? NaN));
  const before = await cpu();
  const began = performance.now();
  await wait(idleMs);
  const after = await cpu();
  const spanMs = performance.now() - began;
  const shares = after.map((ms, id) => (ms - (before[id] ?? NaN)) / spanMs);
  const delays = await Promise.all(
    brokerIds.map(async (id) => (await reportOf(brokers, id)).runtime?.loopDelay?.p99Ms ?? NaN),
  );
  const idleCpu = Math.max(...shares);
  const loopDelayP99Ms = Math.max(...delays);
  if (!(idleCpu <= idleCpuMax)) problems.push(`an idle broker takes ${(100 * idleCpu).toFixed(1)} % of a core`);
  if (!(loopDelayP99Ms <= loopDelayP99MsMax * patience()))
    problems.push(`the event loop is ${loopDelayP99Ms} ms late at p99`);
  return { idleCpuPercent: (100 * idleCpu).toFixed(1), loopDelayP99Ms };
}

async function loseOne(brokers: ThreeBrokers, partitions: number, problems: string[]): Promise<Figures> {
  const [victim, witness] = [2, 0];
  const before = await allLed(brokers, witness, partitions);
  const wasLed = before.filter(({ leader }) => leader === victim);
  if (wasLed.length === 0) problems.push('the victim led nothing');
  const killed = performance.now();
  brokers.process(victim).signal('SIGKILL');
  let after = before;
  const isLedByOthers = async (): Promise<boolean> => {
    after = (await describe(brokers, witness)) ?? after;
    return after.every(({ leader }) => leader !== null && leader !== victim);
  };
  const isDone = await until(isLedByOthers, settleMsMax);
  const newLeadersMs = Math.round(performance.now() - killed);
  if (!isDone || newLeadersMs > newLeaderMsMax * patience()) problems.push(`new leaders took ${newLeadersMs} ms`);
  // a second election would come within an election time-out or two
  await wait(3_000);
  after = await allLed(brokers, witness, partitions);
  const raisedBy = ({ partition, leaderEpoch }: PartitionDescription): number =>
    (after[partition]?.leaderEpoch ?? NaN) - (leaderEpoch ?? NaN);
  const raised = wasLed.map(raisedBy).sort((a, b) => a - b);
  const raisedP99 = raised[Math.ceil(raised.length * 0.99) - 1] ?? 0;
  if (!(raisedP99 <= termsMax)) problems.push(`terms rose by ${raisedP99} at p99`);
  const others = before.filter(({ leader }) => leader !== victim);
  const disturbed = others.filter((partition) => raisedBy(partition) !== 0).length;
  if (disturbed > 0) problems.push(`${disturbed} partitions that it did not lead have another term`);
  return { led: wasLed.length, newLeadersMs, termsP99: raisedP99, termsMax: raised.at(-1) ?? 0, disturbed };
}

/** In a partition from the middle of those on the disk. */
async function plant(path: string, victim: number): Promise<GroupNumber> {
  const store = await openStore(path, {
    ...{ brokerId: toBrokerId(victim), mayFound: false },
    onFault: (fault) => {
      throw fault;
    },
  });
  try {
    const logs = new DurableGroupLogs({ store, crc32c, cache: new TailCacheBudget(0), garbage: new GarbageMeter() });
    const groups = (await logs.list()).filter(({ kind }) => kind === 'data');
    const chosen = groups[groups.length >> 1];
    if (chosen === undefined) throw new Error('there is no partition on the disk');
    await poisonEntry(store, chosen.group, 'unknown kind');
    return chosen.group;
  } finally {
    await store.close();
  }
}
