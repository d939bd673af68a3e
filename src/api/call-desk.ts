/**
 * Every call passes here: it is admitted within the limits, gets its context (who, until when, and a signal that ends when
 * the caller is gone), and is counted until it is over. Draining ends here too.
 *
 * Invariants:
 * - desk-1: what was admitted is given back exactly once, however the call ends.
 * - desk-2: a call is answered exactly once; what comes later is dropped.
 */
import type { handleUnaryCall, sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import type { RequestContext } from '../broker/requests.ts';
import type { Clock } from '../model/clock.ts';
import type { BrokerError, Refused, Result } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { Millis } from '../model/ids.ts';
import { millisPlus, toMillis } from '../model/ids.ts';
import { ByteBudget } from './byte-budget.ts';
import { cutStream } from './http2-windows.ts';
import type { Incoming } from './incoming.ts';
import type { ApiLimits } from './limits.ts';
import type { AnswerCode, ApiObserver } from './observer.ts';
import { silentApiObserver } from './observer.ts';
import { statusObject } from './status.ts';

export interface CallDeskOptions {
  readonly clock: Clock;
  readonly limits: ApiLimits;
  /** A handler threw or rejected: a defect, after which the process must end (design D7). */
  readonly onDefect: (defect: unknown) => void;
  readonly observer?: ApiObserver;
}

export type UnaryHandler<Request, Response> = (
  request: Request,
  context: RequestContext,
) => Promise<Result<Response>> | Result<Response>;

export interface UnaryOptions<Response> {
  /** True for calls that only wait: draining ends them at once. Others are answered by what they wait for. */
  readonly onlyWaits: boolean;
  /** Bytes of a reply that may be large. */
  readonly replyBytes: (reply: Response) => number;
}

const smallAnswer: UnaryOptions<unknown> = { onlyWaits: false, replyBytes: () => 0 };

/** Something that lasts until it ends itself or is told to. */
export interface Drainable {
  /** The broker is stopping: end as soon as what is under way has been answered. */
  drain(): void;
}

const anonymous = 'anonymous';
const tenantZero = 0;
/** Time for the broker's own answer, which knows more, to come before ours. */
const deadlineGraceMs = 250;
/** For contexts of streams, which end when their caller does. */
const noDeadline = toMillis(Number.MAX_SAFE_INTEGER);

/** Why signals abort. Given because Node would else make an exception with a stack for each call: a tenth of its cost. */
export const callOver = 'the call is over';

export const shuttingDown = (): Refused =>
  refuse('BROKER_SHUTTING_DOWN', 'The broker is stopping; ask another one, or this one after its restart.', {
    retryAfterMs: 1_000,
  });

export class CallDesk {
  readonly clock: Clock;
  readonly limits: ApiLimits;
  readonly onDefect: (defect: unknown) => void;
  readonly observer: ApiObserver;
  /** Requests that are being worked on. */
  readonly requests: ByteBudget;
  /** Large replies that have not left yet. */
  readonly replies: ByteBudget;
  readonly #open = new Set<Drainable>();
  #draining = false;

  constructor({ clock, limits, onDefect, observer = silentApiObserver }: CallDeskOptions) {
    this.clock = clock;
    this.limits = limits;
    this.onDefect = onDefect;
    this.observer = observer;
    this.requests = new ByteBudget(limits.requestBytesInFlightMax);
    this.replies = new ByteBudget(limits.replyBytesUnsentMax);
  }

  /** Calls that are not over. */
  get openCalls(): number {
    return this.#open.size;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Refuses new calls from now on, ends those that only wait, and lets the others be answered. */
  drain(): void {
    this.#draining = true;
    for (const call of [...this.#open]) call.drain();
  }

  /** Lets a call in; it must `leave` in the end. */
  enter(call: Drainable): Refused | null {
    if (this.#draining) return shuttingDown();
    if (this.#open.size >= this.limits.callsInFlightMax)
      return this.limitReached('callsInFlightMax', this.limits.callsInFlightMax);
    this.#open.add(call);
    return null;
  }

  leave(call: Drainable): void {
    this.#open.delete(call);
  }

  limitReached(limit: string, value: number): Refused {
    this.observer.limitReached(limit);
    return refuse('LIMIT_REACHED', `The broker is busy: ${limit} is reached.`, {
      retryAfterMs: this.limits.retryAfterMs,
      fields: { limit, value: String(value) },
    });
  }

  /**
   * Context of what runs on a call until `deadlineMs` of the monotonic clock. Null: until the call ends.
   * @param arrived the observer's moment at which the request of a client was there
   */
  context(signal: AbortSignal, deadlineMs: Millis | null, arrived?: number): RequestContext {
    const context = { principal: anonymous, tenant: tenantZero, deadlineMs: deadlineMs ?? noDeadline, signal };
    return arrived === undefined ? context : { ...context, arrived };
  }

  /** The handler of an unary method, as grpc-js wants it. */
  unary<Request, Response>(
    handle: UnaryHandler<Request, Response>,
    options: UnaryOptions<Response> = smallAnswer,
  ): handleUnaryCall<Incoming<Request>, Response> {
    return (call, reply) => new UnaryCall(this, call, reply, options).serve(handle);
  }
}

class UnaryCall<Request, Response> implements Drainable {
  readonly #desk: CallDesk;
  readonly #call: ServerUnaryCall<Incoming<Request>, Response>;
  readonly #reply: sendUnaryData<Response>;
  readonly #options: UnaryOptions<Response>;
  readonly #gone = new AbortController();
  readonly #began: number;
  #answered = false;

  constructor(
    desk: CallDesk,
    call: ServerUnaryCall<Incoming<Request>, Response>,
    reply: sendUnaryData<Response>,
    options: UnaryOptions<Response>,
  ) {
    this.#desk = desk;
    this.#call = call;
    this.#reply = reply;
    this.#options = options;
    this.#began = desk.observer.moment();
  }

  serve(handle: UnaryHandler<Request, Response>): void {
    const incoming = this.#call.request;
    const refused = this.#refusal(incoming) ?? this.#desk.enter(this);
    if (refused !== null) this.#refuse(refused.error);
    else if (incoming.kind === 'message') this.#run(handle, incoming.message, incoming.bytes);
  }

  drain(): void {
    if (this.#options.onlyWaits) this.#answer(shuttingDown());
  }

  #refusal(incoming: Incoming<Request>): Refused | null {
    if (incoming.kind === 'malformed') return { kind: 'refused', error: incoming.error };
    const { requests } = this.#desk;
    return requests.full ? this.#desk.limitReached('requestBytesInFlightMax', requests.bytesMax) : null;
  }

  #run(handle: UnaryHandler<Request, Response>, request: Request, bytes: number): void {
    const { clock } = this.#desk;
    const remainingMs = this.#remainingMs();
    const deadlineMs = millisPlus(clock.monotonicMs(), remainingMs);
    const context = this.#desk.context(this.#gone.signal, deadlineMs, this.#began);
    const timer = clock.setTimer(remainingMs + deadlineGraceMs, () => this.#answer(timedOut()));
    this.#desk.requests.take(bytes);
    this.#call.on('cancelled', () => {
      if (!this.#answered) this.#tell('CANCELLED');
      this.#end();
    });
    this.#gone.signal.addEventListener('abort', () => {
      timer.cancel();
      this.#desk.requests.give(bytes);
      this.#desk.leave(this);
    });
    this.#settle(handle, request, context);
  }

  #settle(handle: UnaryHandler<Request, Response>, request: Request, context: RequestContext): void {
    const run = async (): Promise<void> => this.#answer(await handle(request, context));
    run().catch((defect: unknown) => {
      this.#answer(refuse('INTERNAL', 'A defect of Sluice; the broker’s log tells more.'));
      this.#desk.onDefect(defect);
    });
  }

  /** Until the caller's deadline, at most until ours. */
  #remainingMs(): number {
    const deadline = this.#call.getDeadline();
    const untilMs = deadline instanceof Date ? deadline.getTime() : deadline;
    // grpc-js keeps deadlines on the wall clock
    const remainingMs = untilMs - Date.now();
    return Math.ceil(Math.min(this.#desk.limits.unaryMsMax, Math.max(0, remainingMs)));
  }

  #answer(result: Result<Response>): void {
    if (this.#answered) return;
    this.#answered = true;
    if (result.kind === 'ok') this.#send(result.value);
    else this.#refuse(result.error);
    this.#end();
  }

  #refuse(error: BrokerError): void {
    this.#reply(statusObject(error));
    this.#tell(error.code);
  }

  #tell(code: AnswerCode): void {
    this.#desk.observer.answered(methodOf(this.#call.getPath()), code, this.#began);
  }

  /** A large reply counts until it has left; a caller that does not take it in time is cut off. */
  #send(value: Response): void {
    const { replies, limits, clock } = this.#desk;
    const bytes = this.#options.replyBytes(value);
    if (bytes > 0 && replies.full) {
      this.#refuse(this.#desk.limitReached('replyBytesUnsentMax', replies.bytesMax).error);
      return;
    }
    this.#reply(null, value);
    this.#tell('OK');
    if (bytes === 0) return;
    replies.take(bytes);
    const timer = clock.setTimer(limits.replyStallMsMax, () => cutStream(this.#call));
    this.#call.once('cancelled', () => {
      timer.cancel();
      replies.give(bytes);
    });
  }

  /** The caller has its answer or is gone: whatever still waits for it stops. */
  #end(): void {
    this.#answered = true;
    this.#gone.abort(callOver);
  }
}

/** "/sluice.v1.LogService/Produce" is Produce. Only what the contract names comes here. */
const methodOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

const timedOut = (): Refused =>
  refuse('REQUEST_TIMED_OUT', 'The deadline passed before the outcome was known; it may still take effect.');
