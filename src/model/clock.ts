import type { Millis } from './ids.ts';

/** A timer that can be called off. */
export interface Timer {
  cancel(): void;
}

/** Time as an argument. Safety never depends on `wallMs` (design D23). */
export interface Clock {
  /** Milliseconds since 1970; may jump. For stamps only. */
  wallMs(): Millis;
  /** Milliseconds on a clock that never goes back; its zero is arbitrary. For every time-out. */
  monotonicMs(): Millis;
  /** Calls `fire` once, `delayMs` (0 to 2^31-1) from now. */
  setTimer(delayMs: number, fire: () => void): Timer;
}
