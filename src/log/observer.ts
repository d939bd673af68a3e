/**
 * What the store reports; metrics/ measures it. The events of one group commit come in this order, never two groups at a
 * time, so the listener can time them with a clock as fine as it likes.
 */
export interface StoreObserver {
  /** A group commit begins: the engine is handed the write. */
  began?(): void;
  /** The engine has written; the sync of the write-ahead files follows. */
  written?(): void;
  /** The sync is over. */
  synced?(): void;
  /** The group is durable, and its callers are answered. `writes`: callers; `bytes`: of their keys and values. */
  committed?(writes: number, bytes: number): void;
}
