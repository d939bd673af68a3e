/**
 * Decides who is a member: joining, coming back, living on, leaving, being expelled. Handlers look and never change;
 * what they decide are records.
 */
import type { Refused } from '../../model/errors.ts';
import { refuse } from '../../model/errors.ts';
import type { MemberEpoch } from '../../model/ids.ts';
import { toMemberEpoch } from '../../model/ids.ts';
import type { Assignment } from './assignment.ts';
import { assignmentOf, isSubset, sameAssignment } from './assignment.ts';
import { CommittedOffsets } from './committed-offsets.ts';
import type { Decision, HandleContext } from './decision.ts';
import { answered, decided } from './decision.ts';
import type { GroupPhase, GroupView, MemberState } from './group.ts';
import type { GroupsView } from './groups.ts';
import { Holders } from './holders.ts';
import { RebalancePlan } from './rebalance-plan.ts';
import { reconcile } from './reconciliation.ts';
import type { AssignorName, GroupRecord, GroupRef, LeaveReason, MemberProfile } from './records.ts';
import { refuseClientId, refuseGroupId, refuseInstanceId, refuseSubscription } from './validation.ts';

/** Who a resume token speaks of. */
export interface Credentials {
  readonly memberId: string;
  /** SHA-256 of the token's nonce, in hex. */
  readonly nonceHash: string;
}

export interface JoinRequest extends GroupRef {
  readonly topics: readonly string[];
  readonly clientId: string;
  /** Of a static member. Default null. */
  readonly instanceId?: string | null;
  /** How the group shall share its partitions. Default null: it does not matter. */
  readonly assignor?: AssignorName | null;
  /** Where the member runs. Default null. */
  readonly rack?: string | null;
  /** From a well-formed resume token of this group; null: none was brought. */
  readonly resume: Credentials | null;
  /** For a new member, if it becomes one. If there is that member already, this is a retry of its join. */
  readonly fresh: Credentials;
}

export interface MemberRequest extends GroupRef {
  readonly memberId: string;
  readonly memberEpoch: MemberEpoch;
}

/** A member that goes by itself. */
export interface LeaveRequest extends MemberRequest {
  /** `progress-expired`: its application has not come on for longer than it said that it may. Default `left`. */
  readonly reason?: Extract<LeaveReason, 'left' | 'progress-expired'>;
  /** A static member that will be back: its place is kept until its session is over. Default false. */
  readonly keepPlace?: boolean;
}

/** Partitions of one topic. In requests the id may be empty: the topic that the group knows by the name. */
export interface TopicPartitions {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: readonly number[];
}

export interface HeartbeatRequest extends MemberRequest {
  /** Everything that the member was told to read and has not given up: reading or about to. */
  readonly owned: readonly TopicPartitions[];
}

/** An expiry: the shell's timer fired. Decided on what is current then. */
export interface ExpireRequest extends MemberRequest {
  readonly cause: 'session-expired' | 'revocation-expired';
}

export interface JoinAnswer {
  /** Of a static member that came back: the one that it had, under the nonce of `fresh`. */
  readonly memberId: string;
  readonly memberEpoch: MemberEpoch;
  readonly assignment: readonly TopicPartitions[];
  /** It took the place of an older holder. */
  readonly resumed: boolean;
}

export interface HeartbeatAnswer {
  readonly memberEpoch: MemberEpoch;
  /** Null: the member reads exactly what it shall. */
  readonly assignment: readonly TopicPartitions[] | null;
  /** False: partitions of the group are on their way from one member to another. */
  readonly settled: boolean;
}

/**
 * Joins, or comes back. A token whose member is gone (its session ended, it left) joins as a new member: the process may
 * have been away for days. A retry of a join whose answer was lost is answered again.
 */
