/**
 * One partition of `__groups` on this broker: the shell around a Coordinator. It applies what Raft commits, proposes what
 * the coordinator decides, keeps the members' timers while it leads, and answers nobody unless it serves (reliability
 * P110).
 */
import { InvariantViolation } from '../model/assert.ts';
import type { Clock, Timer } from '../model/clock.ts';
import type { Entry } from '../model/entry.ts';
import type { LeaderHint, Refused, Result } from '../model/errors.ts';
import { ok, refuse, setApart } from '../model/errors.ts';
import type { LogIndex, MemberEpoch, Millis } from '../model/ids.ts';
import { toLogIndex } from '../model/ids.ts';
import type { StateChange, StatePair } from '../model/raft-state.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { CommandMachine, ProposalOutcome, RaftGroup } from '../raft/group.ts';
import { answerBy } from './deadline.ts';
import { Coordinator } from './group/coordinator.ts';
import type { Decision, HandleContext } from './group/decision.ts';
import { answered } from './group/decision.ts';
import type { GroupEvent } from './group/group-event.ts';
import type { GroupTopics } from './group/group-topics.ts';
import type { GroupView } from './group/group.ts';
import { canMove, findMember } from './group/membership.ts';
import { encodeEntry } from './group/record-codec.ts';
import type { GroupEntry, GroupRef } from './group/records.ts';
import { groupKeyOf } from './group/records.ts';
import type { LaneCall } from './group-call.ts';
import { GroupCall } from './group-call.ts';
import type { LanePort } from './group-lane.ts';
import { GroupLane } from './group-lane.ts';
import type { GroupSettings } from './group-settings.ts';
import { MemberTimers } from './group-timers.ts';
import { MemberWatches } from './group-watches.ts';
import { proposalRefusal } from './proposal.ts';
import type { MemberRef, MembershipListener } from './requests.ts';

type Watched = Pick<MemberRef, 'memberId' | 'memberEpoch'>;

/** A member without a stream that has missed so many heartbeats may be dead: its instance id is given to who asks for it. */
const missedHeartbeatsMax = 2;

export interface GroupPartitionOptions {
  readonly clock: Clock;
  readonly settings: GroupSettings;
  readonly topics: GroupTopics;
  /** Where the coordinator is, if another broker leads; null: not known. */
  readonly leaderHint: (role: RoleState) => LeaderHint | null;
  /** Hears what happened to groups that are coordinated here. */
  readonly observe: (event: GroupEvent) => void;
}

export class GroupPartition implements CommandMachine, LanePort {
  readonly kind = 'commands';
  /** Replaced as a whole when a snapshot was loaded. */
  coordinator = new Coordinator();
  /** What a snapshot brings, while it is being loaded. */
  private incoming: Coordinator | null = null;
  readonly timers: MemberTimers;
  readonly watches = new MemberWatches();
  /** Groups in which members may have something to learn: looked at once in a turn. */
  private readonly toTell = new Map<string, GroupRef>();
  private tellTimer: Timer | null = null;
  private readonly options: GroupPartitionOptions;
  /** Groups with a call that waits or an entry on its way. */
  private readonly lanes = new Map<string, GroupLane>();
  /** Invariant: the calls that wait in all lanes. */
  private waiting = 0;
  /** Expulsions and sweeps that wait or are on their way, so that a timer does not queue a second one. */
  private readonly chores = new Set<string>();
  private raft: RaftGroup | null = null;
  private role: RoleState | null = null;
  private quarantine: string | null = null;
  private closed = false;
  /** Index of the newest entry that was applied since the start; 0: none. */
  private appliedIndex: LogIndex = toLogIndex(0);
  /** Reads that wait until an entry is applied. At most as many as Raft lets wait for their confirmation. */
  private readonly waitingReads = new Set<WaitingRead>();
  /** Groups whose creation is on its way. */
  private groupsPending = 0;
  /** Null: not serving. */
  private sweepTimer: Timer | null = null;
  /** Groups that the running sweep has yet to look at. */
  private toSweep: GroupRef[] = [];

  constructor(options: GroupPartitionOptions) {
    this.options = options;
    this.timers = new MemberTimers(options.clock, options.settings, {
      sessionOver: (group, memberId) => {
        this.expelSilent(group, memberId);
      },
      revocationOver: (group, memberId) => {
        this.expelUnyielding(group, memberId);
      },
    });
  }

  get commitsInFlightMax(): number {
    return this.options.settings.commitsInFlightMax;
  }

  // The state machine that Raft drives.

  reset(): void {
    this.incoming = new Coordinator();
  }

  load(page: readonly StatePair[]): void {
    (this.incoming ?? this.coordinator).load(page);
  }

