/**
 * Reads on and on for one stream: whatever partition has something goes into a queue, and `next` serves the queue in
 * turn, so that a thousand idle partitions cost nothing and a busy one does not starve the others (pitfall P121).
 *
 * Invariant:
 * - cursor-1: a partition is in the queue at most once, and one that is neither queued nor ended has been read up to its
 *   high watermark and will wake this cursor when that moves.
 */
import { assert } from '../model/assert.ts';
import { refuse } from '../model/errors.ts';
import type { Offset } from '../model/ids.ts';
import type { FetchWaiters } from './fetch-waiters.ts';
import type { FetchTarget } from './fetcher.ts';
import { readOf, toFetched, unlocated } from './fetcher.ts';
import type { FetchWaiter } from './partition.ts';
import { readPartition } from './partition-reader.ts';
import type { FetchAnswer, FetchCursor, FetchedPartition, ReadRoom } from './requests.ts';

interface CursorDeps {
  readonly waiters: FetchWaiters;
  readonly catalogRevision: () => number;
  /** Hears of every answer that goes out. */
  readonly answered: (partitions: readonly FetchedPartition[]) => void;
  readonly closed: (cursor: OpenCursor) => void;
}

const endlessRoom: ReadRoom = { take: (bytes) => Promise.resolve(bytes), giveBack: () => undefined };

/** One partition of the stream and how far it was read. */
class Source implements FetchWaiter {
  readonly target: FetchTarget;
  readonly #woken: (source: Source) => void;
  position: Offset;
  queued = false;
  ended = false;

  constructor(target: FetchTarget, woken: (source: Source) => void) {
    this.target = target;
    this.position = target.request.fetchOffset;
    this.#woken = woken;
  }

  wake(): void {
    this.#woken(this);
  }
}

/** The caller must have reserved as many waiters as there are targets; `close` releases them. */
export class OpenCursor implements FetchCursor {
  readonly #deps: CursorDeps;
  readonly #signal: AbortSignal;
  readonly #sources: readonly Source[];
  /** Sources that may have something, longest waiting first (cursor-1). */
  readonly #queue: Source[] = [];
  #wakeNext: (() => void) | null = null;
  #closed = false;
  #shuttingDown = false;

  constructor(targets: readonly FetchTarget[], signal: AbortSignal, deps: CursorDeps) {
    this.#deps = deps;
    this.#signal = signal;
    this.#sources = targets.map((target) => new Source(target, this.#enqueue));
    for (const source of this.#sources) {
      if (source.target.place.kind === 'ok') source.target.place.value.partition.fetchWaiters.add(source);
      this.#enqueue(source);
    }
    signal.addEventListener('abort', this.#abort, { once: true });
    if (signal.aborted) this.close();
  }

  async next(bytesMax: number, room: ReadRoom = endlessRoom): Promise<FetchAnswer | null> {
    assert(this.#wakeNext === null, 'cursor-2: one call of next at a time');
    for (;;) {
      if (this.#closed) return null;
      if (this.#shuttingDown) return this.#sayGoodbye();
      if (this.#queue.length > 0) {
        const bytes = await room.take(bytesMax);
        if (bytes === null) return null;
        const partitions = await this.#drain(bytes);
        if (partitions.length > 0) return this.#answer(partitions);
        room.giveBack(bytes);
      }
      if (this.#sources.every((source) => source.ended)) this.close();
      else await this.#somethingQueued();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal.removeEventListener('abort', this.#abort);
    for (const source of this.#sources) this.#unwatch(source);
    this.#deps.waiters.release(this.#sources.length);
    this.#deps.closed(this);
    this.#wake();
  }

  /** The next answer says that the broker goes away, for every partition that is still read. */
  shutDown(): void {
    this.#shuttingDown = true;
    this.#wake();
  }

  readonly #abort = (): void => {
    this.close();
  };

  readonly #enqueue = (source: Source): void => {
    if (source.queued || source.ended) return;
    source.queued = true;
    this.#queue.push(source);
    this.#wake();
  };

  /** Serves the queue in turn while bytes are left; at least one batch if there is any. */
  async #drain(bytesMax: number): Promise<readonly FetchedPartition[]> {
    const partitions: FetchedPartition[] = [];
    let bytes = 0;
    // Those queued now: what is queued again meanwhile has its turn in the next answer.
    for (let left = this.#queue.length; left > 0; left--) {
      if (bytes >= bytesMax || this.#closed) break;
      const source = this.#queue.shift();
      assert(source !== undefined, 'cursor-1: the queue only grows meanwhile');
      source.queued = false;
      const fetched = await this.#readSource(source, bytesMax - bytes, bytes === 0);
      if (fetched === 'full') break;
      if (fetched === null) continue;
      partitions.push(fetched);
      bytes += fetched.batches.reduce((sum, batch) => sum + batch.length, 0);
    }
    return partitions;
  }

  /** Null: nothing to tell. What does not fit stays for the next answer, at the head of the queue. */
  async #readSource(source: Source, bytesLeft: number, first: boolean): Promise<FetchedPartition | null | 'full'> {
    const { request, place } = source.target;
    if (place.kind === 'refused') {
      source.ended = true;
      return unlocated(request, place);
    }
    const { partition } = place.value;
    const outcome = readPartition(partition, {
      ...readOf(request),
      offset: source.position,
      bytesMax: Math.min(request.bytesMax, bytesLeft),
    });
    const read = outcome instanceof Promise ? await outcome : outcome;
    if (read.error !== null || read.preferred !== null) this.#end(source);
    else if (!first && read.bytes > bytesLeft) {
      this.#requeue(source);
      return 'full';
    }
    if (read.error === null && read.preferred === null && read.bytes === 0) return null;
    source.position = read.nextOffset;
    if (!source.ended && read.highWatermark !== null && read.nextOffset < partition.highWatermark)
      this.#enqueue(source);
    return toFetched(place.value, request, read);
  }

  #requeue(source: Source): void {
    if (source.queued) this.#queue.splice(this.#queue.indexOf(source), 1);
    source.queued = true;
    this.#queue.unshift(source);
  }

  #end(source: Source): void {
    source.ended = true;
    this.#unwatch(source);
  }

  #unwatch(source: Source): void {
    if (source.target.place.kind === 'ok') source.target.place.value.partition.fetchWaiters.delete(source);
  }

  #sayGoodbye(): FetchAnswer | null {
    const reading = this.#sources.filter((source) => !source.ended);
    for (const source of reading) this.#end(source);
    if (reading.length === 0) {
      this.close();
      return null;
    }
    const goodbye = refuse('BROKER_SHUTTING_DOWN', 'the broker is shutting down; go on at another one');
    return this.#answer(reading.map((source) => unlocated(source.target.request, goodbye)));
  }

  #answer(partitions: readonly FetchedPartition[]): FetchAnswer {
    this.#deps.answered(partitions);
    return { partitions, catalogRevision: this.#deps.catalogRevision() };
  }

  #somethingQueued(): Promise<void> {
    if (this.#queue.length > 0 || this.#shuttingDown) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wakeNext = resolve;
    });
  }

  #wake(): void {
    const wake = this.#wakeNext;
    this.#wakeNext = null;
    wake?.();
  }
}
