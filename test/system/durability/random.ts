/** Seeded chance, so that a failing run can be repeated: every case prints its seed. */
export class SeededChance {
  #state: number;

  constructor(seed: number) {
    this.#state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
    for (let n = 0; n < 8; n++) this.below(2);
  }

  /** A uniform integer in [0, bound). */
  below(bound: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return Math.floor(((this.#state >>> 0) / 2 ** 32) * bound);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** From SEED in the environment, or new. */
export const newSeed = (): number => Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
