/**
 * The time-outs of members, in the coordinator's memory only: whoever becomes coordinator gives everybody a full one
 * (reliability P112). A heartbeat moves a deadline without touching a timer.
 */
import type { Clock, Timer } from '../model/clock.ts';
import type { Millis } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import type { GroupEvent } from './group/group-event.ts';
import type { GroupView } from './group/group.ts';
import type { GroupRef } from './group/records.ts';
import { groupKeyOf } from './group/records.ts';

export interface TimerSettings {
  readonly durationMs: number;
  /** After an expiry that had no effect the timer fires again after this time. */
  readonly retryMs: number;
  /** A timer that is later than this saw the process stall: as much time as it was late is given on top. */
  readonly stallMs: number;
}

interface Watched {
  deadlineMs: Millis;
  /** When `timer` fires; at most the deadline plus what was moved since. */
  firesAtMs: Millis;
  timer: Timer;
}

/** Deadlines by key, each for the same duration. */
export class MovableTimers {
  private readonly clock: Clock;
  private readonly settings: TimerSettings;
  private readonly expired: (key: string) => void;
  private readonly watched = new Map<string, Watched>();

  /** `expired` is called again every `retryMs` until the key is dropped or its deadline moved. */
  constructor(clock: Clock, settings: TimerSettings, expired: (key: string) => void) {
    this.clock = clock;
    this.settings = settings;
    this.expired = expired;
  }

  get size(): number {
    return this.watched.size;
  }

  has(key: string): boolean {
    return this.watched.has(key);
  }

  /** Starts the key's time in full, whether it is watched or not. */
  start(key: string): void {
    if (this.extend(key)) return;
    const deadlineMs = this.fromNow(this.settings.durationMs);
    this.watched.set(key, { deadlineMs, firesAtMs: deadlineMs, timer: this.arm(key, this.settings.durationMs) });
  }

  /** Starts the key's time in full if it is watched. */
  extend(key: string): boolean {
    const watched = this.watched.get(key);
    if (watched === undefined) return false;
    watched.deadlineMs = this.fromNow(this.settings.durationMs);
    return true;
  }

  /** Time that is left, from 0; null: not watched. */
  remainingMs(key: string): number | null {
    const watched = this.watched.get(key);
    return watched === undefined ? null : Math.max(0, watched.deadlineMs - this.clock.monotonicMs());
  }

  drop(key: string): void {
    this.watched.get(key)?.timer.cancel();
    this.watched.delete(key);
  }

  clear(): void {
    for (const { timer } of this.watched.values()) timer.cancel();
    this.watched.clear();
  }

  private arm(key: string, delayMs: number): Timer {
    return this.clock.setTimer(delayMs, () => {
      this.fired(key);
    });
  }

  private fired(key: string): void {
    const watched = this.watched.get(key);
    if (watched === undefined) return;
    const now = this.clock.monotonicMs();
    const lateMs = now - watched.firesAtMs;
    // Heartbeats that came during a stall of this process are still unread: they get their turn before anybody expires.
    if (lateMs > this.settings.stallMs) this.postpone(watched, Math.min(lateMs, this.settings.durationMs));
    const isOver = watched.deadlineMs <= now;
    const delayMs = isOver ? this.settings.retryMs : watched.deadlineMs - now;
    watched.firesAtMs = millisPlus(now, delayMs);
    watched.timer = this.arm(key, delayMs);
    if (isOver) this.expired(key);
  }

  /** Leaves at least this much time. */
  private postpone(watched: Watched, spanMs: number): void {
    const deadlineMs = this.fromNow(spanMs);
    if (deadlineMs > watched.deadlineMs) watched.deadlineMs = deadlineMs;
  }

  private fromNow(spanMs: number): Millis {
    return millisPlus(this.clock.monotonicMs(), spanMs);
  }
}

export interface MemberTimeouts {
  readonly sessionTimeoutMs: number;
  readonly revocationTimeoutMs: number;
  readonly expiryRetryMs: number;
  readonly stallMs: number;
}

export interface ExpiryListener {
  sessionOver(group: GroupRef, memberId: string): void;
  revocationOver(group: GroupRef, memberId: string): void;
}

