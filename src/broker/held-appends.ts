/**
 * Appends of one partition that came while nobody serves it here: they wait a moment for who will, in their order, rather
 * than be refused and come again later. A hand-over or an election is over in less time than it takes to ask again.
 *
 * Invariants:
 * - held-1: while anything waits, what comes later waits behind it, and all are tried in the order of their coming.
 * - held-2: everybody is answered once, at the latest after `waitMsMax`, with the refusal that the last try brought.
 */
import type { Clock, Timer } from '../model/clock.ts';
import type { Refused, Result } from '../model/errors.ts';
import type { Millis } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';

/** What a try brought: an answer, or the refusal of a partition that nobody serves yet. */
export type Tried<T> =
  | { readonly kind: 'answered'; readonly answer: Promise<Result<T>> }
  | { readonly kind: 'unserved'; readonly refused: Refused };

interface Held<T> {
  readonly attempt: () => Tried<T>;
  readonly untilMs: Millis;
  refused: Refused;
  readonly settle: (result: Result<T> | Promise<Result<T>>) => void;
}

export interface HeldLimits {
  /** How long one waits at most, milliseconds. */
  readonly waitMsMax: number;
  /** How often all are tried again although nothing was heard, milliseconds. */
  readonly lookMs: number;
  /** As many wait at most. */
  readonly countMax: number;
}

export class HeldAppends<T> {
  readonly #clock: Clock;
  readonly #limits: HeldLimits;
  /** Oldest first. Invariant: at most `countMax`. */
  #queue: Held<T>[] = [];
  #timer: Timer | null = null;
  #isSoon = false;

  constructor(clock: Clock, limits: HeldLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Tries at once, unless others wait. */
  take(attempt: () => Tried<T>, deadlineMs: Millis): Promise<Result<T>> {
    const first = this.#queue[0];
    const tried: Tried<T> = first === undefined ? attempt() : { kind: 'unserved', refused: first.refused };
    if (tried.kind === 'answered') return tried.answer;
    const { waitMsMax, countMax } = this.#limits;
    const nowMs = this.#clock.monotonicMs();
    const latestMs = millisPlus(nowMs, waitMsMax);
    const untilMs = deadlineMs < latestMs ? deadlineMs : latestMs;
    if (untilMs <= nowMs || this.#queue.length >= countMax) return Promise.resolve(tried.refused);
    return new Promise((settle) => {
      this.#queue.push({ attempt, untilMs, refused: tried.refused, settle });
      this.#lookLater();
    });
  }

  /** Somebody may serve by now, or never will: all are tried when the present piece of work is done. */
  wake(): void {
    if (this.#queue.length === 0 || this.#isSoon) return;
    this.#isSoon = true;
    queueMicrotask(() => {
      this.#isSoon = false;
      this.#tryAll();
    });
  }

  #tryAll(): void {
    while (this.#queue[0] !== undefined) {
      const [first] = this.#queue;
      const tried = first.attempt();
      if (tried.kind === 'unserved') {
        first.refused = tried.refused;
        break;
      }
      this.#queue.shift();
      first.settle(tried.answer);
    }
    this.#dropLate();
    if (this.#queue.length > 0) {
      this.#lookLater();
      return;
    }
    this.#timer?.cancel();
    this.#timer = null;
  }

  #dropLate(): void {
    const nowMs = this.#clock.monotonicMs();
    const refused = this.#queue[0]?.refused;
    if (refused === undefined || this.#queue.every(({ untilMs }) => untilMs > nowMs)) return;
    const late = this.#queue.filter(({ untilMs }) => untilMs <= nowMs);
    this.#queue = this.#queue.filter(({ untilMs }) => untilMs > nowMs);
    for (const { settle } of late) settle(refused);
  }

  #lookLater(): void {
    this.#timer ??= this.#clock.setTimer(this.#limits.lookMs, () => {
      this.#timer = null;
      this.#tryAll();
    });
  }
}
