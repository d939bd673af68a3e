/** Decides what becomes of commits, reads committed offsets, and says which of them are to be dropped. */
import type { BrokerError, Refused, Result } from '../../model/errors.ts';
import { ok, refuse } from '../../model/errors.ts';
import type { MemberEpoch, Millis, Offset, Term } from '../../model/ids.ts';
import type { CommittedOffset, TopicOffsets } from './committed-offsets.ts';
import { isLater } from './committed-offsets.ts';
import type { Decided, Decision, HandleContext } from './decision.ts';
import { answered, decided } from './decision.ts';
import type { GroupView } from './group.ts';
import type { GroupsView } from './groups.ts';
import { findMember, groupCreated, refuseMoreState, refuseOlderHolder } from './membership.ts';
import type { CommitStamp, GroupRecord, GroupRef, OffsetInRecord, RemovalReason } from './records.ts';
import { refuseGroupId } from './validation.ts';

export interface OffsetToCommit {
  readonly topic: string;
  /** Null: the topic that has the name now. */
  readonly topicId: string | null;
  readonly partition: number;
  readonly offset: Offset;
  readonly leaderEpoch: Term | null;
  readonly metadata: string;
}

export interface CommitRequest extends GroupRef {
  /** Null: an offset tool. */
  readonly member: { readonly memberId: string; readonly memberEpoch: MemberEpoch; readonly sequence: number } | null;
  readonly offsets: readonly OffsetToCommit[];
}

/** One for each offset, in order; null: stored, or a late duplicate of a commit that is stored or was overtaken. */
export type CommitAnswer = readonly (BrokerError | null)[];

/**
 * Stores offsets. A member must be current (semantics K6) and hold the partitions; a tool may commit while the group
 * has no members, and creates the group if there is none (as Kafka's simple consumers do).
 */
export function decideCommit(
  groups: GroupsView,
  request: CommitRequest,
  context: HandleContext,
): Decision<CommitAnswer> {
  const admitted = admitCommit(groups, request, context);
  if (admitted.kind === 'refused') return admitted;
  const sorting = new CommitSorting(admitted.group, request, admitted.stamp, context);
  const answer = request.offsets.map((offset) => sorting.sort(offset));
  if (sorting.accepted.length === 0) return answered(answer);
  if (sorting.bytes > context.limits.entryBytesMax) return refuseBytes(sorting.bytes, context);
  const full = sorting.added > 0 ? refuseMoreState(groups, admitted.group, context) : null;
  return full ?? commitDecision(admitted.group, request, admitted.stamp, sorting, answer, context);
}

function commitDecision(
  group: GroupView | null,
  request: CommitRequest,
  stamp: CommitStamp,
  sorting: CommitSorting,
  answer: CommitAnswer,
  context: HandleContext,
): Decided<CommitAnswer> {
  const records: GroupRecord[] = group === null ? [groupCreated(context.assignor, context)] : [];
  const memberId = request.member?.memberId ?? null;
  const catalogRevision = context.topics.revision;
  records.push({ kind: 'offsets-committed', memberId, stamp, catalogRevision, offsets: sorting.accepted });
  const { tenant, groupId } = request;
  const decision = decided({ tenant, groupId, guard: null, records }, answer);
  // What adds no keys can not exceed a limit, and replay puts it in order by its stamp: it need not wait for the others.
  return { ...decision, concurrent: memberId !== null && sorting.added === 0 };
}

type Admitted = { readonly kind: 'admitted'; readonly group: GroupView | null; readonly stamp: CommitStamp } | Refused;

function admitCommit(groups: GroupsView, request: CommitRequest, context: HandleContext): Admitted {
  const form = refuseGroupId(request.groupId) ?? refuseOffsetList(request, context);
  if (form !== null) return form;
  if (request.member !== null) return admitMember(groups, request, request.member);
  const group = groups.find(request);
  if (group !== null && group.members.size > 0) {
    const fields = { members: String(group.members.size) };
    const message = 'The group has members; only they may commit, with their member id and epoch.';
    return refuse('NON_EMPTY_GROUP', message, { fields });
  }
  return { kind: 'admitted', group, stamp: { memberEpoch: group?.epoch ?? 0, sequence: 0 } };
}

