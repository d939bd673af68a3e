/**
 * kill -9 in a cluster of three under load. Of the leader of the busiest partition: the others take over, and the pause of
 * producers is measured. Of all three at once: everything acknowledged is there afterwards.
 */
import { figuresOf } from '../broker/audit.ts';
import { wait } from '../broker/patience.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult, Figures } from '../report.ts';
import { ClusterLives } from './cluster-lives.ts';

const lifeMs = { from: 200, below: 1_000 };
/** An audit reads everything again: not after every kill. */
const killsBetweenAudits = 10;
/** The goal for p99 is 3 s on a machine of its own; here only what is plainly broken fails. */
const pauseMsMax = 60_000;

export async function runLeaderKills(kills: number): Promise<CaseResult> {
  const pausesMs: number[] = [];
  return lived(
    kills,
    async (lives, label) => {
      const leaders = await lives.leaders();
      if (leaders === null) return `${label}: a partition has no leader`;
      const partition = lives.busiest();
      const leader = leaders[partition] ?? 0;
      const killedAtMs = performance.now();
      await lives.kill([leader]);
      // sent after the death, so that no answer that was on its way counts as the next one
      const isAcknowledged = await lives.probe(partition);
      const pauseMs = performance.now() - killedAtMs;
      if (!isAcknowledged) return `${label}: a producer gave up`;
      if (pauseMs > pauseMsMax) return `${label}: a pause of ${Math.round(pauseMs)} ms`;
      pausesMs.push(pauseMs);
      await lives.start([leader], label);
      return null;
    },
    () => {
      const sorted = pausesMs.toSorted((a, b) => a - b);
      const at = (part: number): number => Math.round(sorted[Math.ceil(part * sorted.length) - 1] ?? 0);
      return { pauseP50Ms: at(0.5), pauseP99Ms: at(0.99), pauseMaxMs: at(1) };
    },
  );
}

export async function runAllKills(kills: number): Promise<CaseResult> {
  return lived(
    kills,
    async (lives, label) => {
      await lives.kill(lives.all);
      await lives.start(lives.all, label);
      return null;
    },
    () => ({}),
  );
}

/** Kills `kills` times; `once` returns what is wrong, or null. */
async function lived(
  kills: number,
  once: (lives: ClusterLives, label: string) => Promise<string | null>,
  more: () => Figures,
): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const lives = await ClusterLives.begin(chance);
  let done = 0;
  try {
    while (done < kills && lives.problems.length === 0) {
      const label = `kill ${done + 1} (seed ${seed})`;
      await wait(lifeMs.from + chance.below(lifeMs.below));
      const problem = await once(lives, label);
      if (problem !== null) lives.problems.push(problem);
      else if (++done % killsBetweenAudits === 0) await lives.check(label);
    }
    await lives.finish();
  } finally {
    await lives.end();
  }
  const { acked, retried, unknown } = lives.ledger.counts;
  const problems = [...lives.problems];
  if (acked < kills * 50) problems.push(`only ${acked} records were acknowledged: this proves little`);
  return { figures: { kills: done, acked, retried, unknown, ...more(), ...figuresOf(lives.findings), seed }, problems };
}
