/**
 * What waits for the next engine write. Group commit (design D8): while one write is in flight, everything that
 * arrives queues here and becomes the next one.
 *
 * Invariants:
 * - commit-queue-1: groups are taken, and settled, in the order of the calls; a caller's changes are never split.
 * - commit-queue-2: at most one group is out.
 */
import { assert } from '../model/assert.ts';
import type { StoreChange } from './store.ts';

interface Waiting {
  readonly changes: readonly StoreChange[];
  readonly bytes: number;
  readonly resolve: (commit: number) => void;
  readonly reject: (fault: Error) => void;
}

/** One engine write: the changes of all callers that were merged into it. */
export interface CommitGroup {
  readonly commit: number;
  readonly changes: readonly StoreChange[];
  readonly bytes: number;
  /** Callers whose changes it carries. */
  readonly writes: number;
}

export interface CommitQueueLimits {
  /** A group is closed once it holds this many bytes of keys and values; one caller's changes may exceed it alone. */
  readonly groupBytesMax: number;
  /** A group is closed once it holds this many changes. */
  readonly groupChangesMax: number;
  /** Bytes that may wait or be in flight; callers admit before they write, so more is a defect. */
  readonly queuedBytesMax: number;
}

/** First byte of the keys that belong to the store itself (store-6). */
export const reservedPrefix = 0xff;

/** Bytes that the engine adds to each change, roughly; keeps a flood of tiny changes inside the limits. */
const changeOverheadBytes = 32;

function changeBytes(change: StoreChange): number {
  switch (change.kind) {
    case 'put':
      return change.key.length + change.value.length + changeOverheadBytes;
    case 'delete':
      return change.key.length + changeOverheadBytes;
    case 'delete-range':
      return change.from.length + change.to.length + changeOverheadBytes;
  }
}

function isAllowed(change: StoreChange): boolean {
  if (change.kind !== 'delete-range') return change.key[0] !== reservedPrefix;
  return change.to[0] !== reservedPrefix || change.to.length === 1;
}

export class CommitQueue {
  readonly #limits: CommitQueueLimits;
  #waiting: Waiting[] = [];
  #head = 0;
  #out: Waiting[] = [];
  #outBytes = 0;
  #waitingBytes = 0;
  #taken: number;

  /** @param newestCommit number of the newest engine write before this process; the next group gets the one after it */
  constructor(limits: CommitQueueLimits, newestCommit: number) {
    this.#limits = limits;
    this.#taken = newestCommit;
  }

  /** Bytes that wait or are in flight. */
  get bytes(): number {
    return this.#waitingBytes + this.#outBytes;
  }

  get isEmpty(): boolean {
    return this.#head === this.#waiting.length;
  }

  get isOut(): boolean {
    return this.#out.length > 0;
  }

  /** Number that the newest queued change will get, if nothing more is queued; the newest one taken if none waits. */
  get newestCommit(): number {
    return this.isEmpty ? this.#taken : this.#taken + 1;
  }

  /** Resolves with the number of the engine write that carried the changes, once it is settled. */
  push(changes: readonly StoreChange[]): Promise<number> {
    let bytes = 0;
    for (const change of changes) {
      assert(isAllowed(change), 'store-6: keys that begin with 0xff belong to the store');
      bytes += changeBytes(change);
    }
    assert(
      this.bytes + bytes <= this.#limits.queuedBytesMax,
      'store-5: callers admit before they write',
      `${this.bytes} + ${bytes} bytes queued`,
    );
    this.#waitingBytes += bytes;
    return new Promise((resolve, reject) => this.#waiting.push({ changes, bytes, resolve, reject }));
  }

  /** The next engine write; null if nothing waits. */
  takeGroup(): CommitGroup | null {
    assert(!this.isOut, 'commit-queue-2: at most one group is out');
    if (this.isEmpty) return null;
    const changes: StoreChange[] = [];
    let bytes = 0;
    do {
      const next = this.#waiting[this.#head];
      if (next === undefined || (bytes > 0 && bytes + next.bytes > this.#limits.groupBytesMax)) break;
      for (const change of next.changes) changes.push(change);
      bytes += next.bytes;
      this.#out.push(next);
      this.#head++;
    } while (changes.length < this.#limits.groupChangesMax);
    this.#dropTaken();
    this.#waitingBytes -= bytes;
    this.#outBytes = bytes;
    return { commit: ++this.#taken, changes, bytes, writes: this.#out.length };
  }

  /** The group that is out is durable: answers its callers. */
  settle(): void {
    const settled = this.#out;
    this.#out = [];
    this.#outBytes = 0;
    for (const { resolve } of settled) resolve(this.#taken);
  }

  /** Nothing is durable any more: rejects everything, in order. */
  fail(fault: Error): void {
    const failed = [...this.#out, ...this.#waiting.slice(this.#head)];
    this.#out = [];
    this.#waiting = [];
    this.#head = 0;
    this.#outBytes = 0;
    this.#waitingBytes = 0;
    for (const { reject } of failed) reject(fault);
  }

  #dropTaken(): void {
    if (this.isEmpty) {
      this.#waiting = [];
      this.#head = 0;
    } else if (this.#head > 1_024) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
  }
}
