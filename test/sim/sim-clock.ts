/** The clocks of one life of a node: the monotonic one may drift, the wall clock may jump. */
import type { Clock, Timer } from '../../src/model/clock.ts';
import type { Millis } from '../../src/model/ids.ts';
import { toMillis } from '../../src/model/ids.ts';
import type { SimScheduler } from './sim-scheduler.ts';

/** Virtual time 0 on a wall clock that nobody disturbed: 2026-01-01. */
const wallStartMs = 1_767_225_600_000;

export class SimClock implements Clock {
  /** Seconds of this node for one second of the world, 0.95 to 1.05. */
  readonly #rate: number;
  readonly #scheduler: SimScheduler;
  /** How far the wall clock is off, in ms; faults change it. */
  wallOffsetMs = 0;
  /** Runs what a timer does, now or when the process runs again. */
  readonly #enter: (fire: () => void) => void;
  #stopped = false;

  constructor(scheduler: SimScheduler, rate: number, enter: (fire: () => void) => void) {
    this.#scheduler = scheduler;
    this.#rate = rate;
    this.#enter = enter;
  }

  wallMs(): Millis {
    return toMillis(Math.max(0, Math.floor(wallStartMs + this.#scheduler.now + this.wallOffsetMs)));
  }

  monotonicMs(): Millis {
    return toMillis(Math.floor(this.#scheduler.now * this.#rate));
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    // the monotonic clock shows whole milliseconds, so a timer must not fire before its millisecond shows
    let cancelled = false;
    const fireUnlessCancelled = (): void => {
      if (!cancelled && !this.#stopped) fire();
    };
    const task = this.#scheduler.after((delayMs + 1) / this.#rate, () => {
      if (!this.#stopped) this.#enter(fireUnlessCancelled);
    });
    return {
      cancel: () => {
        cancelled = true;
        task.cancel();
      },
    };
  }

  /** The node died: no timer of it fires any more. */
  stop(): void {
    this.#stopped = true;
  }
}
