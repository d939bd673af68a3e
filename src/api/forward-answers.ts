/**
 * Answers of other brokers, from the contract's messages back into the model's terms: the inverse of what this front door
 * does when it answers a client. The other broker checked them before they left.
 */
import { ErrorCode as WireCode } from '../gen/sluice/v1/error.ts';
import type { ErrorDetail } from '../gen/sluice/v1/error.ts';
import type {
  FetchResponse,
  FetchedPartition as WireFetchedPartition,
  FoundOffset as WireFoundOffset,
  ProduceResponse,
  ReplicaHint,
  ResolveAppendResponse,
} from '../gen/sluice/v1/log.ts';
import { AppendOutcome } from '../gen/sluice/v1/log.ts';
import type {
  DescribeGroupResponse,
  GroupSummary as WireGroupSummary,
  CommittedOffset as WireCommittedOffset,
  HeartbeatResponse,
  JoinGroupResponse,
} from '../gen/sluice/v1/group.ts';
import type {
  GroupReport,
  GroupSummary,
  AppendReceipt,
  BrokerAddress,
  CommittedOffset,
  FetchAnswer,
  FetchedPartition,
  FoundOffset,
  HeartbeatAnswer,
  Membership,
  PartitionInfo,
  ResolveAnswer,
} from '../broker/requests.ts';
import type { PartitionDescription as WirePartition } from '../gen/sluice/v1/topic.ts';
import { groupStates, memberStates } from './group-operations.ts';
import { uint32At } from '../model/big-endian.ts';
import type { BrokerError, ErrorCode, LeaderHint } from '../model/errors.ts';
import { rebalanceReasons } from '../broker/group/rebalance-history.ts';
import { errorTraits } from '../model/errors.ts';
import { toBrokerId, toLogIndex, toMemberEpoch, toMillis, toOffset, toTerm } from '../model/ids.ts';

const codes = new Map<number, ErrorCode>(
  (Object.keys(errorTraits) as ErrorCode[]).map((code) => [WireCode[`ERROR_CODE_${code}`], code]),
);

/** A code that this version does not know is a defect of the cluster's upgrade; what it means for the caller stays open. */
export function fromErrorDetail(detail: ErrorDetail): BrokerError {
  const hint = detail.leaderHint;
  const leaderHint: LeaderHint | null =
    hint === undefined
      ? null
      : { brokerId: toBrokerId(hint.brokerId), address: hint.address, leaderEpoch: toTerm(hint.leaderEpoch) };
  return {
    code: codes.get(detail.code) ?? 'INTERNAL',
    message: detail.message,
    ...(leaderHint === null ? {} : { leaderHint }),
    ...(detail.retryAfterMs === undefined ? {} : { retryAfterMs: Number(detail.retryAfterMs) }),
    ...(Object.keys(detail.fields).length === 0 ? {} : { fields: detail.fields }),
  };
}

const offsetOrNull = (value: bigint | undefined): ReturnType<typeof toOffset> | null =>
  value === undefined ? null : toOffset(Number(value));
const millisOrNull = (value: bigint | undefined): ReturnType<typeof toMillis> | null =>
  value === undefined ? null : toMillis(Number(value));
const termOrNull = (value: number | undefined): ReturnType<typeof toTerm> | null =>
  value === undefined ? null : toTerm(value);
const errorOrNull = (detail: ErrorDetail | undefined): BrokerError | null =>
  detail === undefined ? null : fromErrorDetail(detail);

export const fromProduceResponse = (wire: ProduceResponse): AppendReceipt => ({
  topicId: wire.topicId,
  partition: wire.partition,
  baseOffset: offsetOrNull(wire.baseOffset),
  leaderEpoch: toTerm(wire.leaderEpoch),
  appendTimeMs: millisOrNull(wire.appendTimeMs),
  committed: wire.committed,
  duplicate: wire.duplicate,
  logStart: toOffset(Number(wire.logStartOffset)),
  catalogRevision: Number(wire.catalogRevision),
  entry:
    wire.entryIndex === undefined || wire.entryTerm === undefined
      ? null
      : { index: toLogIndex(Number(wire.entryIndex)), term: toTerm(wire.entryTerm) },
  durableOn: wire.durableOn.map(toBrokerId),
  // of a forwarded call the forwarder says it
  leader: null,
});

export const fromResolveAppendResponse = (wire: ResolveAppendResponse): ResolveAnswer => ({
  topicId: wire.topicId,
  partition: wire.partition,
  outcome: outcomeOf(wire.outcome),
  baseOffset: offsetOrNull(wire.baseOffset),
  appendTimeMs: millisOrNull(wire.appendTimeMs),
  leaderEpoch: toTerm(wire.leaderEpoch),
  catalogRevision: Number(wire.catalogRevision),
});

/** An outcome that this version does not know leaves the question open for ever. */
function outcomeOf(wire: AppendOutcome): ResolveAnswer['outcome'] {
  if (wire === AppendOutcome.APPEND_OUTCOME_COMMITTED) return 'committed';
  return wire === AppendOutcome.APPEND_OUTCOME_NEVER ? 'never' : 'expired';
}

export const fromFetchResponse = (wire: FetchResponse): FetchAnswer => ({
  partitions: wire.partitions.map(fromFetched),
  catalogRevision: Number(wire.catalogRevision),
});

