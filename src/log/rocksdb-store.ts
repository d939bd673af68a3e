/**
 * The real store: RocksDB with the durability that its binding lacks (design D8 to D10). One write to the engine is in
 * flight; after it the live write-ahead files are synced, and only then its callers are answered. The durable floor
 * trails by one group under load and catches up at once when nothing waits.
 *
 * Invariants beside those of the port (store.ts):
 * - store-5: callers admit before they write; what waits never exceeds queuedBytesMax.
 * - store-6: keys that begin with 0xff belong to the store itself (commit-ledger.ts).
 * - store-7: a store that was found at its opening to have lost acknowledged writes is read-only for good.
 */
import type { BrokerId } from '../model/ids.ts';
import type { Clock, Timer } from '../model/clock.ts';
import type { Crc32c } from '../model/crc32c.ts';
import { assert, must } from '../model/assert.ts';
import { CommitLedger, decodeOrigin, MarkCheck, markRange, originKey } from './commit-ledger.ts';
import { CommitQueue, reservedPrefix, type CommitGroup, type CommitQueueLimits } from './commit-queue.ts';
import { DataDirectory, type Identity, type Start } from './data-directory.ts';
import { makeRoomToRecover, type EngineSpace } from './disk-reserve.ts';
import { syncDirectory } from './durable-files.ts';
import { DurableFloor, readFloor } from './durable-floor.ts';
import { cutTornManifest } from './rocksdb-manifest.ts';
import type { StoreObserver } from './observer.ts';
import { LogCorruption } from './reader.ts';
import { engineDefaults, RocksdbEngine, type EngineSettings } from './rocksdb-engine.ts';
import { StoreFault, StoreOpenError, type Store, type StoreChange, type StoreEntry } from './store.ts';
import type { StoreRange, StoreRecovery, StoreView, ValueFiles } from './store.ts';
import { LiveWalSync, type WalSync } from './wal-sync.ts';

export interface RocksdbStoreOptions {
  /** The data directory, see data-directory.ts. */
  readonly path: string;
  readonly brokerId: BrokerId;
  /** UUID of the cluster this broker is configured for; null if any will do. */
  readonly clusterId: string | null;
  /** Whether an empty directory may be taken into use as a new incarnation. */
  readonly mayFound: boolean;
  readonly newIncarnation: () => string;
  /** UUID of this process, drawn anew by every one: it is kept with the start (design D4). */
  readonly processNonce: string;
  readonly crc32c: Crc32c;
  readonly clock: Clock;
  /**
   * Called once, when the disk failed: end the process, whatever else is going on. Best by SIGKILL to itself, because
   * process.exit runs the engine's shutdown, which waits a second or more for the disk that failed.
   */
  readonly onFault: (fault: StoreFault) => void;
  readonly limits?: Partial<StoreLimits>;
  readonly observer?: StoreObserver;
  readonly engine?: Partial<EngineSettings>;
  /** What syncs the write-ahead files; tests put something weaker here to see the loss. */
  readonly openWalSync?: (databasePath: string, currentWal: () => Promise<number>) => WalSync;
}

export interface StoreLimits extends CommitQueueLimits {
  /** Marks that may pile up before a flush makes room to delete them; bounds the time to open. */
  readonly marksMax: number;
}

export const storeLimits: StoreLimits = {
  groupBytesMax: 8 << 20,
  groupChangesMax: 50_000,
  queuedBytesMax: 256 << 20,
  marksMax: 16_384,
};

/**
 * What compactions take at most until they are done. One reads up to 25 tables of 64 MiB (the engine's default, which the
 * binding can not change), and more than one such at a time is rare.
 */
const compactionBytesMax = 2 * 2 ** 30;
/** How often the engine is asked for errors of its background threads when nothing is written. */
const healthCheckMs = 1_000;
const recoveryPageMax = 10_000;

interface Parts {
  readonly directory: DataDirectory;
  readonly engine: RocksdbEngine;
  readonly floor: DurableFloor;
  readonly walSync: WalSync;
  readonly ledger: CommitLedger;
  readonly recovery: StoreRecovery;
  readonly starts: readonly Start[];
}

