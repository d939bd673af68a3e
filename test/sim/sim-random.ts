import type { Random } from '../../src/model/random.ts';

/**
 * A seeded generator (sfc32, by Chris Doty-Humphrey) that splits into independent streams by name, so that taking one
 * fault or node away does not shift the chance of all others.
 */
export class SimRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  readonly #seed: number;
  /** True: `exponential` gives its mean, for a run that is to be simple. */
  steady = false;

  constructor(seed: number) {
    this.#seed = seed >>> 0;
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = 0x9e3779b9;
    for (let i = 0; i < 15; i++) this.next();
  }

  /** An independent stream; the same name gives the same stream. */
  split(name: string): SimRandom {
    let hash = 0x811c9dc5 ^ this.#seed;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    return new SimRandom((hash >>> 0) + this.#seed * 0x1_0000);
  }

  /** A uniform unsigned 32-bit integer. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  below(bound: number): number {
    return Math.floor((this.next() / 2 ** 32) * bound);
  }

  /** A uniform integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with this probability, 0 to 1. */
  chance(probability: number): boolean {
    return this.next() / 2 ** 32 < probability;
  }

  /** An exponentially distributed number with this mean: a heavy tail for delays. */
  exponential(mean: number): number {
    if (this.steady) return mean;
    return -Math.log(1 - this.next() / 2 ** 32) * mean;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('pick from nothing');
    return item;
  }

  /** The items in a random order. */
  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const moved = shuffled[i] as T;
      shuffled[i] = shuffled[j] as T;
      shuffled[j] = moved;
    }
    return shuffled;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.next() & 0xff);
  }
}
