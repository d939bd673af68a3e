/**
 * Records of one partition that are worked on at the same time: which may be begun now, and up to where all are done. No
 * I/O, no time, no promise: handler-run.ts begins what `take` gives and reports what is done.
 *
 * Invariants:
 * - work-1: of one lane at most one record is taken and not finished, and a lane's records are taken in their order.
 * - work-2: every record before `processed` is finished, and the first one not before it is not: only such an offset may
 *   be committed, however out of order records are finished.
 * - work-3: once it is closed nothing is taken; what was taken may still be finished and counts.
 */
import { assert } from '../../../src/model/assert.ts';

/** A record in its partition's window. */
export interface Work<T> {
  readonly item: T;
  /** Where to go on once it and all before it are done. */
  readonly nextOffset: number;
  /** What it takes in memory. */
  readonly bytes: number;
  /** Whose order it keeps; null: nobody's. */
  readonly lane: string | null;
  state: 'queued' | 'taken' | 'finished';
  /** The one that was added after it. */
  next: Work<T> | null;
}

export class PartitionWork<T> {
  readonly #windowMax: number;
  /** Oldest that is not known to be done, and the newest. Null: everything is done. */
  #first: Work<T> | null = null;
  #last: Work<T> | null = null;
  /** From the oldest that is not done to the newest, done ones in between included. */
  #span = 0;
  #spanBytes = 0;
  /** May be taken now, in the order in which they came to be. */
  readonly #startable: Work<T>[] = [];
  /** Of each lane that has a record at the head (startable or taken): those behind it. */
  readonly #lanes = new Map<string, Work<T>[]>();
  #queued = 0;
  #taken = 0;
  #processed: number;
  #closed = false;
  /** Worked on these partitions' records before: what it took must be finished first. */
  #predecessor: PartitionWork<T> | null;

  /**
   * @param fromOffset offset of the first record that will be added
   * @param windowMax records from the oldest unfinished one to the newest, at least 1
   */
  constructor(fromOffset: number, windowMax: number, predecessor: PartitionWork<T> | null = null) {
    this.#processed = fromOffset;
    this.#windowMax = windowMax;
    this.#predecessor = predecessor;
  }

  /** Offset to go on from if nothing more is finished (work-2). */
  get processed(): number {
    return this.#processed;
  }

  get isFull(): boolean {
    return this.#span >= this.#windowMax;
  }

  get isEmpty(): boolean {
    return this.#first === null;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Added and not taken. */
  get queued(): number {
    return this.#queued;
  }

  /** Taken and not finished, by it or by those before it. */
  get isBusy(): boolean {
    return this.#taken > 0 || this.#isHeldUp();
  }

  /** Bytes of the window. */
  get bytes(): number {
    return this.#spanBytes;
  }

  /** The next record of the partition, in the order of offsets. */
  add(item: T, nextOffset: number, bytes: number, lane: string | null): void {
    assert(!this.#closed, 'work-3: nothing is added to what is closed');
    const work: Work<T> = { item, nextOffset, bytes, lane, state: 'queued', next: null };
    if (this.#last === null) this.#first = work;
    else this.#last.next = work;
    this.#last = work;
    this.#span += 1;
    this.#spanBytes += bytes;
    this.#queued += 1;
    const behind = lane === null ? undefined : this.#lanes.get(lane);
    if (behind !== undefined) behind.push(work);
    else {
      if (lane !== null) this.#lanes.set(lane, []);
      this.#startable.push(work);
    }
  }

  /** The next record to begin, marked as taken; null: there is none now. */
  take(): Work<T> | null {
    if (this.#closed || this.#isHeldUp()) return null;
    const work = this.#startable.shift();
    if (work === undefined) return null;
    assert(work.state === 'queued', 'work-1: a record is taken once', work.state);
    work.state = 'taken';
    this.#queued -= 1;
    this.#taken += 1;
    return work;
  }

  /** It is done, well or not: what waited behind it may begin. True: `processed` moved. */
  finish(work: Work<T>): boolean {
    assert(work.state === 'taken', 'work-1: only what was taken is finished', work.state);
    this.#leaveLane(work);
    work.state = 'finished';
    return this.#advance();
  }

  /** It was given up without being done; only of what is closed. */
  giveUp(work: Work<T>): void {
    assert(this.#closed && work.state === 'taken', 'work-2: what is given up is never counted as done');
    this.#taken -= 1;
    work.state = 'queued';
  }

  /** Nothing more is taken (work-3). */
  close(): void {
    this.#closed = true;
    this.#startable.length = 0;
    this.#lanes.clear();
  }

  #isHeldUp(): boolean {
    if (this.#predecessor?.isBusy === false) this.#predecessor = null;
    return this.#predecessor !== null;
  }

  #leaveLane({ lane }: Work<T>): void {
    this.#taken -= 1;
    if (lane === null || this.#closed) return;
    const next = this.#lanes.get(lane)?.shift();
    if (next === undefined) this.#lanes.delete(lane);
    else this.#startable.push(next);
  }

  #advance(): boolean {
    const before = this.#processed;
    while (this.#first?.state === 'finished') {
      const { nextOffset, bytes, next } = this.#first;
      assert(nextOffset >= this.#processed, 'work-2: offsets rise', String(nextOffset));
      this.#processed = nextOffset;
      this.#span -= 1;
      this.#spanBytes -= bytes;
      this.#first = next;
    }
    if (this.#first === null) this.#last = null;
    return this.#processed !== before;
  }
}
