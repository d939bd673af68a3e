/**
 * Damage to what was acknowledged and lies below the floor: one flipped bit, a write-ahead file that ends early, a file
 * that is gone. The store may refuse to open, say that it lost writes, or reject a read. It must never serve anything
 * wrong, nor deny what was acknowledged while it calls itself healthy.
 */
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { recordEnds } from '../../../src/log/rocksdb-manifest.ts';
import { crc32c } from '../../../src/runtime/crc32c.ts';
import type { CaseResult } from '../report.ts';
import { checkStore, type StoreFindings } from './check-store.ts';
import { note, recordRun } from './crash-states.ts';
import { FileHistory } from './file-history.ts';
import { newSeed, SeededChance } from './random.ts';
import { nothingPromised, Victim, victimDefaults, type Promised } from './victim-process.ts';

interface Tally {
  places: number;
  refused: number;
  ended: number;
  lost: number;
  rejectedReads: number;
  unused: number;
  servedWrong: number;
}

const newTally = (): Tally => ({
  places: 0,
  refused: 0,
  ended: 0,
  lost: 0,
  rejectedReads: 0,
  unused: 0,
  servedWrong: 0,
});

/** Counts what the damage led to; null if that is allowed, else what is wrong. */
function judge(tally: Tally, found: StoreFindings, promised: Promised): string | null {
  tally.places++;
  if (found.opened === 'refused') tally.refused++;
  else if (found.opened === 'ended') tally.ended++;
  else if (found.opened === 'lost') tally.lost++;
  else if (found.rejectedReads > 0) tally.rejectedReads++;
  else if (found.lost + found.misplaced === 0) tally.unused++;
  const denied = found.opened === 'healthy' && found.lost + found.misplaced > 0;
  if (found.wrong === 0 && !denied) return null;
  tally.servedWrong++;
  return JSON.stringify({ ...promised, ...found });
}

/** All files of a store that hold anything it needs, relative to it. */
const filesOf = (path: string): readonly string[] =>
  readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(path, name)).isFile() && !/^(LOG|OPTIONS|IDENTITY|LOCK)/.test(basename(name)))
    .sort();

/** Tables and blobs are linked, because nobody writes into them; everything else is copied. */
function cloneStore(from: string, to: string, owned: string): void {
  rmSync(to, { recursive: true, force: true });
  for (const name of filesOf(from)) {
    mkdirSync(dirname(join(to, name)), { recursive: true });
    if (name !== owned && /\.(sst|blob)$/.test(name)) linkSync(join(from, name), join(to, name));
    else copyFileSync(join(from, name), join(to, name));
  }
}

/**
 * Runs a victim to its end. Its write-ahead files are left full, and its floor is at the last write. With one call in
 * flight, every call is an engine write of its own.
 */
async function finishedStore(path: string, numbers: number, inFlight: number): Promise<Promised> {
  const promised = nothingPromised();
  const options = {
    ...victimDefaults,
    path,
    inFlight,
    reclaim: false,
    stopAfter: numbers,
    keep: Math.floor(numbers / 4),
  };
  const { code } = await new Victim(options, promised).exited;
  if (code !== 0) throw new Error(`the victim ended with ${code ?? 'a signal'}`);
  return promised;
}

