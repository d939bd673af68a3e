/** Consumer groups as the API asks for them: finds the coordinator of a group and speaks with it. */
import type { Clock } from '../model/clock.ts';
import type { ErrorCode, LeaderHint, Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import { murmur2 } from '../model/murmur2.ts';
import type { BrokerId } from '../model/ids.ts';
import { toBrokerId } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { CommandMachine, RaftGroup } from '../raft/group.ts';
import type { Coordinator } from './group/coordinator.ts';
import type { Decision, HandleContext } from './group/decision.ts';
import type { GroupEvent } from './group/group-event.ts';
import type { GroupTopics } from './group/group-topics.ts';
import type { GroupView } from './group/group.ts';
import type { JoinAnswer } from './group/membership.ts';
import { phaseOf } from './group/membership.ts';
import type { FoundOffset } from './group/offset-decisions.ts';
import type { GroupRef } from './group/records.ts';
import { refuseGroupId } from './group/validation.ts';
import { GroupCall } from './group-call.ts';
import { GroupPartition } from './group-partition.ts';
import type { GroupPartitions } from './group-partitions.ts';
import type { GroupSettings } from './group-settings.ts';
import { defaultGroupSettings } from './group-settings.ts';
import { issueToken, readToken, tokenOfMember } from './group-token.ts';
import type {
  BrokerApi,
  CommitAnswer,
  CommitOffsets,
  CommittedOffset,
  GroupPage,
  GroupReport,
  GroupSummary,
  Heartbeat,
  HeartbeatAnswer,
  JoinGroup,
  LeaveGroup,
  MemberRef,
  Membership,
  MembershipListener,
  RequestContext,
} from './requests.ts';
import type { TopicView } from './topic-view.ts';

type GroupApi = Pick<BrokerApi, 'joinGroup' | 'heartbeat' | 'leaveGroup' | 'commitOffsets' | 'fetchCommitted'> &
  Pick<BrokerApi, 'watchMember' | 'deleteGroup'>;

export interface GroupServiceOptions {
  readonly clock: Clock;
  /** The system's own: member ids and the nonces of resume tokens come from it. */
  readonly random: Random;
  readonly topics: TopicView;
  /** Revision of the catalog that `topics` shows. */
  readonly catalogRevision: () => number;
  /** What the catalog knows of partitions. Default: nothing. */
  readonly places?: Pick<GroupTopics, 'createdAt' | 'racksOf'>;
  /** Partitions of `__groups`; fixed for the life of a cluster. */
  readonly partitionCount: number;
  readonly settings?: GroupSettings;
  /** Where the leader of a partition of `__groups` is, if it is not here. Default: never known. */
  readonly leaderHint?: (partition: number, role: RoleState) => LeaderHint | null;
  /** The same where no replica of the partition is on this broker. Default: never known. */
  readonly elsewhere?: (partition: number) => LeaderHint | null;
  /** This broker. Default 0. */
  readonly brokerId?: BrokerId;
  /** Hears what happened to groups that are coordinated here; must be quick. */
  readonly observe?: (event: GroupEvent) => void;
}

export class GroupService implements GroupPartitions, GroupApi {
  private readonly options: GroupServiceOptions;
  private readonly settings: GroupSettings;
  private readonly topics: GroupTopics;
  private readonly partitions = new Map<number, GroupPartition>();
  private readonly endListening: () => void;
  private closed = false;

  constructor(options: GroupServiceOptions) {
    this.options = options;
    this.settings = options.settings ?? defaultGroupSettings;
    this.topics = new TopicsOfView(options);
    this.endListening = options.topics.onChange((change) => {
      for (const partition of this.partitions.values()) {
        if (change.kind === 'deleted') partition.sweepSoon();
        partition.topicChanged(change.topic);
      }
    });
  }

  machine(partition: number): CommandMachine {
    this.partitions.get(partition)?.close();
    const { clock, leaderHint, observe } = this.options;
    const machine = new GroupPartition({
      clock,
      settings: this.settings,
      topics: this.topics,
      leaderHint: (role) => leaderHint?.(partition, role) ?? null,
      observe: observe ?? (() => undefined),
    });
    this.partitions.set(partition, machine);
    return machine;
  }

  opened(partition: number, group: RaftGroup): void {
    this.partitions.get(partition)?.opened(group);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.endListening();
    for (const partition of this.partitions.values()) partition.close();
  }

  /** Partition of `__groups` that coordinates a group; the same on every broker for the life of a cluster. */
  partitionOf(groupId: string): number {
    return (murmur2(new TextEncoder().encode(groupId)) & 0x7fff_ffff) % this.options.partitionCount;
  }

  /** The groups that are coordinated here, now. */
  *groupsHere(): Iterable<GroupView> {
    for (const partition of this.partitions.values())
      if (partition.unavailable() === null) yield* partition.coordinator.groups.all();
  }

  async joinGroup(request: JoinGroup, context: RequestContext): Promise<Result<Membership>> {
    const group = refOf(request, context);
    const { resumeToken } = request;
    const resume = resumeToken === null ? null : readToken(group, resumeToken);
    if (resumeToken !== null && resume === null) return refuseToken();
    const { topics, clientId, joinId, instanceId = null, assignor = null, rack = null } = request;
    const issued = issueToken(group, joinId, this.options.random);
    const join = { ...group, topics, clientId, instanceId, assignor, rack, resume, fresh: issued.credentials };
    const joined = await this.call(group, context, (coordinator, handle) => coordinator.join(join, handle), {
      // a retry of its join speaks for a new member; nobody is watched by this name before it is one
      heardOf: issued.credentials.memberId,
      unheard: (partition, answer) => {
        // Who resumed has its token; a new member's went nowhere.
        if (!answer.resumed) partition.releaseUnheard(group, answer);
      },
    });
    if (joined.kind === 'refused') return joined;
    const { memberId } = joined.value;
    const isSame = resumeToken !== null && resume?.memberId === memberId;
    return ok(this.membership(joined.value, isSame ? resumeToken : tokenOfMember(group, issued, memberId)));
  }

  async heartbeat(request: Heartbeat, context: RequestContext): Promise<Result<HeartbeatAnswer>> {
    const group = refOf(request, context);
    const { memberId, memberEpoch, owned } = request;
    const answer = await this.call(
      group,
      context,
      (coordinator, handle) => coordinator.heartbeat({ ...group, memberId, memberEpoch, owned }, handle),
      { heardOf: memberId },
    );
    if (answer.kind === 'refused') return answer;
    const { settled, assignment } = answer.value;
    const heartbeatIntervalMs = settled
      ? this.settings.heartbeatIntervalMs
      : this.settings.reconcilingHeartbeatIntervalMs;
    return ok({ memberEpoch: answer.value.memberEpoch, assignment, heartbeatIntervalMs });
  }

  leaveGroup(request: LeaveGroup, context: RequestContext): Promise<Result<null>> {
    const group = refOf(request, context);
    const { memberId, memberEpoch, reason = 'left', keepPlace = false } = request;
    return this.call(group, context, (coordinator, handle) =>
      coordinator.leave({ ...group, memberId, memberEpoch, reason, keepPlace }, handle),
    );
  }

  commitOffsets(request: CommitOffsets, context: RequestContext): Promise<Result<CommitAnswer>> {
    const group = refOf(request, context);
    const { member, offsets } = request;
    return this.call(
      group,
      context,
      (coordinator, handle) => coordinator.commit({ ...group, member, offsets }, handle),
      { heardOf: member?.memberId },
    );
  }

  async fetchCommitted(
    request: Parameters<BrokerApi['fetchCommitted']>[0],
    context: RequestContext,
  ): Promise<Result<readonly CommittedOffset[]>> {
    const group = refOf(request, context);
    const partition = this.coordinatorOf(group);
    if (partition.kind === 'refused') return partition;
    const unconfirmed = await partition.value.confirmed(context.deadlineMs);
    if (unconfirmed !== null) return unconfirmed;
    const handle = partition.value.context();
    const found = partition.value.coordinator.fetchCommitted({ ...group, partitions: request.partitions }, handle);
    return found.kind === 'refused' ? found : ok(found.value.map(committedOffset));
  }

  watchMember(request: MemberRef, listener: MembershipListener, context: RequestContext): Result<() => void> {
    const group = refOf(request, context);
    const found = this.coordinatorOf(group);
    return found.kind === 'refused' ? found : found.value.watch(group, request, listener);
  }

  deleteGroup(groupId: string, context: RequestContext): Promise<Result<null>> {
    const group = refOf({ group: groupId }, context);
    return this.call(group, context, (coordinator) => coordinator.deleteGroup(group));
  }

  describeGroup(groupId: string, context: RequestContext): Result<GroupReport> {
    const group = refOf({ group: groupId }, context);
    const found = this.coordinatorOf(group);
    if (found.kind === 'refused') return found;
    const unavailable = found.value.unavailable();
    if (unavailable !== null) return unavailable;
    const described = found.value.coordinator.describe(group);
    if (described === null)
      return refuse('GROUP_ID_NOT_FOUND', 'There is no such group.', { fields: { group: groupId } });
    const members = described.members.map((member) => ({
      ...member,
      suspect: !found.value.watches.isWatched(group, member.memberId),
      sessionRemainingMs: found.value.timers.sessionRemainingMs(group, member.memberId),
    }));
    return ok({ ...described, members, coordinator: this.brokerId });
  }

  /** Of the groups that are coordinated here. */
  listGroups(
    { after, limit }: { readonly after: string; readonly limit: number },
    { tenant }: RequestContext,
  ): Result<GroupPage> {
    const found: GroupSummary[] = [];
    for (const partition of this.partitions.values()) {
      if (partition.unavailable() !== null) continue;
      for (const group of partition.coordinator.groups.all())
        if (group.tenant === tenant && group.groupId > after) found.push(this.summary(group));
    }
    found.sort((a, b) => (a.group < b.group ? -1 : 1));
    return ok<GroupPage>({ groups: found.slice(0, limit), more: found.length > limit, silent: [] });
  }

  private summary(group: GroupView): GroupSummary {
    const { groupId, members, offsets } = group;
    const counts = { memberCount: members.size, offsetCount: offsets.count };
    return { group: groupId, phase: phaseOf(group), ...counts, coordinator: this.brokerId };
  }

  private get brokerId(): BrokerId {
    return this.options.brokerId ?? toBrokerId(0);
  }

  /**
   * What is final for a member, or for who would be one, is said only by a coordinator that was sure to lead after it was
   * asked: one that stood still while another one went on does not know whom that one took in.
   */
  private async call<T>(
    group: GroupRef,
    context: RequestContext,
    decide: Decide<T>,
    hooks: CallHooks<T> = {},
  ): Promise<Result<T>> {
    const found = this.coordinatorOf(group);
    if (found.kind === 'refused') return found;
    const answer = await this.callOnce(found.value, group, context, decide, hooks);
    if (answer.kind === 'ok' || !finalCodes.has(answer.error.code)) return answer;
    const unconfirmed = await found.value.confirmed(context.deadlineMs);
    return unconfirmed ?? this.callOnce(found.value, group, context, decide, hooks);
  }

  private callOnce<T>(
    partition: GroupPartition,
    group: GroupRef,
    context: RequestContext,
    decide: Decide<T>,
    { heardOf, unheard }: CallHooks<T>,
  ): Promise<Result<T>> {
    const decideHere = (handle: HandleContext): Decision<T> => {
      const decision = decide(partition.coordinator, handle);
      if (decision.kind === 'decided' && heardOf !== undefined) partition.timers.heard(group, heardOf);
      return decision;
    };
    return new Promise((resolve) => {
      const call = new GroupCall<T>(decideHere, resolve, (response) => unheard?.(partition, response));
      if (!call.isLate(this.options.clock, context)) partition.submit(group, call);
      call.limit(this.options.clock, context);
    });
  }

  private coordinatorOf(group: GroupRef): Result<GroupPartition> {
    const refused = refuseGroupId(group.groupId);
    if (refused !== null) return refused;
    if (this.closed) return refuse('BROKER_SHUTTING_DOWN', 'The broker is stopping.');
    const number = this.partitionOf(group.groupId);
    const partition = this.partitions.get(number);
    if (partition !== undefined) return ok(partition);
    const { retryAfterMs } = this.settings;
    const leaderHint = this.options.elsewhere?.(number) ?? null;
    if (leaderHint !== null)
      return refuse('NOT_LEADER_OR_FOLLOWER', 'Another broker coordinates the group.', { retryAfterMs, leaderHint });
    return refuse('COORDINATOR_LOAD_IN_PROGRESS', 'The coordinator of the group is not loaded yet.', { retryAfterMs });
  }

  private membership(joined: JoinAnswer, resumeToken: Uint8Array): Membership {
    const { memberId, memberEpoch, assignment } = joined;
    const { sessionTimeoutMs, heartbeatIntervalMs } = this.settings;
    return { memberId, memberEpoch, resumeToken, assignment, sessionTimeoutMs, heartbeatIntervalMs };
  }
}

type Decide<T> = (coordinator: Coordinator, handle: HandleContext) => Decision<T>;

/** Refusals that speak of what the group holds, and after which nobody asks again. */
const finalCodes: ReadonlySet<ErrorCode> = new Set([
  'UNKNOWN_MEMBER_ID',
  'GROUP_ID_NOT_FOUND',
  'FENCED_MEMBER_EPOCH',
  'FENCED_INSTANCE_ID',
  'STALE_MEMBER_EPOCH',
  'INVALID_RESUME_TOKEN',
  'GROUP_MAX_SIZE_REACHED',
  'NON_EMPTY_GROUP',
] as const satisfies readonly ErrorCode[]);

interface CallHooks<T> {
  /** The member that the call proves alive, if it is not refused. */
  readonly heardOf?: string | undefined;
  /** Told what took effect after the caller had given up. */
  readonly unheard?: (partition: GroupPartition, response: T) => void;
}

type TopicSources = Pick<GroupServiceOptions, 'topics' | 'catalogRevision' | 'places'>;

class TopicsOfView implements GroupTopics {
  private readonly options: TopicSources;

  constructor(options: TopicSources) {
    this.options = options;
  }

  get revision(): number {
    return this.options.catalogRevision();
  }

  find(tenant: number, name: string): ReturnType<GroupTopics['find']> {
    return this.options.topics.find(tenant, name);
  }

  exists(topicId: string): boolean {
    return this.options.topics.findById(topicId) !== null;
  }

  createdAt(topicId: string, partition: number): number {
    return this.options.places?.createdAt(topicId, partition) ?? 0;
  }

  racksOf(topicId: string, partition: number): readonly string[] {
    return this.options.places?.racksOf(topicId, partition) ?? [];
  }
}

const refOf = (request: { readonly group: string }, context: RequestContext): GroupRef => ({
  tenant: context.tenant,
  groupId: request.group,
});

const refuseToken = (): Refused =>
  refuse(
    'INVALID_RESUME_TOKEN',
    'The resume token is damaged or belongs to another group; join without it to become a new member.',
  );

const committedOffset = ({ topic, topicId, partition, committed, newerThanGroup }: FoundOffset): CommittedOffset => ({
  topic,
  topicId,
  partition,
  offset: committed?.offset ?? null,
  leaderEpoch: committed?.leaderEpoch ?? null,
  metadata: committed?.metadata ?? '',
  commitTimeMs: committed?.commitTimeMs ?? null,
  newerThanGroup,
});
