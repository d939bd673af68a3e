/**
 * Counts who waits for partitions on this broker, and parks a fetch until one of them moves. A partition knows its own
 * waiters, so a commit costs nothing where nobody waits.
 */
import type { Clock } from '../model/clock.ts';
import type { Millis, Offset } from '../model/ids.ts';
import { delayUntil } from './deadline.ts';
import type { BrokerObserver } from './observer.ts';
import type { FetchWaiter, Partition } from './partition.ts';

export type Woken = 'moved' | 'timed-out' | 'gone' | 'refused';

/** A partition and where the reader saw its end: if it moved since, there is nothing to wait for. */
export interface Watched {
  readonly partition: Partition;
  readonly seenEnd: Offset | null;
}

export class FetchWaiters {
  readonly #clock: Clock;
  readonly #observer: BrokerObserver;
  readonly #countMax: number;
  #count = 0;
  readonly #parked = new Set<() => void>();
  #closed = false;

  constructor(clock: Clock, observer: BrokerObserver, countMax: number) {
    this.#clock = clock;
    this.#observer = observer;
    this.#countMax = countMax;
  }

  /** Partitions that are waited for, added up. */
  get count(): number {
    return this.#count;
  }

  /** False: the limit is reached, and nothing was reserved. */
  reserve(partitions: number): boolean {
    if (this.#count + partitions > this.#countMax) return false;
    this.#change(partitions);
    return true;
  }

  release(partitions: number): void {
    this.#change(-partitions);
  }

  /** Resolves when one of the partitions moves, at the deadline, when the caller is gone, or when the broker closes. */
  park(watched: readonly Watched[], deadlineMs: Millis, signal: AbortSignal): Promise<Woken> {
    if (watched.some(hasMoved)) return Promise.resolve('moved');
    if (this.#closed || signal.aborted) return Promise.resolve('gone');
    if (!this.reserve(watched.length)) return Promise.resolve('refused');
    return new Promise((resolve) => {
      const wake = (why: Woken): void => {
        timer.cancel();
        signal.removeEventListener('abort', gone);
        this.#parked.delete(gone);
        for (const { partition } of watched) partition.fetchWaiters.delete(waiter);
        this.release(watched.length);
        resolve(why);
      };
      const gone = (): void => {
        wake('gone');
      };
      const waiter: FetchWaiter = {
        wake: () => {
          wake('moved');
        },
      };
      const timer = this.#clock.setTimer(delayUntil(this.#clock, deadlineMs), () => {
        wake('timed-out');
      });
      signal.addEventListener('abort', gone, { once: true });
      this.#parked.add(gone);
      for (const { partition } of watched) partition.fetchWaiters.add(waiter);
    });
  }

  /** Wakes everybody, and nobody is parked from now on. */
  close(): void {
    this.#closed = true;
    for (const gone of this.#parked) gone();
  }

  #change(by: number): void {
    this.#count += by;
    this.#observer.fetchWaiters(this.#count);
  }
}

const hasMoved = ({ partition, seenEnd }: Watched): boolean => seenEnd !== null && partition.highWatermark !== seenEnd;
