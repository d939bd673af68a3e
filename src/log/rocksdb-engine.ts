/**
 * RocksDB as this project uses it: the one file that names the engine. It knows the traps of the binding and nothing of
 * durability, which rocksdb-store.ts adds.
 *
 * Traps that are stepped around here, each seen in the binding's source:
 * - `blobFileSize` defaults to 0 there, which makes one file of every value.
 * - `compactRange(Buffer, Buffer, options)` takes the second buffer for the options; only strings are safe (see `keyText`).
 * - `currentWalFile().path` points into freed memory; only the number is used.
 * - `flush` of a read batch rejects once more for what each `get` already rejected.
 * - an iterator whose limit equals its capacity makes one empty round trip.
 */
import RocksDB from 'rocksdb-native';
import type { StoreChange, StoreEntry, StoreRange, StoreView } from './store.ts';

export interface EngineSettings {
  /** A memtable, and so one write-ahead file, is closed at this size. */
  readonly writeBufferBytes: number;
  /** Memtables, the one being filled included, before writes are held back. */
  readonly writeBuffersMax: number;
  /** Values from this size on live in blob files; below it, in the tree. */
  readonly blobBytesMin: number;
  /** A blob file is closed at this size. */
  readonly blobFileBytes: number;
  /** Tables and blob files that are held open; the process needs a limit of open files well above it. */
  readonly openFilesMax: number;
  /** Threads for flushes and compactions. */
  readonly backgroundJobsMax: number;
}

export const engineDefaults: EngineSettings = {
  writeBufferBytes: 64 << 20,
  writeBuffersMax: 3,
  blobBytesMin: 4 << 10,
  blobFileBytes: 256 << 20,
  openFilesMax: 2_048,
  backgroundJobsMax: 4,
};

/** Entries that one round trip of an iterator carries. */
const scanCapacityMax = 1_024;

const { garbageCollectionPolicy, bottommostLevelCompaction, walRecoveryMode } = RocksDB.constants;

/** Keys as latin1 strings, byte for byte: the only form of key that `compactRange` takes without losing its options. */
const keyText = {
  preencode(state: { end: number }, text: string): void {
    state.end += text.length;
  },
  encode(state: { start: number; readonly buffer: Uint8Array }, text: string): void {
    state.buffer.set(Buffer.from(text, 'latin1'), state.start);
    state.start += text.length;
  },
  decode(state: { start: number; readonly buffer: Uint8Array }): string {
    return Buffer.from(state.buffer.subarray(state.start)).toString('latin1');
  },
};

const asText = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');

export class RocksdbEngine {
  /** Takes latin1 text for keys; for compactRange alone. */
  readonly #root: RocksDB;
  /** Takes bytes for keys; for everything else. */
  readonly #db: RocksDB;

  private constructor(root: RocksDB) {
    this.#root = root;
    this.#db = root.session({ keyEncoding: null });
  }

  /** Opens or, with `create`, makes the database in `path`. Rejects with the engine's own error. */
  static async open(path: string, create: boolean, settings: EngineSettings): Promise<RocksdbEngine> {
    const root = new RocksDB(path, {
      createIfMissing: create,
      keyEncoding: keyText,
      enableBlobFiles: true,
      minBlobSize: settings.blobBytesMin,
      blobFileSize: settings.blobFileBytes,
      // collected by `compact` alone: in the background it costs a quarter of the write rate (design D9)
      enableBlobGarbageCollection: false,
      writeBufferSize: settings.writeBufferBytes,
      maxWriteBufferNumber: settings.writeBuffersMax,
      maxOpenFiles: settings.openFilesMax,
      maxBackgroundJobs: settings.backgroundJobsMax,
      walRecoveryMode: walRecoveryMode.POINT_IN_TIME,
    });
    await root.ready();
    return new RocksdbEngine(root);
  }

