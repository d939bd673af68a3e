/**
 * One of three disks is not what it was, under load: emptied, or gone back to an old copy while its broker was down. The
 * broker must find out, or be told, and say what to do; it must neither vote nor acknowledge; the two others go on, and
 * nothing that was acknowledged is lost. That it takes no part is seen by what the cluster can not do: with one whole
 * disk beside it there is no majority, whatever the broker with the wrong disk says. Then its disk is given up, and an
 * empty one becomes new replicas that count. A cluster of its own for each round.
 */
import { cpSync, renameSync, rmSync } from 'node:fs';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import { addTo, figuresOf, nothingFound } from '../broker/audit.ts';
import { until, wait } from '../broker/patience.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { ClusterLives } from './cluster-lives.ts';

const lifeMs = { from: 200, below: 1_000 };
/** Acknowledgements that a part of a round has at least. */
const ackedMin = 100;
/** After this time no acknowledgement of before the second death is on its way any more. */
const graceMs = 2_000;
/** For so long nothing may be acknowledged then. */
const stillMs = 4_000;
/** Of an idle machine. */
const verdictMsMax = 20_000;
/** It would have ended by now if it did not stay. */
const staysMs = 1_000;
const replacementMsMax = 60_000;

/** Resolves with what is wrong about what a broker says and does, or null. */
type Verdict = (lives: ClusterLives, victim: number) => Promise<string | null>;

interface Harm {
  /** Done to the disk of a broker that it kills. */
  readonly harm: (lives: ClusterLives, victim: number, label: string) => Promise<void>;
  /** Starts the broker on what is there now. */
  readonly judge: Verdict;
  /** Starts it once more. */
  readonly judgeAgain: Verdict;
}

export const runWipedDisks = (rounds: number): Promise<CaseResult> =>
  lived(rounds, { harm: wipe, judge: refusesToStart, judgeAgain: refusesToStart });
export const runRolledBackDisks = (rounds: number): Promise<CaseResult> =>
  lived(rounds, { harm: rollBack, judge: isSetApart, judgeAgain: knowsThatItIsSetApart });

async function wipe(lives: ClusterLives, victim: number): Promise<void> {
  await lives.kill([victim]);
  rmSync(lives.dataDir(victim), { recursive: true });
}

/** A copy that was taken while the broker was down comes back after a life in which much was acknowledged. */
async function rollBack(lives: ClusterLives, victim: number, label: string): Promise<void> {
  const directory = lives.dataDir(victim);
  await lives.kill([victim]);
  cpSync(directory, `${directory}.copy`, { recursive: true });
  await lives.start([victim], label);
  await progress(lives, label);
  await lives.kill([victim]);
  rmSync(directory, { recursive: true });
  renameSync(`${directory}.copy`, directory);
}

/** It ends with one line that says what to do. */
async function refusesToStart(lives: ClusterLives, victim: number): Promise<string | null> {
  lives.launch(victim);
  const broker = lives.broker(victim);
  const ending = await broker.end(verdictMsMax);
  const [line = '', ...more] = broker.said;
  const says = new RegExp(`^sluice: the cluster refuses it: broker ${victim} is known with disk .*replaced`);
  if (ending?.code !== 1) return `an emptied disk does not end its broker: ${JSON.stringify(ending)}`;
  if (!says.test(line) || more.length > 0) return `says: ${broker.said.join(' | ')}`;
  return broker.lines('ready').length > 0 ? 'was ready on an emptied disk' : null;
}

/** A peer proves it; it stays up, apart from everything. */
async function isSetApart(lives: ClusterLives, victim: number): Promise<string | null> {
  lives.launch(victim);
  const broker = lives.broker(victim);
  const told = 'set apart: another broker knows this disk as an old copy; replace it';
  const isTold = await until(() => broker.lines(told).length > 0 || broker.hasEnded, verdictMsMax);
  if (!isTold) return `is not set apart: ${broker.lastWords}`;
  await wait(staysMs);
  if (broker.hasEnded) return `does not stay up to say that it is set apart: ${broker.lastWords}`;
  return broker.lines('ready').length > 0 ? 'was ready on an old copy' : null;
}

