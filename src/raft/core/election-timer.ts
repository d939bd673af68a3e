/** When a replica that hears nothing campaigns. A new random wait each time, so that split votes do not repeat (P8). */
import type { Millis } from '../../model/ids.ts';
import type { Random } from '../../model/random.ts';

export class ElectionTimer {
  /** On the monotonic clock; Infinity: never. */
  deadlineMs = Infinity;
  readonly #timeoutMs: number;
  readonly #random: Random;

  constructor(timeoutMs: number, random: Random) {
    this.#timeoutMs = timeoutMs;
    this.#random = random;
  }

  /** A leader was heard, a vote was granted, or a campaign began: nothing else may put the election off (P7). */
  restart(from: number): void {
    this.deadlineMs = from + this.#timeoutMs + this.#random.below(this.#timeoutMs);
  }

  /** Campaign earlier than it would: at some time in [from, from + spread). Puts nothing off. */
  hasten(from: number, spread: number): void {
    this.deadlineMs = Math.min(this.deadlineMs, from + this.#random.below(Math.max(1, Math.floor(spread))));
  }

  /** Campaign at the next tick. */
  expire(now: Millis): void {
    this.deadlineMs = now;
  }

  stop(): void {
    this.deadlineMs = Infinity;
  }

  expired(now: Millis): boolean {
    return now >= this.deadlineMs;
  }
}
