/**
 * The storage port in memory, for tests of everything above it. As asynchronous as the real one, with the same group
 * commit; a test can hold the write in flight, fail it, and ask what a kill or a power cut would have left.
 */
import { CommitQueue, type CommitQueueLimits } from '../../src/log/commit-queue.ts';
import {
  StoreFault,
  type Store,
  type StoreChange,
  type StoreEntry,
  type StoreRange,
  type StoreRecovery,
  type StoreView,
  type ValueFiles,
} from '../../src/log/store.ts';

export interface MemoryStoreOptions extends Partial<CommitQueueLimits> {
  /** Called once, at the first failed write. */
  readonly onFault?: (fault: StoreFault) => void;
  /** What the store says it found; for tests of a broker that lost writes. */
  readonly recovery?: StoreRecovery;
}

const emptyRecovery: StoreRecovery = { state: 'healthy', recoveredCommit: 0, floorCommit: 0 };
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Sorted pairs in arrays: test-sized. */
class SortedPairs {
  readonly #entries: StoreEntry[];

  constructor(entries: readonly StoreEntry[] = []) {
    this.#entries = [...entries];
  }

  get entries(): readonly StoreEntry[] {
    return this.#entries;
  }

  /** Position of the first entry whose key is not below `key`. */
  lowerBound(key: Uint8Array): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.#entries[middle]!.key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  get(key: Uint8Array): Uint8Array | null {
    const entry = this.#entries[this.lowerBound(key)];
    return entry !== undefined && Buffer.compare(entry.key, key) === 0 ? entry.value : null;
  }

  range(from: Uint8Array, to: Uint8Array): readonly StoreEntry[] {
    return this.#entries.slice(this.lowerBound(from), this.lowerBound(to));
  }

  apply(change: StoreChange): void {
    switch (change.kind) {
      case 'put': {
        const at = this.lowerBound(change.key);
        this.#entries.splice(at, this.get(change.key) === null ? 0 : 1, { key: change.key, value: change.value });
        return;
      }
      case 'delete':
        if (this.get(change.key) !== null) this.#entries.splice(this.lowerBound(change.key), 1);
        return;
      case 'delete-range': {
        const at = this.lowerBound(change.from);
        this.#entries.splice(at, Math.max(0, this.lowerBound(change.to) - at));
        return;
      }
    }
  }
}

function pageOf(pairs: SortedPairs, range: StoreRange): readonly StoreEntry[] {
  const found = pairs.range(range.from, range.to);
  return (range.reverse === true ? [...found].reverse() : found).slice(0, range.limit);
}

export class MemoryStore implements Store {
  readonly recovery: StoreRecovery;
  readonly #options: MemoryStoreOptions;
  readonly #queue: CommitQueue;
  readonly #applied: SortedPairs;
  readonly #durable: SortedPairs;
  #durableCommit: number;
  #fault: StoreFault | null = null;
  #closed = false;
  #running: Promise<void> | null = null;
  #gate: { readonly opened: Promise<void>; readonly open: () => void } | null = null;
  #failNext: Error | null = null;