export class RocksdbStore implements Store {
  readonly recovery: StoreRecovery;
  /** Number of this start of the data directory, from 1 (design D4). */
  readonly bootNumber: number;
  /** UUID of this process. */
  readonly processNonce: string;
  /** The starts before it that are kept, the newest last. */
  readonly earlierStarts: readonly Start[];
  readonly #directory: DataDirectory;
  readonly #engine: RocksdbEngine;
  readonly #floor: DurableFloor;
  readonly #walSync: WalSync;
  readonly #ledger: CommitLedger;
  readonly #limits: StoreLimits;
  readonly #queue: CommitQueue;
  readonly #clock: Clock;
  readonly #observer: StoreObserver;
  readonly #onFault: (fault: StoreFault) => void;
  /** Number of the newest synced write. Invariant: never falls. */
  #durable: number;
  /** The loop that writes groups; null while nothing waits. */
  #running: Promise<void> | null = null;
  /** Compactions run one after the other: each holds a thread of the pool for as long as it takes. */
  #reclaiming: Promise<void> = Promise.resolve();
  /** Whether a flush is on its way that lets marks be deleted. */
  #flushing = false;
  #fault: StoreFault | null = null;
  #closed = false;
  #healthTimer: Timer | null = null;

  private constructor(parts: Parts, options: RocksdbStoreOptions) {
    this.recovery = parts.recovery;
    const start = must(parts.starts.at(-1), 'directory-3: a start is kept once it is counted');
    this.bootNumber = start.bootNumber;
    this.processNonce = start.processNonce;
    this.earlierStarts = parts.starts.slice(0, -1);
    this.#directory = parts.directory;
    this.#engine = parts.engine;
    this.#floor = parts.floor;
    this.#walSync = parts.walSync;
    this.#ledger = parts.ledger;
    this.#clock = options.clock;
    this.#observer = options.observer ?? {};
    this.#onFault = options.onFault;
    this.#durable = parts.recovery.recoveredCommit;
    this.#limits = { ...storeLimits, ...options.limits };
    this.#queue = new CommitQueue(this.#limits, this.#durable);
  }

  /**
   * Opens or founds the store in a data directory. When it resolves, all that was recovered is durable and the floor
   * says so. Rejects with StoreOpenError, whose message is one line that says what to do.
   */
  static async open(options: RocksdbStoreOptions): Promise<RocksdbStore> {
    const directory = await DataDirectory.open(options);
    await makeRoomToRecover(directory.path, directory.ballastPath);
    const floor = await openFloor(directory, options.crc32c);
    let engine: RocksdbEngine | null = null;
    let walSync: WalSync | null = null;
    try {
      const opened = (engine = await openEngine(directory, { ...engineDefaults, ...options.engine }, options.crc32c));
      const makeWalSync = options.openWalSync ?? ((path, currentWal) => new LiveWalSync(path, currentWal));
      walSync = makeWalSync(directory.databasePath, () => opened.currentWal());
      const recovered = await recover(directory, engine, floor, walSync);
      const { recoveredCommit } = recovered.recovery;
      const starts = await directory.countBoot({ processNonce: options.processNonce, recoveredCommit });
      const store = new RocksdbStore({ directory, engine, floor, walSync, starts, ...recovered }, options);
      store.#scheduleHealthCheck();
      return store;
    } catch (error) {
      await walSync?.close();
      await engine?.close();
      await floor.close();
      throw error;
    }
  }

  /** Who this directory belongs to. */
  get identity(): Identity {
    return this.#directory.identity;
  }

  /** Binds the directory to the cluster this broker has founded or joined; once. */
  bindCluster(clusterId: string): Promise<void> {
    return this.#directory.bindCluster(clusterId);
  }