function admitMember(groups: GroupsView, request: GroupRef, member: NonNullable<CommitRequest['member']>): Admitted {
  const found = findMember(groups, { ...request, memberId: member.memberId });
  if (found.kind === 'refused') return found;
  if (found.member.epoch === member.memberEpoch) {
    const { memberEpoch, sequence } = member;
    return { kind: 'admitted', group: found.group, stamp: { memberEpoch, sequence } };
  }
  const older = refuseOlderHolder({ ...request, ...member }, found.member);
  if (older !== null) return older;
  const message =
    'The commit carries another epoch than the member has now; send a heartbeat to learn where it stands.';
  return refuse('STALE_MEMBER_EPOCH', message, { fields: { memberEpoch: String(member.memberEpoch) } });
}

function refuseOffsetList(request: CommitRequest, context: HandleContext): Refused | null {
  const { offsetsPerCommitMax } = context.limits;
  const count = request.offsets.length;
  if (count >= 1 && count <= offsetsPerCommitMax) return null;
  const fields = { limit: String(offsetsPerCommitMax), actual: String(count) };
  return refuse('INVALID_REQUEST', `A commit has 1 to ${offsetsPerCommitMax} offsets.`, { fields });
}

function refuseBytes(bytes: number, context: HandleContext): Refused {
  const fields = { limit: String(context.limits.entryBytesMax), actual: String(bytes) };
  return refuse('MESSAGE_TOO_LARGE', 'The commit is too large for one entry; split it.', { fields });
}

/** Sorts the offsets of one commit into those to store and those that get an error of their own. */
class CommitSorting {
  readonly accepted: OffsetInRecord[] = [];
  /** Offsets that the group did not have. */
  added = 0;
  /** Upper estimate of the accepted offsets' stored form. */
  bytes = 0;
  private readonly group: GroupView | null;
  private readonly request: CommitRequest;
  private readonly stamp: CommitStamp;
  private readonly context: HandleContext;
  private readonly seen = new Set<string>();

  constructor(group: GroupView | null, request: CommitRequest, stamp: CommitStamp, context: HandleContext) {
    this.group = group;
    this.request = request;
    this.stamp = stamp;
    this.context = context;
  }

  /** Null: stored by this commit, or already settled. */
  sort(wanted: OffsetToCommit): BrokerError | null {
    const topic = this.topicOf(wanted);
    if (topic.kind === 'refused') return topic.error;
    const { topicId } = topic;
    const refused = this.refuseOffset(wanted, topicId);
    if (refused !== null) return refused.error;
    const before = this.group?.offsets.get(topicId, wanted.partition) ?? null;
    if (before !== null && this.request.member !== null && !isLater(this.stamp, before.stamp)) {
      return this.overtaken(wanted, before);
    }
    if (before === null) {
      const full = this.refuseMoreOffsets();
      if (full !== null) return full.error;
      this.added += 1;
    }
    this.accept(wanted, topicId);
    return null;
  }

  private accept(wanted: OffsetToCommit, topicId: string): void {
    const { topic, partition, offset, leaderEpoch, metadata } = wanted;
    this.accepted.push({ topic, topicId, partition, offset, leaderEpoch, metadata });
    this.bytes += 320 + utf8Length(metadata);
  }

  private topicOf(wanted: OffsetToCommit): { readonly kind: 'topic'; readonly topicId: string } | Refused {
    const fields = { topic: wanted.topic, partition: String(wanted.partition) };
    const found = this.context.topics.find(this.request.tenant, wanted.topic);
    if (found !== null && wanted.topicId !== null && found.topicId !== wanted.topicId) {
      const message = `${wanted.topic} was deleted and created again; its offsets begin anew.`;
      return refuse('INCONSISTENT_TOPIC_ID', message, { fields });
    }
    if (found !== null && wanted.partition < found.partitionCount) return { kind: 'topic', topicId: found.topicId };
    const what = found === null ? `topic ${wanted.topic}` : `partition ${wanted.partition} of ${wanted.topic}`;
    return refuse('UNKNOWN_TOPIC_OR_PARTITION', `There is no ${what}.`, { fields });
  }

