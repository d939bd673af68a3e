/**
 * kill -9 in a cluster of three under load. Of a leader: the others take over, and the pause of producers is measured. Of
 * all three at once: everything acknowledged is there afterwards.
 */
import { figuresOf } from '../broker/audit.ts';
import { patience } from '../broker/patience.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult, Figures } from '../report.ts';
import { ClusterLives } from './cluster-lives.ts';
import { Pauses } from './pauses.ts';

const lifeMs = { from: 300, below: 1_000 };
/** An audit reads everything again: not after every kill. */
const killsBetweenAudits = 10;
/** The goals for the pause after the death of a leader, on a machine that has nothing else to do. */
const goalMs = { p50: 1_500, p99: 3_000 };
/** A short run on a machine that others use proves less: only what is plainly broken fails. */
const shortRunFactor = 3;

export async function runLeaderKills(kills: number, short: boolean): Promise<CaseResult> {
  /** Of one partition a kill, the busiest; of every partition that the broker led; and of a producer with a backlog. */
  const [pauses, everyPause, loadedPauses] = [new Pauses(), new Pauses(), new Pauses()];
  const result = await lived(
    kills,
    async (lives, label) => {
      const leaders = await lives.leaders();
      if (leaders === null) return `${label}: a partition has no leader`;
      const busiest = lives.busiest();
      const victim = leaders[busiest] ?? 0;
      const led = lives.partitions.filter((partition) => leaders[partition] === victim);
      const killedAtMs = performance.now();
      await lives.kill([victim]);
      // sent after the death, so that no answer that was on its way counts as the next one
      const loaded = lives
        .probe(busiest)
        .then((isAcknowledged) => (isAcknowledged ? performance.now() - killedAtMs : null));
      const each = await lives.served(killedAtMs, led);
      if (each === null) return `${label}: a partition of broker ${victim} takes nothing any more`;
      for (const ms of each) everyPause.add(ms);
      pauses.add(each[led.indexOf(busiest)] ?? 0);
      const loadedMs = await loaded;
      if (loadedMs === null) return `${label}: a producer gave up`;
      loadedPauses.add(loadedMs);
      await lives.start([victim], label);
      return null;
    },
    () => ({ ...pauses.figures('pause'), ...everyPause.figures('everyPause'), ...loadedPauses.figures('loadedPause') }),
  );
  const factor = patience() * (short ? shortRunFactor : 1);
  const problems = [...result.problems];
  for (const [part, name] of [
    [0.5, 'p50'],
    [0.99, 'p99'],
  ] as const)
    // prettier-ignore
    if (pauses.at(part) > goalMs[name] * factor) problems.push(`${name} of the pause is ${pauses.at(part)} ms`);
  return { figures: result.figures, problems };
}

export async function runAllKills(kills: number): Promise<CaseResult> {
  const pauses = new Pauses();
  return lived(
    kills,
    async (lives, label) => {
      await lives.kill(lives.all);
      const startedAtMs = performance.now();
      if (!(await lives.start(lives.all, label))) return `${label}: not all of them came back`;
      const each = await lives.served(startedAtMs);
      if (each === null) return `${label}: a partition takes nothing any more`;
      pauses.add(Math.max(...each));
      return null;
    },
    () => pauses.figures('back'),
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
  const lives = await ClusterLives.begin({ chance });
  let done = 0;
  try {
    while (done < kills && lives.problems.length === 0) {
      const label = `kill ${done + 1} (seed ${seed})`;
      if (!(await lives.live(lifeMs.from, lifeMs.below)))
        lives.problems.push(`${label}: the load gets nothing through`);
      const problem = await once(lives, label);
      if (problem !== null) lives.problems.push(problem);
      else if (++done % killsBetweenAudits === 0) await lives.check(label);
    }
    await lives.finish();
  } finally {
    await lives.end();
  }
  const { acked, retried, unknown } = lives.ledger.counts;
  const figures = { kills: done, acked, retried, unknown, ...more(), ...figuresOf(lives.findings), seed };
  return { figures, problems: lives.problems };
}
