/** Asks a broker what became of a batch whose acknowledgement never came. */
import type { Brokers } from './brokers.ts';
import { BrokerError } from './errors.ts';
import { AppendOutcome } from './gen/sluice/v1/log.ts';
import type { ResolveAppendResponse } from './gen/sluice/v1/log.ts';
import { toInt64, toNumberOrNull } from './int64.ts';
import { methods } from './methods.ts';
import type { PartitionLane, Resolution } from './partition-lane.ts';
import type { ProduceBatch } from './produce-batch.ts';

/**
 * How long one question waits for its answer, milliseconds; then it is asked anew, perhaps of another broker. Short, so that
 * the answer comes soon after there is a quorum again.
 */
const askMs = 1_000;
/** What the broker itself waits: less, so that it can say why there is no answer. */
const brokerWaitMs = 900;

/** Rejects with a BrokerError; if it is neither retriable nor indeterminate there will be no answer. */
export async function resolveAppend(
  brokers: Brokers,
  { topic, topicId, partition, identity }: PartitionLane,
  batch: ProduceBatch,
  nowMs: number,
): Promise<Resolution> {
  if (identity === null || batch.baseSequence === null)
    throw new BrokerError('INTERNAL', 'Only a batch that was sent under an identity can be asked about.');
  const request = {
    topic,
    topicId,
    partition,
    producer: {
      producerId: toInt64(identity.id, 'producer id'),
      producerEpoch: identity.epoch,
      baseSequence: batch.baseSequence,
    },
    secret: identity.secret,
    recordCount: batch.count,
    ageMs: toInt64(Math.max(0, Math.ceil(nowMs - batch.firstSentMs)), 'age'),
    timeoutMs: brokerWaitMs,
  };
  return resolutionOf(await brokers.call(methods.resolveAppend, request, { timeoutMs: askMs }));
}

function resolutionOf({ outcome, baseOffset, leaderEpoch }: ResolveAppendResponse): Resolution {
  switch (outcome) {
    case AppendOutcome.APPEND_OUTCOME_COMMITTED: {
      const told = { leaderEpoch, duplicate: true, committed: true, entry: null, durableOn: [] };
      return { kind: 'committed', receipt: { baseOffset: toNumberOrNull(baseOffset), ...told } };
    }
    case AppendOutcome.APPEND_OUTCOME_NEVER:
      return { kind: 'never' };
    default:
      return { kind: 'expired' };
  }
}