  private refuseOffset(wanted: OffsetToCommit, topicId: string): Refused | null {
    const fields = { topic: wanted.topic, partition: String(wanted.partition) };
    const place = `${topicId} ${wanted.partition}`;
    if (this.seen.has(place)) return refuse('INVALID_REQUEST', 'The commit names this partition twice.', { fields });
    this.seen.add(place);
    const { member } = this.request;
    if (member !== null && this.group?.holders.holderOf(topicId, wanted.partition) !== member.memberId) {
      return refuse('PARTITION_NOT_OWNED', 'The partition is not assigned to this member.', { fields });
    }
    const bytesMax = this.context.limits.metadataBytesMax;
    const bytes = utf8Length(wanted.metadata);
    if (bytes <= bytesMax) return null;
    const sizes = { limit: String(bytesMax), actual: String(bytes) };
    const message = `The metadata of an offset has at most ${bytesMax} bytes.`;
    return refuse('OFFSET_METADATA_TOO_LARGE', message, { fields: { ...fields, ...sizes } });
  }

  /** A late duplicate changes nothing (reliability P113); the same sequence for something else is a client's mistake. */
  private overtaken(wanted: OffsetToCommit, before: CommittedOffset): BrokerError | null {
    const isOlder = isLater(before.stamp, this.stamp);
    if (isOlder || (before.offset === wanted.offset && before.metadata === wanted.metadata)) return null;
    const message = 'This sequence number was used for another commit; each commit takes a higher one.';
    const fields = { topic: wanted.topic, partition: String(wanted.partition), sequence: String(this.stamp.sequence) };
    return refuse('INVALID_REQUEST', message, { fields }).error;
  }

  private refuseMoreOffsets(): Refused | null {
    const { offsetsPerGroupMax } = this.context.limits;
    const count = (this.group?.offsets.count ?? 0) + this.added;
    if (count < offsetsPerGroupMax) return null;
    const fields = { limit: String(offsetsPerGroupMax), actual: String(count) };
    return refuse('LIMIT_REACHED', 'The group has as many committed offsets as it may have.', { fields });
  }
}

function utf8Length(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
  }
  return bytes;
}

export interface FoundOffset {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Null: none was committed. */
  readonly committed: CommittedOffset | null;
  /** The partition came after the group: where nothing was committed nothing was read (semantics O5). */
  readonly newerThanGroup: boolean;
}

export interface FetchCommittedRequest extends GroupRef {
  /** Null: all that have a committed offset. */
  readonly partitions: readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null;
}

/**
 * Reads committed offsets. Where none is, the answer says so (semantics O2), for a group that does not exist too: an
 * error is never to be mistaken for "no offset", so an unknown topic refuses the whole call.
 */
export function findCommitted(
  groups: GroupsView,
  request: FetchCommittedRequest,
  context: HandleContext,
): Result<readonly FoundOffset[]> {
  const form = refuseGroupId(request.groupId);
  if (form !== null) return form;
  const group = groups.find(request);
  const found = request.partitions === null ? ok(allOffsets(group, context)) : namedOffsets(group, request, context);
  if (found.kind === 'refused') return found;
  let bytes = 0;
  for (const { topic, committed } of found.value) bytes += 128 + topic.length + utf8Length(committed?.metadata ?? '');
  const limit = context.limits.answerBytesMax;
  if (bytes <= limit) return found;
  const fields = { limit: String(limit), actual: String(bytes) };
  return refuse('MESSAGE_TOO_LARGE', 'The answer would be too large; ask for fewer partitions at a time.', { fields });
}

/** A group that is not there has nothing that could be older. */
const isNewer = (group: GroupView | null, topicId: string, partition: number, { topics }: HandleContext): boolean =>
  group !== null && topics.createdAt(topicId, partition) > group.createdRevision;

function allOffsets(group: GroupView | null, context: HandleContext): readonly FoundOffset[] {
  const found: FoundOffset[] = [];
  for (const [topicId, { topic, partitions }] of group?.offsets.topics ?? []) {
    if (!context.topics.exists(topicId)) continue;
    for (const [partition, committed] of partitions)
      found.push({ topic, topicId, partition, committed, newerThanGroup: isNewer(group, topicId, partition, context) });
  }
  return found.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
}

function namedOffsets(
  group: GroupView | null,
  request: FetchCommittedRequest,
  context: HandleContext,
): Result<readonly FoundOffset[]> {
  const found: FoundOffset[] = [];
  for (const { topic, partitions } of request.partitions ?? []) {
    const known = context.topics.find(request.tenant, topic);
    for (const partition of partitions) {
      if (known === null || partition >= known.partitionCount) {
        const what = known === null ? `topic ${topic}` : `partition ${partition} of ${topic}`;
        const fields = { topic, partition: String(partition) };
        return refuse('UNKNOWN_TOPIC_OR_PARTITION', `There is no ${what}.`, { fields });
      }
      const { topicId } = known;
      const committed = group?.offsets.get(topicId, partition) ?? null;
      found.push({ topic, topicId, partition, committed, newerThanGroup: isNewer(group, topicId, partition, context) });
    }
  }
  return ok(found);
}