  loaded(): void {
    this.coordinator = this.incoming ?? this.coordinator;
    this.incoming = null;
  }

  apply(entry: Entry): readonly StateChange[] {
    const changes = this.changesOf(entry);
    this.appliedIndex = entry.index;
    this.releaseReads();
    return changes;
  }

  private changesOf(entry: Entry): readonly StateChange[] {
    switch (entry.kind) {
      case 'command':
        return this.applyCommand(entry);
      case 'no-op':
      case 'configuration':
        return [];
      case 'batch':
      case 'log-start':
      case 'fence':
        throw new InvariantViolation('group-6: stored forms decode completely', `a ${entry.kind} entry`);
    }
  }

  roleChanged(role: RoleState): void {
    const before = this.role;
    this.role = role;
    const goesOn = before?.serving === true && role.serving && before.term === role.term;
    if (before?.serving === true && !goesOn) this.endServing();
    if (role.serving && !goesOn) this.beginServing();
  }

  quarantined(reason: string): void {
    this.quarantine = reason;
    this.endServing();
  }

  // What the service asks.

  opened(raft: RaftGroup): void {
    this.raft = raft;
  }

  /** Null: calls are answered here. */
  unavailable(): Refused | null {
    const { retryAfterMs } = this.options.settings;
    if (this.closed) return refuse('BROKER_SHUTTING_DOWN', 'The broker is stopping.');
    if (this.quarantine !== null) {
      const text = `The coordinator of the group is set apart on this broker: ${this.quarantine}`;
      return refuse('QUARANTINED', text, setApart('group'));
    }
    if (this.role?.serving === true && this.raft !== null) return null;
    if (this.role !== null && this.role.role !== 'leader' && this.role.leader !== null) {
      const leaderHint = this.options.leaderHint(this.role);
      const message = 'Another broker coordinates the group.';
      return refuse('NOT_LEADER_OR_FOLLOWER', message, {
        retryAfterMs,
        ...(leaderHint === null ? {} : { leaderHint }),
      });
    }
    const message = 'The coordinator of the group is being elected or loads its state; try again.';
    return refuse('COORDINATOR_LOAD_IN_PROGRESS', message, { retryAfterMs });
  }

  /**
   * Resolves with null once this replica is known to have led after the call, and has applied all that was committed before
   * it (ReadIndex): a coordinator that was deposed unnoticed knows older offsets than others have been told (P16, P107).
   * Else with why nothing can be said here.
   */
  async confirmed(deadlineMs: Millis): Promise<Refused | null> {
    const { raft, options } = this;
    const unavailable = this.unavailable();
    if (unavailable !== null || raft === null) return unavailable ?? this.notConfirmed();
    const { clock } = options;
    const asked = new Promise<LogIndex | null>((resolve) => {
      raft.readIndex(resolve);
    });
    const index = await answerBy(clock, deadlineMs, asked, () => null);
    const over = this.unavailable();
    if (over !== null || index === null) return over ?? this.notConfirmed();
    const isApplied = await answerBy(clock, deadlineMs, this.whenApplied(index, raft), () => false);
    return this.unavailable() ?? (isApplied ? null : this.notConfirmed());
  }

  /** Takes a call for a group; refuses it if there are too many. */
  submit(group: GroupRef, call: LaneCall): void {
    const refused = this.unavailable() ?? this.refuseWaiting(group);
    if (refused === null) this.enqueue(group, call);
    else call.refuse(refused);
  }

  /**
   * Lets a member go whose caller was gone before it was one: nobody has its token, and it would keep others out. Unless a
   * retry of the join was answered meanwhile.
   */
  releaseUnheard(group: GroupRef, joined: { readonly memberId: string; readonly memberEpoch: MemberEpoch }): void {
    const { memberId, memberEpoch } = joined;
    const leaving = { ...group, memberId, memberEpoch };
    this.chore(`join of ${memberId}`, group, (context) => {
      const hasCaller = this.timers.wasHeard(group, memberId);
      return hasCaller ? answered<unknown>(null) : this.coordinator.leave(leaving, context);
    });
  }

  /** Looks soon for offsets of topics that are gone. */
  sweepSoon(): void {
    if (this.sweepTimer === null || this.toSweep.length > 0) return;
    this.sweepTimer.cancel();
    this.scheduleSweep(0);
  }

  close(): void {
    this.closed = true;
    this.endServing();
  }

  // What lanes and decisions ask.

  context(): HandleContext {
    const { clock, settings, topics } = this.options;
    return {
      nowMs: clock.wallMs(),
      topics,
      limits: settings.limits,
      assignor: settings.assignor,
      groupsPending: this.groupsPending,
      sessionRemainingMs: (group, memberId) => this.timers.sessionRemainingMs(group, memberId),
      isSilent: (group, memberId) =>
        !this.watches.isWatched(group, memberId) &&
        this.timers.isSilent(group, memberId, missedHeartbeatsMax * settings.heartbeatIntervalMs),
      retryAfterMs: settings.retryAfterMs,
    };
  }

