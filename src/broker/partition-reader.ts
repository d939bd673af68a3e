/** Reads one partition once: up to the high watermark, the bytes as they were stored (semantics O6, H2; design D13). */
import type { Entry } from '../model/entry.ts';
import { entryEndOffset } from '../model/entry.ts';
import type { BrokerError, Refused } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { Offset, Term } from '../model/ids.ts';
import type { RaftGroup } from '../raft/group.ts';
import { LogCorruption } from '../log/reader.ts';
import type { Partition } from './partition.ts';
import type { ReplicaPlace } from './replica-place.ts';

export interface ReadRequest {
  readonly offset: Offset;
  /** The leader's term as the reader knows it; null: not checked. */
  readonly leaderEpoch: Term | null;
  /** Limit in bytes; at least one batch all the same. 0: only look whether it could be read. */
  readonly bytesMax: number;
  /** Where the reader is; absent or null: it wants to be served here. */
  readonly rack?: string | null;
}

export interface Read {
  readonly error: BrokerError | null;
  /** Encoded batches; the first may begin below the offset that was asked for. */
  readonly batches: readonly Uint8Array[];
  readonly bytes: number;
  /** Where to go on; where it was asked to begin if nothing was read. */
  readonly nextOffset: Offset;
  /** As of the read; null if the partition can not be read at all. */
  readonly highWatermark: Offset | null;
  readonly logStart: Offset | null;
  readonly leaderEpoch: Term | null;
  /** Where to read instead, as that is in the reader's rack; then nothing was read. Null: here. */
  readonly preferred: ReplicaPlace | null;
}

/** Answers at once where memory suffices: the hot path of consumers that keep up. */
export function readPartition(partition: Partition, request: ReadRequest): Read | Promise<Read> {
  const raft = partition.raft;
  const unreadable = partition.unreadable;
  if (raft === null || unreadable !== null) return failed(partition, request, unreadable);
  const refused = refuseEpoch(raft, request.leaderEpoch) ?? refuseBelow(raft, request.offset);
  if (refused !== null) return failed(partition, request, refused);
  const { rack = null } = request;
  const preferred = rack === null ? null : partition.nearerReader(rack);
  if (preferred !== null) return { ...found(partition, request, []), preferred };
  const below = partition.highWatermark;
  const misled = rack === null ? null : partition.refuseReader(rack, request.offset >= below);
  if (misled !== null) return failed(partition, request, misled);
  if (request.offset > below) return readAbove(partition, raft, request);
  // A follower may know less than the leader that sent the reader here: it waits.
  if (request.offset >= below || request.bytesMax === 0) return found(partition, request, []);
  const cached = raft.log.readFromCache(request.offset, below, request.bytesMax);
  return cached === null ? readFromDisk(partition, raft, request, below) : found(partition, request, cached);
}

/** What was read at or above the log start is answered even if the log start moves meanwhile; what is gone is said so. */
async function readFromDisk(partition: Partition, raft: RaftGroup, request: ReadRequest, below: Offset): Promise<Read> {
  try {
    const entries = await raft.log.readFrom(request.offset, below, request.bytesMax);
    const first = entries[0];
    if (first === undefined || first.baseOffset > request.offset) return recheck(partition, raft, request);
    return found(partition, request, entries);
  } catch (error) {
    if (!(error instanceof LogCorruption)) throw error;
    const what = `stored data of this partition is damaged on this broker: ${error.message}`;
    return failed(partition, request, refuse('STORAGE_CORRUPTION', what));
  }
}

/** Nothing is there although it was below the high watermark: retention or deletion came between. */
function recheck(partition: Partition, raft: RaftGroup, request: ReadRequest): Read {
  const refused = partition.unreadable ?? refuseBelow(raft, request.offset);
  return refused === null ? found(partition, request, []) : failed(partition, request, refused);
}

/**
 * Above the high watermark only the leader knows that nothing is there (design D13), and only once its leadership was
 * confirmed: one that was deposed unnoticed knows less than others have shown already (P16, P107).
 */
function readAbove(partition: Partition, raft: RaftGroup, request: ReadRequest): Read | Promise<Read> {
  if (partition.notServing !== null) return failed(partition, request, notKnownYet(partition, request.offset));
  return new Promise((resolve) => {
    raft.readIndex((index) => {
      const end = partition.highWatermark;
      if (index === null || raft.appliedIndex < index || partition.unreadable !== null)
        resolve(failed(partition, request, partition.unreadable ?? notKnownYet(partition, request.offset)));
      else if (request.offset <= end) resolve(found(partition, request, []));
      else resolve(failed(partition, request, outOfRange(raft, end, request.offset)));
    });
  });
}

/** H2: a reader that knows of another leader must look again, or wait. */
export function refuseEpoch(raft: RaftGroup, asked: Term | null): Refused | null {
  const { term } = raft.role;
  if (asked === null || asked === term) return null;
  const fields = { current: `${term}`, actual: `${asked}` };
  return asked < term
    ? refuse('FENCED_LEADER_EPOCH', `leader epoch ${asked} is over; it is ${term} now`, { fields })
    : refuse('UNKNOWN_LEADER_EPOCH', `leader epoch ${asked} is not known here yet; it is ${term}`, { fields });
}

/** O6 */
function refuseBelow({ log, highWatermark }: RaftGroup, offset: Offset): Refused | null {
  const { logStart } = log;
  if (offset >= logStart) return null;
  const fields = { logStart: `${logStart}`, highWatermark: `${highWatermark}`, actual: `${offset}` };
  const what = `offset ${offset} is below the log start ${logStart}: it was removed`;
  return refuse('OFFSET_OUT_OF_RANGE', what, { fields });
}

function outOfRange(raft: RaftGroup, end: Offset, offset: Offset): Refused {
  const fields = { logStart: `${raft.log.logStart}`, highWatermark: `${end}`, actual: `${offset}` };
  return refuse('OFFSET_OUT_OF_RANGE', `offset ${offset} is above the high watermark ${end}`, { fields });
}

function notKnownYet({ highWatermark, logStart }: Partition, offset: Offset): Refused {
  const fields = { logStart: `${logStart}`, highWatermark: `${highWatermark}`, actual: `${offset}` };
  const what = `offset ${offset} is not known here yet; the high watermark is ${highWatermark}`;
  return refuse('OFFSET_NOT_AVAILABLE', what, { fields });
}

function found(partition: Partition, request: ReadRequest, entries: readonly Entry[]): Read {
  const last = entries.at(-1);
  const nextOffset = last === undefined ? request.offset : entryEndOffset(last);
  const batches = entries.map((entry) => entry.payload);
  const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
  return { error: null, batches, bytes, nextOffset, ...marks(partition), preferred: null };
}

function failed(partition: Partition, request: ReadRequest, refused: Refused | null): Read {
  const error = (refused ?? refuse('LEADER_NOT_AVAILABLE', 'the partition is being opened; try again')).error;
  return { error, batches: [], bytes: 0, nextOffset: request.offset, ...marks(partition), preferred: null };
}

function marks(partition: Partition): Pick<Read, 'highWatermark' | 'logStart' | 'leaderEpoch'> {
  const raft = partition.raft;
  if (raft === null || partition.unreadable !== null) return { highWatermark: null, logStart: null, leaderEpoch: null };
  return { highWatermark: partition.highWatermark, logStart: raft.log.logStart, leaderEpoch: raft.role.term };
}
