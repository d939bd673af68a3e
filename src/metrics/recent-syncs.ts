/**
 * The last group commits, so that the time until a batch was durable can be told apart: the wait for its group and the
 * engine's write, then the sync. The store reports groups, the broker batches; what connects them is the moment.
 */

/** An append gets its outcome after the groups that were synced meanwhile; about a second of an ordinary disk's. */
const keptMax = 256;

export class RecentSyncs {
  /** A ring: ends of syncs, seconds, and how long each took. */
  readonly #ends = new Float64Array(keptMax).fill(Infinity);
  readonly #seconds = new Float64Array(keptMax);
  #next = 0;

  /** A sync is over. */
  add(end: number, seconds: number): void {
    this.#ends[this.#next] = end;
    this.#seconds[this.#next] = seconds;
    this.#next = (this.#next + 1) % keptMax;
  }

  /** How long the newest sync took that was over at this moment, seconds; null: it is forgotten, or there was none. */
  before(moment: number): number | null {
    for (let back = 1; back <= keptMax; back++) {
      const at = (this.#next - back + keptMax) % keptMax;
      if ((this.#ends[at] ?? Infinity) <= moment) return this.#seconds[at] ?? null;
    }
    return null;
  }
}
