/**
 * Power cuts: an ext4 image is shut down under the running store, remounted and checked. Half of the cuts come at a random
 * moment, half right after the acknowledgement of a write during which the engine switched to a new write-ahead file.
 * The controls leave out what makes the store durable; the suite must see them lose, or it proves nothing.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CaseResult } from '../report.ts';
import { checkStore, type StoreFindings } from './check-store.ts';
import { Ext4Image } from './ext4-image.ts';
import { newSeed, SeededChance } from './random.ts';
import { nothingPromised, Victim, victimDefaults, type Promised } from './victim-process.ts';
import type { VictimOptions } from './victim-options.ts';

const imageMegabytes = 512;
const cutsPerImage = 10;
/** A process whose disk is dead ends by itself; the promise is a second, and this is when it is helped. */
const killAfterMs = 3_000;
/** A cut on a switch waits no longer than this for one. */
const switchWaitMs = 3_000;

interface Cut {
  readonly promised: Promised;
  /** From the cut to the end of the process; null if it had to be killed. */
  readonly endedMs: number | null;
  readonly found: StoreFindings;
}

/** One life: the victim runs on the image until the power goes, then the image is mounted again and checked. */
async function cutOnce(
  image: Ext4Image,
  chance: SeededChance,
  promised: Promised,
  options: Partial<VictimOptions>,
): Promise<Cut> {
  const path = join(image.path, 'data');
  const cutter = image.cutter();
  const cutOn = chance.below(2) === 0 ? 'nothing' : 'switch';
  const victim = new Victim({ ...victimDefaults, path, cutOn, ...options }, promised, [], cutter.trigger);
  await victim.heard((says) => says.kind === 'opened');
  const timer = setTimeout(() => cutter.cut(), cutOn === 'switch' ? switchWaitMs : 50 + chance.below(1_200));
  await cutter.done();
  clearTimeout(timer);
  const cutAt = performance.now();
  const killer = setTimeout(() => void victim.kill(), killAfterMs);
  await victim.exited;
  clearTimeout(killer);
  const endedMs = victim.faults.length === 1 ? performance.now() - cutAt : null;
  image.unmount();
  image.mount();
  return { promised, endedMs, found: await checkStore(path, promised) };
}

export async function runPowerCuts(cuts: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const problems: string[] = [];
  const figures = { cuts: 0, acked: 0, lost: 0, wrong: 0, misplaced: 0, beyondFloor: 0, slowestEndMs: 0, seed };
  while (figures.cuts < cuts) {
    const image = Ext4Image.create(imageMegabytes);
    try {
      const promised = nothingPromised();
      for (let n = 0; n < cutsPerImage && figures.cuts < cuts; n++) {
        const { found, endedMs } = await cutOnce(image, chance, promised, { reclaim: chance.below(2) === 0 });
        figures.cuts++;
        figures.slowestEndMs = Math.max(figures.slowestEndMs, Math.round(endedMs ?? killAfterMs));
        if (endedMs === null || endedMs > 1_000) problems.push(`cut ${figures.cuts}: it ran on over the dead disk`);
        figures.lost += found.lost;
        figures.wrong += found.wrong;
        figures.misplaced += found.misplaced;
        figures.beyondFloor += found.beyondFloor;
        if (found.opened !== 'healthy' || found.lost + found.wrong + found.misplaced + found.rejectedReads > 0) {
          problems.push(`cut ${figures.cuts}: ${JSON.stringify({ ...promised, ...found })}`);
        }
      }
      figures.acked += promised.acked + 1;
    } finally {
      image.destroy();
    }
  }
  if (figures.acked < cuts * 50)
    problems.push(`only ${figures.acked} writes were acknowledged: the test proves little`);
  return { figures, problems };
}

/**
 * The same with a store that syncs less: at least one of `cutsMax` cuts must lose, and what is then served must still be
 * right. A store that syncs nothing must notice its own loss. One that syncs only the current file loses no more than the
 * last group, which the floor trails by, so it can not always notice.
 */
export async function runControl(sync: 'none' | 'current', cutsMax: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const problems: string[] = [];
  const figures = { cuts: 0, cutsWithLoss: 0, lost: 0, toldByStore: 0, seed };
  // two losses: one may be luck
  while (figures.cuts < cutsMax && figures.cutsWithLoss < 2) {
    const image = Ext4Image.create(imageMegabytes);
    try {
      const { found, promised } = await cutOnce(image, chance, nothingPromised(), {
        sync,
        cutOn: 'switch',
        writeBufferBytes: 4 << 20,
      });
      figures.cuts++;
      figures.lost += found.lost;
      if (found.lost > 0) figures.cutsWithLoss++;
      if (found.lost > 0 && found.opened !== 'healthy') figures.toldByStore++;
      if (found.wrong > 0) problems.push(`cut ${figures.cuts}: ${JSON.stringify({ ...promised, ...found })}`);
      if (!existsSync(join(image.path, 'data'))) problems.push('the data directory itself is gone');
    } finally {
      image.destroy();
    }
  }
  if (figures.cutsWithLoss === 0) problems.push('a store that does not sync lost nothing: this suite can not see loss');
  if (sync === 'none' && figures.toldByStore === 0) problems.push('the store noticed none of its losses');
  return { figures, problems };
}
