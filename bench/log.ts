/**
 * What the group log adds to the store: appends of sealed entries through group logs beside the same payloads put into the
 * store alone, reads from the tail cache and from disk, and the cost of one append without any store. Run alone:
 * `node --import tsx bench/log.ts [directory]`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GarbageMeter } from '../src/log/garbage-meter.ts';
import { DurableGroupLogs } from '../src/log/group-logs.ts';
import type { GroupHeader, GroupLog } from '../src/log/log.ts';
import { RocksdbStore } from '../src/log/rocksdb-store.ts';
import type { Store, StoreView, ValueFiles } from '../src/log/store.ts';
import { TailCacheBudget } from '../src/log/tail-cache-budget.ts';
import { chainAfter, chainGenesis, type Entry } from '../src/model/entry.ts';
import {
  indexZero,
  nextIndex,
  offsetPlus,
  offsetZero,
  toBrokerId,
  toGroupNumber,
  toLogIndex,
  toMillis,
  toOffset,
  toReplicaId,
  toTerm,
} from '../src/model/ids.ts';
import { randomUuid } from '../src/model/random.ts';
import { crc32c } from '../src/runtime/crc32c.ts';
import { realClock } from '../src/runtime/real-clock.ts';
import { systemRandom } from '../src/runtime/system-random.ts';
import { benchStore, medianOf } from './store.ts';

export interface LogLoad {
  readonly name: string;
  readonly payloadBytes: number;
  readonly groups: number;
  /** Appends of one group that wait at the same time. */
  readonly inflight: number;
  readonly totalBytes: number;
}

export interface LogFigures {
  readonly name: string;
  readonly megabytesPerSecond: number;
  readonly entriesPerSecond: number;
  readonly cpuSecondsPerGigabyte: number;
}

export const logLoads: readonly LogLoad[] = [
  { name: '64 KiB x 1, 4 groups x 8 in flight', payloadBytes: 65_536, groups: 4, inflight: 8, totalBytes: 2e9 },
  { name: '1 KiB x 1, 4 groups x 64 in flight', payloadBytes: 1_024, groups: 4, inflight: 64, totalBytes: 2e8 },
  { name: '100 B x 1, 1 group x 1 in flight', payloadBytes: 100, groups: 1, inflight: 1, totalBytes: 2e5 },
];

const headerOf = (group: number): GroupHeader => ({
  group: toGroupNumber(group),
  kind: 'data',
  clusterId: '00000000-1111-4222-8333-444444444444',
  replicaId: toReplicaId(1),
  genesis: new Uint8Array(0),
});

/** Batches of a new group, sealed beforehand: sealing is the leader's work, not the log's. They share one payload. */
function sealedBatches(header: GroupHeader, count: number, payload: Uint8Array): readonly Entry[] {
  const payloadCrc = crc32c(payload);
  const entries: Entry[] = [];
  let chain = chainGenesis(header, crc32c);
  let index = indexZero;
  let baseOffset = offsetZero;
  for (let n = 0; n < count; n++) {
    index = nextIndex(index);
    const time = toMillis(1_700_000_000_000 + n);
    const term = toTerm(1);
    const batch = { kind: 'batch', count: 64, term, index, baseOffset, payloadCrc, payload } as const;
    const entry = { ...batch, appendTimeMs: time, maxTimestampMs: time, chain: 0 };
    chain = chainAfter(chain, entry, crc32c);
    entries.push({ ...entry, chain });
    baseOffset = offsetPlus(baseOffset, 64);
  }
  return entries;
}

async function timed(name: string, bytes: number, entries: number, run: () => Promise<void>): Promise<LogFigures> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await run();
  const seconds = (performance.now() - start) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    name,
    megabytesPerSecond: bytes / 1e6 / seconds,
    entriesPerSecond: entries / seconds,
    cpuSecondsPerGigabyte: (user + system) / 1e6 / (bytes / 1e9),
  };
}

async function appendAll(log: GroupLog, entries: readonly Entry[], inflight: number): Promise<void> {
  await log.append({
    hardState: { term: toTerm(1), vote: null, commit: log.lastIndex },
    truncateAfter: null,
    entries: [],
  });
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let entry = entries[next++]; entry !== undefined; entry = entries[next++]) {
      const hardState = { term: toTerm(1), vote: null, commit: toLogIndex(Math.max(0, log.lastIndex - inflight)) };
      await log.append({ hardState, truncateAfter: null, entries: [entry] });
    }
  };
  await Promise.all(Array.from({ length: inflight }, lane));
}

/** Appends a load to new groups on `store`; each append carries a hard state, as a leader's does. */
export async function benchAppend(load: LogLoad, store: Store, cacheBytesMax = 256 << 20): Promise<LogFigures> {
  const perGroup = Math.ceil(load.totalBytes / load.payloadBytes / load.groups);
  const payload = systemRandom.bytes(load.payloadBytes);
  const cache = new TailCacheBudget(cacheBytesMax);
  const logs = new DurableGroupLogs({ store, crc32c, cache, garbage: new GarbageMeter() });
  const headers = Array.from({ length: load.groups }, (_, group) => headerOf(group));
  const parts = headers.map((header) => ({ header, entries: sealedBatches(header, perGroup, payload) }));
  const opened = await Promise.all(
    parts.map(async ({ header, entries }) => ({ log: await logs.create(header), entries })),
  );
  const count = perGroup * load.groups;
  return timed(load.name, count * load.payloadBytes, count, async () => {
    await Promise.all(opened.map(({ log, entries }) => appendAll(log, entries, load.inflight)));
  });
}

