/** Requests in the model's terms as the contract's messages, for another broker: the inverse of what the door reads. */
import type {
  CommitRequest,
  FetchCommittedRequest,
  HeartbeatRequest,
  JoinGroupRequest,
  LeaveGroupRequest,
  TopicPartitions as WireTopicPartitions,
} from '../gen/sluice/v1/group.ts';
import { LeaveReason } from '../gen/sluice/v1/group.ts';
import type {
  FetchRequest as WireFetchRequest,
  ListOffsetsRequest,
  OffsetQuery as WireOffsetQuery,
  ProduceRequest,
  ResolveAppendRequest,
} from '../gen/sluice/v1/log.ts';
import { Acks, FetchFormat } from '../gen/sluice/v1/log.ts';
import { Compression } from '../gen/sluice/v1/record.ts';
import type {
  LeaveGroup,
  AckLevel,
  AppendRequest,
  BrokerApi,
  CommitOffsets,
  FetchRequest,
  Heartbeat,
  JoinGroup,
  MemberRef,
  OffsetQuery,
  ResolveRequest,
  TopicPartitions,
} from '../broker/requests.ts';
import { toInt32, toInt32OrAbsent, toInt64, toInt64OrAbsent } from './convert.ts';
import { timeoutMsRange } from './produce.ts';

const wireAcks = {
  all: Acks.ACKS_ALL,
  leader: Acks.ACKS_LEADER,
  none: Acks.ACKS_NONE,
} as const satisfies Record<AckLevel, number>;

export const toProduceRequest = (request: AppendRequest, timeoutMs: number): ProduceRequest => ({
  topic: request.topic,
  topicId: request.topicId ?? undefined,
  partition: toInt32(request.partition),
  routingKey: undefined,
  payload: { $case: 'recordBatch', value: request.batch },
  acks: wireAcks[request.acks],
  producer: undefined,
  compression: Compression.COMPRESSION_UNSPECIFIED,
  timeoutMs: toInt32(timeoutMs),
  expectedEndOffset: toInt64OrAbsent(request.expectedEndOffset ?? null),
  everyReplica: request.everyReplica ?? false,
});

export const toResolveAppendRequest = (request: ResolveRequest, leftMs: number): ResolveAppendRequest => ({
  topic: request.topic,
  topicId: request.topicId ?? undefined,
  partition: toInt32(request.partition),
  producer: {
    producerId: toInt64(request.producer.id),
    producerEpoch: toInt32(request.producer.epoch),
    baseSequence: toInt32(request.producer.baseSequence),
  },
  secret: request.secret,
  recordCount: toInt32(request.count),
  ageMs: toInt64(request.ageMs),
  timeoutMs: toInt32(Math.max(timeoutMsRange.from, Math.min(timeoutMsRange.through, Math.ceil(leftMs)))),
});

export const toFetchRequest = (request: FetchRequest): WireFetchRequest => ({
  partitions: request.partitions.map((each) => ({
    topic: each.topic,
    topicId: each.topicId ?? undefined,
    partition: toInt32(each.partition),
    fetchOffset: toInt64(each.fetchOffset),
    leaderEpoch: toInt32OrAbsent(each.leaderEpoch),
    maxBytes: toInt32(each.bytesMax),
    rack: each.rack ?? undefined,
  })),
  maxWaitMs: toInt32(request.waitMsMax),
  minBytes: toInt32(request.bytesMin),
  maxBytes: toInt32(request.bytesMax),
  format: FetchFormat.FETCH_FORMAT_RECORD_BATCHES,
});

export const toListOffsetsRequest = (queries: readonly OffsetQuery[]): ListOffsetsRequest => ({
  queries: queries.map((query) => ({
    topic: query.topic,
    topicId: query.topicId ?? undefined,
    partition: toInt32(query.partition),
    at: toWirePosition(query.at),
    leaderEpoch: toInt32OrAbsent(query.leaderEpoch ?? null),
  })),
});

function toWirePosition(at: OffsetQuery['at']): WireOffsetQuery['at'] {
  switch (at.kind) {
    case 'earliest':
      return { $case: 'earliest', value: {} };
    case 'latest':
      return { $case: 'latest', value: {} };
    case 'timestamp':
      return { $case: 'timestampMs', value: toInt64(at.timestampMs) };
    case 'max-timestamp':
      return { $case: 'maxTimestamp', value: {} };
    case 'end-of-epoch':
      return { $case: 'endOfLeaderEpoch', value: toInt32(at.epoch) };
  }
}

const toWirePartitions = ({ topic, topicId, partitions }: TopicPartitions): WireTopicPartitions => ({
  topic,
  topicId,
  partitions: [...partitions],
});

export const toJoinGroupRequest = (request: JoinGroup): JoinGroupRequest => ({
  group: request.group,
  topics: [...request.topics],
  resumeToken: request.resumeToken ?? undefined,
  clientId: request.clientId,
  joinId: request.joinId ?? undefined,
  instanceId: request.instanceId ?? undefined,
  assignor: request.assignor ?? undefined,
  rack: request.rack ?? undefined,
});

export const toHeartbeatRequest = (request: Heartbeat): HeartbeatRequest => ({
  ...toMemberRef(request),
  owned: request.owned.map(toWirePartitions),
});

const toMemberRef = ({ group, memberId, memberEpoch }: MemberRef): Omit<LeaveGroupRequest, 'reason' | 'keepPlace'> => ({
  group,
  memberId,
  memberEpoch: toInt32(memberEpoch),
});

export const toLeaveGroupRequest = (request: LeaveGroup): LeaveGroupRequest => ({
  ...toMemberRef(request),
  reason:
    request.reason === 'progress-expired'
      ? LeaveReason.LEAVE_REASON_PROGRESS_EXPIRED
      : LeaveReason.LEAVE_REASON_UNSPECIFIED,
  keepPlace: request.keepPlace ?? false,
});

export const toCommitRequest = ({ group, member, offsets }: CommitOffsets): CommitRequest => ({
  group,
  memberId: member?.memberId,
  memberEpoch: member === null ? undefined : toInt32(member.memberEpoch),
  sequence: member === null ? undefined : toInt64(member.sequence),
  offsets: offsets.map((each) => ({
    topic: each.topic,
    topicId: each.topicId ?? undefined,
    partition: toInt32(each.partition),
    offset: toInt64(each.offset),
    leaderEpoch: toInt32OrAbsent(each.leaderEpoch),
    metadata: each.metadata,
  })),
});

export const toFetchCommittedRequest = ({
  group,
  partitions,
}: Parameters<BrokerApi['fetchCommitted']>[0]): FetchCommittedRequest => ({
  group,
  partitions: (partitions ?? []).map(({ topic, partitions: numbers }) => ({
    topic,
    topicId: '',
    partitions: [...numbers],
  })),
});
