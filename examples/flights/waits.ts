/** How long the producer waited for acknowledgements: what a dead leader costs those who send. */
export interface LongestWait {
  /** Milliseconds from `send` to the acknowledgement. */
  readonly ms: number;
  readonly partition: number;
}

export class Waits {
  #longest: LongestWait | null = null;
  /** Acknowledged records of each partition. */
  readonly acknowledged: number[] = [];

  take(partition: number, ms: number): void {
    this.acknowledged[partition] = this.of(partition) + 1;
    if (this.#longest === null || ms > this.#longest.ms) this.#longest = { ms, partition };
  }

  /** Records of the partition that are acknowledged. */
  of(partition: number): number {
    return this.acknowledged[partition] ?? 0;
  }

  /** Null: nothing was acknowledged yet. */
  get longest(): LongestWait | null {
    return this.#longest;
  }

  /** The partition with most acknowledged records. */
  get busiest(): number {
    let busiest = 0;
    this.acknowledged.forEach((count, partition) => {
      if (count > this.of(busiest)) busiest = partition;
    });
    return busiest;
  }
}
