/** Lets a limited number of tasks run side by side; the others wait in their order. */
export class Gate {
  readonly #tasksMax: number;
  #running = 0;
  /** Bounded by its callers: one for each group of this broker. */
  readonly #waiting: (() => void)[] = [];

  constructor(tasksMax: number) {
    this.#tasksMax = tasksMax;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#tasksMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      // The place passes on to who waited longest, so the count stays.
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