  propose(entry: GroupEntry, outcome: (outcome: ProposalOutcome) => void): Refused | null {
    const unavailable = this.unavailable();
    if (unavailable !== null || this.raft === null) return unavailable;
    const payload = encodeEntry(entry);
    const proposed = this.raft.propose({ kind: 'command', count: 0, payload, maxTimestampMs: null }, { outcome });
    return proposed.kind === 'accepted' ? null : proposalRefusal(proposed.why, this.options.settings.retryAfterMs);
  }

  groupPending(change: 1 | -1): void {
    this.groupsPending += change;
  }

  waitingChanged(change: number): void {
    this.waiting += change;
  }

  /** Resolves with false if this replica ends to serve before. */
  private whenApplied(index: LogIndex, raft: RaftGroup): Promise<boolean> {
    if (this.appliedIndex >= index || raft.appliedIndex >= index) return Promise.resolve(true);
    return new Promise((resolve) => {
      const read: WaitingRead = { index, answer: resolve };
      this.waitingReads.add(read);
    });
  }

  private releaseReads(): void {
    for (const read of this.waitingReads) {
      if (read.index > this.appliedIndex) continue;
      this.waitingReads.delete(read);
      read.answer(true);
    }
  }

  private notConfirmed(): Refused {
    const { retryAfterMs } = this.options.settings;
    const message = 'It can not be confirmed that this broker still coordinates the group; try again.';
    return refuse('COORDINATOR_LOAD_IN_PROGRESS', message, { retryAfterMs });
  }

  private applyCommand(entry: Entry): readonly StateChange[] {
    const applied = this.coordinator.apply(entry.payload, entry.appendTimeMs);
    if (this.role?.serving === true) {
      for (const event of applied.events) {
        this.timers.follow(event);
        this.follow(event);
        this.options.observe(event);
      }
    }
    return applied.changes;
  }

  /** Streams follow what happens to their members. */
  private follow(event: GroupEvent): void {
    switch (event.kind) {
      case 'member-left':
        this.watches.end(
          event.group,
          event.memberId,
          refuse('UNKNOWN_MEMBER_ID', `The member is out: ${event.reason}.`),
        );
        this.tellSoon(event.group);
        return;
      case 'member-resumed':
        this.watches.end(event.group, event.memberId, refuse('FENCED_MEMBER_EPOCH', 'The member came back elsewhere.'));
        return;
      case 'member-away':
        this.watches.end(event.group, event.memberId, refuse('FENCED_MEMBER_EPOCH', 'The member has gone for now.'));
        this.tellSoon(event.group);
        return;
      case 'rebalanced':
      case 'member-assigned':
        this.tellSoon(event.group);
        return;
      case 'member-joined':
      case 'offsets-committed':
      case 'offsets-removed':
        return;
    }
  }

  private tellSoon(group: GroupRef): void {
    this.toTell.set(groupKeyOf(group), group);
    this.tellTimer ??= this.options.clock.setTimer(0, () => {
      this.tellTimer = null;
      const groups = [...this.toTell.values()];
      this.toTell.clear();
      for (const each of groups) this.tellMembers(each);
    });
  }

  /** Tells those members that a heartbeat would bring further. */
  private tellMembers(ref: GroupRef): void {
    const group = this.coordinator.groups.find(ref);
    if (group === null) return;
    for (const memberId of this.watches.membersOf(ref)) if (canMove(group, memberId)) this.watches.tell(ref, memberId);
  }

  /** Members of groups that read the topic learn with a heartbeat what became of it; one of each group is enough. */
  topicChanged({ tenant, name }: { readonly tenant: number; readonly name: string }): void {
    if (this.role?.serving !== true) return;
    for (const group of this.coordinator.groups.all()) {
      if (group.tenant !== tenant) continue;
      const reader = [...group.members.values()].find(({ topics }) => topics.includes(name));
      if (reader !== undefined) this.watches.tell(group, reader.memberId);
    }
  }

  /** Follows a member until what is given back is called; from then on it is suspect. */
  watch(group: GroupRef, member: Watched, listener: MembershipListener): Result<() => void> {
    const unavailable = this.unavailable();
    if (unavailable !== null) return unavailable;
    const found = findMember(this.coordinator.groups, { ...group, memberId: member.memberId });
    if (found.kind === 'refused') return found;
    const { epoch, previousEpoch } = found.member;
    if (member.memberEpoch !== epoch && member.memberEpoch !== previousEpoch) {
      return refuse('FENCED_MEMBER_EPOCH', 'The member has another epoch by now; send a heartbeat, or join again.');
    }
    this.timers.heard(group, member.memberId);
    const end = this.watches.add(group, member.memberId, listener);
    if (canMove(found.group, member.memberId)) this.tellSoon(group);
    return ok(() => {
      end();
      if (!this.watches.isWatched(group, member.memberId)) this.timers.suspect(group, member.memberId);
    });
  }

