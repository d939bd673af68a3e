/** A clock that moves only when the test moves it; timers fire in the order of their time. */
import type { Clock, Timer } from '../../src/model/clock.ts';
import type { Millis } from '../../src/model/ids.ts';
import { toMillis } from '../../src/model/ids.ts';

interface Waiting {
  readonly at: number;
  readonly fire: () => void;
}

export class ManualClock implements Clock {
  /** Wall time is this much ahead of the monotonic clock; a test may change it. */
  wallOffsetMs = 1_700_000_000_000;
  #now = 0;
  #waiting: Waiting[] = [];

  wallMs(): Millis {
    return toMillis(this.#now + this.wallOffsetMs);
  }

  monotonicMs(): Millis {
    return toMillis(this.#now);
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const waiting = { at: this.#now + delayMs, fire };
    this.#waiting.push(waiting);
    return {
      cancel: () => {
        this.#waiting = this.#waiting.filter((one) => one !== waiting);
      },
    };
  }

  /** Number of timers that are set. */
  get timers(): number {
    return this.#waiting.length;
  }

  /** Moves on by `ms`, firing what falls due on the way at its own time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#waiting.filter((one) => one.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#waiting = this.#waiting.filter((one) => one !== next);
      this.#now = Math.max(this.#now, next.at);
      next.fire();
    }
    this.#now = end;
  }

  /** Time passes without any timer firing, as when the event loop is blocked. */
  stall(ms: number): void {
    this.#now += ms;
  }
}
