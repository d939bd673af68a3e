/** Time and chance of the real world. Tests put their own in their place. */
import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../../../src/model/clock.ts';
import { toMillis } from '../../../src/model/ids.ts';
import type { Random } from '../../../src/model/random.ts';

export interface Environment {
  readonly clock: Clock;
  readonly random: Random;
}

const clock: Clock = {
  wallMs: () => toMillis(Date.now()),
  monotonicMs: () => toMillis(Math.floor(performance.now())),
  setTimer(delayMs: number, fire: () => void): Timer {
    const handle = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

const random: Random = {
  below: (bound: number) => Math.floor(Math.random() * bound),
  bytes: (count: number) => randomBytes(count),
};

export const systemEnvironment: Environment = { clock, random };
