import { performance } from 'node:perf_hooks';
import type { Clock } from '../model/clock.ts';
import { toMillis } from '../model/ids.ts';

/** The process's own clocks and timers. Times are whole milliseconds. */
export const realClock: Clock = {
  wallMs: () => toMillis(Date.now()),
  monotonicMs: () => toMillis(Math.floor(performance.now())),
  setTimer(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
