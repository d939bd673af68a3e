/**
 * Order: producers that keep several requests in flight for each partition, records with keys, and leaders that are killed
 * at random. In the end every record is there once, and those of one producer with one key are in the order in which they
 * were sent; as a key belongs to one partition, the audit asks for more: the order of each producer in each partition.
 */
import { figuresOf } from '../broker/audit.ts';
import { wait } from '../broker/patience.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import type { LoadShape } from './cluster-lives.ts';
import { ClusterLives } from './cluster-lives.ts';

/**
 * A record is a request of its own, so that a producer has as many of them on the way to a partition as it may: five. Small
 * records, for it is their number that matters, and an audit reads them all.
 */
const load: LoadShape = {
  producers: 8,
  keys: 200,
  batchRecordsMax: 1,
  openMax: 100,
  bytes: (chance) => 50 + chance.below(200),
};
const lifeMs = { from: 300, below: 2_000 };
/** A dead broker stays down for so long. */
const deadMs = { below: 1_500 };
/** One death in so many is followed by another one before the first broker is back: then nobody has a quorum. */
const secondDeathIn = 5;
const killsBetweenAudits = 30;
/** Requests in flight at a death, added up over all producers, that the case must have seen. */
const openMin = 8 * 5;

/** @param forMs how long leaders are killed */
export async function runOrder(forMs: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const lives = await ClusterLives.begin({ chance, load });
  const deadline = performance.now() + forMs;
  let [kills, openMax] = [0, 0];
  try {
    while (performance.now() < deadline && lives.problems.length === 0) {
      const label = `kill ${kills + 1} (seed ${seed})`;
      if (!(await lives.live(lifeMs.from, lifeMs.below)))
        lives.problems.push(`${label}: the load gets nothing through`);
      const leaders = await lives.leaders();
      if (leaders === null) {
        lives.problems.push(`${label}: a partition has no leader`);
        break;
      }
      const victims = [chance.pick(leaders)];
      const alive = leaders.filter((leader) => !victims.includes(leader));
      openMax = Math.max(openMax, lives.open);
      await lives.kill(victims);
      await wait(chance.below(deadMs.below));
      if (alive.length > 0 && chance.below(secondDeathIn) === 0) {
        victims.push(chance.pick(alive));
        await lives.kill(victims.slice(1));
      }
      kills += victims.length;
      const startedMs = performance.now();
      if (!(await lives.start(victims, label))) break;
      if ((await lives.served(startedMs)) === null) lives.problems.push(`${label}: a partition takes nothing any more`);
      if (kills % killsBetweenAudits === 0) await lives.check(label);
    }
    await lives.finish();
  } finally {
    await lives.end();
  }
  const { acked, retried, unknown } = lives.ledger.counts;
  const problems = [...lives.problems];
  if (openMax < openMin) problems.push(`at most ${openMax} records were on their way at a death: this proves nothing`);
  if (retried === 0) problems.push('no record was sent again that was there already: this proves nothing');
  return { figures: { kills, openMax, acked, retried, unknown, ...figuresOf(lives.findings), seed }, problems };
}
