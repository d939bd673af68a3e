/** One call on its way through a group's lane: decided, perhaps replicated, answered once. */
import type { Clock, Timer } from '../model/clock.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import { delayUntil } from './deadline.ts';
import type { Decision, HandleContext } from './group/decision.ts';
import type { RequestContext } from './requests.ts';

/** What a lane needs of a call. */
export interface LaneCall {
  /** True: answered. A call that is answered before it was decided has no effect. */
  readonly settled: boolean;
  /** Looks what to do; may be asked again when the group has changed. */
  decide(context: HandleContext): Decision<unknown>;
  /** Answers with the response of the last decision: what it decided is committed and applied. */
  succeed(): void;
  refuse(refused: Refused): void;
}

export class GroupCall<T> implements LaneCall {
  settled = false;
  private readonly decision: (context: HandleContext) => Decision<T>;
  private readonly answer: (result: Result<T>) => void;
  private readonly unheard: (response: T) => void;
  private response: { readonly value: T } | null = null;
  private endWaiting: () => void = () => undefined;

  /** `unheard` is told what took effect after the caller had given up. */
  constructor(
    decision: (context: HandleContext) => Decision<T>,
    answer: (result: Result<T>) => void,
    unheard: (response: T) => void = () => undefined,
  ) {
    this.decision = decision;
    this.answer = answer;
    this.unheard = unheard;
  }

  decide(context: HandleContext): Decision<T> {
    const decision = this.decision(context);
    if (decision.kind === 'decided') this.response = { value: decision.response };
    return decision;
  }

  succeed(): void {
    if (this.response === null) return;
    if (this.settled) this.unheard(this.response.value);
    else this.settle(ok(this.response.value));
  }

  refuse(refused: Refused): void {
    this.settle(refused);
  }

  /** True: the caller's time was over before anything was done, and the call is answered. */
  isLate(clock: Clock, context: RequestContext): boolean {
    const isLate = context.signal.aborted || context.deadlineMs <= clock.monotonicMs();
    if (isLate) this.settle(refuse('REQUEST_TIMED_OUT', 'The time for the call was over before it began.'));
    return isLate;
  }

  /** Answers when the caller's time is over or the caller is gone, if nothing else does before. */
  limit(clock: Clock, context: RequestContext): void {
    if (this.settled) return;
    const giveUp = (): void => {
      this.settle(refuse('REQUEST_TIMED_OUT', 'The time for the call is over; it may still take effect.'));
    };
    const timer: Timer = clock.setTimer(delayUntil(clock, context.deadlineMs), giveUp);
    context.signal.addEventListener('abort', giveUp, { once: true });
    this.endWaiting = () => {
      timer.cancel();
      context.signal.removeEventListener('abort', giveUp);
    };
  }

  private settle(result: Result<T>): void {
    if (this.settled) return;
    this.settled = true;
    this.endWaiting();
    this.answer(result);
  }
}
