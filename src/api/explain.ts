/** ClusterService.Explain. */
import type { ExplainRequest, ExplainResponse, Stall as WireStall } from '../gen/sluice/v1/cluster.ts';
import { StallReason as WireReason } from '../gen/sluice/v1/cluster.ts';
import type { Explanation, Stall, StallReason } from '../broker/explain.ts';
import type { BrokerApi, PartitionRef, RequestContext } from '../broker/requests.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import { toBrokerId, toOffset, toTerm } from '../model/ids.ts';
import { FieldChecks, toInt32, toInt32OrAbsent, toInt64, toInt64OrAbsent } from './convert.ts';

const wireReasons = {
  'at-high-watermark': WireReason.STALL_REASON_AT_HIGH_WATERMARK,
  'no-leader': WireReason.STALL_REASON_NO_LEADER,
  'leader-unreachable': WireReason.STALL_REASON_LEADER_UNREACHABLE,
  'leader-recovering': WireReason.STALL_REASON_LEADER_RECOVERING,
  'waiting-for-quorum': WireReason.STALL_REASON_WAITING_FOR_QUORUM,
  'not-enough-replicas': WireReason.STALL_REASON_NOT_ENOUGH_REPLICAS,
  'replica-catching-up': WireReason.STALL_REASON_REPLICA_CATCHING_UP,
  throttled: WireReason.STALL_REASON_THROTTLED,
  'disk-reserve': WireReason.STALL_REASON_DISK_RESERVE,
  quarantined: WireReason.STALL_REASON_QUARANTINED,
  opening: WireReason.STALL_REASON_OPENING,
  'broker-not-running': WireReason.STALL_REASON_BROKER_NOT_RUNNING,
} as const satisfies Record<StallReason, WireReason>;

const reasons = new Map<number, StallReason>(
  (Object.keys(wireReasons) as StallReason[]).map((reason) => [wireReasons[reason], reason]),
);

export async function explain(
  broker: BrokerApi,
  request: ExplainRequest,
  context: RequestContext,
): Promise<Result<ExplainResponse>> {
  const checks = new FieldChecks();
  const checked = checks.finish({
    topic: checks.topic('topic', request.topic),
    topicId: checks.topicId('topic_id', request.topicId),
    partition: checks.partition('partition', request.partition),
  });
  if (checked.kind === 'refused') return checked;
  const explained = await broker.explain(checked.value, context);
  return explained.kind === 'refused' ? explained : ok(toExplainResponse(explained.value));
}

const toExplainResponse = (explained: Explanation): ExplainResponse => ({
  topicId: explained.topicId,
  answeredBy: toInt32(explained.answeredBy),
  leader: toInt32OrAbsent(explained.leader?.brokerId ?? null),
  leaderEpoch: toInt32OrAbsent(explained.leader?.term ?? null),
  logStartOffset: toInt64OrAbsent(explained.marks?.logStart ?? null),
  highWatermark: toInt64OrAbsent(explained.marks?.highWatermark ?? null),
  endOffset: toInt64OrAbsent(explained.marks?.endOffset ?? null),
  stalls: explained.stalls.map(toWireStall),
});

/** As it goes over the wire. */
export const toWireStall = ({ reason, message, blocksProduce, blocksFetch, missing, progress }: Stall): WireStall => ({
  reason: wireReasons[reason],
  message,
  blocksProduce,
  blocksFetch,
  missingBrokers: missing.map(toInt32),
  done: progress === null ? undefined : toInt64(progress.done),
  total: progress === null ? undefined : toInt64(progress.total),
});

/** For another broker. */
export const toExplainRequest = ({ topic, topicId, partition }: PartitionRef): ExplainRequest => ({
  topic,
  topicId: topicId ?? undefined,
  partition: toInt32(partition),
});

/** Of another broker. A reason that this version does not know is left out. */
export const fromExplainResponse = (wire: ExplainResponse): Explanation => ({
  topicId: wire.topicId,
  answeredBy: toBrokerId(wire.answeredBy),
  leader: wire.leader === undefined ? null : { brokerId: toBrokerId(wire.leader), term: toTerm(wire.leaderEpoch ?? 0) },
  marks:
    wire.logStartOffset === undefined || wire.highWatermark === undefined || wire.endOffset === undefined
      ? null
      : {
          logStart: toOffset(Number(wire.logStartOffset)),
          highWatermark: toOffset(Number(wire.highWatermark)),
          endOffset: toOffset(Number(wire.endOffset)),
        },
  stalls: wire.stalls.flatMap((one) => {
    const reason = reasons.get(one.reason);
    if (reason === undefined) return [];
    const { message, blocksProduce, blocksFetch, missingBrokers, done, total } = one;
    const progress = done === undefined || total === undefined ? null : { done: Number(done), total: Number(total) };
    return [{ reason, message, blocksProduce, blocksFetch, missing: missingBrokers.map(toBrokerId), progress }];
  }),
});
