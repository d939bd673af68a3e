/** Gathers the groups that have something to do, so that everything of one turn of the event loop is done together. */

/** Runs a function soon, once, outside of the present call; `setImmediate` in production. */
export type Schedule = (run: () => void) => void;

/** After the input of this turn of the event loop was read, and before the loop waits again. */
export const endOfTurn: Schedule = (run) => void setImmediate(run);

export interface TurnTaker {
  takeTurn(): void;
}

export class TurnQueue {
  readonly #schedule: Schedule;
  /** Bounded by the number of groups: each is in it at most once. */
  #waiting = new Set<TurnTaker>();
  #scheduled = false;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  add(taker: TurnTaker): void {
    this.#waiting.add(taker);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(() => {
      this.#run();
    });
  }

  #run(): void {
    this.#scheduled = false;
    const turn = this.#waiting;
    this.#waiting = new Set();
    for (const taker of turn) taker.takeTurn();
  }
}