export async function runBitFlips(places: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const directory = mkdtempSync(join(tmpdir(), 'sluice-flips-'));
  const problems: string[] = [];
  const tally = newTally();
  try {
    const healthy = join(directory, 'healthy');
    const promised = await finishedStore(healthy, 1_500, 4);
    const files = filesOf(healthy).filter((name) => statSync(join(healthy, name)).size > 0);
    const bytesOf = (name: string): number => statSync(join(healthy, name)).size;
    const total = files.reduce((sum, name) => sum + bytesOf(name), 0);
    for (let n = 0; n < places; n++) {
      // every other flip by file, or the small ones would never be hit
      const name = n % 2 === 0 ? chance.pick(files) : fileAt(files, bytesOf, chance.below(total));
      const target = join(directory, 'flipped');
      cloneStore(healthy, target, name);
      const bytes = readFileSync(join(target, name));
      const at = chance.below(bytes.length);
      bytes[at]! ^= 1 << chance.below(8);
      writeFileSync(join(target, name), bytes);
      const problem = judge(tally, await checkStore(target, promised), promised);
      if (problem !== null) problems.push(`${name} byte ${at} of ${bytes.length} (seed ${seed}): ${problem}`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  if (tally.unused > places / 2) problems.push(`${tally.unused} flips hit nothing: the test proves little`);
  return { figures: { ...tally, seed }, problems };
}

function fileAt(files: readonly string[], bytesOf: (name: string) => number, position: number): string {
  let left = position;
  return files.find((name) => (left -= bytesOf(name)) < 0)!;
}

/** Every file that is gone, and every write-ahead file cut where a record ends: the engine alone notices neither. */
export async function runMissing(recordCuts: number): Promise<CaseResult> {
  const chance = new SeededChance(newSeed());
  const directory = mkdtempSync(join(tmpdir(), 'sluice-missing-'));
  const problems: string[] = [];
  const gone = newTally();
  const cut = newTally();
  try {
    const target = join(directory, 'damaged');
    const stores = await storesWithWriteAhead(directory);
    for (const { path, promised } of stores) {
      for (const name of filesOf(path)) {
        cloneStore(path, target, name);
        rmSync(join(target, name));
        const problem = judge(gone, await checkStore(target, promised), promised);
        if (problem !== null) problems.push(`without ${name}: ${problem}`);
      }
    }
    const cuts = stores.flatMap(cutsOf);
    for (let n = 0; n < recordCuts && cuts.length > 0; n++) {
      const [{ path, promised, name, size }] = cuts.splice(chance.below(cuts.length), 1) as [Cut];
      cloneStore(path, target, name);
      writeFileSync(join(target, name), readFileSync(join(path, name)).subarray(0, size));
      const problem = judge(cut, await checkStore(target, promised), promised);
      if (problem !== null) problems.push(`${name} cut to ${size} bytes: ${problem}`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  if (cut.lost === 0) problems.push('no cut was detected: the test proves little');
  const figures: Record<string, number> = {};
  for (const [name, count] of Object.entries(gone)) figures[`gone.${name}`] = Number(count);
  for (const [name, count] of Object.entries(cut)) figures[`cut.${name}`] = Number(count);
  return { figures, problems };
}

interface StoppedStore {
  readonly path: string;
  /** What was promised of the writes up to the floor; what lies beyond may be lost without a sign if a file is damaged. */
  readonly promised: Promised;
}

interface Cut extends StoppedStore {
  readonly name: string;
  readonly size: number;
}

const cutsOf = (store: StoppedStore): readonly Cut[] =>
  filesOf(store.path)
    .filter((name) => name.endsWith('.log'))
    .flatMap((name) => {
      const ends = recordEnds(readFileSync(join(store.path, name)), crc32c);
      return [0, ...ends.slice(0, -1)].map((size) => ({ ...store, name, size }));
    });

/** Stores that stopped with two write-ahead files in use, so that the older one is in the middle. */
const twoFileStoresMax = 3;
/** Events of the recorded run between two such stores. */
const eventsBetween = 150;

/** A finished store, and some that stopped with two write-ahead files in use. */
async function storesWithWriteAhead(directory: string): Promise<readonly StoppedStore[]> {
  const finished = join(directory, 'finished');
  const stores: StoppedStore[] = [{ path: finished, promised: await finishedStore(finished, 800, 1) }];
  const promised = nothingPromised();
  let belowFloor = nothingPromised();
  const history = new FileHistory();
  let nextAt = 0;
  for (const [at, event] of (await recordRun(directory, 1_500)).entries()) {
    history.apply(event);
    // the store acknowledges nothing beyond the next group before the floor is there
    if (event.change.kind === 'sync' && event.change.path === 'floor') belowFloor = { ...promised };
    if (event.change.kind !== 'said') continue;
    note(promised, event.change.text);
    if (at < nextAt || belowFloor.acked < 100 || history.filesInUse(/^db\/\d+\.log$/) < 2) continue;
    const path = join(directory, `two-files-${at}`);
    history.materialise(path, 'all', new SeededChance(0));
    stores.push({ path, promised: { ...belowFloor } });
    nextAt = at + eventsBetween;
    if (stores.length > twoFileStoresMax) break;
  }
  if (stores.length < 2) throw new Error('the recorded run never had two write-ahead files in use');
  return stores;
}
