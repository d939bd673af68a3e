import { randomBytes, randomInt } from 'node:crypto';
import type { Random } from '../model/random.ts';

/** Chance from the operating system: for secrets, UUIDs and seeds. */
export const systemRandom: Random = {
  below: (bound) => randomInt(bound),
  bytes: (count) => new Uint8Array(randomBytes(count)),
};
