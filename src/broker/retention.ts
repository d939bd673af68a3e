/**
 * Which records a partition has to keep, and where its log starts from now on (semantics R1 to R3). Pure: from what is known
 * of the log to a decision; whole batches only, oldest first.
 *
 * Invariants:
 * - retention-1: nothing at or above the high watermark goes, and the log start never falls.
 * - retention-2: a batch goes by age only once it is older than the limit, by the leader's append time (D23); and by bytes
 *   or records only if what remains without it is still at or above the limit. The newest batch goes by age only.
 */
import { assert } from '../model/assert.ts';
import type { Millis, Offset } from '../model/ids.ts';
import { toMillis } from '../model/ids.ts';
import type { EntryMark } from '../log/reader.ts';
import type { TopicConfig } from './topic-config.ts';

/** A partition as its leader sees it. */
export interface RetentionView {
  readonly config: TopicConfig;
  readonly logStart: Offset;
  /** End offset of what is applied. */
  readonly highWatermark: Offset;
  /** Payload bytes of all entries through the one that ends at the high watermark, dropped ones included. */
  readonly payloadBytes: number;
  /** Wall clock; null: it is not to be trusted, so nothing goes by age. */
  readonly nowMs: Millis | null;
}

/** Whether there is any limit. */
export const isLimited = (config: TopicConfig): boolean =>
  config['retention.ms'] !== null || config['retention.bytes'] !== null || config['retention.records'] !== null;

/**
 * Whether an entry is visible and has to be kept. False for all entries before the first for which it is true: append times
 * never fall, offsets and bytes only rise; so the first one is found by halving.
 */
export function isKept(view: RetentionView, entry: EntryMark): boolean {
  return entry.endOffset > view.logStart && isYoung(view, entry) && (isNewest(view, entry) || isNeeded(view, entry));
}

function isYoung({ config, nowMs }: RetentionView, { appendTimeMs }: EntryMark): boolean {
  const limit = config['retention.ms'];
  return limit === null || nowMs === null || nowMs - appendTimeMs <= limit;
}

const isNewest = ({ highWatermark }: RetentionView, { endOffset }: EntryMark): boolean => endOffset >= highWatermark;

function isNeeded({ config, highWatermark, payloadBytes }: RetentionView, entry: EntryMark): boolean {
  const bytes = config['retention.bytes'];
  const records = config['retention.records'];
  const hasBytes = bytes === null || payloadBytes - entry.payloadBytesThrough < bytes;
  return hasBytes && (records === null || highWatermark - entry.endOffset < records);
}

/** @param firstKept the first entry through the high watermark that is kept; null: none is. Null: the log start stays. */
export function nextLogStart({ logStart, highWatermark }: RetentionView, firstKept: EntryMark | null): Offset | null {
  const start = firstKept?.baseOffset ?? highWatermark;
  assert(start <= highWatermark, 'retention-1: nothing at or above the high watermark goes', `${start}`);
  return start > logStart ? start : null;
}

/** The wall time from which on the entry is too old; null: age does not matter. */
export function expiryMs(config: TopicConfig, { appendTimeMs }: EntryMark): Millis | null {
  const limit = config['retention.ms'];
  return limit === null ? null : toMillis(Math.min(Number.MAX_SAFE_INTEGER, appendTimeMs + limit + 1));
}