export function decideJoin(groups: GroupsView, request: JoinRequest, context: HandleContext): Decision<JoinAnswer> {
  const refused = refuseJoin(request, context);
  if (refused !== null) return refused;
  const group = groups.find(request);
  if (group === null) return decideNewMember(groups, null, request, context);
  const ofInstance = staticMember(group, request.instanceId ?? null);
  const resumed = request.resume === null ? undefined : group.members.get(request.resume.memberId);
  if (resumed === undefined) {
    const joined = group.members.get(request.fresh.memberId);
    if (joined !== undefined) return answerAgain(group, joined, request, context);
    if (ofInstance !== null) return decideReturn(group, ofInstance, request, context);
    return decideNewMember(groups, group, request, context);
  }
  if (resumed.nonceHash !== request.resume?.nonceHash) {
    return refuse('INVALID_RESUME_TOKEN', 'The resume token is not the one that this member was given.');
  }
  if (ofInstance !== null && ofInstance !== resumed) return refuseInstance(ofInstance, context);
  return takePlace(group, resumed, request, context);
}

/** Null: no member has the instance id. */
function staticMember(group: GroupView, instanceId: string | null): MemberState | null {
  if (instanceId === null) return null;
  for (const member of group.members.values()) if (member.instanceId === instanceId) return member;
  return null;
}

/**
 * A process brings the instance id of a member (semantics K7). If its older self has gone, with a word or without one, it
 * takes its place: nothing moves. While that one lives, it is refused, so that two that were given the same id by mistake
 * do not take turns.
 */
function decideReturn(
  group: GroupView,
  member: MemberState,
  request: JoinRequest,
  context: HandleContext,
): Decision<JoinAnswer> {
  if (member.nonceHash === request.fresh.nonceHash) return answerAgain(group, member, request, context);
  if (!member.away && !context.isSilent(group, member.memberId)) return refuseInstance(member, context);
  return takePlace(group, { ...member, nonceHash: request.fresh.nonceHash }, request, context);
}

function takePlace(
  group: GroupView,
  holder: Credentials,
  request: JoinRequest,
  context: HandleContext,
): Decision<JoinAnswer> {
  const others = [...group.members.keys()].filter((memberId) => memberId !== holder.memberId);
  const differs = refuseOtherAssignor(group, others.length, request);
  if (differs !== null) return differs;
  const plan = new RebalancePlan(group, context.topics);
  plan.choose(request.assignor ?? group.assignor);
  plan.resume(holder, profileOf(request));
  return joinDecision(request, plan, plan.records, holder.memberId, true);
}

/** Members that ask for different ways of sharing would take turns: the way is theirs who are there. */
function refuseOtherAssignor(group: GroupView, others: number, { assignor = null }: JoinRequest): Refused | null {
  if (assignor === null || assignor === group.assignor || others === 0) return null;
  const message =
    `The members of the group share its partitions by ${group.assignor}, not by ${assignor}: ask for ${group.assignor}, or for ` +
    `none; to change it, let all members leave first.`;
  return refuse('INCONSISTENT_GROUP_PROTOCOL', message, { fields: { assignor: group.assignor, actual: assignor } });
}

function refuseInstance({ instanceId, memberId }: MemberState, { retryAfterMs }: HandleContext): Refused {
  const message =
    `The instance id ${instanceId} is that of a member that lives: if this is its next life, its place is free as soon as ` +
    `it has left or is missed; if it is another process, give it an id of its own.`;
  const fields = { instanceId: instanceId ?? '', memberId };
  return refuse('UNRELEASED_INSTANCE_ID', message, { retryAfterMs, fields });
}

