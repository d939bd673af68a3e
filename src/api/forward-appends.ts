/**
 * Appends for partitions that are led elsewhere, handed to their leader (design D15).
 *
 * Invariants:
 * - forward-1: appends to one partition take effect, and are answered, in the order of the calls: while anything is on its
 *   way for a partition, what follows goes the same way, and only one call at a time is out.
 * - forward-2: nothing is sent twice. What became of a call that was not answered is unknown, and is told so.
 * - forward-3: when the way is lost (no answer, or the other broker does not lead), everything that waits behind is
 *   refused, in order, before the next append asks anew where to go.
 */
import { ForwardAppendsReply, ForwardAppendsRequest } from '../gen/sluice/internal/v1/forward.ts';
import type { ForwardedAppend } from '../gen/sluice/internal/v1/forward.ts';
import type { AppendReceipt, AppendRequest, RequestContext } from '../broker/requests.ts';
import type { Clock } from '../model/clock.ts';
import type { BrokerError, LeaderHint, Refused, Result } from '../model/errors.ts';
import { errorTraits, ok, refuse } from '../model/errors.ts';
import type { BrokerId } from '../model/ids.ts';
import { fromErrorDetail, fromProduceResponse } from './forward-answers.ts';
import type { ForwardLimits } from './forward-limits.ts';
import type { ForwardPeers } from './forward-port.ts';
import { toProduceRequest } from './forward-requests.ts';

/** The method on the port between brokers. */
export const forwardAppendsMethod = 'forward-appends';

export interface ForwardAppendsDeps {
  readonly peers: ForwardPeers;
  readonly clock: Clock;
  readonly limits: ForwardLimits;
  /** Where a broker takes clients; null: not known. */
  readonly addressOf: (broker: BrokerId) => string | null;
  /** Who was asked does not lead the partition, and says who does. */
  readonly learned: (tenant: number, request: AppendRequest, hint: LeaderHint) => void;
  /** Who was asked could not be reached, or does not lead the partition and names nobody. */
  readonly missed: (tenant: number, request: AppendRequest, asked: BrokerId) => void;
}

interface Waiting {
  readonly request: AppendRequest;
  readonly context: RequestContext;
  readonly answer: (result: Result<AppendReceipt>) => void;
}

export class AppendForwarder {
  readonly #deps: ForwardAppendsDeps;
  /** By topic and partition; a lane exists while anything of it is not answered. */
  readonly #lanes = new Map<string, Lane>();

  constructor(deps: ForwardAppendsDeps) {
    this.#deps = deps;
  }

  /**
   * Hands the append on if `route` says so, or if earlier ones of the partition are on their way; null: append it here.
   * @param route asked only if nothing is on its way
   */
  take(
    request: AppendRequest,
    context: RequestContext,
    route: () => BrokerId | null,
  ): Promise<Result<AppendReceipt>> | null {
    const key = `${context.tenant}/${request.topic}/${request.partition}`;
    const known = this.#lanes.get(key);
    const to = known === undefined ? route() : null;
    if (known === undefined && to === null) return null;
    const lane = known ?? this.#open(key, to);
    return new Promise((answer) => {
      lane.add({ request, context, answer });
    });
  }

  #open(key: string, to: BrokerId | null): Lane {
    if (to === null) throw new RangeError('a lane leads somewhere');
    const lane = new Lane(to, this.#deps, () => this.#lanes.delete(key));
    this.#lanes.set(key, lane);
    return lane;
  }
}

/** Appends of one partition on their way to one broker. */
class Lane {
  readonly #to: BrokerId;
  readonly #deps: ForwardAppendsDeps;
  readonly #emptied: () => void;
  /** Bounded by what the streams and calls that wait for the answers may hold. */
  readonly #queue: Waiting[] = [];
  #running = false;

  constructor(to: BrokerId, deps: ForwardAppendsDeps, emptied: () => void) {
    this.#to = to;
    this.#deps = deps;
    this.#emptied = emptied;
  }

