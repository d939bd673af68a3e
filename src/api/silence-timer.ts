/** Calls when nothing was heard for a time, and again after each such time as long as nothing is. */
import type { Clock, Timer } from '../model/clock.ts';

export class SilenceTimer {
  readonly #clock: Clock;
  readonly #afterMs: number;
  readonly #silent: () => Promise<void>;
  #heardMs: number;
  #timer: Timer | null = null;
  #stopped = false;

  /** @param silent must not reject; the next wait begins when it is done */
  constructor(clock: Clock, afterMs: number, silent: () => Promise<void>) {
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#silent = silent;
    this.#heardMs = clock.monotonicMs();
    this.#arm(afterMs);
  }

  /** Costs nothing, so that it may be called for every message. */
  heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #arm(ms: number): void {
    if (!this.#stopped) this.#timer = this.#clock.setTimer(ms, () => this.#due());
  }

  #due(): void {
    const leftMs = this.#heardMs + this.#afterMs - this.#clock.monotonicMs();
    if (leftMs > 0) this.#arm(leftMs);
    else void this.#silent().then(() => this.#arm(this.#afterMs));
  }
}
