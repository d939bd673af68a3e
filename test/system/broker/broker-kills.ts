/**
 * kill -9 of the whole broker at random moments, a quarter of them while it starts: nothing acknowledged is lost, moved or
 * undone, and idempotent producers that retry across the crash leave every record in the log exactly once.
 */
import { join } from 'node:path';
import { Ext4Image } from '../durability/ext4-image.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { addTo, figuresOf, nothingFound } from './audit.ts';
import { Lives } from './lives.ts';
import { wait } from './patience.ts';

const killsPerDirectory = 25;
/** Small enough that memtables are, too: flushes and switches of write-ahead files happen all the time. */
const imageMegabytes = 1_024;
const lifeMsMax = 1_200;
const startMsMax = 700;

export async function runBrokerKills(kills: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const problems: string[] = [];
  const findings = nothingFound();
  const figures = { kills: 0, inStart: 0, acked: 0, retried: 0, unknown: 0 };
  while (figures.kills < kills) {
    const image = Ext4Image.create(imageMegabytes);
    const lives = await Lives.begin({ dataDir: join(image.path, 'data'), chance });
    try {
      for (let n = 0; n < killsPerDirectory && figures.kills < kills; n++) {
        const label = `kill ${++figures.kills} (seed ${seed})`;
        await liveAndDie(lives, chance);
        if (chance.below(4) === 0) {
          await dieInStart(lives, chance);
          if (figures.kills < kills) figures.kills++;
          figures.inStart++;
        }
        if (!(await lives.restart(label))) break;
      }
      await lives.finish('the end');
    } finally {
      await lives.end();
      image.destroy();
    }
    problems.push(...lives.problems);
    addTo(findings, lives.findings);
    figures.acked += lives.ledger.counts.acked;
    figures.retried += lives.ledger.counts.retried;
    figures.unknown += lives.ledger.counts.unknown;
    if (problems.length > 0) break;
  }
  if (figures.acked < kills * 50) problems.push(`only ${figures.acked} records were acknowledged: this proves little`);
  return { figures: { ...figures, ...figuresOf(findings), seed }, problems };
}

async function liveAndDie(lives: Lives, chance: SeededChance): Promise<void> {
  lives.load.resume();
  await wait(50 + chance.below(lifeMsMax));
  await lives.broker.kill();
  await lives.load.pause();
}

async function dieInStart(lives: Lives, chance: SeededChance): Promise<void> {
  const broker = lives.start();
  await wait(chance.below(startMsMax));
  await broker.kill();
}