  add(waiting: Waiting): void {
    this.#queue.push(waiting);
    if (this.#running) return;
    this.#running = true;
    // the end of this turn: what a stream brings in one go travels in one call
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    for (let group = this.#takeGroup(); group.length > 0; group = this.#takeGroup()) {
      const { results, lost } = await this.#send(group);
      const behind = lost === null ? [] : this.#queue.splice(0);
      // before anybody is answered: who goes on at once asks anew where to go
      if (this.#queue.length === 0) this.#emptied();
      group.forEach(({ answer }, at) => {
        answer(results[at] ?? noAnswer);
      });
      if (lost !== null) for (const { answer } of behind) answer(lost);
    }
  }

  #takeGroup(): readonly Waiting[] {
    const { appendsBytesMax, appendsMax } = this.#deps.limits;
    let bytes = 0;
    let count = 0;
    for (const { request } of this.#queue) {
      if (count === appendsMax || (count > 0 && bytes + request.batch.length > appendsBytesMax)) break;
      bytes += request.batch.length;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #send(group: readonly Waiting[]): Promise<Sent> {
    const { peers, clock, limits } = this.#deps;
    const now = clock.monotonicMs();
    const left = group.map(({ context }) => Math.max(1, Math.min(timeoutMsMax, Math.ceil(context.deadlineMs - now))));
    const [first] = group;
    const payload = ForwardAppendsRequest.encode({
      caller: { principal: first?.context.principal ?? '', tenant: first?.context.tenant ?? 0 },
      appends: group.map(({ request }, at) => toProduceRequest(request, left[at] ?? 1)),
    }).finish();
    const reply = await peers.call(this.#to, forwardAppendsMethod, payload, Math.max(...left) + limits.graceMs);
    if (reply.kind !== 'answered' && first !== undefined)
      this.#deps.missed(first.context.tenant, first.request, this.#to);
    switch (reply.kind) {
      case 'answered':
        return this.#read(group, ForwardAppendsReply.decode(reply.payload).results);
      case 'not-sent': {
        const refused = notReached(this.#to, reply.why, limits);
        return { results: group.map(() => refused), lost: refused };
      }
      case 'unknown': {
        const what = `broker ${this.#to} was asked to append and did not answer (${reply.why}): it may take effect`;
        const unknown = refuse('APPEND_INTERRUPTED', what);
        return { results: group.map(() => unknown), lost: notReached(this.#to, reply.why, limits) };
      }
    }
  }

  /** Whoever it was handed to led: the caller goes there next time. */
  #ledBy(result: Result<AppendReceipt>): Result<AppendReceipt> {
    if (result.kind === 'refused') return result;
    const address = this.#deps.addressOf(this.#to);
    if (address === null) return result;
    const { leaderEpoch } = result.value;
    return ok({ ...result.value, leader: { brokerId: this.#to, address, leaderEpoch } });
  }

  #read(group: readonly Waiting[], answers: readonly ForwardedAppend[]): Sent {
    const results = group.map((_, at) => this.#ledBy(resultOf(answers[at])));
    let lost: Refused | null = null;
    results.forEach((result, at) => {
      if (result.kind === 'ok' || !isElsewhere(result.error)) return;
      lost ??= result;
      const { leaderHint } = result.error;
      const waiting = group[at];
      if (waiting === undefined) return;
      const { request, context } = waiting;
      if (leaderHint !== undefined) this.#deps.learned(context.tenant, request, leaderHint);
      else this.#deps.missed(context.tenant, request, this.#to);
    });
    return { results, lost };
  }
}

/** What became of a call. */
interface Sent {
  /** One for each append, in order. */
  readonly results: readonly Result<AppendReceipt>[];
  /** Null: the way is good; else what to tell everybody behind. */
  readonly lost: Refused | null;
}

const noAnswer = refuse('APPEND_INTERRUPTED', 'the leader gave no answer to this append: it may have taken effect');

/** Longest time that a produce may wait (ProduceRequest.timeout_ms). */
const timeoutMsMax = 120_000;

/** The other broker does not lead, or stops. */
export const isElsewhere = ({ code }: BrokerError): boolean =>
  !errorTraits[code].indeterminate &&
  (code === 'NOT_LEADER_OR_FOLLOWER' || code === 'LEADER_NOT_AVAILABLE' || code === 'BROKER_SHUTTING_DOWN');

export const notReached = (to: BrokerId, why: string, { retryAfterMs }: ForwardLimits): Refused =>
  refuse('LEADER_NOT_AVAILABLE', `broker ${to} has to do this, and it can not be reached: ${why}`, { retryAfterMs });

function resultOf(forwarded: ForwardedAppend | undefined): Result<AppendReceipt> {
  switch (forwarded?.result?.$case) {
    case 'produced':
      return ok(fromProduceResponse(forwarded.result.value));
    case 'error':
      return { kind: 'refused', error: fromErrorDetail(forwarded.result.value) };
    case undefined:
      return noAnswer;
  }
}
