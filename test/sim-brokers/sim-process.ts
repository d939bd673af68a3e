/** One life of a broker's process: its event loop, which may stand still, and its clock. What is not of this life is dropped. */
import { SimClock } from '../sim/sim-clock.ts';
import type { SimScheduler } from '../sim/sim-scheduler.ts';

/** Where a turn of the event loop takes its work from, in this order (P15). */
const phases = ['timers', 'input', 'turns'] as const;
export type Phase = (typeof phases)[number];

export class SimProcess {
  /** Number of the machine that it runs on, from 1. */
  readonly machine: number;
  readonly clock: SimClock;
  readonly #scheduler: SimScheduler;
  readonly #waiting: Record<Phase, (() => void)[]> = { timers: [], input: [], turns: [] };
  #alive = true;
  #paused = false;

  /** @param rate of its clock, 0.95 to 1.05 */
  constructor(machine: number, scheduler: SimScheduler, rate: number) {
    this.machine = machine;
    this.#scheduler = scheduler;
    this.clock = new SimClock(scheduler, rate, (fire) => {
      this.enter('timers', fire);
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Does something in the process, now or when it runs again. */
  enter(phase: Phase, act: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#waiting[phase].push(act);
    else act();
  }

  /** In a turn of its own, as `endOfTurn` in production. */
  soon(run: () => void): void {
    this.#scheduler.after(0, () => {
      this.enter('turns', run);
    });
  }

  pause(): void {
    this.#paused = true;
  }

  /** The timers that expired meanwhile come first, then what arrived, as in Node's event loop (P15). */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    for (const phase of phases) {
      for (const act of this.#waiting[phase].splice(0)) {
        this.#scheduler.after(0, () => {
          this.enter(phase, act);
        });
      }
    }
  }

  /** Nothing of it happens any more. */
  end(): void {
    this.#alive = false;
    for (const phase of phases) this.#waiting[phase].length = 0;
    this.clock.stop();
  }
}
