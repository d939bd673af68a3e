/** LogService.ListOffsets. */
import type {
  FoundOffset as WireFoundOffset,
  ListOffsetsRequest,
  ListOffsetsResponse,
  OffsetQuery as WireOffsetQuery,
} from '../gen/sluice/v1/log.ts';
import type { BrokerApi, FoundOffset, OffsetQuery, RequestContext } from '../broker/requests.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import { toTerm } from '../model/ids.ts';
import { FieldChecks, toInt32, toInt32OrAbsent, toInt64OrAbsent } from './convert.ts';
import { errorDetail } from './status.ts';

const queriesRange = { from: 1, through: 1_000 };

export async function listOffsets(
  broker: BrokerApi,
  request: ListOffsetsRequest,
  context: RequestContext,
): Promise<Result<ListOffsetsResponse>> {
  const checks = new FieldChecks();
  checks.count('queries', request.queries, queriesRange);
  const queries = checks.finish(request.queries.map((query, i) => toQuery(checks.within('queries', i), query)));
  if (queries.kind === 'refused') return queries;
  const found = await broker.listOffsets(queries.value, context);
  return found.kind === 'refused' ? found : ok({ offsets: found.value.map(toWireFound) });
}

function toQuery(checks: FieldChecks, query: WireOffsetQuery): OffsetQuery {
  return {
    topic: checks.topic('topic', query.topic),
    topicId: checks.topicId('topic_id', query.topicId),
    partition: checks.partition('partition', query.partition),
    at: toPosition(checks, query.at),
    leaderEpoch: checks.leaderEpoch('leader_epoch', query.leaderEpoch),
  };
}

function toPosition(checks: FieldChecks, position: WireOffsetQuery['at']): OffsetQuery['at'] {
  if (position?.$case === 'earliest') return { kind: 'earliest' };
  if (position?.$case === 'latest') return { kind: 'latest' };
  if (position?.$case === 'maxTimestamp') return { kind: 'max-timestamp' };
  if (position?.$case === 'endOfLeaderEpoch')
    return { kind: 'end-of-epoch', epoch: checks.leaderEpoch('end_of_leader_epoch', position.value) ?? toTerm(0) };
  if (position === undefined)
    checks.complain('at', 'must be earliest, latest, timestamp_ms, max_timestamp or end_of_leader_epoch', 'absent');
  return { kind: 'timestamp', timestampMs: checks.millis('timestamp_ms', position?.value) };
}

const toWireFound = (found: FoundOffset): WireFoundOffset => ({
  topic: found.topic,
  topicId: found.topicId,
  partition: toInt32(found.partition),
  error: found.error === null ? undefined : errorDetail(found.error),
  offset: toInt64OrAbsent(found.offset),
  timestampMs: toInt64OrAbsent(found.timestampMs),
  leaderEpoch: toInt32OrAbsent(found.leaderEpoch),
  endedEpoch: toInt32OrAbsent(found.endedEpoch ?? null),
});