/** Without anybody who tells it. */
async function knowsThatItIsSetApart(lives: ClusterLives, victim: number): Promise<string | null> {
  await lives.kill([victim]);
  lives.launch(victim);
  const broker = lives.broker(victim);
  const knows = (): boolean => broker.lines('set apart: the disk lost acknowledged writes').length > 0;
  const isKnown = await until(() => knows() || broker.hasEnded, verdictMsMax);
  return isKnown && !broker.hasEnded ? null : `does not remember that it was set apart: ${broker.lastWords}`;
}

/** Waits until more is acknowledged. */
async function progress(lives: ClusterLives, label: string): Promise<boolean> {
  const before = lives.ledger.counts.acked;
  const isGoing = await until(() => lives.ledger.counts.acked >= before + ackedMin, verdictMsMax);
  if (!isGoing) lives.problems.push(`${label}: nothing is acknowledged`);
  return isGoing;
}

/** With another broker down too there is no majority, and nobody may make one up. */
async function standsStill(lives: ClusterLives, victim: number, other: number, label: string): Promise<void> {
  await lives.kill([other]);
  if (lives.broker(victim).hasEnded) lives.launch(victim);
  await wait(graceMs);
  const { acked } = lives.ledger.counts;
  await wait(stillMs);
  const made = lives.ledger.counts.acked - acked;
  if (made > 0) lives.problems.push(`${label}: ${made} records were acknowledged with one whole disk of three`);
  await lives.start([other], label);
}

/** Votes of so many replicas, and none that only catches up; null: it does not say. */
async function votersAt(lives: ClusterLives, broker: number): Promise<number | null> {
  try {
    const { leaders, followers, learners, quarantined } = (await lives.client.admin.describeBroker(broker)).replicas;
    return learners + quarantined === 0 ? leaders + followers : null;
  } catch (error) {
    if (asBrokerError(error).retriable) return null;
    throw error;
  }
}

/** Its disk is given up, and it begins anew with an empty one. With it, another one may be missing. */
async function replace(lives: ClusterLives, victim: number, other: number, voters: number): Promise<string | null> {
  await lives.kill([victim]);
  rmSync(lives.dataDir(victim), { recursive: true, force: true });
  let last = '';
  const isGivenUp = await until(async () => {
    try {
      await lives.client.admin.replaceBroker(victim);
      return true;
    } catch (error) {
      last = asBrokerError(error).message;
      await wait(500);
      return false;
    }
  }, replacementMsMax);
  if (!isGivenUp) return `is not replaced: ${last}`;
  if (!(await lives.start([victim], 'replacement'))) return 'does not come back on an empty disk';
  const isBack = await until(async () => (await votersAt(lives, victim)) === voters, replacementMsMax);
  if (!isBack) return `has not all of the ${voters} voters that it had`;
  await lives.kill([other]);
  await progress(lives, 'replacement');
  await lives.start([other], 'replacement');
  return null;
}

async function lived(rounds: number, harm: Harm): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const findings = nothingFound();
  const counts = { acked: 0, retried: 0, unknown: 0 };
  const problems: string[] = [];
  let done = 0;
  while (done < rounds && problems.length === 0) {
    const lives = await ClusterLives.begin({ chance });
    try {
      await round(lives, harm, chance, `round ${done + 1} (seed ${seed})`);
      await lives.finish();
    } finally {
      await lives.end();
    }
    addTo(findings, lives.findings);
    for (const key of Object.keys(counts) as (keyof typeof counts)[]) counts[key] += lives.ledger.counts[key];
    problems.push(...lives.problems);
    done++;
  }
  return { figures: { rounds: done, ...counts, ...figuresOf(findings), seed }, problems };
}

async function round(
  lives: ClusterLives,
  { harm, judge, judgeAgain }: Harm,
  chance: SeededChance,
  label: string,
): Promise<void> {
  const victim = chance.pick(lives.all);
  const other = chance.pick(lives.all.filter((id) => id !== victim));
  const wrong = (problem: string | null): void => {
    if (problem !== null) lives.problems.push(`${label}: broker ${victim} ${problem}`);
  };
  await progress(lives, label);
  await wait(lifeMs.from + chance.below(lifeMs.below));
  const voters = (await votersAt(lives, victim)) ?? 0;
  await harm(lives, victim, label);
  wrong(await judge(lives, victim));
  // the two others go on beside it
  await progress(lives, label);
  await standsStill(lives, victim, other, label);
  await progress(lives, label);
  wrong(await judgeAgain(lives, victim));
  wrong(await replace(lives, victim, other, voters));
}
