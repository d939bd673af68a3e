/**
 * Finds the first visible batch whose largest timestamp is at or after a given one. The running-maximum index says
 * where the search may begin: everything up to its point is earlier. Usually the batch follows within one interval. A
 * record far in the future that lies before the log start spoils the running maximum for all that follows it; then the
 * points of the offset index, which know the maximum of each interval, let the search leap.
 */
import type { LogIndex, Millis, Offset } from '../model/ids.ts';
import { previousIndex, toLogIndex } from '../model/ids.ts';
import type { StoredEntry } from './entry-codec.ts';
import { storedEndOffset } from './entry-codec.ts';
import type { LocatedPoint, StoredEntries } from './stored-entries.ts';
import { indexIntervalEntries } from './sparse-index.ts';

export interface TimestampSearch {
  /** Entries that are stored: from `first` through `through`. */
  readonly first: LogIndex;
  readonly through: LogIndex;
  /** Batches that end at or below it are not visible. */
  readonly logStart: Offset;
  readonly timestampMs: Millis;
  /** Batches that start at or above it are not wanted. */
  readonly below: Offset;
}

/** Points of the offset index fetched at a time. */
const pointPageMax = 1_024;

/** Index of the batch; null: there is none. */
export async function findTimestamp(entries: StoredEntries, search: TimestampSearch): Promise<LogIndex | null> {
  const earlier = await entries.pointEarlierThan(search.timestampMs);
  const visible = await entries.pointAtOrBefore(search.logStart);
  const from = toLogIndex(Math.max(search.first, (earlier ?? 0) + 1, visible ?? 0));
  const nearby = toLogIndex(Math.min(search.through, from + 2 * indexIntervalEntries - 1));
  const found = await scan(entries, from, nearby, search);
  return found.kind === 'not-here' && nearby < search.through ? leap(entries, found.next, nearby, search) : found.index;
}

type Scanned =
  | { readonly kind: 'ended'; readonly index: LogIndex | null }
  | { readonly kind: 'not-here'; readonly index: null; /** End offset of what was scanned. */ readonly next: Offset };

async function scan(
  entries: StoredEntries,
  from: LogIndex,
  through: LogIndex,
  search: TimestampSearch,
): Promise<Scanned> {
  let next = search.logStart;
  for await (const page of entries.pages(from, through)) {
    for (const entry of page) {
      if (entry.baseOffset >= search.below) return { kind: 'ended', index: null };
      if (matches(entry, search)) return { kind: 'ended', index: entry.index };
      next = storedEndOffset(entry);
    }
  }
  return { kind: 'not-here', index: null, next };
}

const matches = (entry: StoredEntry, { timestampMs, logStart }: TimestampSearch): boolean =>
  entry.maxTimestampMs !== null && entry.maxTimestampMs >= timestampMs && storedEndOffset(entry) > logStart;

/** Goes on after `scanned`, from point to point. */
async function leap(
  entries: StoredEntries,
  next: Offset,
  scanned: LogIndex,
  search: TimestampSearch,
): Promise<LogIndex | null> {
  let intervalStart = toLogIndex(scanned + 1);
  for (let offset = next; ;) {
    const points = await entries.pointsFrom(offset, pointPageMax);
    for (const point of points) {
      const end = previousIndex(point.index);
      if (mayHold(point, search)) {
        const found = await scan(entries, intervalStart, end, search);
        if (found.kind === 'ended') return found.index;
      }
      if (point.offset >= search.below) return null;
      intervalStart = point.index;
    }
    const last = points.at(-1);
    if (last === undefined || points.length < pointPageMax) break;
    offset = last.offset;
  }
  return (await scan(entries, intervalStart, search.through, search)).index;
}

/** Whether the interval that ends at the point may hold what is searched for. */
const mayHold = (point: LocatedPoint, { timestampMs }: TimestampSearch): boolean =>
  point.maxTimestampBeforeMs !== null && point.maxTimestampBeforeMs >= timestampMs;
