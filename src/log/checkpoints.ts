/**
 * Which checkpoints of a data group are kept (design D6). The newest serves a restart. The log's first index moves only
 * to a checkpoint, so that a new replica can be given the state there and then every entry that follows: therefore some
 * older ones are kept too, spread over the log, and the one at the log's base.
 */
import type { Offset } from '../model/ids.ts';
import type { HoldBack } from './log.ts';
import type { LogPosition } from './log-position.ts';

/** Checkpoints kept per group. About one in this many parts of the log outlives its removal for want of a checkpoint. */
export const checkpointsMax = 16;

/**
 * The checkpoint to which the log's first index can move, now that records below `logStart` are gone; null: none.
 * @param needed what must stay for a follower, unless that is too much: then the follower gets a snapshot (P49)
 * @param payloadBytes of all entries through the end of the log
 */
export function removableThrough(
  checkpoints: readonly LogPosition[],
  logStart: Offset,
  needed: HoldBack | null = null,
  payloadBytes = 0,
): LogPosition | null {
  const below = checkpoints.filter(({ endOffset }) => endOffset <= logStart);
  const newest = below.at(-1) ?? null;
  if (needed === null) return newest;
  const held = below.findLast(({ index }) => index <= needed.above) ?? null;
  return payloadBytes - (held?.payloadBytes ?? 0) <= needed.bytesMax ? held : newest;
}

/**
 * Drops checkpoints beyond `checkpointsMax`, those first whose neighbours are closest; never the oldest or the newest.
 * @param checkpoints ascending
 */
export function thinned(checkpoints: readonly LogPosition[]): readonly LogPosition[] {
  const kept = [...checkpoints];
  while (kept.length > checkpointsMax) kept.splice(mostDispensable(kept), 1);
  return kept;
}

function mostDispensable(checkpoints: readonly LogPosition[]): number {
  let best = 1;
  let narrowest = Number.POSITIVE_INFINITY;
  for (let at = 1; at < checkpoints.length - 1; at++) {
    const gap = (checkpoints[at + 1]?.index ?? 0) - (checkpoints[at - 1]?.index ?? 0);
    if (gap >= narrowest) continue;
    narrowest = gap;
    best = at;
  }
  return best;
}
