/**
 * Power cuts under the whole broker: an ext4 image is shut down while it takes records, while topics come and go, and
 * while the sweep compacts what deleted topics left. The broker ends by itself; after a remount all that was acknowledged
 * is there.
 *
 * What the broker says after the power is off is not heard: it is stopped before the cut and goes on after it. Without that
 * the suite finds losses that are none: an fdatasync that has begun when the file system is shut down may return success
 * (Linux 6.18, ext4, two files synced at a time; seen in a trace of the calls), which no machine without power can do.
 */
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { Ext4Image } from '../durability/ext4-image.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { addTo, figuresOf, nothingFound } from './audit.ts';
import type { BrokerProcess } from './broker-process.ts';
import { Lives } from './lives.ts';
import { patience, wait } from './patience.ts';

const imageMegabytes = 640;
const cutsPerImage = 10;
const lifeMsMax = 1_500;
/** The promise for a disk that fails under load, on an idle machine. */
const endMsMax = 1_000;
/** When a broker that does not end is helped, on an idle machine. */
const patienceMs = 5_000;
/** Until everything is read that the broker had sent when it was stopped, on an idle machine. */
const lastWordsMs = 50;

export async function runBrokerPowerCuts(cuts: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const problems: string[] = [];
  const findings = nothingFound();
  const figures = { cuts: 0, sweeps: 0, topicsDeleted: 0, acked: 0, retried: 0, unknown: 0, slowestEndMs: 0 };
  while (figures.cuts < cuts) {
    const image = Ext4Image.create(imageMegabytes);
    const lives = await beginOn(image, chance);
    try {
      for (let n = 0; n < cutsPerImage && figures.cuts < cuts; n++) {
        const label = `cut ${++figures.cuts} (seed ${seed})`;
        const { endedMs, sweeps } = await cutOnce(image, lives, chance, label);
        figures.slowestEndMs = Math.max(figures.slowestEndMs, endedMs);
        figures.sweeps += sweeps;
        image.unmount();
        image.mount();
        rmSync(squeezePath(image), { force: true });
        if (!(await lives.restart(label))) break;
      }
      await lives.finish('the end');
    } finally {
      await lives.end();
      image.destroy();
    }
    problems.push(...lives.problems);
    addTo(findings, lives.findings);
    figures.topicsDeleted += lives.ledger.topics.filter(({ state }) => state === 'deleted').length;
    figures.acked += lives.ledger.counts.acked;
    figures.retried += lives.ledger.counts.retried;
    figures.unknown += lives.ledger.counts.unknown;
    if (problems.length > 0) break;
  }
  if (figures.acked < cuts * 50) problems.push(`only ${figures.acked} records were acknowledged: this proves little`);
  return { figures: { ...figures, ...figuresOf(findings), seed }, problems };
}

/**
 * The same with a broker whose syncs do nothing: one of `cutsMax` cuts must show loss, by records that are missing or by a
 * broker that sets itself apart or does not open its directory. Else the suite can not see loss.
 */
export async function runBrokerControl(cutsMax: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const figures = { cuts: 0, lost: 0, setApart: 0, notStarted: 0 };
  const isLossSeen = (): boolean => figures.lost + figures.setApart + figures.notStarted > 0;
  while (figures.cuts < cutsMax && !isLossSeen()) {
    const image = Ext4Image.create(imageMegabytes);
    const lives = await beginOn(image, chance);
    try {
      await lives.broker.kill();
      if (!(await lives.restart('without syncs', noSyncs))) return { figures, problems: lives.problems };
      await cutOnce(image, lives, chance, 'control');
      figures.cuts++;
      image.unmount();
      image.mount();
      await lives.restart('after the cut');
      figures.lost += lives.findings.lost;
      if (lives.broker.isSetApart) figures.setApart++;
      else if (lives.broker.hasEnded) figures.notStarted++;
    } finally {
      await lives.end();
      image.destroy();
    }
  }
  const problems = isLossSeen() ? [] : ['a broker that does not sync lost nothing: this suite can not see loss'];
  return { figures: { ...figures, seed }, problems };
}

/** strace answers the broker's syncs with success instead of the kernel. */
const noSyncs =
  'strace -f --seccomp-bpf -o /dev/null -e trace=fdatasync,fsync -e inject=fdatasync,fsync:retval=0'.split(' ');

async function beginOn(image: Ext4Image, chance: SeededChance): Promise<Lives> {
  try {
    return await Lives.begin({ dataDir: join(image.path, 'data'), chance });
  } catch (error) {
    image.destroy();
    throw error;
  }
}

async function cutOnce(
  image: Ext4Image,
  lives: Lives,
  chance: SeededChance,
  label: string,
): Promise<{ readonly endedMs: number; readonly sweeps: number }> {
  const cutter = image.cutter();
  const { broker, load } = lives;
  load.resume();
  await wait(100 + chance.below(lifeMsMax / 2));
  if (chance.below(2) === 0) await squeeze(image, broker);
  await wait(chance.below(lifeMsMax / 2));
  broker.signal('SIGSTOP');
  await wait(lastWordsMs * patience());
  lives.ledger.isHeard = false;
  cutter.cut();
  await cutter.done();
  broker.signal('SIGCONT');
  const cutAt = performance.now();
  const ending = await broker.end(patienceMs);
  const endedMs = Math.round(performance.now() - cutAt);
  await load.pause();
  lives.ledger.isHeard = true;
  if (ending === null) lives.problems.push(`${label}: it ran on over the dead disk: ${broker.lastWords}`);
  else if (ending.code !== 1) lives.problems.push(`${label}: ended with ${ending.code ?? ending.signal ?? '?'}`);
  if (broker.errors.length !== 1) lives.problems.push(`${label}: ${broker.errors.length} error lines`);
  if (endedMs > endMsMax * patience()) lives.problems.push(`${label}: it took ${endedMs} ms to end`);
  return { endedMs, sweeps: levels(broker, 'low') };
}

const squeezePath = (image: Ext4Image): string => join(image.path, 'squeeze');
const levels = (broker: BrokerProcess, level: string): number =>
  broker.lines('disk level changed').filter((line) => line['level'] === level).length;

/** Takes so much of the disk that the broker begins to sweep, and gives it back: it compacts while records flow again. */
async function squeeze(image: Ext4Image, broker: BrokerProcess): Promise<void> {
  const { bavail, bsize, blocks } = statfsSync(image.path);
  const reserveBytes = (blocks * bsize) / 16;
  const takenBytes = Math.floor(bavail * bsize - 1.5 * reserveBytes);
  if (takenBytes <= 0) return;
  const before = levels(broker, 'low');
  execFileSync('fallocate', ['-l', String(takenBytes), squeezePath(image)]);
  const deadline = performance.now() + 1_000 * patience();
  while (levels(broker, 'low') === before && performance.now() < deadline) await wait(10);
  rmSync(squeezePath(image));
}
