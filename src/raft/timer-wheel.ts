/**
 * One real timer for the deadlines of all groups (design D3): a heap of deadlines, armed for the nearest. A deadline
 * that moves later, as every message of a leader moves it, costs nothing: it is looked at again when its old time comes.
 */
import { must } from '../model/assert.ts';
import type { Clock, Timer } from '../model/clock.ts';
import type { Schedule } from './turns.ts';

export interface TimedTask {
  /** On the monotonic clock; Infinity: never. */
  readonly nextDeadline: number;
  deadlinePassed(): void;
}

interface Armed {
  readonly at: number;
  readonly task: TimedTask;
}

/** How far a timer may be late before what arrived meanwhile is read first (P15). */
const stallMsMax = 50;
/** Longest wait of the one timer; a deadline beyond it is looked at again. */
const waitMsMax = 60_000;

export class TimerWheel {
  readonly #clock: Clock;
  readonly #schedule: Schedule;
  /** Binary heap by `at`. Invariant: at most one valid entry a task, the one that #armed names. */
  readonly #heap: Armed[] = [];
  readonly #armed = new Map<TimedTask, number>();
  #timer: Timer | null = null;
  #timerAt = Infinity;

  constructor(clock: Clock, schedule: Schedule) {
    this.#clock = clock;
    this.#schedule = schedule;
  }

  /** Number of tasks that wait for a deadline. */
  get size(): number {
    return this.#armed.size;
  }

  /** The task's deadline may have changed. */
  rearm(task: TimedTask): void {
    const at = task.nextDeadline;
    const armed = this.#armed.get(task);
    if (at === Infinity || (armed !== undefined && armed <= at)) return;
    this.#armed.set(task, at);
    this.#push({ at, task });
    this.#arm();
  }

  /** The task is over. */
  forget(task: TimedTask): void {
    this.#armed.delete(task);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#armed.clear();
    this.#heap.length = 0;
  }

  #arm(): void {
    const next = this.#heap[0];
    if (next === undefined || next.at >= this.#timerAt) return;
    this.#timer?.cancel();
    const wait = Math.min(waitMsMax, Math.max(0, Math.ceil(next.at - this.#clock.monotonicMs())));
    this.#timerAt = next.at;
    this.#timer = this.#clock.setTimer(wait, () => {
      this.#onTimer();
    });
  }

  /** After a stall of the event loop the buffered messages are read before deadlines act (design D3, P15). */
  #onTimer(): void {
    const late = this.#clock.monotonicMs() - this.#timerAt;
    this.#timer = null;
    if (late <= stallMsMax) {
      this.#fire();
      return;
    }
    this.#schedule(() => {
      this.#schedule(() => {
        this.#fire();
      });
    });
  }

  #fire(): void {
    this.#timerAt = Infinity;
    const now = this.#clock.monotonicMs();
    // taken out first: a task that wants to act again at once does so at the next firing, not in this loop
    for (const task of this.#takeDue(now)) {
      if (task.nextDeadline <= now) task.deadlinePassed();
      this.rearm(task);
    }
    this.#arm();
  }

  #takeDue(now: number): TimedTask[] {
    const due: TimedTask[] = [];
    for (let next = this.#heap[0]; next !== undefined && next.at <= now; next = this.#heap[0]) {
      this.#pop();
      if (this.#armed.get(next.task) !== next.at) continue;
      this.#armed.delete(next.task);
      due.push(next.task);
    }
    return due;
  }

  #push(armed: Armed): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(armed);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = must(heap[parent], 'a heap has no holes');
      if (above.at <= armed.at) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = armed;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const child = this.#smallerChild(at);
      const below = heap[child];
      if (below === undefined || below.at >= last.at) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }

  #smallerChild(at: number): number {
    const left = 2 * at + 1;
    const leftAt = this.#heap[left]?.at ?? Infinity;
    const rightAt = this.#heap[left + 1]?.at ?? Infinity;
    return rightAt < leftAt ? left + 1 : left;
  }
}
