/**
 * Proof that no engine write is missing from the middle. Every engine write puts one mark, keyed by its number; after a
 * crash the marks must run without a gap. The engine itself does not notice a write-ahead file that is gone, or cut
 * exactly between two writes, when a later one survives (reliability P86).
 *
 * Marks are only needed for writes that some write-ahead file still holds, and for the one before them, which proves
 * that the engine still knows the tables it was flushed to; older ones are deleted in one range, together with a new
 * `lowest`. All keys begin with 0xff, which callers of the store may not use.
 *
 *   ff 01              -> version:1 incarnation:16 lowest:8
 *   ff 02 commit:8     -> nothing
 *
 * Invariants:
 * - ledger-1: in every state the engine can recover without loss, the marks are exactly lowest, lowest + 1, ..., newest.
 * - ledger-2: `lowest` rises to a number only when that write and all before it are in tables, which are synced, and in no
 *   write-ahead file.
 */
import { assert } from '../model/assert.ts';
import { int64At, putInt64 } from '../model/big-endian.ts';
import { reservedPrefix } from './commit-queue.ts';
import type { StoreChange } from './store.ts';

const formatVersion = 1;
const originBytes = 25;
const markBytes = 10;

export const originKey = Uint8Array.of(reservedPrefix, 1);
/** All marks lie in [from, to). */
export const markRange = { from: Uint8Array.of(reservedPrefix, 2), to: Uint8Array.of(reservedPrefix, 3) };

export interface Origin {
  /** UUID of the data directory, as 32 hex digits without dashes. */
  readonly incarnation: string;
  /** Lowest write whose mark must be there. */
  readonly lowest: number;
}

export function encodeOrigin(origin: Origin): Uint8Array {
  const value = new Uint8Array(originBytes);
  value[0] = formatVersion;
  value.set(Buffer.from(origin.incarnation, 'hex'), 1);
  putInt64(value, 17, origin.lowest);
  return value;
}

/** Null if it is of another format. */
export function decodeOrigin(value: Uint8Array): Origin | null {
  const lowest = value.length === originBytes && value[0] === formatVersion ? int64At(value, 17) : null;
  return lowest === null ? null : { incarnation: Buffer.from(value.subarray(1, 17)).toString('hex'), lowest };
}

export function markKey(commit: number): Uint8Array {
  const key = new Uint8Array(markBytes);
  key.set(markRange.from, 0);
  putInt64(key, 2, commit);
  return key;
}

export const markedCommit = (key: Uint8Array): number | null => (key.length === markBytes ? int64At(key, 2) : null);

/** Follows recovered marks, in order. */
export class MarkCheck {
  readonly #lowest: number;
  #newest: number;
  #complete = true;

  constructor(lowest: number) {
    this.#lowest = lowest;
    this.#newest = lowest - 1;
  }

  /** The newest write with nothing missing before it. */
  get newest(): number {
    return this.#newest;
  }

  /** Whether the marks seen so far have no gap. */
  get isComplete(): boolean {
    return this.#complete && this.#newest >= this.#lowest;
  }

  see(key: Uint8Array): void {
    if (!this.#complete) return;
    if (markedCommit(key) === this.#newest + 1) this.#newest += 1;
    else this.#complete = false;
  }
}

const nothing = new Uint8Array(0);

/** Which marks the running store still needs; decides, writes nothing itself. */
export class CommitLedger {
  readonly #incarnation: string;
  /** Invariant: ledger-2. */
  #lowest: number;
  /** The next write deletes the marks below; null if there is nothing to delete. */
  #nextLowest: number | null = null;
  /** For each write-ahead file that may be live: the first write that it can hold. Ascending. */
  readonly #files: { readonly number: number; readonly firstCommit: number }[] = [];

  /** @param incarnation UUID, dashes or not */
  constructor(incarnation: string, lowest: number) {
    this.#incarnation = incarnation.replaceAll('-', '');
    this.#lowest = lowest;
  }

  get lowest(): number {
    return this.#lowest;
  }

  /** What the engine write numbered `commit` must carry beside its own changes. */
  changesFor(commit: number): readonly StoreChange[] {
    const mark: StoreChange = { kind: 'put', key: markKey(commit), value: nothing };
    if (this.#nextLowest === null) return [mark];
    const lowest = this.#nextLowest;
    this.#nextLowest = null;
    this.#lowest = lowest;
    return [this.#origin(lowest), { kind: 'delete-range', from: markRange.from, to: markKey(lowest) }, mark];
  }

  /** The changes of the very first write of a new store. */
  firstChanges(): readonly StoreChange[] {
    return [this.#origin(this.#lowest), { kind: 'put', key: markKey(this.#lowest), value: nothing }];
  }

  /** A write-ahead file was first seen after write `commit`; the write before it went to an earlier file. */
  sawFile(number: number, commit: number): void {
    const newest = this.#files.at(-1);
    assert(newest === undefined || newest.number < number, 'ledger-3: write-ahead files have rising numbers');
    this.#files.push({ number, firstCommit: commit });
  }

  /** These write-ahead files exist; those before the oldest of them were flushed to tables. */
  liveFiles(numbers: readonly number[]): void {
    const oldest = Math.min(...numbers);
    while (this.#files[0] !== undefined && this.#files[0].number < oldest) this.#files.shift();
    const first = this.#files[0];
    if (first === undefined || first.number !== oldest || first.firstCommit - 1 <= this.#lowest) return;
    this.#nextLowest = first.firstCommit - 1;
  }

  #origin(lowest: number): StoreChange {
    return { kind: 'put', key: originKey, value: encodeOrigin({ incarnation: this.#incarnation, lowest }) };
  }
}