  constructor(options: MemoryStoreOptions = {}, entries: readonly StoreEntry[] = []) {
    this.#options = options;
    this.recovery = options.recovery ?? emptyRecovery;
    this.#durableCommit = this.recovery.recoveredCommit;
    this.#queue = new CommitQueue(
      {
        groupBytesMax: options.groupBytesMax ?? 8 << 20,
        groupChangesMax: options.groupChangesMax ?? 50_000,
        queuedBytesMax: options.queuedBytesMax ?? 256 << 20,
      },
      this.recovery.recoveredCommit,
    );
    this.#applied = new SortedPairs(entries);
    this.#durable = new SortedPairs(entries);
  }

  // What only tests can do.

  /** From now on writes are applied (readable) but do not become durable until `release`. */
  hold(): void {
    if (this.#gate !== null) return;
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    this.#gate = { opened, open };
  }

  /** Lets the write that is held become durable, and all later ones. */
  release(): void {
    this.#gate?.open();
    this.#gate = null;
  }

  /** The write in flight, or the next one, fails as if the disk had; nothing is acknowledged from then on. */
  failNext(reason: Error = new Error('injected')): void {
    this.#failNext = reason;
    this.release();
  }

  /** Waits until the engine write that is queued now has been applied and stands at the sync. */
  async untilApplied(): Promise<void> {
    while (!this.#queue.isOut && !this.#queue.isEmpty) await nextTurn();
    await nextTurn();
  }

  /** A new store with what a power cut leaves now: only what is durable. This one answers nothing any more. */
  powerCut(options: MemoryStoreOptions = {}): MemoryStore {
    return this.#successor(this.#durable, this.#durableCommit, options);
  }

  /** A new store with what kill -9 leaves now: all that was applied. This one answers nothing any more. */
  kill(options: MemoryStoreOptions = {}): MemoryStore {
    const inFlight = this.#queue.isOut
      ? this.commitNumbers.queued - (this.#queue.isEmpty ? 0 : 1)
      : this.#durableCommit;
    return this.#successor(this.#applied, inFlight, options);
  }

  /** All pairs that are readable now, in order. */
  get entries(): readonly StoreEntry[] {
    return this.#applied.entries;
  }

  #successor(pairs: SortedPairs, commit: number, options: MemoryStoreOptions): MemoryStore {
    this.#closed = true;
    this.hold();
    const recovery: StoreRecovery = { state: 'healthy', recoveredCommit: commit, floorCommit: this.#durableCommit };
    return new MemoryStore({ ...this.#options, recovery, ...options }, pairs.entries);
  }

  // The port.

  get commitNumbers(): { readonly queued: number; readonly durable: number } {
    return { queued: this.#queue.newestCommit, durable: this.#durableCommit };
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  async write(changes: readonly StoreChange[]): Promise<number> {
    this.#check();
    const written = this.#queue.push(changes);
    this.#running ??= this.#run();
    return written;
  }

  async get(key: Uint8Array): Promise<Uint8Array | null> {
    this.#check();
    await nextTurn();
    return this.#applied.get(key);
  }

  async getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | null)[]> {
    this.#check();
    await nextTurn();
    return keys.map((key) => this.#applied.get(key));
  }

  async scan(range: StoreRange): Promise<readonly StoreEntry[]> {
    this.#check();
    await nextTurn();
    return pageOf(this.#applied, range);
  }

  view(): StoreView {
    this.#check();
    const pairs = new SortedPairs(this.#applied.entries);
    let closed = false;
    const whileOpen = async (): Promise<void> => {
      if (closed) throw new Error('The view is closed.');
      this.#check();
      await nextTurn();
    };
    return {
      getMany: async (keys) => {
        await whileOpen();
        return keys.map((key) => pairs.get(key));
      },
      scan: async (range) => {
        await whileOpen();
        return pageOf(pairs, range);
      },
      close: async () => {
        closed = true;
        await nextTurn();
      },
    };
  }

  async reclaim(): Promise<void> {
    this.#check();
    await nextTurn();
  }

  async valueFiles(): Promise<ValueFiles> {
    this.#check();
    await nextTurn();
    return { bytes: 0, garbageBytes: 0 };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  #check(): void {
    if (this.#fault !== null) throw this.#fault;
    if (this.#closed) throw new StoreFault('The store is closed.');
  }

  async #run(): Promise<void> {
    await nextTurn();
    for (let group = this.#queue.takeGroup(); group !== null; group = this.#queue.takeGroup()) {
      for (const change of group.changes) this.#applied.apply(change);
      await nextTurn();
      while (this.#gate !== null) await this.#gate.opened;
      if (this.#failNext !== null) {
        this.#fail(this.#failNext);
        return;
      }
      for (const change of group.changes) this.#durable.apply(change);
      this.#durableCommit = group.commit;
      this.#queue.settle();
      await nextTurn();
    }
    this.#running = null;
  }

  #fail(cause: Error): void {
    this.#fault = new StoreFault('A write failed.', { cause });
    this.#running = null;
    this.#queue.fail(this.#fault);
    this.#options.onFault?.(this.#fault);
  }
}
