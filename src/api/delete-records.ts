/** LogService.DeleteRecords. */
import type { DeleteRecordsRequest, DeleteRecordsResponse } from '../gen/sluice/v1/log.ts';
import type { BrokerApi, DeleteRecords, RequestContext } from '../broker/requests.ts';
import type { Clock } from '../model/clock.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import { FieldChecks, toInt32, toInt64, toInt64OrAbsent } from './convert.ts';
import { timeoutMsDefault, timeoutMsRange, withTimeout } from './produce.ts';

export async function deleteRecords(
  broker: BrokerApi,
  clock: Clock,
  request: DeleteRecordsRequest,
  context: RequestContext,
): Promise<Result<DeleteRecordsResponse>> {
  const checks = new FieldChecks();
  const { beforeOffset } = request;
  const timeoutMs = checks.integerOr('timeout_ms', request.timeoutMs, timeoutMsRange, timeoutMsDefault);
  const checked = checks.finish({
    topic: checks.topic('topic', request.topic),
    topicId: checks.topicId('topic_id', request.topicId),
    partition: checks.partition('partition', request.partition),
    before: beforeOffset === undefined ? null : checks.offset('before_offset', beforeOffset),
  });
  if (checked.kind === 'refused') return checked;
  const deleted = await broker.deleteRecords(checked.value, withTimeout(clock, context, timeoutMs));
  if (deleted.kind === 'refused') return deleted;
  const { topicId, logStart, catalogRevision } = deleted.value;
  return ok({ topicId, logStartOffset: toInt64(logStart), catalogRevision: toInt64(catalogRevision) });
}

/** For another broker. */
export const toDeleteRecordsRequest = (request: DeleteRecords, leftMs: number): DeleteRecordsRequest => ({
  topic: request.topic,
  topicId: request.topicId ?? undefined,
  partition: toInt32(request.partition),
  beforeOffset: toInt64OrAbsent(request.before),
  timeoutMs: toInt32(Math.max(timeoutMsRange.from, Math.min(timeoutMsRange.through, Math.ceil(leftMs)))),
});
