/**
 * The storage port: a small ordered key-value store with group commit, one per broker (design D8 to D10). The engine is
 * behind it; one conformance suite (test/conformance/store-suite.ts) holds for every implementation.
 *
 * Invariants, for every implementation:
 * - store-1: a write whose promise resolved survives kill -9 and a power cut.
 * - store-2: writes take effect, and their promises resolve, in the order of the calls; each write is atomic.
 * - store-3: at most one write to the engine is in flight; what is queued meanwhile becomes the next one, synced once.
 * - store-4: after the first failed write or sync nothing is acknowledged any more and `failed` is called once.
 */

/** One change. Keys sort as unsigned bytes. Key and value are owned by the store from the call on. */
export type StoreChange =
  | { readonly kind: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: Uint8Array }
  /** Deletes every key in [from, to). */
  | { readonly kind: 'delete-range'; readonly from: Uint8Array; readonly to: Uint8Array };

export interface StoreEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Keys in [from, to), ascending or, with `reverse`, descending; at most `limit` (1 to 100,000). */
export interface StoreRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly limit: number;
  readonly reverse?: boolean;
}

export interface ValueFiles {
  readonly bytes: number;
  /** Bytes of values that no key refers to any more. */
  readonly garbageBytes: number;
}

/** What the store found when it was opened (design D10). */
export interface StoreRecovery {
  /** `lost`: acknowledged writes are missing; the broker must not vote, lead or acknowledge for any group. */
  readonly state: 'healthy' | 'lost';
  /** Number of the newest write that was recovered. */
  readonly recoveredCommit: number;
  /** Number of the newest write that was known to be synced. */
  readonly floorCommit: number;
}

/** What can be read of a store, now or as it was. */
export interface StoreReads {
  /** One value a key, in order. At most 10,000 keys. */
  getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | null)[]>;
  /** Consistent page of a range. */
  scan(range: StoreRange): Promise<readonly StoreEntry[]>;
}

/**
 * The store as it was at one moment: later writes are not seen. Holds back what the engine would free, so whoever opens
 * views bounds their number and closes them.
 */
export interface StoreView extends StoreReads {
  /** Waits for the reads that run. Nothing is read afterwards. */
  close(): Promise<void>;
}

export interface Store extends StoreReads {
  readonly recovery: StoreRecovery;
  /** Numbers of the newest write that is queued, and of the newest that is durable. */
  readonly commitNumbers: { readonly queued: number; readonly durable: number };
  /**
   * Queues changes; resolves with the number of the engine write that made them durable. Rejects with StoreFault, after
   * which the process must end. At most `queuedBytesMax` may wait: beyond it callers must not admit more (see `queuedBytes`).
   */
  write(changes: readonly StoreChange[]): Promise<number>;
  /** Bytes that wait for the next engine write or are in flight. */
  readonly queuedBytes: number;
  /** Newest value that was *applied* to the engine; a write is visible no later than when its promise resolves. */
  get(key: Uint8Array): Promise<Uint8Array | null>;
  /** What is applied to the engine now, whole writes only; durable or not. */
  view(): StoreView;
  /**
   * Gives back disk space of deleted keys in [from, to); slow, runs beside everything else.
   * @param rewritePart 0 to 1, default 1. 0 gives back files of which nothing is left, and needs hardly any room. Above, the
   *   values that are left in this part of the files, the oldest ones, are moved to new ones, which needs room for as much:
   *   with too little the write fails, and with it the store.
   */
  reclaim(from: Uint8Array, to: Uint8Array, rewritePart?: number): Promise<void>;
  /** The files of large values, as far as the engine knows: what was deleted counts from the next `reclaim` on. */
  valueFiles(): Promise<ValueFiles>;
  /** Waits for what is queued, then closes. */
  close(): Promise<void>;
}

/** The disk failed. The process must end: a failed fsync is never retried (reliability P83). */
export class StoreFault extends Error {
  override readonly name = 'StoreFault';
}

/** Why a data directory can not be opened; `message` is one line that says what to do. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError';
}
