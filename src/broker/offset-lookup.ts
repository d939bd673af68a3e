/** Finds offsets in one partition: its ends, the first record at a time, the end of a leader epoch (semantics H3, O7). */
import type { Compression } from '../model/compression.ts';
import type { Entry } from '../model/entry.ts';
import { entryEndOffset } from '../model/entry.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import { must } from '../model/assert.ts';
import type { Millis, Offset, Term } from '../model/ids.ts';
import { toMillis, toOffset } from '../model/ids.ts';
import type { TimedOffset } from '../model/batch-decoder.ts';
import { findRecordByTime } from '../model/batch-decoder.ts';
import type { RaftGroup } from '../raft/group.ts';
import { LogCorruption } from '../log/reader.ts';
import type { Partition } from './partition.ts';
import { refuseEpoch } from './partition-reader.ts';
import type { OffsetQuery } from './requests.ts';

/** How much is read at once where a search by time has to go on behind a batch that the log start cuts. */
const scanBytes = 1024 * 1024;

export interface LookupLimits {
  /** Decompressed bytes of the batch that is searched. */
  readonly decompressedBytesMax: number;
}

/** Null offset: no record is as late as the time. The timestamp is that of the record, for a query by time or its largest. */
export type Lookup = {
  readonly offset: Offset | null;
  readonly timestampMs: Millis | null;
  readonly endedEpoch?: Term;
};

export async function lookUpOffset(
  partition: Partition,
  { at, leaderEpoch = null }: Pick<OffsetQuery, 'at' | 'leaderEpoch'>,
  compression: Compression,
  limits: LookupLimits,
): Promise<Result<Lookup>> {
  const raft = partition.raft;
  const unreadable = partition.unreadable;
  if (raft === null || unreadable !== null) return unreadable ?? opening;
  const strayed = refuseEpoch(raft, leaderEpoch);
  if (strayed !== null) return strayed;
  switch (at.kind) {
    case 'earliest':
      return ok({ offset: raft.log.logStart, timestampMs: null });
    case 'latest':
      return latest(partition);
    case 'timestamp':
      return byTime(partition, raft, at.timestampMs, compression, limits);
    case 'max-timestamp':
      return byMaxTimestamp(partition, raft, (time) => byTime(partition, raft, toMillis(time), compression, limits));
    case 'end-of-epoch':
      return endOfEpoch(partition, raft, at.epoch);
  }
}

/**
 * H3. Only who was confirmed to lead after it was asked knows where its own epoch ends, and how far; all before it are
 * committed by then, and end where the next one begins.
 */
async function endOfEpoch(partition: Partition, raft: RaftGroup, epoch: Term): Promise<Result<Lookup>> {
  const confirmed = await new Promise<boolean>((resolve) => {
    raft.readIndex((index) => {
      resolve(index !== null);
    });
  });
  const notServing = partition.notServing;
  if (!confirmed || notServing !== null) return notServing ?? opening;
  const { logStart, endOffset, terms } = raft.log;
  const { term } = raft.role;
  if (epoch > term) return ok(none);
  if (epoch === term) return ok({ offset: endOffset, timestampMs: null, endedEpoch: epoch });
  const next = must(
    terms.find((one) => one.term > epoch),
    'partition-2: who serves has an entry of its own term',
  );
  const ended = terms.findLast((one) => one.term <= epoch);
  // what the log start has passed altogether is not known any more
  const isThere = ended !== undefined && next.startOffset > logStart;
  const offset = next.startOffset > logStart ? next.startOffset : logStart;
  return ok({ offset, timestampMs: null, endedEpoch: isThere ? ended.term : epoch });
}

/**
 * The first record with the largest timestamp. It is usually in the last batch, and then two searches tell; else the time is
 * found by halving, in as many searches as a timestamp has bits at most.
 */
async function byMaxTimestamp(
  { highWatermark }: Partition,
  { log }: RaftGroup,
  firstAt: (timeMs: number) => Promise<Result<Lookup>>,
): Promise<Result<Lookup>> {
  if (highWatermark <= log.logStart) return ok(none);
  const last = log.readFromCache(toOffset(highWatermark - 1), highWatermark, 1)?.[0]?.maxTimestampMs ?? 0;
  let best = await firstAt(last);
  // that batch may be cut by the log start, before its latest record
  if (best.kind === 'ok' && best.value.offset === null && last > 0) best = await firstAt(0);
  if (best.kind === 'refused' || best.value.timestampMs === null) return best;
  let low: number = best.value.timestampMs;
  let high = Number.MAX_SAFE_INTEGER;
  for (let probe = low + 1; low < high; probe = low + Math.ceil((high - low) / 2)) {
    const found = await firstAt(Math.min(probe, high));
    if (found.kind === 'refused') return found;
    if (found.value.timestampMs === null) high = Math.min(probe, high) - 1;
    else [best, low] = [found, found.value.timestampMs];
  }
  return best;
}

const opening: Refused = refuse('LEADER_NOT_AVAILABLE', 'the partition is being opened; try again');

/** O7, P106: a leader that has not yet applied its own no-op may know less than an earlier one told. */
function latest(partition: Partition): Result<Lookup> {
  const notServing = partition.notServing;
  if (notServing === null) return ok({ offset: partition.highWatermark, timestampMs: null });
  if (notServing.error.code !== 'LEADER_NOT_AVAILABLE') return notServing;
  return refuse('OFFSET_NOT_AVAILABLE', 'the leader does not know the latest offset yet; try again', {
    retryAfterMs: notServing.error.retryAfterMs ?? 0,
  });
}

async function byTime(
  partition: Partition,
  raft: RaftGroup,
  timestampMs: Millis,
  compression: Compression,
  limits: LookupLimits,
): Promise<Result<Lookup>> {
  const notServing = partition.notServing;
  if (notServing !== null) return notServing;
  const below = partition.highWatermark;
  try {
    const first = await raft.log.findByTimestamp(timestampMs, below);
    let entries: readonly Entry[] = first === null ? [] : [first];
    for (;;) {
      const hit = searchEntries(entries, raft.log.logStart, timestampMs, compression, limits);
      if (hit.kind === 'refused' || hit.value !== null) return hit.kind === 'refused' ? hit : ok(hit.value ?? none);
      const last = entries.at(-1);
      if (last === undefined || entryEndOffset(last) >= below) return ok(none);
      // Only records below the log start matched in that batch: whatever follows it is searched in order.
      entries = await raft.log.readFrom(entryEndOffset(last), below, scanBytes);
    }
  } catch (error) {
    if (!(error instanceof LogCorruption)) throw error;
    return refuse('STORAGE_CORRUPTION', `stored data of this partition is damaged on this broker: ${error.message}`);
  }
}

const none: Lookup = { offset: null, timestampMs: null };

function searchEntries(
  entries: readonly Entry[],
  logStart: Offset,
  timestampMs: Millis,
  compression: Compression,
  limits: LookupLimits,
): Result<TimedOffset | null> {
  for (const entry of entries) {
    if (entry.maxTimestampMs === null || entry.maxTimestampMs < timestampMs) continue;
    const hit = findRecordByTime(entry.payload, timestampMs, compression, { ...limits, fromOffset: logStart });
    if (hit.kind === 'refused' || hit.value !== null) return hit;
  }
  return ok(null);
}
