/**
 * What the store does, beside what the disk does: `benchStore` writes through RocksdbStore, `benchFloor` appends the same
 * bytes to a plain file with one fdatasync a group. Run alone: `node --import tsx bench/store.ts [directory]`.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { RocksdbStore } from '../src/log/rocksdb-store.ts';
import type { StoreChange } from '../src/log/store.ts';
import { toBrokerId } from '../src/model/ids.ts';
import { randomUuid } from '../src/model/random.ts';
import { crc32c } from '../src/runtime/crc32c.ts';
import { realClock } from '../src/runtime/real-clock.ts';
import { systemRandom } from '../src/runtime/system-random.ts';

export interface StoreLoad {
  readonly name: string;
  readonly valueBytes: number;
  /** Values in one call of `write`. */
  readonly valuesPerWrite: number;
  /** Calls that wait at the same time. */
  readonly writers: number;
  readonly totalBytes: number;
}

export interface StoreFigures {
  readonly name: string;
  readonly megabytesPerSecond: number;
  readonly valuesPerSecond: number;
  readonly groups: number;
  readonly cpuSecondsPerGigabyte: number;
  /** Time from `write` to durable. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export const storeLoads: readonly StoreLoad[] = [
  { name: '64 KiB x 16 in a write, 1 writer', valueBytes: 65_536, valuesPerWrite: 16, writers: 1, totalBytes: 2e9 },
  { name: '64 KiB x 1, 32 writers', valueBytes: 65_536, valuesPerWrite: 1, writers: 32, totalBytes: 2e9 },
  { name: '64 KiB x 1, 1 writer', valueBytes: 65_536, valuesPerWrite: 1, writers: 1, totalBytes: 2.5e8 },
  { name: '1 KiB x 1, 256 writers', valueBytes: 1_024, valuesPerWrite: 1, writers: 256, totalBytes: 2e8 },
  { name: '100 B x 100, 32 writers', valueBytes: 100, valuesPerWrite: 100, writers: 32, totalBytes: 1e8 },
  { name: '100 B x 1, 1 writer', valueBytes: 100, valuesPerWrite: 1, writers: 1, totalBytes: 2e5 },
];

/** One run on a fresh directory under `parent`. */
export async function benchStore(load: StoreLoad, parent: string = tmpdir()): Promise<StoreFigures> {
  const path = await mkdtemp(join(parent, 'sluice-bench-'));
  const store = await RocksdbStore.open({
    path,
    brokerId: toBrokerId(1),
    clusterId: null,
    mayFound: true,
    newIncarnation: () => randomUuid(systemRandom),
    processNonce: randomUuid(systemRandom),
    crc32c,
    clock: realClock,
    onFault: (fault) => {
      throw fault;
    },
  });
  const before = store.commitNumbers.durable;
  const figures = await measure(load, (changes) => store.write(changes));
  const groups = store.commitNumbers.durable - before;
  await store.close();
  await rm(path, { recursive: true });
  return { ...figures, groups };
}

/** The same bytes in the same groups, appended to a file that is synced after each: what the disk allows. */
export async function benchFloor(load: StoreLoad, parent: string = tmpdir()): Promise<StoreFigures> {
  const path = await mkdtemp(join(parent, 'sluice-bench-'));
  const file = await open(join(path, 'file'), 'w');
  let groups = 0;
  let waiting: { readonly changes: readonly StoreChange[]; readonly done: () => void }[] = [];
  let running = false;
  const run = async (): Promise<void> => {
    running = true;
    await Promise.resolve();
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      await file.writev(
        group.flatMap(({ changes }) => changes.flatMap((c) => (c.kind === 'put' ? [c.key, c.value] : []))),
      );
      await file.datasync();
      groups++;
      for (const { done } of group) done();
    }
    running = false;
  };
  const figures = await measure(load, async (changes) => {
    const written = new Promise<void>((done) => waiting.push({ changes, done }));
    if (!running) void run();
    await written;
  });
  await file.close();
  await rm(path, { recursive: true });
  return { ...figures, groups };
}

async function measure(
  load: StoreLoad,
  write: (changes: readonly StoreChange[]) => Promise<unknown>,
): Promise<Omit<StoreFigures, 'groups'>> {
  const value = systemRandom.bytes(Math.min(65_536, load.valueBytes));
  const writes = Math.ceil(load.totalBytes / (load.valueBytes * load.valuesPerWrite));
  const delaysMs: number[] = [];
  let next = 0;
  let keys = 0;
  const writer = async (): Promise<void> => {
    while (next < writes) {
      next++;
      const changes: StoreChange[] = [];
      for (let n = 0; n < load.valuesPerWrite; n++) changes.push({ kind: 'put', key: keyOf(keys++), value });
      const start = performance.now();
      await write(changes);
      delaysMs.push(performance.now() - start);
    }
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: load.writers }, writer));
  const seconds = (performance.now() - start) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const bytes = writes * load.valuesPerWrite * load.valueBytes;
  delaysMs.sort((a, b) => a - b);
  return {
    name: load.name,
    megabytesPerSecond: bytes / 1e6 / seconds,
    valuesPerSecond: (writes * load.valuesPerWrite) / seconds,
    cpuSecondsPerGigabyte: (user + system) / 1e6 / (bytes / 1e9),
    p50Ms: delaysMs[Math.floor(delaysMs.length * 0.5)]!,
    p99Ms: delaysMs[Math.floor(delaysMs.length * 0.99)]!,
  };
}

function keyOf(number: number): Uint8Array {
  const key = Buffer.allocUnsafe(16);
  key.writeBigUInt64BE(1n, 0);
  key.writeBigUInt64BE(BigInt(number), 8);
  return key;
}

/** The run in the middle of `count`, by rate. */
export async function medianOf<T extends { readonly megabytesPerSecond: number }>(
  count: number,
  run: () => Promise<T>,
): Promise<T> {
  const runs: T[] = [];
  for (let n = 0; n < count; n++) runs.push(await run());
  return runs.sort((a, b) => a.megabytesPerSecond - b.megabytesPerSecond)[Math.floor(count / 2)]!;
}

function line(what: string, figures: StoreFigures): string {
  const { name, megabytesPerSecond, valuesPerSecond, groups, cpuSecondsPerGigabyte, p50Ms, p99Ms } = figures;
  const cells = [
    `${megabytesPerSecond.toFixed(1)} MB/s`,
    `${Math.round(valuesPerSecond)} values/s`,
    `${groups} groups`,
    `${cpuSecondsPerGigabyte.toFixed(1)} CPU s/GB`,
    `p50 ${p50Ms.toFixed(2)} ms`,
    `p99 ${p99Ms.toFixed(2)} ms`,
  ];
  return `${what.padEnd(6)} ${name.padEnd(34)} ${cells.join('  ')}`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const parent = process.argv[2] ?? tmpdir();
  for (const load of storeLoads) {
    console.log(line('floor', await medianOf(3, () => benchFloor(load, parent))));
    console.log(line('store', await medianOf(3, () => benchStore(load, parent))));
  }
}
