/** A set of whole numbers that are mostly next to each other, kept as ranges [from, until) in order. */
export class Ranges {
  readonly #ranges: [from: number, until: number][] = [];

  get all(): readonly (readonly [number, number])[] {
    return this.#ranges;
  }

  /** Adds [from, until); gives how many of them are new. */
  add(from: number, until: number): number {
    let at = this.#ranges.findLastIndex(([start]) => start <= from);
    let added = until - from;
    let [start, end] = [from, until];
    const before = this.#ranges[at];
    if (before === undefined || before[1] < from) at += 1; // it touches none that begins before it
    let last = at;
    for (let range = this.#ranges[last]; range !== undefined && range[0] <= until; range = this.#ranges[++last]) {
      added -= Math.max(0, Math.min(until, range[1]) - Math.max(from, range[0]));
      start = Math.min(start, range[0]);
      end = Math.max(end, range[1]);
    }
    this.#ranges.splice(at, last - at, [start, end]);
    return added;
  }
}
