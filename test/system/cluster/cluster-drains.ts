/**
 * SIGTERM of a broker under load: it hands over what it leads before it stops, so that a partition takes nothing for a
 * moment only. Every broker in turn, again and again.
 */
import { figuresOf } from '../broker/audit.ts';
import { patience } from '../broker/patience.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { ClusterLives } from './cluster-lives.ts';
import { Pauses } from './pauses.ts';

const lifeMs = { from: 500, below: 1_000 };
/** An audit reads everything again: not after every drain. */
const drainsBetweenAudits = 10;
/** The goal for the longest time in which a partition acknowledges nothing, on a machine that has nothing else to do. */
const pauseMsMax = 300;
/** A short run on a machine that others use proves less: only what is plainly broken fails. */
const shortRunFactor = 5;
/** What a broker itself allows before it calls its shutdown failed, and a little. */
const endMsMax = 35_000;

export async function runDrains(drains: number, short: boolean): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const lives = await ClusterLives.begin({ chance });
  /** The longest gap of each partition that the broker led, and, beside it, of all others. */
  const [pauses, others] = [new Pauses(), new Pauses()];
  let [done, handedOver] = [0, 0];
  try {
    while (done < drains && lives.problems.length === 0) {
      const label = `drain ${done + 1} (seed ${seed})`;
      if (!(await lives.live(lifeMs.from, lifeMs.below)))
        lives.problems.push(`${label}: the load gets nothing through`);
      const leaders = await lives.leaders();
      if (leaders === null) break;
      const victim = leaders[lives.busiest()] ?? 0;
      lives.pulse.restart();
      const startedMs = performance.now();
      lives.broker(victim).signal('SIGTERM');
      const ending = await lives.broker(victim).end(endMsMax);
      if (ending?.code !== 0) lives.problems.push(`${label}: broker ${victim} ended with ${ending?.code ?? 'kill -9'}`);
      if ((await lives.served(startedMs)) === null) lives.problems.push(`${label}: a partition takes nothing any more`);
      for (const partition of lives.partitions) {
        const isHandedOver = leaders[partition] === victim;
        (isHandedOver ? pauses : others).add(lives.pulse.longestGapMs(partition));
        if (isHandedOver) handedOver++;
      }
      await lives.start([victim], label);
      if (++done % drainsBetweenAudits === 0) await lives.check(label);
    }
    await lives.finish();
  } finally {
    await lives.end();
  }
  const { acked, retried, unknown } = lives.ledger.counts;
  const problems = [...lives.problems];
  const limitMs = pauseMsMax * patience() * (short ? shortRunFactor : 1);
  if (pauses.at(1) > limitMs) problems.push(`a partition paused for ${pauses.at(1)} ms`);
  if (handedOver === 0) problems.push('no leadership was handed over: this proves nothing');
  const figures = { drains: done, handedOver, acked, retried, unknown, ...pauses.figures('pause'), ...others.figures('other') }; // prettier-ignore
  return { figures: { ...figures, ...figuresOf(lives.findings), seed }, problems };
}
