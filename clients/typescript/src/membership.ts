/**
 * A member of a consumer group: joins, lives, comes back, leaves. Heartbeats have their own timer and never wait for what
 * the application does with its records.
 */
import { randomUuid } from '../../../src/model/random.ts';
import { backoffMs, pause } from './backoff.ts';
import type { Brokers, CallOptions } from './brokers.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import type { JoinGroupResponse, TopicPartitions } from './gen/sluice/v1/group.ts';
import { toNumber } from './int64.ts';
import { LeaveReason } from './gen/sluice/v1/group.ts';
import { MembershipWatch } from './membership-watch.ts';
import { methods } from './methods.ts';
import type { ResumeTokenStorage } from './resume-token.ts';

export interface MembershipOptions {
  readonly group: string;
  readonly topics: readonly string[];
  readonly clientId: string;
  readonly storage: ResumeTokenStorage | null;
  /** Of a static member; null: it is none. */
  readonly instanceId: string | null;
  /** Null: it does not matter. */
  readonly assignor: string | null;
}

export interface MembershipEvents {
  /** It is a member. */
  readonly joined: (state: MemberState) => void;
  /** A heartbeat was not answered, or refused for now; the next one is on its way. */
  readonly troubled: (error: BrokerError) => void;
  /** What the member shall read from now on, all of it. */
  readonly assigned: (target: readonly TopicPartitions[]) => void;
  /** It is no member any more and owns nothing; it joins again by itself. */
  readonly lost: (error: BrokerError) => void;
  /** It is no member any more and will not be again. */
  readonly failed: (error: BrokerError) => void;
  /** What the member reads at the moment. */
  readonly owned: () => TopicPartitions[];
}

export interface MemberState {
  readonly memberId: string;
  readonly memberEpoch: number;
}

/** Twice fenced within this time means that another process uses the same resume token: one of the two must give up. */
const fencedAgainMs = 10_000;
/** An answer to a heartbeat is waited for at least this long. */
const heartbeatTimeoutMsMin = 2_000;
const leaveTimeoutMs = 2_000;
/** These say that the coordinator does not know the member (any more), or not this incarnation of it. */
const memberGone: ReadonlySet<string> = new Set(['FENCED_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID', 'GROUP_ID_NOT_FOUND']);

export class Membership {
  readonly #brokers: Brokers;
  readonly #options: MembershipOptions;
  readonly #events: MembershipEvents;
  readonly #stopped = new AbortController();
  #state: MemberState | null = null;
  #token: Uint8Array | null = null;
  /** Of the join that has no answer yet: whatever of it is tried again is the same join. Null: it was answered. */
  #joinId: string | null = null;
  #heartbeatMs = 5_000;
  #timer: { cancel(): void } | null = null;
  /** The heartbeat on its way. Invariant: one at a time, so that epochs are learnt in order. */
  #beating: Promise<void> | null = null;
  /** Something changed while a heartbeat was on its way: another follows at once. */
  #beatAgain = false;
  #fencedMs = -Infinity;
  readonly #watch: MembershipWatch;