const fromFetched = (wire: WireFetchedPartition): FetchedPartition => ({
  topic: wire.topic,
  topicId: wire.topicId,
  partition: wire.partition,
  error: errorOrNull(wire.error),
  highWatermark: offsetOrNull(wire.highWatermark),
  logStart: offsetOrNull(wire.logStartOffset),
  leaderEpoch: termOrNull(wire.leaderEpoch),
  batches: wire.payload?.$case === 'recordBatches' ? splitBatches(wire.payload.value) : [],
  nextOffset: offsetOrNull(wire.nextOffset),
  ...(wire.preferredReplica === undefined ? {} : { preferred: toAddress(wire.preferredReplica) }),
});

const toAddress = ({ brokerId, address }: ReplicaHint): BrokerAddress => ({ brokerId: toBrokerId(brokerId), address });

/** Base offset and length precede what the length counts (Kafka's RecordBatch v2). */
const lengthAt = 8;
const headBytes = 12;

/** Batches that lie one after the other; views, not copies. */
function splitBatches(bytes: Uint8Array): readonly Uint8Array[] {
  const batches: Uint8Array[] = [];
  for (let at = 0; at + headBytes <= bytes.length;) {
    const end = at + headBytes + uint32At(bytes, at + lengthAt);
    batches.push(bytes.subarray(at, end));
    at = end;
  }
  return batches;
}

export const fromFoundOffset = (wire: WireFoundOffset): FoundOffset => ({
  topic: wire.topic,
  topicId: wire.topicId,
  partition: wire.partition,
  error: errorOrNull(wire.error),
  offset: offsetOrNull(wire.offset),
  timestampMs: millisOrNull(wire.timestampMs),
  leaderEpoch: termOrNull(wire.leaderEpoch),
  ...(wire.endedEpoch === undefined ? {} : { endedEpoch: toTerm(wire.endedEpoch) }),
});

export const fromJoinGroupResponse = (wire: JoinGroupResponse): Membership => ({
  memberId: wire.memberId,
  memberEpoch: toMemberEpoch(wire.memberEpoch),
  resumeToken: wire.resumeToken,
  assignment: wire.assignment,
  sessionTimeoutMs: Number(wire.sessionTimeoutMs),
  heartbeatIntervalMs: Number(wire.heartbeatIntervalMs),
});

export const fromHeartbeatResponse = (wire: HeartbeatResponse): HeartbeatAnswer => ({
  memberEpoch: toMemberEpoch(wire.memberEpoch),
  assignment: wire.assignment?.partitions ?? null,
  heartbeatIntervalMs: Number(wire.heartbeatIntervalMs),
});

export const fromCommittedPartition = (wire: { readonly error?: ErrorDetail | undefined }): BrokerError | null =>
  errorOrNull(wire.error);

export const fromCommittedOffset = (wire: WireCommittedOffset): CommittedOffset => ({
  topic: wire.topic,
  topicId: wire.topicId,
  partition: wire.partition,
  offset: offsetOrNull(wire.offset),
  leaderEpoch: termOrNull(wire.leaderEpoch),
  metadata: wire.metadata,
  commitTimeMs: millisOrNull(wire.commitTimeMs),
  newerThanGroup: wire.newerThanGroup,
});

export const fromPartitionDescription = (wire: WirePartition): PartitionInfo => ({
  partition: wire.partition,
  leader: wire.leader === undefined ? null : toBrokerId(wire.leader),
  leaderEpoch: termOrNull(wire.leaderEpoch),
  replicas: wire.replicas.map(toBrokerId),
  logStart: offsetOrNull(wire.logStartOffset),
  highWatermark: offsetOrNull(wire.highWatermark),
  inSync: wire.inSyncReplicas.map(toBrokerId),
});

export const fromGroupSummary = (wire: WireGroupSummary): GroupSummary => ({
  group: wire.group,
  phase: keyOf(groupStates, wire.state, 'reconciling'),
  memberCount: wire.memberCount,
  offsetCount: wire.offsetCount,
  coordinator: toBrokerId(wire.coordinator),
});

export const fromDescribeGroupResponse = (wire: DescribeGroupResponse): GroupReport => ({
  groupId: wire.group,
  phase: keyOf(groupStates, wire.state, 'reconciling'),
  assignor: wire.assignor === 'range' ? 'range' : 'uniform',
  epoch: toMemberEpoch(wire.epoch),
  emptySinceMs: wire.emptySinceMs === undefined ? null : toMillis(Number(wire.emptySinceMs)),
  members: wire.members.map((member) => ({
    memberId: member.memberId,
    clientId: member.clientId,
    topics: member.topics,
    instanceId: member.instanceId ?? null,
    away: member.away,
    rack: member.rack ?? null,
    epoch: toMemberEpoch(member.memberEpoch),
    phase: keyOf(memberStates, member.state, 'waiting'),
    assigned: member.assigned,
    revoking: member.revoking,
    awaited: member.awaited,
    suspect: member.suspect,
    sessionRemainingMs: member.sessionRemainingMs === undefined ? null : Number(member.sessionRemainingMs),
  })),
  offsetCount: wire.offsetCount,
  rebalances: wire.rebalances.map((rebalance) => ({
    atMs: toMillis(Number(rebalance.atMs)),
    reason: rebalanceReasons.find((reason) => reason === rebalance.reason) ?? 'topics-changed',
    memberId: rebalance.memberId ?? null,
    clientId: rebalance.clientId,
    epoch: toMemberEpoch(rebalance.epoch),
    memberCount: rebalance.memberCount,
    membersAffected: rebalance.membersAffected,
  })),
  coordinator: toBrokerId(wire.coordinator),
});

/** The name of a number; `other` if a newer broker knows more names. */
function keyOf<Name extends string>(numbers: Readonly<Record<Name, number>>, number: number, other: Name): Name {
  const names = Object.keys(numbers) as Name[];
  return names.find((name) => numbers[name] === number) ?? other;
}
