/** Opens a directory as the broker would and compares all of it with what was promised. */
import { LogCorruption } from '../../../src/log/reader.ts';
import { StoreFault, StoreOpenError, type Store } from '../../../src/log/store.ts';
import { openStore } from './open-store.ts';
import { dataRange, keyOf, numberOf, trimKey, valueOf } from './records.ts';
import type { Promised } from './victim-process.ts';

export interface StoreFindings {
  /** `refused`: it did not open, and said why; `ended`: the engine met the damage by itself, and the process ends. */
  readonly opened: 'healthy' | 'lost' | 'refused' | 'ended';
  /** Reads that rejected instead of serving damage. */
  readonly rejectedReads: number;
  /** Acknowledged numbers that are not there. */
  readonly lost: number;
  /** Numbers whose value is not what was written. */
  readonly wrong: number;
  /** Numbers that are there without the ones before them, or that were deleted. */
  readonly misplaced: number;
  readonly present: number;
  /** Writes that the recovery found beyond the floor. */
  readonly beyondFloor: number;
  readonly message: string;
}

interface Rejections {
  rejectedReads: number;
  wrong: number;
}

type Findings = { -readonly [Name in Exclude<keyof StoreFindings, 'opened' | 'message'>]: number };

const nothingFound: Findings = { rejectedReads: 0, lost: 0, wrong: 0, misplaced: 0, present: 0, beyondFloor: 0 };
const pageEntriesMax = 256;

/** Opens, reads everything, closes. The next opening starts from what this one made durable. */
export async function checkStore(path: string, promised: Promised): Promise<StoreFindings> {
  let store;
  try {
    store = await openStore(path, { engine: { writeBufferBytes: 1 << 20 }, onFault: () => undefined });
  } catch (error) {
    if (!(error instanceof StoreOpenError)) throw error;
    return { ...nothingFound, opened: 'refused', lost: promised.acked + 1, message: error.message };
  }
  const { state, recoveredCommit, floorCommit } = store.recovery;
  const found = { ...nothingFound, beyondFloor: recoveredCommit - floorCommit };
  try {
    await compare(store, promised, found);
    return { ...found, opened: state, message: '' };
  } catch (error) {
    if (!(error instanceof StoreFault)) throw error;
    return { ...found, opened: 'ended', message: error.message };
  } finally {
    await store.close();
  }
}

async function compare(store: Store, promised: Promised, found: Findings): Promise<void> {
  const trimmed = (await readTrim(store, found)) ?? promised.trimmed;
  const seen = await readAll(store, found, trimmed, promised.acked);
  const numbers = [...seen].sort((a, b) => a - b);
  const last = Math.max(promised.acked, numbers.at(-1) ?? -1);
  for (let number = trimmed; number <= last; number++) {
    if (seen.has(number)) continue;
    if (number <= promised.acked) found.lost++;
    else if (number < last) found.misplaced++;
  }
  if (trimmed < promised.trimmed) found.lost++;
  found.misplaced += numbers.filter((number) => number < trimmed).length;
  found.present = numbers.length;
}

/** Null if it can not be read. */
async function readTrim(store: Store, found: Rejections): Promise<number | null> {
  const before = found.rejectedReads;
  const value = await rejectable(store.get(trimKey), found);
  if (value === null) return found.rejectedReads > before ? null : 0;
  return Number(Buffer.from(value).readBigUInt64BE());
}

/** Numbers that are there. Those that can not be read count as there: the store does not deny them. */
async function readAll(store: Store, found: Rejections, lowest: number, acked: number): Promise<ReadonlySet<number>> {
  const seen = new Set<number>();
  let from: Uint8Array = dataRange.from;
  for (;;) {
    const page = await rejectable(store.scan({ from, to: dataRange.to, limit: pageEntriesMax }), found);
    if (page === null) return readOneByOne(store, found, lowest, acked);
    for (const { key, value } of page) {
      seen.add(numberOf(key));
      if (Buffer.compare(value, valueOf(numberOf(key))) !== 0) found.wrong++;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageEntriesMax) return seen;
    from = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

/** A page was rejected: whatever else was acknowledged must be rejected too, or be right. */
async function readOneByOne(
  store: Store,
  found: Rejections,
  lowest: number,
  acked: number,
): Promise<ReadonlySet<number>> {
  const seen = new Set<number>();
  for (let number = lowest; number <= acked; number++) {
    const before = found.rejectedReads;
    const value = await rejectable(store.get(keyOf(number)), found);
    if (value === null && found.rejectedReads === before) continue;
    seen.add(number);
    if (value !== null && Buffer.compare(value, valueOf(number)) !== 0) found.wrong++;
  }
  return seen;
}

async function rejectable<T>(read: Promise<T>, found: Rejections): Promise<T | null> {
  try {
    return await read;
  } catch (error) {
    if (!(error instanceof LogCorruption)) throw error;
    found.rejectedReads++;
    return null;
  }
}
