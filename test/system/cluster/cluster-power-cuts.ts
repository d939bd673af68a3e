/**
 * The power of a whole cluster fails at once: each broker's directory is on an ext4 image of its own, all three are shut
 * down under load in the same moment. Each process ends by itself; after a remount everything acknowledged is there.
 *
 * What brokers say after the power is off is not heard, as in test/system/broker/broker-power-cuts.ts and for its reason.
 */
import { join } from 'node:path';
import { figuresOf } from '../broker/audit.ts';
import { patience, wait } from '../broker/patience.ts';
import { Ext4Image } from '../durability/ext4-image.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { brokersCount, ClusterLives } from './cluster-lives.ts';
import { Pauses } from './pauses.ts';

const imageMegabytes = 640;
const lifeMs = { from: 300, below: 1_500 };
/** An audit reads everything again: not after every cut. */
const cutsBetweenAudits = 5;
/** Until everything is read that the brokers had sent when they were stopped, on an idle machine. */
const lastWordsMs = 50;
/** When a broker that does not end by itself is helped, on an idle machine. */
const endMsMax = 5_000;
/** strace answers a broker's syncs with success instead of the kernel. */
const noSyncs =
  'strace -f --seccomp-bpf -o /dev/null -e trace=fdatasync,fsync -e inject=fdatasync,fsync:retval=0'.split(' ');

export async function runAllPowerCuts(cuts: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const pauses = new Pauses();
  let done = 0;
  return onImages(async (images) => {
    const lives = await beginOn(images, chance);
    try {
      while (done < cuts && lives.problems.length === 0) {
        const label = `cut ${done + 1} (seed ${seed})`;
        if (!(await lives.live(lifeMs.from, lifeMs.below)))
          lives.problems.push(`${label}: the load gets nothing through`);
        await cutAll(images, lives, label);
        const startedAtMs = performance.now();
        if (!(await lives.start(lives.all, label))) break;
        const each = await lives.served(startedAtMs);
        if (each === null) lives.problems.push(`${label}: a partition takes nothing any more`);
        else pauses.add(Math.max(...each));
        if (++done % cutsBetweenAudits === 0) await lives.check(label);
      }
      if (lives.problems.length === 0) await lives.finish();
    } finally {
      await lives.end();
    }
    const { acked, retried, unknown } = lives.ledger.counts;
    const figures = {
      cuts: done,
      acked,
      retried,
      unknown,
      ...pauses.figures('back'),
      ...figuresOf(lives.findings),
      seed,
    };
    return { figures, problems: lives.problems };
  });
}

/**
 * The same with brokers whose syncs do nothing: one of `cutsMax` cuts must show loss, by records that are missing or by
 * brokers that set themselves apart or do not open their directories. Else the suite can not see loss.
 */
export async function runAllPowerCutsControl(cutsMax: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const figures = { cuts: 0, lost: 0, setApart: 0, notStarted: 0 };
  const isLossSeen = (): boolean => figures.lost + figures.setApart + figures.notStarted > 0;
  while (figures.cuts < cutsMax && !isLossSeen()) {
    const problems = await onImages(async (images) => {
      const lives = await beginOn(images, chance);
      try {
        await lives.kill(lives.all);
        if (!(await lives.start(lives.all, 'without syncs', noSyncs))) return lives.problems;
        if (!(await lives.live(lifeMs.from, lifeMs.below))) return ['without syncs: the load gets nothing through'];
        await cutAll(images, lives, 'control');
        figures.cuts++;
        const cameBack = await lives.start(lives.all, 'after the cut');
        for (const id of lives.all) {
          const broker = lives.broker(id);
          if (broker.isSetApart) figures.setApart++;
          else if (broker.hasEnded) figures.notStarted++;
        }
        if (cameBack && (await lives.served(performance.now())) !== null) await lives.check('after the cut');
        figures.lost += lives.findings.lost;
        return [];
      } finally {
        await lives.end();
      }
    });
    if (problems.length > 0) return { figures: { ...figures, seed }, problems };
  }
  const problems = isLossSeen() ? [] : ['brokers that do not sync lost nothing: this suite can not see loss'];
  return { figures: { ...figures, seed }, problems };
}

async function onImages<T>(run: (images: readonly Ext4Image[]) => Promise<T>): Promise<T> {
  const images: Ext4Image[] = [];
  try {
    for (let id = 0; id < brokersCount; id++) images.push(Ext4Image.create(imageMegabytes));
    return await run(images);
  } finally {
    for (const image of images) image.destroy();
  }
}

function beginOn(images: readonly Ext4Image[], chance: SeededChance): Promise<ClusterLives> {
  return ClusterLives.begin({ chance, dataDirOf: (id) => join(images[id]?.path ?? '', 'data') });
}

/** Cuts all three, waits until each has ended, and gives each its disk back. */
async function cutAll(images: readonly Ext4Image[], lives: ClusterLives, label: string): Promise<void> {
  const cutters = images.map((image) => image.cutter());
  for (const id of lives.all) lives.broker(id).signal('SIGSTOP');
  await wait(lastWordsMs * patience());
  lives.ledger.isHeard = false;
  for (const cutter of cutters) cutter.cut();
  await Promise.all(cutters.map((cutter) => cutter.done()));
  for (const id of lives.all) lives.broker(id).signal('SIGCONT');
  for (const id of lives.all) {
    const ending = await lives.broker(id).end(endMsMax);
    if (ending === null) lives.problems.push(`${label}: broker ${id} ran on over its dead disk`);
    else if (ending.code !== 1) lives.problems.push(`${label}: broker ${id} ended with ${ending.code ?? ending.signal ?? '?'}`); // prettier-ignore
  }
  // what a dead process had sent is read by now
  await wait(lastWordsMs * patience());
  lives.ledger.isHeard = true;
  for (const image of images) {
    image.unmount();
    image.mount();
  }
}
