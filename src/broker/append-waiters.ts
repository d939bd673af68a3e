/**
 * Appends of one partition whose outcome is open, and who waits for them: the producer and its retries. Each is answered
 * on its own (design D18), at the latest when its deadline comes.
 *
 * Invariants:
 * - waiters-1: an append is here from the proposal to its one outcome.
 * - waiters-2: everybody who waits is answered exactly once and leaves no timer behind.
 */
import { assert } from '../model/assert.ts';
import type { Clock, Timer } from '../model/clock.ts';
import type { Millis, Offset } from '../model/ids.ts';
import type { ProposalListener, ProposalOutcome } from '../raft/group.ts';
import { delayUntil } from './deadline.ts';

/** What became of a wait. */
export type WaitOutcome = ProposalOutcome | { readonly kind: 'durable' } | { readonly kind: 'timed-out' };

interface Waiter {
  readonly level: 'durable' | 'committed';
  readonly timer: Timer;
  readonly answer: (outcome: WaitOutcome) => void;
}

export class AppendWaiters {
  readonly #clock: Clock;
  /** By base offset: at most as many as Raft's limit of uncommitted entries lets in. */
  readonly #open = new Map<Offset, OpenAppend>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#open.size;
  }

  /** The one that was proposed last; null: the outcome of all is known. */
  get newest(): OpenAppend | null {
    let newest: OpenAppend | null = null;
    for (const append of this.#open.values()) newest = append;
    return newest;
  }

  /** Null: its outcome is known, or it was never here. */
  find(baseOffset: Offset): OpenAppend | null {
    return this.#open.get(baseOffset) ?? null;
  }

  /**
   * An append that is about to be proposed at `baseOffset`; `settled` hears its outcome before anybody else, and `durable`
   * that the leader's own write is durable.
   */
  open(baseOffset: Offset, settled: (outcome: ProposalOutcome) => void, durable: () => void): OpenAppend {
    assert(!this.#open.has(baseOffset), 'waiters-1: one append an offset', `${baseOffset}`);
    const append = new OpenAppend(
      this.#clock,
      (outcome) => {
        this.#open.delete(baseOffset);
        settled(outcome);
      },
      durable,
    );
    this.#open.set(baseOffset, append);
    return append;
  }

  /** The proposal was refused after all. */
  forget(baseOffset: Offset): void {
    this.#open.delete(baseOffset);
  }
}

/** One append in flight; Raft tells it what happens. */
export class OpenAppend implements ProposalListener {
  readonly #clock: Clock;
  readonly #settled: (outcome: ProposalOutcome) => void;
  readonly #durable: () => void;
  readonly #waiters = new Set<Waiter>();
  /** What was heard so far; null: nothing. */
  #heard: ProposalOutcome | { readonly kind: 'durable' } | null = null;

  constructor(clock: Clock, settled: (outcome: ProposalOutcome) => void, durable = (): void => undefined) {
    this.#clock = clock;
    this.#settled = settled;
    this.#durable = durable;
  }

  get waiterCount(): number {
    return this.#waiters.size;
  }

  /** Waits for the leader's own fsync, or for the outcome. */
  wait(level: Waiter['level'], deadlineMs: Millis): Promise<WaitOutcome> {
    const heard = this.#heard;
    if (heard !== null && (heard.kind !== 'durable' || level === 'durable')) return Promise.resolve(heard);
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(delayUntil(this.#clock, deadlineMs), () => {
        this.#answer(waiter, { kind: 'timed-out' });
      });
      const waiter: Waiter = { level, timer, answer: resolve };
      this.#waiters.add(waiter);
    });
  }

  durable(): void {
    this.#heard = { kind: 'durable' };
    this.#durable();
    for (const waiter of this.#waiters) if (waiter.level === 'durable') this.#answer(waiter, this.#heard);
  }

  outcome(outcome: ProposalOutcome): void {
    assert(this.#heard === null || this.#heard.kind === 'durable', 'waiters-1: one outcome an append');
    this.#heard = outcome;
    this.#settled(outcome);
    for (const waiter of this.#waiters) this.#answer(waiter, outcome);
  }

  #answer(waiter: Waiter, outcome: WaitOutcome): void {
    waiter.timer.cancel();
    this.#waiters.delete(waiter);
    waiter.answer(outcome);
  }
}
