/**
 * Who waits until enough voters have an entry, beyond its commit. Everybody is answered once: when they have it, when this
 * replica leads no more, or at the deadline; and leaves no timer behind.
 */
import type { Clock, Timer } from '../model/clock.ts';
import type { LogIndex, Millis } from '../model/ids.ts';
import { delayUntil } from './deadline.ts';

interface Waiter {
  readonly index: LogIndex;
  readonly required: number;
  readonly timer: Timer;
  readonly answer: (held: boolean) => void;
}

export class HoldWaiters {
  readonly #clock: Clock;
  /** Voters that have everything through an index. */
  readonly #holders: (index: LogIndex) => number;
  /** Bounded by the calls that wait for appends. */
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock, holders: (index: LogIndex) => number) {
    this.#clock = clock;
    this.#holders = holders;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** True: `required` voters have everything through `index`. False: it is not known that they do. */
  wait(index: LogIndex, required: number, deadlineMs: Millis): Promise<boolean> {
    if (this.#holders(index) >= required) return Promise.resolve(true);
    return new Promise((answer) => {
      const timer = this.#clock.setTimer(delayUntil(this.#clock, deadlineMs), () => {
        this.#settle(waiter, false);
      });
      const waiter: Waiter = { index, required, timer, answer };
      this.#waiters.add(waiter);
    });
  }

  /** Voters may have more than before. */
  progressed(): void {
    for (const waiter of this.#waiters) if (this.#holders(waiter.index) >= waiter.required) this.#settle(waiter, true);
  }

  /** This replica does not know any more who has what. */
  giveUp(): void {
    for (const waiter of this.#waiters) this.#settle(waiter, false);
  }

  #settle(waiter: Waiter, held: boolean): void {
    waiter.timer.cancel();
    this.#waiters.delete(waiter);
    waiter.answer(held);
  }
}
