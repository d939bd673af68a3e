/** Virtual time: what is scheduled happens in order of (time, order of scheduling), and nothing else happens. */

export interface ScheduledTask {
  cancel(): void;
}

class Task implements ScheduledTask {
  readonly at: number;
  readonly order: number;
  run: (() => void) | null;

  constructor(at: number, order: number, run: () => void) {
    this.at = at;
    this.order = order;
    this.run = run;
  }

  cancel(): void {
    this.run = null;
  }
}

/** Events between two turns of the real event loop. */
const eventsPerTurn = 1_000;

export class SimScheduler {
  /** Virtual milliseconds since the beginning of the run; fractions allowed. */
  now = 0;
  /** How many tasks have run. */
  events = 0;
  #order = 0;
  readonly #heap: Task[] = [];

  /** Runs `run` after `delayMs` of virtual time. */
  after(delayMs: number, run: () => void): ScheduledTask {
    const task = new Task(this.now + Math.max(0, delayMs), this.#order++, run);
    this.#push(task);
    return task;
  }

  /** Runs everything up to `until`; between tasks every promise that can settle does. */
  async runUntil(until: number, afterEach: () => void): Promise<void> {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > until) break;
      this.#pop();
      if (next.run === null) continue;
      this.now = next.at;
      this.events += 1;
      next.run();
      await (this.events % eventsPerTurn === 0 ? turn() : settled());
      afterEach();
    }
    this.now = until;
  }

  #push(task: Task): void {
    const heap = this.#heap;
    let at = heap.push(task) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Task;
      if (!before(task, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = task;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Task, heap[child] as Task)) child += 1;
      if (!before(heap[child] as Task, last)) break;
      heap[at] = heap[child] as Task;
      at = child;
    }
    heap[at] = last;
  }
}

const before = (a: Task, b: Task): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/**
 * All microtasks are done when it resolves: Node calls what `nextTick` queued when none is left, at a fraction of the
 * price of a turn of the event loop. No real I/O runs in a simulation, and nothing else in it uses `nextTick`.
 */
const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

/** Lets signals and messages of the parent process in. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