  private beginServing(): void {
    for (const group of this.coordinator.groups.all()) this.timers.startAll(group);
    this.scheduleSweep(this.options.settings.sweepIntervalMs);
  }

  private endServing(): void {
    this.timers.clear();
    this.tellTimer?.cancel();
    this.tellTimer = null;
    this.toTell.clear();
    this.sweepTimer?.cancel();
    this.sweepTimer = null;
    this.toSweep = [];
    const refused = this.unavailable() ?? refuse('BROKER_SHUTTING_DOWN', 'The broker is stopping.');
    this.watches.endAll(refused);
    for (const read of this.waitingReads) read.answer(false);
    this.waitingReads.clear();
    for (const lane of [...this.lanes.values()]) lane.refuseWaiting(refused);
  }

  private refuseWaiting(group: GroupRef): Refused | null {
    const { waitingPerGroupMax, waitingMax, retryAfterMs } = this.options.settings;
    const inLane = this.lanes.get(groupKeyOf(group))?.waiting ?? 0;
    if (inLane < waitingPerGroupMax && this.waiting < waitingMax) return null;
    const limit = inLane < waitingPerGroupMax ? waitingMax : waitingPerGroupMax;
    const message = 'Too many calls wait for the coordinator; try again.';
    return refuse('LIMIT_REACHED', message, { retryAfterMs, fields: { limit: String(limit) } });
  }

  private enqueue(group: GroupRef, call: LaneCall): void {
    const key = groupKeyOf(group);
    const lane = this.lanes.get(key) ?? new GroupLane(this, () => this.lanes.delete(key));
    this.lanes.set(key, lane);
    lane.add(call);
  }

  /** A member's session is over: it is expelled unless it is heard of before its turn comes. */
  private expelSilent(group: GroupRef, memberId: string): void {
    this.chore(`session of ${memberId}`, group, (context) => {
      const member = this.coordinator.groups.find(group)?.members.get(memberId);
      if (member === undefined || this.timers.sessionRemainingMs(group, memberId) !== 0) return answered(false);
      const expiry = { ...group, memberId, memberEpoch: member.epoch, cause: 'session-expired' as const };
      return this.coordinator.expire(expiry, context);
    });
  }

  /** A member does not give up what it must (semantics K5). */
  private expelUnyielding(group: GroupRef, memberId: string): void {
    const memberEpoch = this.coordinator.groups.find(group)?.members.get(memberId)?.epoch;
    if (memberEpoch === undefined) return;
    const expiry = { ...group, memberId, memberEpoch, cause: 'revocation-expired' as const };
    this.chore(`revocation of ${memberId}`, group, (context) => this.coordinator.expire(expiry, context));
  }

  /** The partition's own work: outside of the queues' limits, one of each name at a time; a timer asks again if it fails. */
  private chore(name: string, group: GroupRef, decision: (context: HandleContext) => Decision<unknown>): void {
    const key = `${groupKeyOf(group)} ${name}`;
    if (this.chores.has(key)) return;
    this.chores.add(key);
    this.enqueue(group, new GroupCall(decision, () => this.chores.delete(key)));
  }

  private scheduleSweep(delayMs: number): void {
    this.sweepTimer = this.options.clock.setTimer(delayMs, () => {
      if (this.toSweep.length === 0) this.toSweep = [...this.coordinator.groups.all()].map(refOf);
      this.sweepSome();
    });
  }

  /** Looks at some groups, then lets others have the event loop. */
  private sweepSome(): void {
    const { sweepGroupsMax, sweepIntervalMs } = this.options.settings;
    for (const group of this.toSweep.splice(0, sweepGroupsMax)) {
      const decision = this.coordinator.sweep(group, this.context());
      if (decision.kind === 'refused' || decision.entry === null) continue;
      this.enqueue(
        group,
        new GroupCall(
          (context) => this.coordinator.sweep(group, context),
          () => undefined,
        ),
      );
    }
    this.scheduleSweep(this.toSweep.length > 0 ? 0 : sweepIntervalMs);
  }
}

interface WaitingRead {
  readonly index: LogIndex;
  /** False: this replica serves no more. */
  readonly answer: (isApplied: boolean) => void;
}

const refOf = (group: GroupView): GroupRef => ({ tenant: group.tenant, groupId: group.groupId });