/** The sessions of all members of one coordinator, and the revocations that they owe. */
export class MemberTimers {
  private readonly sessionTimeoutMs: number;
  private readonly sessions: MovableTimers;
  private readonly revocations: MovableTimers;
  /** Members that were heard of since they joined or resumed. */
  private readonly heardOf = new Set<string>();
  /** Members whose stream ended and that were not heard of since. */
  private readonly suspects = new Set<string>();
  /** For which epoch a revocation is awaited: a member that owes more in the same epoch gets no more time. */
  private readonly owedEpochs = new Map<string, number>();

  constructor(clock: Clock, timeouts: MemberTimeouts, listener: ExpiryListener) {
    this.sessionTimeoutMs = timeouts.sessionTimeoutMs;
    const shared = { retryMs: timeouts.expiryRetryMs, stallMs: timeouts.stallMs };
    this.sessions = new MovableTimers(clock, { ...shared, durationMs: timeouts.sessionTimeoutMs }, (key) => {
      listener.sessionOver(...parseKey(key));
    });
    this.revocations = new MovableTimers(clock, { ...shared, durationMs: timeouts.revocationTimeoutMs }, (key) => {
      listener.revocationOver(...parseKey(key));
    });
  }

  /** Members with a running session. */
  get size(): number {
    return this.sessions.size;
  }

  sessionRemainingMs(group: GroupRef, memberId: string): number | null {
    return this.sessions.remainingMs(keyOf(group, memberId));
  }

  /** The member lives. */
  heard(group: GroupRef, memberId: string): void {
    const key = keyOf(group, memberId);
    this.suspects.delete(key);
    if (this.sessions.extend(key)) this.heardOf.add(key);
  }

  /** The member's stream ended. */
  suspect(group: GroupRef, memberId: string): void {
    const key = keyOf(group, memberId);
    if (this.sessions.has(key)) this.suspects.add(key);
  }

  /** Whether it was not heard of since its stream ended, or for this long. */
  isSilent(group: GroupRef, memberId: string, silentMs: number): boolean {
    const key = keyOf(group, memberId);
    const remainingMs = this.sessions.remainingMs(key);
    return this.suspects.has(key) || (remainingMs !== null && remainingMs <= this.sessionTimeoutMs - silentMs);
  }

  /** Whether it was heard of since it joined or resumed. */
  wasHeard(group: GroupRef, memberId: string): boolean {
    return this.heardOf.has(keyOf(group, memberId));
  }

  /** Gives every member of a group its time in full. */
  startAll(group: GroupView): void {
    for (const { memberId, epoch, revoking } of group.members.values()) {
      const key = keyOf(group, memberId);
      this.sessions.start(key);
      if (revoking.size > 0) this.awaitRevocation(key, epoch);
    }
  }

  follow(event: GroupEvent): void {
    switch (event.kind) {
      case 'member-joined':
      case 'member-resumed':
      case 'member-away':
        this.forget(keyOf(event.group, event.memberId));
        this.sessions.start(keyOf(event.group, event.memberId));
        // Who resumes has given up what its older self owed; if it owes again, that is told next.
        this.endRevocation(keyOf(event.group, event.memberId));
        return;
      case 'member-left':
        this.forget(keyOf(event.group, event.memberId));
        this.sessions.drop(keyOf(event.group, event.memberId));
        this.endRevocation(keyOf(event.group, event.memberId));
        return;
      case 'member-assigned':
        if (event.revoking) this.awaitRevocation(keyOf(event.group, event.memberId), event.epoch);
        else this.endRevocation(keyOf(event.group, event.memberId));
        return;
      case 'rebalanced':
      case 'offsets-committed':
      case 'offsets-removed':
        return;
    }
  }

  clear(): void {
    this.heardOf.clear();
    this.suspects.clear();
    this.sessions.clear();
    this.revocations.clear();
    this.owedEpochs.clear();
  }

  private forget(key: string): void {
    this.heardOf.delete(key);
    this.suspects.delete(key);
  }

  private awaitRevocation(key: string, epoch: number): void {
    if (this.owedEpochs.get(key) === epoch) return;
    this.owedEpochs.set(key, epoch);
    this.revocations.start(key);
  }

  private endRevocation(key: string): void {
    this.owedEpochs.delete(key);
    this.revocations.drop(key);
  }
}

/** Group ids and member ids have no '/'. */
const keyOf = (group: GroupRef, memberId: string): string => `${groupKeyOf(group)}/${memberId}`;

function parseKey(key: string): [GroupRef, string] {
  const [tenant = '', groupId = '', memberId = ''] = key.split('/');
  return [{ tenant: Number(tenant), groupId }, memberId];
}
