/** GroupService: form checks and conversion; who owns what is the coordinator's. */
import type {
  CommitRequest,
  CommitResponse,
  CommittedOffset as WireCommittedOffset,
  FetchCommittedRequest,
  FetchCommittedResponse,
  HeartbeatRequest,
  HeartbeatResponse,
  JoinGroupRequest,
  JoinGroupResponse,
  LeaveGroupRequest,
  LeaveGroupResponse,
  MembershipRequest,
  OffsetToCommit as WireOffsetToCommit,
  TopicPartitions as WireTopicPartitions,
} from '../gen/sluice/v1/group.ts';
import { LeaveReason } from '../gen/sluice/v1/group.ts';
import type {
  BrokerApi,
  CommitOffsets,
  CommittedOffset,
  MemberRef,
  OffsetToCommit,
  RequestContext,
  TopicPartitions,
} from '../broker/requests.ts';
import type { AssignorName } from '../broker/group/records.ts';
import { assignorNames } from '../broker/group/records.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import { utf8Length } from '../model/record.ts';
import { FieldChecks, nameCharsMax, toInt32, toInt32OrAbsent, toInt64, toInt64OrAbsent } from './convert.ts';
import { errorDetail } from './status.ts';

const topicsRange = { from: 1, through: 100 };
const offsetsRange = { from: 1, through: 10_000 };
const partitionListRange = { from: 0, through: 10_000 };
const resumeTokenBytesMax = 1_024;
const metadataBytesMax = 4_096;

export async function joinGroup(
  broker: BrokerApi,
  request: JoinGroupRequest,
  context: RequestContext,
): Promise<Result<JoinGroupResponse>> {
  const checks = new FieldChecks();
  checks.count('topics', request.topics, topicsRange);
  const token = request.resumeToken ?? null;
  if (token !== null && token.length > resumeTokenBytesMax)
    checks.complain('resume_token', 'is not one that JoinGroup gave', `${token.length} bytes`, 'INVALID_RESUME_TOKEN');
  const checked = checks.finish({
    group: checks.group('group', request.group),
    topics: request.topics.map((name) => checks.topic('topics', name)),
    resumeToken: token,
    clientId: checks.text('client_id', request.clientId, nameCharsMax),
    joinId: checks.uuid('join_id', request.joinId),
    instanceId: request.instanceId ?? null,
    assignor: assignor(checks, request.assignor),
    rack: request.rack === undefined ? null : checks.text('rack', request.rack, nameCharsMax),
  });
  if (checked.kind === 'refused') return checked;
  const joined = await broker.joinGroup(checked.value, context);
  if (joined.kind === 'refused') return joined;
  const { memberId, memberEpoch, resumeToken, assignment, sessionTimeoutMs, heartbeatIntervalMs } = joined.value;
  return ok({
    memberId,
    memberEpoch: toInt32(memberEpoch),
    resumeToken,
    assignment: assignment.map(toWirePartitions),
    sessionTimeoutMs: toInt64(sessionTimeoutMs),
    heartbeatIntervalMs: toInt64(heartbeatIntervalMs),
  });
}

export async function heartbeat(
  broker: BrokerApi,
  request: HeartbeatRequest,
  context: RequestContext,
): Promise<Result<HeartbeatResponse>> {
  const checks = new FieldChecks();
  const owned = topicPartitions(checks, 'owned', request.owned);
  const checked = checks.finish({ ...memberRef(checks, request), owned });
  if (checked.kind === 'refused') return checked;
  const answer = await broker.heartbeat(checked.value, context);
  if (answer.kind === 'refused') return answer;
  const { memberEpoch, assignment, heartbeatIntervalMs } = answer.value;
  return ok({
    memberEpoch: toInt32(memberEpoch),
    assignment: assignment === null ? undefined : { partitions: assignment.map(toWirePartitions) },
    heartbeatIntervalMs: toInt64(heartbeatIntervalMs),
  });
}

export async function leaveGroup(
  broker: BrokerApi,
  request: LeaveGroupRequest,
  context: RequestContext,
): Promise<Result<LeaveGroupResponse>> {
  const checks = new FieldChecks();
  const isExpired = request.reason === LeaveReason.LEAVE_REASON_PROGRESS_EXPIRED;
  const reason = isExpired ? ('progress-expired' as const) : ('left' as const);
  const checked = checks.finish({ ...memberRef(checks, request), reason, keepPlace: request.keepPlace });
  if (checked.kind === 'refused') return checked;
  const left = await broker.leaveGroup(checked.value, context);
  return left.kind === 'refused' ? left : ok({});
}