  /** Opens what is there without changing it: the write-ahead files are replayed in memory. It takes no lock. */
  static async openForReading(path: string): Promise<RocksdbEngine> {
    const root = new RocksDB(path, {
      readOnly: true,
      createIfMissing: false,
      keyEncoding: keyText,
      enableBlobFiles: true,
      maxOpenFiles: engineDefaults.openFilesMax,
      walRecoveryMode: walRecoveryMode.POINT_IN_TIME,
    });
    await root.ready();
    return new RocksdbEngine(root);
  }

  /** Hands one atomic batch to the operating system; it is not durable when this resolves. */
  async write(changes: readonly StoreChange[], more: readonly StoreChange[]): Promise<void> {
    const batch = this.#db.write({ capacity: Math.max(1, changes.length + more.length), autoDestroy: true });
    for (const change of changes) addTo(batch, change);
    for (const change of more) addTo(batch, change);
    await batch.flush();
  }

  getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | null)[]> {
    return getMany(this.#db, keys);
  }

  scan(range: StoreRange): Promise<readonly StoreEntry[]> {
    return scan(this.#db, range);
  }

  /** What is in the engine at this moment; it is kept from compactions until the view is closed. */
  view(): StoreView {
    const session = this.#db.session({ snapshot: true });
    return {
      getMany: (keys) => getMany(session, keys),
      scan: (range) => scan(session, range),
      close: () => session.close(),
    };
  }

  /** Writes the memtable to a table, so that its write-ahead file can go. */
  flush(): Promise<void> {
    return this.#db.flush();
  }

  /**
   * Compacts [from, to), so that what was deleted leaves the disk: blob files of which nothing is left. Blobs in the oldest
   * `rewritePart` of the blob files (0 to 1) are copied into new ones, after which nothing is left of the old ones either.
   */
  compact(from: Uint8Array, to: Uint8Array, rewritePart: number): Promise<void> {
    const rewrite = rewritePart > 0;
    return this.#root.compactRange(asText(from), asText(to), {
      exclusive: false,
      blobGarbageCollectionPolicy: rewrite ? garbageCollectionPolicy.FORCE : garbageCollectionPolicy.DISABLE,
      blobGarbageCollectionAgeCutoff: rewritePart,
      bottommostLevelCompaction: rewrite ? bottommostLevelCompaction.FORCE : bottommostLevelCompaction.NONE,
    });
  }

  /** Number of the write-ahead file that the next write goes to. */
  async currentWal(): Promise<number> {
    return (await this.#db.currentWalFile()).number;
  }

  async property(name: string): Promise<string | null> {
    return (await this.#db.getProperty(name)) ?? null;
  }

  /** Waits for what is running. */
  close(): Promise<void> {
    return this.#root.close({ force: true });
  }
}

async function getMany(db: RocksDB, keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | null)[]> {
  if (keys.length === 0) return [];
  const batch = db.read({ capacity: keys.length, autoDestroy: true });
  const values = Promise.all(keys.map((key) => batch.get(key)));
  const [found] = await Promise.all([values, batch.flush()]);
  return found;
}

async function scan(db: RocksDB, range: StoreRange): Promise<readonly StoreEntry[]> {
  const entries: StoreEntry[] = [];
  if (Buffer.compare(range.from, range.to) >= 0) return entries;
  const iterator = db.iterator({
    gte: range.from,
    lt: range.to,
    reverse: range.reverse === true,
    limit: range.limit,
    capacity: Math.min(range.limit + 1, scanCapacityMax),
  });
  for await (const { key, value } of iterator) entries.push({ key, value });
  return entries;
}

function addTo(batch: ReturnType<RocksDB['write']>, change: StoreChange): void {
  switch (change.kind) {
    case 'put':
      batch.tryPut(change.key, change.value);
      return;
    case 'delete':
      batch.tryDelete(change.key);
      return;
    case 'delete-range':
      batch.tryDeleteRange(change.from, change.to);
      return;
  }
}