  get commitNumbers(): { readonly queued: number; readonly durable: number } {
    return { queued: this.#queue.newestCommit, durable: this.#durable };
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  async write(changes: readonly StoreChange[]): Promise<number> {
    this.#checkUsable();
    if (this.recovery.state === 'lost') throw new StoreFault('This store lost acknowledged writes and takes no more.');
    const written = this.#queue.push(changes);
    this.#running ??= this.#run();
    return written;
  }

  /**
   * Another broker knows that this disk is an old copy (design D4): resolves once every later opening says `lost`, whatever
   * state `recovery` has. This one takes writes until it is closed, which promise nothing to anybody: the caller has
   * set all groups apart.
   */
  async markLost(): Promise<void> {
    this.#checkUsable();
    try {
      await this.#floor.markLost();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  async get(key: Uint8Array): Promise<Uint8Array | null> {
    const [value] = await this.getMany([key]);
    return value ?? null;
  }

  async getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | null)[]> {
    this.#checkUsable();
    return reading(this.#engine.getMany(keys));
  }

  async scan(range: StoreRange): Promise<readonly StoreEntry[]> {
    this.#checkUsable();
    return reading(this.#engine.scan(withoutReserved(range)));
  }

  view(): StoreView {
    this.#checkUsable();
    const view = this.#engine.view();
    const whileOpen = async <T>(read: () => Promise<T>): Promise<T> => {
      this.#checkUsable();
      return reading(read());
    };
    return {
      getMany: (keys) => whileOpen(() => view.getMany(keys)),
      scan: (range) => whileOpen(() => view.scan(withoutReserved(range))),
      close: () => view.close(),
    };
  }

  async reclaim(from: Uint8Array, to: Uint8Array, rewritePart = 1): Promise<void> {
    this.#checkUsable();
    const done = this.#reclaiming.then(async () => {
      this.#checkUsable();
      await this.#engine.compact(from, to, rewritePart);
    });
    this.#reclaiming = done.catch(() => undefined); // its caller is told, and the next one starts either way
    await done;
  }

  async valueFiles(): Promise<ValueFiles> {
    this.#checkUsable();
    const bytes = await this.#number('rocksdb.live-blob-file-size');
    return { bytes, garbageBytes: await this.#number('rocksdb.live-blob-file-garbage-size') };
  }

  /** What compactions may take from the disk for a while; nothing any more once the store is closed. */
  async engineSpace(): Promise<EngineSpace> {
    if (this.#closed || this.#fault !== null) return { compactionBytes: 0, isCompacting: false };
    const tableBytes = await this.#number('rocksdb.live-sst-files-size');
    const isCompacting = (await this.#number('rocksdb.num-running-compactions')) > 0;
    return { compactionBytes: Math.min(compactionBytesMax, tableBytes), isCompacting };
  }

  async #number(property: string): Promise<number> {
    return Number(await this.#engine.property(property));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#healthTimer?.cancel();
    await this.#running;
    await this.#reclaiming;
    await this.#walSync.close();
    await this.#floor.close();
    await this.#engine.close();
  }

  #checkUsable(): void {
    if (this.#fault !== null) throw this.#fault;
    if (this.#closed) throw new StoreFault('The store is closed.');
  }

  /** Writes groups until nothing waits (store-3). */
  async #run(): Promise<void> {
    await Promise.resolve(); // all that the caller writes in this turn becomes one group
    try {
      for (let group = this.#queue.takeGroup(); group !== null; group = this.#queue.takeGroup()) {
        await this.#commit(group);
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#running = null;
    if (this.#fault === null) this.#raiseFloorAlone();
  }

  /** store-1: a group is answered after the write, the sync, and a floor that trails by no more than this group. */
  async #commit(group: CommitGroup): Promise<void> {
    this.#observer.began?.();
    const floorRaised = this.#floor.raise(this.#durable);
    const written = this.#engine.write(group.changes, this.#ledger.changesFor(group.commit));
    await Promise.all([floorRaised, written.then(() => this.#sync(group.commit))]);
    await this.#checkEngine();
    assert(group.commit === this.#durable + 1, 'store-2: writes become durable in order', `${group.commit}`);
    this.#durable = group.commit;
    this.#observer.committed?.(group.writes, group.bytes);
    this.#queue.settle();
  }

  async #sync(commit: number): Promise<void> {
    this.#observer.written?.();
    const { created, live } = await this.#walSync.sync();
    this.#observer.synced?.();
    for (const file of created) this.#ledger.sawFile(file, commit);
    if (live !== null) this.#ledger.liveFiles(live);
    else if (commit - this.#ledger.lowest > this.#limits.marksMax) this.#flushForMarks();
  }

  /** Small writes only: the write-ahead file would live on for hours, and the marks with it. */
  #flushForMarks(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#engine
      .flush()
      .then(async () => this.#ledger.liveFiles(await this.#walSync.live()))
      .catch((error: unknown) => this.#fail(error))
      .finally(() => (this.#flushing = false));
  }

  #raiseFloorAlone(): void {
    this.#floor.raise(this.#durable).catch((error: unknown) => this.#fail(error));
  }

  /** The engine retries failed background writes by itself, which must not be: the first one ends the process. */
  async #checkEngine(): Promise<void> {
    const errors = await this.#engine.property('rocksdb.background-errors');
    if (errors !== '0') throw new Error(`The engine reports ${errors ?? 'no number of'} background errors.`);
  }

  #scheduleHealthCheck(): void {
    this.#healthTimer = this.#clock.setTimer(healthCheckMs, () => {
      this.#checkEngine().then(
        () => {
          if (!this.#closed) this.#scheduleHealthCheck();
        },
        (error: unknown) => this.#fail(error),
      );
    });
  }

  /** store-4. */
  #fail(cause: unknown): void {
    if (this.#fault !== null) return;
    if (this.#closed && !this.#queue.isOut) return; // nothing is promised any more
    const detail = cause instanceof Error ? describe(cause) : String(cause);
    this.#fault = new StoreFault(`The disk under ${this.#directory.path} failed: ${detail}`, { cause });
    this.#healthTimer?.cancel();
    this.#queue.fail(this.#fault);
    this.#onFault(this.#fault);
  }
}

/** store-6. */
function withoutReserved(range: StoreRange): StoreRange {
  const reserved = Uint8Array.of(reservedPrefix);
  return Buffer.compare(range.to, reserved) > 0 ? { ...range, to: reserved } : range;
}

/** The binding wraps the engine's message in the cause. */
function describe(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** A read that fails speaks of some bytes, not of the whole disk: the group above is quarantined (design D7). */
async function reading<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw new LogCorruption(`The engine can not read: ${error instanceof Error ? describe(error) : String(error)}`, {
      cause: error,
    });
  }
}

async function openFloor(directory: DataDirectory, crc32c: Crc32c): Promise<DurableFloor> {
  const { path, floorPath, identity } = directory;
  const reading = await readFloor(floorPath, crc32c);
  switch (reading.kind) {
    case 'floor':
      if (reading.floor.incarnation !== identity.incarnation) {
        throw new StoreOpenError(
          `The floor in ${path} is of another data directory: put the right one back, or replace this broker.`,
        );
      }
      return DurableFloor.open(floorPath, reading.floor, crc32c);
    case 'missing':
    case 'unreadable': {
      if (!directory.isFounding) {
        throw new StoreOpenError(
          `The durable floor in ${path} is ${reading.kind}, so nobody can tell what this broker lost: replace this broker through the catalog.`,
        );
      }
      const floor = await DurableFloor.create(floorPath, identity.incarnation, crc32c);
      await syncDirectory(path);
      return floor;
    }
  }
}

async function openEngine(directory: DataDirectory, settings: EngineSettings, crc32c: Crc32c): Promise<RocksdbEngine> {
  const open = (): Promise<RocksdbEngine> => RocksdbEngine.open(directory.databasePath, directory.isFounding, settings);
  try {
    return await open();
  } catch (error) {
    if (isLocked(error)) throw engineError(directory, error);
    if (!(await cutTornManifest(directory.databasePath, crc32c))) throw engineError(directory, error);
  }
  try {
    return await open();
  } catch (error) {
    throw engineError(directory, error);
  }
}

/** For reading alone, while no broker runs there. Rejects with StoreOpenError. */
export async function openForReading(path: string, databasePath: string): Promise<RocksdbEngine> {
  try {
    return await RocksdbEngine.openForReading(databasePath);
  } catch (error) {
    throw engineError({ path }, error);
  }
}

/** The engine names its LOCK file when another process holds it. */
const isLocked = (error: unknown): boolean => error instanceof Error && error.message.includes('/LOCK: ');

function engineError({ path }: Pick<DataDirectory, 'path'>, error: unknown): StoreOpenError {
  const because = { cause: error };
  const detail = error instanceof Error ? describe(error) : String(error);
  if (isLocked(error)) {
    return new StoreOpenError(
      `The data directory ${path} is in use by another process: stop it, or give this broker its own path.`,
      because,
    );
  }
  if (detail.includes('No space left on device')) {
    return new StoreOpenError(`The disk under ${path} is full: give it more space, then start again.`, because);
  }
  return new StoreOpenError(
    `The store in ${path} can not be opened (${detail}): keep the files and replace this broker through the catalog.`,
    because,
  );
}

/** Finds out what survived, makes it durable, and raises the floor to it: nothing is sent or acknowledged before that. */
async function recover(
  directory: DataDirectory,
  engine: RocksdbEngine,
  floor: DurableFloor,
  walSync: WalSync,
): Promise<Pick<Parts, 'ledger' | 'recovery'>> {
  const { incarnation } = directory.identity;
  if (directory.isFounding) await writeOrigin(directory, engine, walSync);
  const { newest, lowest, complete } = await readMarks(engine, incarnation).catch((error: unknown) => {
    throw engineError(directory, error);
  });
  const floorCommit = floor.floor.commit;
  const healthy = complete && newest >= floorCommit && floor.floor.state === 'healthy';
  const ledger = new CommitLedger(incarnation, lowest);
  const { created, live } = await walSync.sync();
  // what was recovered is in tables by now; an older file that is still there is only not deleted yet
  for (const file of created) ledger.sawFile(file, file === created.at(-1) ? newest + 1 : lowest);
  if (live !== null) ledger.liveFiles(live);
  if (healthy) await floor.raise(newest);
  else await floor.markLost();
  if (directory.isFounding) await directory.completeFounding();
  return { ledger, recovery: { state: healthy ? 'healthy' : 'lost', recoveredCommit: newest, floorCommit } };
}

/** The first write of a new store. An interrupted founding may have made it already. */
async function writeOrigin(directory: DataDirectory, engine: RocksdbEngine, walSync: WalSync): Promise<void> {
  const [origin] = await engine.getMany([originKey]);
  if (origin === null) await engine.write([], new CommitLedger(directory.identity.incarnation, 1).firstChanges());
  await walSync.sync();
  await syncDirectory(directory.path);
}

/** The newest write with nothing missing before it, the lowest that must be there, and whether all between are. */
export async function readMarks(
  engine: RocksdbEngine,
  incarnation: string,
): Promise<{ readonly newest: number; readonly lowest: number; readonly complete: boolean }> {
  const [value] = await engine.getMany([originKey]);
  const origin = value === undefined || value === null ? null : decodeOrigin(value);
  if (origin?.incarnation !== incarnation.replaceAll('-', '')) return { newest: 0, lowest: 1, complete: false };
  const check = new MarkCheck(origin.lowest);
  let from = markRange.from;
  for (;;) {
    const page = await engine.scan({ from, to: markRange.to, limit: recoveryPageMax });
    for (const { key } of page) check.see(key);
    const last = page.at(-1);
    if (last === undefined || page.length < recoveryPageMax) break;
    from = Buffer.concat([last.key, Uint8Array.of(0)]);
  }
  return { newest: check.newest, lowest: origin.lowest, complete: check.isComplete };
}
