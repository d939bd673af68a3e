/**
 * Create times that are too far from the leader's clock (semantics A9). Pure. A batch is judged by its header, which tells
 * its first and its largest create time: nothing is decoded for it (design D12).
 */
import type { Refused } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { Millis } from '../model/ids.ts';
import type { BatchHeader } from '../model/record-batch.ts';

/** Milliseconds; null: any time. */
export interface CreateTimeBounds {
  readonly beforeMsMax: number | null;
  readonly afterMsMax: number | null;
}

export const anyCreateTime: CreateTimeBounds = { beforeMsMax: null, afterMsMax: null };

/** Null: the times are within the bounds, or the records have none. */
export function refuseCreateTime(
  { baseTimestampMs, maxTimestampMs }: Pick<BatchHeader, 'baseTimestampMs' | 'maxTimestampMs'>,
  { beforeMsMax, afterMsMax }: CreateTimeBounds,
  nowMs: Millis,
): Refused | null {
  if (maxTimestampMs === null) return null;
  if (afterMsMax !== null && maxTimestampMs - nowMs > afterMsMax)
    return refused('message.timestamp.after.max.ms', maxTimestampMs, afterMsMax, nowMs);
  // the first record may have no time although others have
  const first = baseTimestampMs < 0 ? maxTimestampMs : baseTimestampMs;
  if (beforeMsMax !== null && nowMs - first > beforeMsMax)
    return refused('message.timestamp.before.max.ms', first, beforeMsMax, nowMs);
  return null;
}

function refused(key: string, actual: number, limit: number, nowMs: Millis): Refused {
  const away = actual > nowMs ? `${actual - nowMs} ms after` : `${nowMs - actual} ms before`;
  const fields = { key, limit: `${limit}`, actual: `${actual}`, now: `${nowMs}` };
  const what = `a create time is ${away} the clock of the partition's leader; ${key} allows ${limit} ms`;
  return refuse('INVALID_TIMESTAMP', what, { fields });
}