export async function commit(
  broker: BrokerApi,
  request: CommitRequest,
  context: RequestContext,
): Promise<Result<CommitResponse>> {
  const checks = new FieldChecks();
  checks.count('offsets', request.offsets, offsetsRange);
  const checked = checks.finish({
    group: checks.group('group', request.group),
    member: committer(checks, request),
    offsets: request.offsets.map((offset, i) => offsetToCommit(checks.within('offsets', i), offset)),
  });
  if (checked.kind === 'refused') return checked;
  const stored = await broker.commitOffsets(checked.value, context);
  if (stored.kind === 'refused') return stored;
  return ok({
    partitions: checked.value.offsets.map(({ topic, partition }, i) => {
      const error = stored.value[i] ?? null;
      return { topic, partition, error: error === null ? undefined : errorDetail(error) };
    }),
  });
}

export async function fetchCommitted(
  broker: BrokerApi,
  request: FetchCommittedRequest,
  context: RequestContext,
): Promise<Result<FetchCommittedResponse>> {
  const checks = new FieldChecks();
  const partitions = topicPartitions(checks, 'partitions', request.partitions);
  const checked = checks.finish({
    group: checks.group('group', request.group),
    partitions: partitions.length === 0 ? null : partitions,
  });
  if (checked.kind === 'refused') return checked;
  const found = await broker.fetchCommitted(checked.value, context);
  return found.kind === 'refused' ? found : ok({ offsets: found.value.map(toWireCommitted) });
}

function assignor(checks: FieldChecks, asked: string | undefined): AssignorName | null {
  if (asked === undefined) return null;
  const found = assignorNames.find((name) => name === asked);
  if (found === undefined)
    checks.complain('assignor', `must be one of ${assignorNames.join(', ')}`, asked, 'UNSUPPORTED_ASSIGNOR');
  return found ?? null;
}

export function memberRef(
  checks: FieldChecks,
  request: HeartbeatRequest | LeaveGroupRequest | MembershipRequest,
): MemberRef {
  return {
    group: checks.group('group', request.group),
    memberId: memberId(checks, request.memberId),
    memberEpoch: checks.memberEpoch('member_epoch', request.memberEpoch),
  };
}

function memberId(checks: FieldChecks, value: string): string {
  if (value === '') checks.complain('member_id', 'is required', 'empty');
  return checks.text('member_id', value, nameCharsMax);
}

/** A member, or null for an offset tool. Half a member is refused. */
function committer(checks: FieldChecks, request: CommitRequest): CommitOffsets['member'] {
  const { memberId: id, memberEpoch: epoch, sequence } = request;
  if (id === undefined) {
    if (epoch !== undefined) checks.complain('member_epoch', 'goes with member_id only', String(epoch));
    if (sequence !== undefined) checks.complain('sequence', 'goes with member_id only', String(sequence));
    return null;
  }
  if (epoch === undefined) checks.complain('member_epoch', 'is required with member_id', 'absent');
  return {
    memberId: memberId(checks, id),
    memberEpoch: checks.memberEpoch('member_epoch', epoch ?? 0),
    sequence: checks.int64('sequence', sequence),
  };
}

function offsetToCommit(checks: FieldChecks, offset: WireOffsetToCommit): OffsetToCommit {
  const metadataBytes = utf8Length(offset.metadata);
  if (metadataBytes > metadataBytesMax)
    checks.complain(
      'metadata',
      `must be at most ${metadataBytesMax} bytes`,
      `${metadataBytes} bytes`,
      'OFFSET_METADATA_TOO_LARGE',
    );
  return {
    topic: checks.topic('topic', offset.topic),
    topicId: checks.topicId('topic_id', offset.topicId),
    partition: checks.partition('partition', offset.partition),
    offset: checks.offset('offset', offset.offset),
    leaderEpoch: checks.leaderEpoch('leader_epoch', offset.leaderEpoch),
    metadata: offset.metadata,
  };
}

function topicPartitions(
  checks: FieldChecks,
  field: string,
  list: readonly WireTopicPartitions[],
): readonly TopicPartitions[] {
  checks.count(field, list, partitionListRange);
  const checked = list.map(({ topic, topicId, partitions }, i) => {
    checks.within(field, i).count('partitions', partitions, partitionListRange);
    return {
      topic: checks.topic('topic', topic),
      topicId: topicId === '' ? '' : (checks.topicId('topic_id', topicId) ?? ''),
      partitions: partitions.map((each) => checks.partition('partitions', each)),
    };
  });
  checks.within(null);
  return checked;
}

export const toWirePartitions = ({ topic, topicId, partitions }: TopicPartitions): WireTopicPartitions => ({
  topic,
  topicId,
  partitions: partitions.map(toInt32),
});

const toWireCommitted = (found: CommittedOffset): WireCommittedOffset => ({
  topic: found.topic,
  topicId: found.topicId,
  partition: toInt32(found.partition),
  offset: toInt64OrAbsent(found.offset),
  leaderEpoch: toInt32OrAbsent(found.leaderEpoch),
  metadata: found.metadata,
  commitTimeMs: toInt64OrAbsent(found.commitTimeMs),
  newerThanGroup: found.newerThanGroup,
});
