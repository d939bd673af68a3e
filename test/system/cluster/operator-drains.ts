/**
 * Drains in a cluster of three under load: a broker gives away what it leads, the catalog too, and the pause of each
 * partition is measured from one acknowledgement to the next; beside it the longest gap of as long a time before, which is
 * what the machine does by itself.
 */
import { figuresOf } from '../broker/audit.ts';
import { patience, until, wait } from '../broker/patience.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { ClusterLives } from './cluster-lives.ts';

/** Long enough that every partition is written many times. */
const quietMs = 1_000;
const afterMs = 300;
const drainMsMax = 20_000;
/** The goal for each is 300 ms on a machine of its own; half of them must reach it on one that is patient (patience.ts). */
const pauseP50MsMax = 300;
/** What no partition may take: several election time-outs. */
const pauseMsMax = 60_000;
const drainsBetweenAudits = 10;

export async function runOperatorDrains(drains: number): Promise<CaseResult> {
  const seed = newSeed();
  const lives = await ClusterLives.begin({ chance: new SeededChance(seed) });
  const pausesMs: number[] = [];
  const floorsMs: number[] = [];
  const drainsMs: number[] = [];
  let done = 0;
  try {
    while (done < drains && lives.problems.length === 0) {
      const label = `drain ${done + 1} (seed ${seed})`;
      const problem = await drainOnce(lives, { pausesMs, floorsMs, drainsMs });
      if (problem !== null) lives.problems.push(`${label}: ${problem}`);
      else if (++done % drainsBetweenAudits === 0) await lives.check(label);
    }
    await lives.finish();
  } finally {
    await lives.end();
  }
  const problems = [...lives.problems];
  const pause = spread(pausesMs);
  if (pause.p50 > pauseP50MsMax * patience()) problems.push(`half of the pauses are above ${pauseP50MsMax} ms`);
  if (pause.max > pauseMsMax) problems.push(`a pause of ${pause.max} ms`);
  if (pausesMs.length < drains) problems.push(`only ${pausesMs.length} leaderships moved: this proves little`);
  const floor = spread(floorsMs);
  const { acked, retried, unknown } = lives.ledger.counts;
  const figures = {
    ...{ drains: done, leaderships: pausesMs.length, acked, retried, unknown },
    ...{ pauseP50Ms: pause.p50, pauseP99Ms: pause.p99, pauseMaxMs: pause.max },
    ...{ floorP50Ms: floor.p50, floorP99Ms: floor.p99, floorMaxMs: floor.max },
    ...{ drainP50Ms: spread(drainsMs).p50, drainMaxMs: spread(drainsMs).max },
  };
  return { figures: { ...figures, ...figuresOf(lives.findings), seed }, problems };
}

interface Measured {
  readonly pausesMs: number[];
  readonly floorsMs: number[];
  readonly drainsMs: number[];
}

/** What is wrong, or null. */
async function drainOnce(lives: ClusterLives, measured: Measured): Promise<string | null> {
  const { admin } = lives.client;
  const beganMs = performance.now();
  await wait(quietMs);
  const leaders = await lives.leaders();
  if (leaders === null) return 'a partition has no leader';
  const id = leaders[lives.busiest()] ?? 0;
  const led = leaders.flatMap((leader, partition) => (leader === id ? [partition] : []));
  const drainedMs = performance.now();
  for (const partition of led) measured.floorsMs.push(longestGap(lives, partition, beganMs, drainedMs));
  await admin.drainBroker(id, { timeoutMs: drainMsMax * patience() });
  const isEmpty = async (): Promise<boolean> => (await admin.describeBroker(id)).replicas.leaders === 0;
  if (!(await until(isEmpty, drainMsMax))) return `broker ${id} still leads`;
  measured.drainsMs.push(performance.now() - drainedMs);
  // what came last has its next acknowledgement too
  for (const partition of led) if (!(await lives.probe(partition))) return 'a producer gave up';
  await wait(afterMs);
  const endedMs = performance.now();
  for (const partition of led) measured.pausesMs.push(longestGap(lives, partition, drainedMs, endedMs));
  await admin.undrainBroker(id, { timeoutMs: drainMsMax * patience() });
  return null;
}

/** The longest time between two acknowledgements of a partition, milliseconds. */
function longestGap(lives: ClusterLives, partition: number, fromMs: number, throughMs: number): number {
  const acked = lives.topic.partitions[partition]?.acked ?? [];
  const times = acked.map((record) => record.ackedAtMs).filter((at) => at >= fromMs && at <= throughMs);
  return [...times, throughMs].reduce(
    ({ longest, last }, at) => ({ longest: Math.max(longest, at - last), last: at }),
    { longest: 0, last: fromMs },
  ).longest;
}

function spread(values: readonly number[]): { readonly p50: number; readonly p99: number; readonly max: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): number => Math.round(sorted[Math.ceil(part * sorted.length) - 1] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
