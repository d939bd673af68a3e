/** LogService.ResolveAppend. */
import type { ResolveAppendRequest, ResolveAppendResponse } from '../gen/sluice/v1/log.ts';
import { AppendOutcome } from '../gen/sluice/v1/log.ts';
import type { BrokerApi, RequestContext, ResolveAnswer, ResolveRequest } from '../broker/requests.ts';
import type { Clock } from '../model/clock.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import { FieldChecks, toInt32, toInt64, toInt64OrAbsent } from './convert.ts';
import { readProducer, secretBytes, timeoutMsDefault, timeoutMsRange, withTimeout } from './produce.ts';

const countRange = { from: 1, through: 2 ** 31 - 1 };

export async function resolveAppend(
  broker: BrokerApi,
  clock: Clock,
  request: ResolveAppendRequest,
  context: RequestContext,
): Promise<Result<ResolveAppendResponse>> {
  const checks = new FieldChecks();
  const timeoutMs = checks.integerOr('timeout_ms', request.timeoutMs, timeoutMsRange, timeoutMsDefault);
  const checked = checks.finish(read(checks, request));
  if (checked.kind === 'refused') return checked;
  const resolved = await broker.resolveAppend(checked.value, withTimeout(clock, context, timeoutMs));
  return resolved.kind === 'refused' ? resolved : ok(toResponse(resolved.value));
}

function read(checks: FieldChecks, request: ResolveAppendRequest): ResolveRequest {
  const { producer, secret } = request;
  if (producer === undefined) checks.complain('producer', 'is required', 'absent');
  if (secret.length !== secretBytes)
    checks.complain('secret', 'is not one that InitProducer gave', `${secret.length} bytes`, 'INVALID_PRODUCER_SECRET');
  const none = { producerId: 0n, producerEpoch: 0, baseSequence: 0 };
  return {
    topic: checks.topic('topic', request.topic),
    topicId: checks.topicId('topic_id', request.topicId),
    partition: checks.partition('partition', request.partition),
    producer: readProducer(checks, producer ?? none),
    secret,
    count: checks.integer('record_count', request.recordCount, countRange),
    ageMs: checks.millis('age_ms', request.ageMs),
  };
}

const outcomes = {
  committed: AppendOutcome.APPEND_OUTCOME_COMMITTED,
  never: AppendOutcome.APPEND_OUTCOME_NEVER,
  expired: AppendOutcome.APPEND_OUTCOME_EXPIRED,
} as const satisfies Record<ResolveAnswer['outcome'], AppendOutcome>;

const toResponse = (answer: ResolveAnswer): ResolveAppendResponse => ({
  topicId: answer.topicId,
  partition: toInt32(answer.partition),
  outcome: outcomes[answer.outcome],
  baseOffset: toInt64OrAbsent(answer.baseOffset),
  appendTimeMs: toInt64OrAbsent(answer.appendTimeMs),
  leaderEpoch: toInt32(answer.leaderEpoch),
  catalogRevision: toInt64(answer.catalogRevision),
});
