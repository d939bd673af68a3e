/** Pauses in milliseconds, and what is said of many of them. */
import type { Figures } from '../report.ts';

export class Pauses {
  readonly #ms: number[] = [];

  add(ms: number): void {
    this.#ms.push(ms);
  }

  get count(): number {
    return this.#ms.length;
  }

  /** The one below which this part of all lies, 0 to 1. */
  at(part: number): number {
    const sorted = this.#ms.toSorted((a, b) => a - b);
    return Math.round(sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0);
  }

  /** `name` is what the figures begin with. */
  figures(name: string): Figures {
    return {
      [`${name}Count`]: this.count,
      [`${name}P50Ms`]: this.at(0.5),
      [`${name}P99Ms`]: this.at(0.99),
      [`${name}MaxMs`]: this.at(1),
    };
  }
}