  constructor(brokers: Brokers, options: MembershipOptions, events: MembershipEvents) {
    this.#brokers = brokers;
    this.#options = options;
    this.#events = events;
    this.#watch = new MembershipWatch(
      brokers,
      options.group,
      () => this.#state,
      () => void this.beat(),
    );
  }

  /** Null: not a member now. */
  get state(): MemberState | null {
    return this.#state;
  }

  /** Joins the group, or comes back with the stored token. Rejects with why it can not. */
  async join(options: CallOptions = {}): Promise<void> {
    this.#token = await this.#loadToken();
    await this.#join(options);
  }

  /** Sends a heartbeat now, or right after the one that is on its way; resolves when it is answered. Never rejects. */
  async beat(): Promise<void> {
    if (this.#beating !== null) {
      this.#beatAgain = true;
      await this.#beating;
      return;
    }
    this.#timer?.cancel();
    this.#beating = this.#beatWhileAsked();
    await this.#beating;
  }

  /**
   * Leaves at once. Never rejects: a member that can not say goodbye is missed when its session ends. `keepPlace`: a static
   * member will be back, and nobody else gets its partitions until its session is over.
   */
  async leave(reason: LeaveReason = LeaveReason.LEAVE_REASON_UNSPECIFIED, keepPlace = false): Promise<void> {
    this.stop();
    await this.#beating;
    const state = this.#state;
    this.#state = null;
    if (state === null) return;
    try {
      const request = { group: this.#options.group, ...state, reason, keepPlace };
      await this.#brokers.call(methods.leaveGroup, request, { timeoutMs: leaveTimeoutMs });
      if (!keepPlace) await this.#options.storage?.clear?.();
    } catch {
      // the session's end, or the next join's refusal of the old token, makes up for it
    }
  }

  /** Says and hears nothing more. */
  stop(): void {
    this.#stopped.abort();
    this.#timer?.cancel();
    this.#watch.stop();
  }

  async #join(options: CallOptions): Promise<void> {
    const answer = await this.#ask(options);
    this.#joinId = null;
    this.#state = { memberId: answer.memberId, memberEpoch: answer.memberEpoch };
    this.#heartbeatMs = toNumber(answer.heartbeatIntervalMs);
    this.#token = answer.resumeToken;
    await this.#saveToken(answer.resumeToken);
    this.#schedule(this.#heartbeatMs);
    this.#watch.start();
    this.#events.joined(this.#state);
    this.#events.assigned(answer.assignment);
  }

  async #ask(options: CallOptions): Promise<JoinGroupResponse> {
    const { group, topics, clientId, instanceId, assignor } = this.#options;
    const { rack } = this.#brokers;
    const signal =
      options.signal === undefined ? this.#stopped.signal : AbortSignal.any([options.signal, this.#stopped.signal]);
    this.#joinId ??= randomUuid(this.#brokers.environment.random);
    const fresh = {
      ...{ group, topics: [...topics], clientId, joinId: this.#joinId },
      ...(instanceId === null ? {} : { instanceId }),
      ...(assignor === null ? {} : { assignor }),
      ...(rack === null ? {} : { rack }),
    };
    if (this.#token === null) return this.#brokers.call(methods.joinGroup, fresh, { ...options, signal });
    try {
      return await this.#brokers.call(
        methods.joinGroup,
        { ...fresh, resumeToken: this.#token },
        { ...options, signal },
      );
    } catch (error) {
      if (!BrokerError.is(error, 'INVALID_RESUME_TOKEN') && !BrokerError.is(error, 'UNKNOWN_MEMBER_ID')) throw error;
      this.#token = null;
      return this.#brokers.call(methods.joinGroup, fresh, { ...options, signal });
    }
  }

  #schedule(inMs: number): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer?.cancel();
    this.#timer = this.#brokers.environment.clock.setTimer(inMs, () => void this.beat());
  }

  async #beatWhileAsked(): Promise<void> {
    await this.#beatOnce();
    while (this.#takeBeatAgain()) await this.#beatOnce();
    this.#beating = null;
  }

  #takeBeatAgain(): boolean {
    const again = this.#beatAgain && this.#state !== null && !this.#stopped.signal.aborted;
    this.#beatAgain = false;
    return again;
  }

  async #beatOnce(): Promise<void> {
    const state = this.#state;
    if (state === null || this.#stopped.signal.aborted) return;
    const request = { group: this.#options.group, ...state, owned: this.#events.owned() };
    const timeoutMs = Math.max(this.#heartbeatMs, heartbeatTimeoutMsMin);
    try {
      const answer = await this.#brokers.call(methods.heartbeat, request, { timeoutMs, signal: this.#stopped.signal });
      this.#state = { memberId: state.memberId, memberEpoch: answer.memberEpoch };
      this.#heartbeatMs = toNumber(answer.heartbeatIntervalMs);
      this.#schedule(this.#heartbeatMs);
      if (answer.assignment !== undefined) this.#events.assigned(answer.assignment.partitions);
    } catch (thrown) {
      this.#beatFailed(asBrokerError(thrown));
    }
  }

  #beatFailed(error: BrokerError): void {
    if (this.#stopped.signal.aborted) return;
    if (error.retriable) {
      this.#events.troubled(error);
      this.#schedule(Math.min(this.#heartbeatMs, this.#brokers.backoff.maxMs));
    } else if (memberGone.has(error.code)) void this.#comeBack(error);
    else this.#giveUp(error);
  }

  /** Joins again until it succeeds or makes no sense. Never rejects. */
  async #comeBack(reason: BrokerError): Promise<void> {
    this.#state = null;
    this.#events.lost(reason);
    if (reason.code !== 'FENCED_MEMBER_EPOCH') this.#token = null;
    else if (this.#isFencedAgain()) {
      const message = 'Another process uses the same resume token: each consumer needs its own. ' + reason.message;
      this.#giveUp(reason.with({ message }));
      return;
    }
    for (let attempt = 0; !this.#stopped.signal.aborted; attempt++) {
      try {
        await this.#join({});
        return;
      } catch (thrown) {
        const error = asBrokerError(thrown);
        if (!error.retriable) {
          if (error.code !== 'ABORTED') this.#giveUp(error);
          return;
        }
        const { backoff, environment } = this.#brokers;
        await pause(backoffMs(attempt, backoff, environment, error.retryAfterMs), environment);
      }
    }
  }

  #isFencedAgain(): boolean {
    const nowMs = this.#brokers.environment.clock.monotonicMs();
    const again = nowMs - this.#fencedMs < fencedAgainMs;
    this.#fencedMs = nowMs;
    return again;
  }

  #giveUp(error: BrokerError): void {
    this.#state = null;
    this.stop();
    this.#events.failed(error);
  }

  async #loadToken(): Promise<Uint8Array | null> {
    try {
      return (await this.#options.storage?.load()) ?? null;
    } catch (cause) {
      throw storageError('loaded', cause);
    }
  }

  async #saveToken(token: Uint8Array): Promise<void> {
    try {
      await this.#options.storage?.save(token);
    } catch (cause) {
      throw storageError('saved', cause);
    }
  }
}

const storageError = (what: string, cause: unknown): BrokerError =>
  new BrokerError('RESUME_TOKEN_STORAGE_FAILED', `The resume token could not be ${what}: ${String(cause)}`, { cause });
