/** A disk that is full, and one that returns errors. */
import { mkdtempSync, rmSync } from 'node:fs';
import { open, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskReserve, reservesFor } from '../../../src/log/disk-reserve.ts';
import { hasCode } from '../../../src/log/durable-files.ts';
import { realClock } from '../../../src/runtime/real-clock.ts';
import type { CaseResult } from '../report.ts';
import { checkStore } from './check-store.ts';
import { Ext4Image } from './ext4-image.ts';
import { newSeed, SeededChance } from './random.ts';
import { nothingPromised, Victim, victimDefaults } from './victim-process.ts';

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const freeBytes = async (path: string): Promise<number> => {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
};
const totalBytes = async (path: string): Promise<number> => {
  const { blocks, bsize } = await statfs(path);
  return blocks * bsize;
};
/** More than any victim writes here. */
const everything = 1e9;

/** Fills to the reserve, refuses there without failing, and takes writes again once old data was trimmed and reclaimed. */
export async function runReserve(): Promise<CaseResult> {
  const image = Ext4Image.create(192);
  try {
    const problems: string[] = [];
    const path = join(image.path, 'data');
    const promised = nothingPromised();
    const reserve = reservesFor(await totalBytes(image.path));
    const options = { ...victimDefaults, path, reserve, reclaim: false };
    const filling = new Victim({ ...options, keep: everything }, promised);
    if (!(await filling.heard((says) => says.kind === 'refused')))
      problems.push(`it ended instead of refusing: ${filling.faults.join()}`);
    await wait(2_000);
    const free = await freeBytes(image.path);
    if (free < reserve.hardBytes / 2) problems.push(`only ${free} bytes are left behind the reserve`);
    await filling.kill();
    const full = await checkStore(path, promised);
    const ackedWhenFull = promised.acked;
    const draining = new Victim({ ...options, keep: 500, reclaim: true }, promised);
    const deadline = performance.now() + 20_000;
    while (promised.acked < ackedWhenFull + 2_000 && performance.now() < deadline) await wait(50);
    await draining.kill();
    const drained = await checkStore(path, promised);
    if (promised.acked < ackedWhenFull + 2_000) problems.push('it did not take writes again after trimming');
    for (const found of [full, drained]) {
      if (found.opened !== 'healthy' || found.lost + found.wrong + found.misplaced > 0)
        problems.push(JSON.stringify(found));
    }
    const figures = {
      ackedWhenFull: ackedWhenFull + 1,
      refusals: filling.refusals,
      freeMiBBehindReserve: Math.round(free / (1 << 20)),
      ackedAfterTrim: promised.acked - ackedWhenFull,
      lost: full.lost + drained.lost,
    };
    return { figures, problems };
  } finally {
    image.destroy();
  }
}

/** The disk fills up to the last byte under a store that asks nobody; it ends, and the ballast lets it recover. */
export async function runDiskFull(): Promise<CaseResult> {
  const image = Ext4Image.create(96);
  try {
    const problems: string[] = [];
    const path = join(image.path, 'data');
    const promised = nothingPromised();
    await checkStore(path, promised); // founds it
    await buildBallast(path);
    const victim = new Victim({ ...victimDefaults, path, reclaim: false, keep: everything }, promised);
    const { code, signal } = await victim.exited;
    const endedMs = performance.now() - victim.lastAckAt;
    if (victim.faults.length !== 1)
      problems.push(`ended with ${code ?? signal ?? '?'}, faults: ${victim.faults.join('; ')}`);
    if (endedMs > 1_000) problems.push(`it took ${Math.round(endedMs)} ms to end`);
    await fillUp(join(image.path, 'filler'));
    const freeBefore = await freeBytes(image.path);
    const found = await checkStore(path, promised);
    if (found.opened !== 'healthy' || found.lost + found.wrong + found.misplaced > 0)
      problems.push(JSON.stringify(found));
    const figures = { acked: promised.acked + 1, freeBefore, lost: found.lost, endedMs: Math.round(endedMs) };
    return { figures, problems };
  } finally {
    image.destroy();
  }
}

async function buildBallast(path: string): Promise<void> {
  const reserves = { ...reservesFor(await totalBytes(path)), ballastBytes: 16 << 20 };
  const ballastPath = join(path, 'ballast');
  const reserve = await DiskReserve.start({ path, ballastPath, reserves, clock: realClock, onFault: () => undefined });
  while (!reserve.isBallastWhole) await wait(50);
  await reserve.close();
}

/** Takes every byte that is left. */
async function fillUp(path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (let bytes = 1 << 20; bytes >= 1;) {
      try {
        await file.writeFile(Buffer.alloc(bytes, 1));
      } catch (error) {
        if (!hasCode(error, 'ENOSPC')) throw error;
        bytes >>= 1;
      }
    }
    await file.sync().catch(() => undefined); // what could not be placed is not needed
  } finally {
    await file.close();
  }
}

/** fdatasync fails once, at a random call of some thread: the process ends within a second and has lost nothing. */
export async function runSyncErrors(runs: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const problems: string[] = [];
  const figures = { runs: 0, acked: 0, lost: 0, wrong: 0, slowestEndMs: 0, seed };
  for (; figures.runs < runs; figures.runs++) {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-eio-'));
    const path = join(directory, 'data');
    const promised = nothingPromised();
    await checkStore(path, promised);
    const when = 8 + chance.below(60);
    const inject = [
      'strace',
      '-f',
      '--seccomp-bpf',
      '-o',
      '/dev/null',
      '-e',
      'trace=fdatasync',
      '-e',
      `inject=fdatasync:error=EIO:when=${when}`,
    ];
    const victim = new Victim({ ...victimDefaults, path }, promised, inject);
    const { code, signal } = await victim.exited;
    const endedMs = performance.now() - victim.lastAckAt;
    const found = await checkStore(path, promised);
    figures.acked += promised.acked + 1;
    figures.lost += found.lost;
    figures.wrong += found.wrong;
    figures.slowestEndMs = Math.max(figures.slowestEndMs, Math.round(endedMs));
    if (victim.faults.length !== 1)
      problems.push(`when=${when}: ended with ${code ?? signal ?? '?'}, faults: ${victim.faults.join('; ')}`);
    if (promised.acked >= 0 && endedMs > 1_000) problems.push(`when=${when}: it took ${Math.round(endedMs)} ms to end`);
    if (found.opened !== 'healthy' || found.lost + found.wrong + found.misplaced > 0)
      problems.push(`when=${when}: ${JSON.stringify(found)}`);
    rmSync(directory, { recursive: true, force: true });
  }
  return { figures, problems };
}