function refuseJoin(request: JoinRequest, context: HandleContext): Refused | null {
  const form =
    refuseGroupId(request.groupId) ??
    refuseClientId(request.clientId) ??
    refuseInstanceId(request.instanceId ?? null) ??
    refuseSubscription(request.topics, context.limits);
  if (form !== null) return form;
  for (const name of request.topics) {
    const found = context.topics.find(request.tenant, name);
    const fields = { topic: name };
    if (found === null) {
      return refuse('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic ${name}; create it first.`, { fields });
    }
    if (found.internal) return refuse('INVALID_TOPIC', `${name} is internal and can not be consumed.`, { fields });
  }
  return null;
}

/** The member is there: nothing changes, nobody is fenced; it hears what it has by now. */
function answerAgain(
  group: GroupView,
  member: MemberState,
  request: JoinRequest,
  context: HandleContext,
): Decision<JoinAnswer> {
  if (member.nonceHash !== request.fresh.nonceHash || !sameProfile(profileOf(request), member)) {
    return refuse('INVALID_REQUEST', 'The join id was used for another join: each join has its own, retries keep it.');
  }
  const { memberId, epoch, assigned } = member;
  const assignment = partitionsByName(new RebalancePlan(group, context.topics), assigned);
  return answered({ memberId, memberEpoch: epoch, assignment, resumed: false });
}

function decideNewMember(
  groups: GroupsView,
  group: GroupView | null,
  request: JoinRequest,
  context: HandleContext,
): Decision<JoinAnswer> {
  const full = refuseMoreMembers(group, context) ?? refuseMoreState(groups, group, context);
  if (full !== null) return full;
  const differs = group === null ? null : refuseOtherAssignor(group, group.members.size, request);
  if (differs !== null) return differs;
  const assignor = request.assignor ?? group?.assignor ?? context.assignor;
  const records: GroupRecord[] = group === null ? [groupCreated(assignor, context)] : [];
  const plan = new RebalancePlan(group ?? unborn(request, assignor, context), context.topics);
  plan.choose(assignor);
  plan.join(request.fresh, profileOf(request));
  return joinDecision(request, plan, [...records, ...plan.records], request.fresh.memberId, false);
}

function joinDecision(
  request: GroupRef,
  plan: RebalancePlan,
  records: readonly GroupRecord[],
  memberId: string,
  resumed: boolean,
): Decision<JoinAnswer> {
  const member = plan.member(memberId);
  const assignment = partitionsByName(plan, member.assigned);
  const { tenant, groupId } = request;
  return decided(
    { tenant, groupId, guard: null, records },
    { memberId, memberEpoch: member.epoch, assignment, resumed },
  );
}

export const groupCreated = (assignor: AssignorName, { topics }: HandleContext): GroupRecord => ({
  kind: 'group-created',
  assignor,
  catalogRevision: topics.revision,
});

/** A full group refuses rather than to take a place away: it says how to get in. */
function refuseMoreMembers(group: GroupView | null, context: HandleContext): Refused | null {
  const { membersMax } = context.limits;
  if (group === null || group.members.size < membersMax) return null;
  const remaining = [...group.members.keys()].map((memberId) => ({
    memberId,
    ms: context.sessionRemainingMs(group, memberId),
  }));
  const first = remaining.reduce((a, b) => ((b.ms ?? Infinity) < (a.ms ?? Infinity) ? b : a));
  const fields = {
    limit: String(membersMax),
    memberId: first.memberId,
    ...(first.ms === null ? {} : { sessionRemainingMs: String(first.ms) }),
  };
  const message =
    `The group has ${group.members.size} of ${membersMax} members. Bring the member's resume token to take its place, ` +
    `let it leave, or wait until its session ends${first.ms === null ? '' : ` (in ${first.ms} ms at the latest)`}.`;
  return refuse('GROUP_MAX_SIZE_REACHED', message, { fields });
}

/** Refuses what would add to a coordinator that is full. */
export function refuseMoreState(groups: GroupsView, group: GroupView | null, context: HandleContext): Refused | null {
  const { groupsMax, stateBytesMax } = context.limits;
  if (group === null && groups.size + context.groupsPending >= groupsMax) {
    const fields = { limit: String(groupsMax), actual: String(groups.size) };
    return refuse('LIMIT_REACHED', 'The coordinator has as many groups as it may have.', { fields });
  }
  if (groups.bytes < stateBytesMax) return null;
  const fields = { limit: String(stateBytesMax), actual: String(groups.bytes) };
  return refuse('LIMIT_REACHED', 'The memory for consumer groups of this coordinator is used up.', { fields });
}

/** Lives on; learns what to read. */
export function decideHeartbeat(
  groups: GroupsView,
  request: HeartbeatRequest,
  context: HandleContext,
): Decision<HeartbeatAnswer> {
  const found = findMember(groups, request);
  if (found.kind === 'refused') return found;
  const { group, member } = found;
  const owned = ownedPartitions(group, request.owned);
  const isCurrent = request.memberEpoch === member.epoch;
  if (!isCurrent && !isLostAnswer(request, member, owned)) return refuseEpoch(request, member);
  const plan = new RebalancePlan(group, context.topics);
  plan.retargetIfTopicsChanged();
  plan.reconcile(member.memberId, isCurrent ? owned : null, null);
  const after = plan.member(member.memberId);
  const assignment = sameAssignment(owned, after.assigned) ? null : partitionsByName(plan, after.assigned);
  const answer = { memberEpoch: after.epoch, assignment, settled: isSettled(group, after) };
  const { tenant, groupId } = request;
  return decided({ tenant, groupId, guard: null, records: plan.records }, answer);
}

/** The member may not have heard of its newest epoch (semantics K4): then it reads nothing but what it was given. */
const isLostAnswer = (request: MemberRequest, member: MemberState, owned: Assignment): boolean =>
  request.memberEpoch === member.previousEpoch && isSubset(owned, member.assigned);

/**
 * Leaves at once. A retry after a lost answer finds no member: UNKNOWN_MEMBER_ID then means that it is done. A static
 * member may leave its place to its next life.
 */
export function decideLeave(groups: GroupsView, request: LeaveRequest, context: HandleContext): Decision<null> {
  const found = findMember(groups, request);
  if (found.kind === 'refused') return found;
  const { group, member } = found;
  const keepPlace = request.keepPlace ?? false;
  if (keepPlace && member.away) return answered(null);
  if (request.memberEpoch !== member.epoch && request.memberEpoch !== member.previousEpoch) {
    return refuseEpoch(request, member);
  }
  if (keepPlace && member.instanceId === null) {
    const message = 'Only a static member, one with an instance id, can leave its place to its next life.';
    return refuse('INVALID_REQUEST', message, { fields: { memberId: member.memberId } });
  }
  const plan = new RebalancePlan(group, context.topics);
  if (keepPlace) plan.goAway(member.memberId);
  else plan.leave(member.memberId, request.reason ?? 'left');
  const { tenant, groupId } = request;
  return decided({ tenant, groupId, guard: null, records: plan.records }, null);
}

/** Expels a member whose time is over, unless it came back or moved on meanwhile. Answers whether it was expelled. */
export function decideExpiry(groups: GroupsView, request: ExpireRequest, context: HandleContext): Decision<boolean> {
  const group = groups.find(request);
  const member = group?.members.get(request.memberId);
  if (group === null || member?.epoch !== request.memberEpoch) return answered(false);
  if (request.cause === 'revocation-expired' && member.revoking.size === 0) return answered(false);
  const plan = new RebalancePlan(group, context.topics);
  plan.leave(member.memberId, request.cause);
  const { tenant, groupId, memberId, memberEpoch } = request;
  return decided({ tenant, groupId, guard: { memberId, epoch: memberEpoch }, records: plan.records }, true);
}

export type FoundMember = { readonly kind: 'found'; readonly group: GroupView; readonly member: MemberState } | Refused;

export function findMember(groups: GroupsView, request: GroupRef & { readonly memberId: string }): FoundMember {
  const form = refuseGroupId(request.groupId);
  if (form !== null) return form;
  const fields = { group: request.groupId, memberId: request.memberId };
  const group = groups.find(request);
  if (group === null) return refuse('GROUP_ID_NOT_FOUND', 'There is no such group; join it first.', { fields });
  const member = group.members.get(request.memberId);
  if (member !== undefined) return { kind: 'found', group, member };
  const message = 'The group has no such member (it left, or its session ended); join again.';
  return refuse('UNKNOWN_MEMBER_ID', message, { fields });
}

/** Null: the epoch is not that of an older holder of a static member (semantics K7). */
export function refuseOlderHolder(request: MemberRequest, member: MemberState): Refused | null {
  const isOlder = request.memberEpoch < member.sinceEpoch;
  return member.instanceId !== null && isOlder ? refuseHolder(request, member) : null;
}

function refuseHolder({ memberEpoch }: MemberRequest, { memberId, instanceId }: MemberState): Refused {
  const message = `Another process took the place of the instance id ${instanceId}; stop.`;
  const fields = { memberEpoch: String(memberEpoch), memberId, instanceId: instanceId ?? '' };
  return refuse('FENCED_INSTANCE_ID', message, { fields });
}

function refuseEpoch(request: MemberRequest, member: MemberState): Refused {
  const older = refuseOlderHolder(request, member);
  if (older !== null) return older;
  const message =
    request.memberEpoch > member.epoch
      ? 'The member epoch was never given to this member; join again.'
      : 'A newer holder of the resume token took this place, or the assignment went on; stop, or join again.';
  return refuse('FENCED_MEMBER_EPOCH', message, { fields: { memberEpoch: String(request.memberEpoch) } });
}

/** Semantics K2. */
export function phaseOf(group: GroupView): GroupPhase {
  if (group.members.size === 0) return 'empty';
  return [...group.members.values()].every(isAtTarget) ? 'stable' : 'reconciling';
}

const isAtTarget = (member: MemberState): boolean =>
  member.revoking.size === 0 && sameAssignment(member.assigned, member.target);

/** Whether a heartbeat would tell the member of something to give up or to begin. */
export function canMove(group: GroupView, memberId: string): boolean {
  const member = group.members.get(memberId);
  if (member === undefined) return false;
  const isFree = (topicId: string, partition: number): boolean => {
    const holder = group.holders.holderOf(topicId, partition);
    return holder === null || holder === memberId;
  };
  return reconcile(member, null, isFree, member.epoch) !== null;
}

function isSettled(group: GroupView, after: MemberState): boolean {
  if (!isAtTarget(after)) return false;
  return [...group.members.values()].every((member) => member.memberId === after.memberId || isAtTarget(member));
}

const profileOf = ({ clientId, topics, instanceId = null, rack = null }: JoinRequest): MemberProfile => ({
  clientId,
  topics: [...new Set(topics)].sort(),
  instanceId,
  rack,
});

/** Whether they ask for the same: the name for people may change. */
const sameProfile = (one: MemberProfile, other: MemberProfile): boolean =>
  one.topics.join(' ') === other.topics.join(' ') && one.instanceId === other.instanceId;

function ownedPartitions(group: GroupView, owned: readonly TopicPartitions[]): Assignment {
  const lists: [string, readonly number[]][] = [];
  for (const { topic, topicId, partitions } of owned) {
    const id = topicId === '' ? group.topics.get(topic)?.topicId : topicId;
    if (id !== undefined) lists.push([id, partitions]);
  }
  return assignmentOf(lists);
}

function partitionsByName(plan: RebalancePlan, assignment: Assignment): readonly TopicPartitions[] {
  const named: TopicPartitions[] = [];
  for (const [topicId, partitions] of assignment) {
    const topic = plan.nameOf(topicId);
    if (topic !== null) named.push({ topic, topicId, partitions });
  }
  return named.sort((a, b) => (a.topic < b.topic ? -1 : 1));
}

/** A group that does not exist yet, as a plan sees it. */
function unborn(request: GroupRef, assignor: AssignorName, context: HandleContext): GroupView {
  return {
    tenant: request.tenant,
    groupId: request.groupId,
    assignor,
    createdRevision: context.topics.revision,
    epoch: toMemberEpoch(0),
    topics: new Map(),
    catalogRevision: 0,
    emptySinceMs: null,
    members: new Map(),
    holders: new Holders(),
    offsets: new CommittedOffsets(),
    history: [],
  };
}