/**
 * Drops what has outlived its use: offsets of deleted topics at once, others when their retention is over, and then the
 * group itself. Answers whether anything was dropped.
 */
export function decideSweep(groups: GroupsView, ref: GroupRef, context: HandleContext): Decision<boolean> {
  const group = groups.find(ref);
  if (group === null) return answered(false);
  const records: GroupRecord[] = [];
  let left = group.offsets.count;
  for (const [topicId, offsets] of group.offsets.topics) {
    for (const reason of removalsOf(group, topicId, offsets, context)) {
      records.push({ kind: 'offsets-removed', topicId, reason: reason.reason, partitions: reason.partitions });
      left -= reason.partitions.length;
    }
  }
  if (left === 0 && isForgotten(group, context)) records.push({ kind: 'group-deleted' });
  const { tenant, groupId } = group;
  return decided({ tenant, groupId, guard: null, records }, records.length > 0);
}

/** Deletes a group with its offsets, at once; only while it has no members. */
export function decideDeletion(groups: GroupsView, ref: GroupRef): Decision<null> {
  const form = refuseGroupId(ref.groupId);
  if (form !== null) return form;
  const group = groups.find(ref);
  const fields = { group: ref.groupId };
  if (group === null) return refuse('GROUP_ID_NOT_FOUND', 'There is no such group.', { fields });
  if (group.members.size > 0) {
    const message = 'The group has members; stop them first.';
    return refuse('NON_EMPTY_GROUP', message, { fields: { ...fields, members: String(group.members.size) } });
  }
  const records: GroupRecord[] = [];
  for (const [topicId, offsets] of group.offsets.topics)
    records.push({ kind: 'offsets-removed', topicId, reason: 'group-deleted', partitions: sortedPartitions(offsets) });
  records.push({ kind: 'group-deleted' });
  const { tenant, groupId } = group;
  return decided({ tenant, groupId, guard: null, records }, null);
}

interface Removal {
  readonly reason: RemovalReason;
  readonly partitions: readonly number[];
}

function removalsOf(
  group: GroupView,
  topicId: string,
  offsets: TopicOffsets,
  context: HandleContext,
): readonly Removal[] {
  if (isDeleted(topicId, offsets, context)) return [{ reason: 'topic-deleted', partitions: sortedPartitions(offsets) }];
  const subscribed = group.topics.get(offsets.topic)?.topicId === topicId;
  if (group.members.size > 0 && subscribed) return [];
  if (group.emptySinceMs !== null && !isOver(group.emptySinceMs, context)) return [];
  const old = sortedPartitions(offsets).filter((partition) => {
    const committed = offsets.partitions.get(partition);
    return committed !== undefined && isOver(lastUse(group, committed), context);
  });
  return old.length === 0 ? [] : [{ reason: 'expired', partitions: old }];
}

const sortedPartitions = (offsets: TopicOffsets): readonly number[] =>
  [...offsets.partitions.keys()].sort((a, b) => a - b);

/** Certain only if the catalog is at least as new as when the topic was last seen: a lagging one proves nothing. */
function isDeleted(topicId: string, offsets: TopicOffsets, context: HandleContext): boolean {
  if (context.topics.exists(topicId)) return false;
  return [...offsets.partitions.values()].every((committed) => committed.catalogRevision <= context.topics.revision);
}

/** Semantics O4: since the group became empty, or since the last commit if that was later or nobody subscribes. */
const lastUse = (group: GroupView, committed: CommittedOffset): Millis =>
  group.emptySinceMs !== null && group.emptySinceMs > committed.commitTimeMs
    ? group.emptySinceMs
    : committed.commitTimeMs;

const isForgotten = (group: GroupView, context: HandleContext): boolean =>
  group.members.size === 0 && group.emptySinceMs !== null && isOver(group.emptySinceMs, context);

const isOver = (since: Millis, context: HandleContext): boolean =>
  context.nowMs - since > context.limits.offsetsRetentionMs;