/** What the log itself costs: the store answers at once and keeps nothing. */
export const benchAppendAlone = (load: LogLoad): Promise<LogFigures> => benchAppend(load, new NoStore(), 16 << 20);

class NoStore implements Store {
  readonly recovery = { state: 'healthy', recoveredCommit: 0, floorCommit: 0 } as const;
  readonly commitNumbers = { queued: 0, durable: 0 };
  readonly queuedBytes = 0;
  #number = 0;
  write(): Promise<number> {
    return Promise.resolve(++this.#number);
  }
  get(): Promise<null> {
    return Promise.resolve(null);
  }
  getMany(keys: readonly Uint8Array[]): Promise<readonly null[]> {
    return Promise.resolve(keys.map(() => null));
  }
  scan(): Promise<readonly never[]> {
    return Promise.resolve([]);
  }
  view(): StoreView {
    return { getMany: (keys) => this.getMany(keys), scan: () => this.scan(), close: () => Promise.resolve() };
  }
  valueFiles(): Promise<ValueFiles> {
    return Promise.resolve({ bytes: 0, garbageBytes: 0 });
  }
  reclaim(): Promise<void> {
    return Promise.resolve();
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Appends on a fresh RocksdbStore under `parent`. */
export const benchAppendOnStore = (load: LogLoad, parent: string = tmpdir()): Promise<LogFigures> =>
  withStore(parent, (store) => benchAppend(load, store));

/** Runs on a fresh RocksdbStore under `parent`. */
async function withStore<T>(parent: string, run: (store: Store) => Promise<T>): Promise<T> {
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
  try {
    return await run(store);
  } finally {
    await store.close();
    await rm(path, { recursive: true });
  }
}

/** Reads a whole log again and again, `bytesMax` at a time. */
async function readAll(log: GroupLog, bytesMax: number, totalBytes: number): Promise<void> {
  let bytes = 0;
  for (let from = toOffset(0); bytes < totalBytes;) {
    const page =
      log.readFromCache(from, log.endOffset, bytesMax) ?? (await log.readFrom(from, log.endOffset, bytesMax));
    for (const entry of page) bytes += entry.payload.length;
    const last = page.at(-1);
    from = last === undefined ? toOffset(0) : offsetPlus(last.baseOffset, last.count);
  }
}

export interface ReadLoad {
  /** Whether the tail cache holds the whole log, or nothing of it. */
  readonly source: 'cache' | 'disk';
  readonly payloadBytes: number;
  readonly logBytes: number;
  /** Read in all, round and round. */
  readonly totalBytes: number;
  /** One call reads so much. */
  readonly bytesMax: number;
}

export const readLoads: readonly ReadLoad[] = [
  { source: 'cache', payloadBytes: 65_536, logBytes: 2e8, totalBytes: 5e11, bytesMax: 65_536 },
  { source: 'cache', payloadBytes: 65_536, logBytes: 2e8, totalBytes: 5e11, bytesMax: 1 << 20 },
  { source: 'disk', payloadBytes: 65_536, logBytes: 5e8, totalBytes: 2e9, bytesMax: 65_536 },
  { source: 'disk', payloadBytes: 65_536, logBytes: 5e8, totalBytes: 2e9, bytesMax: 1 << 20 },
  { source: 'disk', payloadBytes: 1_000, logBytes: 5e7, totalBytes: 1e8, bytesMax: 1 << 20 },
];

export async function benchRead(load: ReadLoad, parent: string = tmpdir()): Promise<LogFigures> {
  const { source, payloadBytes, logBytes, totalBytes, bytesMax } = load;
  return withStore(parent, async (store) => {
    const header = headerOf(1);
    const cache = new TailCacheBudget(source === 'cache' ? logBytes * 2 : 0);
    const logs = new DurableGroupLogs({ store, crc32c, cache, garbage: new GarbageMeter() });
    const log = await logs.create(header);
    const entries = sealedBatches(header, Math.ceil(logBytes / payloadBytes), systemRandom.bytes(payloadBytes));
    await appendAll(log, entries, 16);
    const name = `${payloadBytes} B from ${source}, ${bytesMax >> 10} KiB a read`;
    return timed(name, totalBytes, totalBytes / payloadBytes, () => readAll(log, bytesMax, totalBytes));
  });
}

function line(what: string, figures: LogFigures): string {
  const { name, megabytesPerSecond, entriesPerSecond, cpuSecondsPerGigabyte } = figures;
  const cells = [
    `${megabytesPerSecond.toFixed(1)} MB/s`,
    `${Math.round(entriesPerSecond)} entries/s`,
    `${cpuSecondsPerGigabyte.toFixed(2)} CPU s/GB`,
  ];
  return `${what.padEnd(12)} ${name.padEnd(40)} ${cells.join('  ')}`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const parent = process.argv[2] ?? tmpdir();
  for (const load of logLoads) {
    const { payloadBytes, groups, inflight, totalBytes } = load;
    const alone = {
      name: load.name,
      valueBytes: payloadBytes,
      valuesPerWrite: 1,
      writers: groups * inflight,
      totalBytes,
    };
    const store = await medianOf(3, () => benchStore(alone, parent));
    console.log(line('store alone', { ...store, entriesPerSecond: store.valuesPerSecond }));
    console.log(line('group log', await medianOf(3, () => benchAppendOnStore(load, parent))));
    console.log(line('log alone', await medianOf(3, () => benchAppendAlone(load))));
  }
  for (const load of readLoads) console.log(line('read', await medianOf(3, () => benchRead(load, parent))));
}
