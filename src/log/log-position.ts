/** The state of a log after one entry, or before its first: all that the next entry has to follow. */
import type { Crc32c } from '../model/crc32c.ts';
import type { ChainSeed, Entry } from '../model/entry.ts';
import { chainGenesis, entryEndOffset } from '../model/entry.ts';
import type { LogIndex, Millis, Offset, Term } from '../model/ids.ts';
import { indexZero, offsetZero, termZero, toLogIndex, toMillis, toOffset, toTerm } from '../model/ids.ts';
import type { RecordReader, RecordWriter } from './record-bytes.ts';

export interface LogPosition {
  readonly index: LogIndex;
  readonly term: Term;
  readonly endOffset: Offset;
  readonly chain: number;
  /** 0 before the first entry. */
  readonly appendTimeMs: Millis;
  /** Largest timestamp of all records so far, dropped ones included; null: none had one. */
  readonly maxTimestampMs: Millis | null;
  /** Payload bytes of all entries so far, dropped ones included. */
  readonly payloadBytes: number;
}

/** Before the first entry of a group. */
export const genesisPosition = (seed: ChainSeed, crc32c: Crc32c): LogPosition => ({
  index: indexZero,
  term: termZero,
  endOffset: offsetZero,
  chain: chainGenesis(seed, crc32c),
  appendTimeMs: toMillis(0),
  maxTimestampMs: null,
  payloadBytes: 0,
});

export const positionAfter = (before: LogPosition, entry: Entry): LogPosition => ({
  index: entry.index,
  term: entry.term,
  endOffset: entryEndOffset(entry),
  chain: entry.chain,
  appendTimeMs: entry.appendTimeMs,
  maxTimestampMs: laterOf(before.maxTimestampMs, entry.maxTimestampMs),
  payloadBytes: before.payloadBytes + entry.payload.length,
});

/** The larger of two timestamps; null: none. */
export function laterOf(a: Millis | null, b: Millis | null): Millis | null {
  if (a === null || b === null) return a ?? b;
  return a > b ? a : b;
}

export const writePosition = (writer: RecordWriter, position: LogPosition): RecordWriter =>
  writer
    .uint64(position.index)
    .uint64(position.term)
    .uint64(position.endOffset)
    .uint64(position.chain)
    .uint64(position.appendTimeMs)
    .optionalUint64(position.maxTimestampMs)
    .uint64(position.payloadBytes);

export function readPosition(reader: RecordReader): LogPosition {
  const index = toLogIndex(reader.uint64());
  const term = toTerm(reader.uint64());
  const endOffset = toOffset(reader.uint64());
  const chain = reader.uint64();
  const appendTimeMs = toMillis(reader.uint64());
  const maxTimestampMs = reader.optionalUint64();
  const payloadBytes = reader.uint64();
  return {
    index,
    term,
    endOffset,
    chain,
    appendTimeMs,
    maxTimestampMs: maxTimestampMs === null ? null : toMillis(maxTimestampMs),
    payloadBytes,
  };
}
