/** kill -9 at random moments, again and again on the same directory: every acknowledged write is there and intact. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CaseResult } from '../report.ts';
import { checkStore } from './check-store.ts';
import { newSeed, SeededChance } from './random.ts';
import { nothingPromised, Victim, victimDefaults } from './victim-process.ts';

/** Kills on one directory before a new one is begun. */
const killsPerDirectory = 25;

export async function runKills(kills: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const problems: string[] = [];
  const figures = { kills: 0, acked: 0, lost: 0, wrong: 0, misplaced: 0, beyondFloor: 0, seed };
  while (figures.kills < kills) {
    const path = mkdtempSync(join(tmpdir(), 'sluice-kills-'));
    const promised = nothingPromised();
    for (let n = 0; n < killsPerDirectory && figures.kills < kills; n++) {
      const victim = new Victim({ ...victimDefaults, path, reclaim: chance.below(2) === 0 }, promised);
      const opened = await victim.heard((says) => says.kind === 'opened');
      await new Promise((resolve) => setTimeout(resolve, chance.below(900)));
      await victim.kill();
      figures.kills++;
      const found = await checkStore(path, promised);
      figures.lost += found.lost;
      figures.wrong += found.wrong;
      figures.misplaced += found.misplaced;
      figures.beyondFloor += found.beyondFloor;
      if (
        !opened ||
        found.opened !== 'healthy' ||
        found.lost + found.wrong + found.misplaced + found.rejectedReads > 0
      ) {
        problems.push(`kill ${figures.kills}: opened=${opened} ${JSON.stringify({ ...promised, ...found })}`);
      }
    }
    figures.acked += promised.acked + 1;
    rmSync(path, { recursive: true });
  }
  if (figures.acked < kills * 50)
    problems.push(`only ${figures.acked} writes were acknowledged: the test proves little`);
  return { figures, problems };
}
