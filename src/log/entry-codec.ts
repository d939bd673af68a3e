/**
 * The stored form of an entry: metadata, 72 bytes. A payload of up to inlinePayloadBytesMax follows in the same value, which
 * saves a key when it is written and a look-up when it is read; a larger one is a value of its own.
 *
 *     at  0  format version   1  kind   2  flags   3  zero      flags: 1 own timestamp, 2 running maximum, 4 payload follows
 *         4  count (4)                  8  term (8)                16  base offset (8)
 *        24  append time (8)           32  largest timestamp (8)   40  running maximum of timestamps (8)
 *        48  payload bytes so far (8)  56  payload length (4)      60  payload CRC (4)
 *        64  chain (4)                 68  seal: CRC-32C of key and bytes 0 to 67 (4)
 *
 * The index is the key's. A record of an unknown version or kind was written by a newer broker: it is refused, which
 * halts the group rather than letting replicas diverge (design D7, reliability P124).
 */
import { int64At, putInt32, putInt64, uint32At } from '../model/big-endian.ts';
import type { Crc32c } from '../model/crc32c.ts';
import type { Entry, EntryKind } from '../model/entry.ts';
import { entryFormatVersion, entryKindNumbers } from '../model/entry.ts';
import type { LogIndex, Millis, Offset } from '../model/ids.ts';
import { offsetPlus, toMillis, toOffset, toTerm } from '../model/ids.ts';
import { indexOfKey, numberedKeyLength } from './keys.ts';
import type { LogPosition } from './log-position.ts';
import { LogCorruption } from './reader.ts';

/** Bytes of the metadata. */
export const metadataLength = 72;
/** Payloads up to this size are stored behind the metadata. */
export const inlinePayloadBytesMax = 1_024;
const sealAt = 68;
const ownTimestampFlag = 1;
const runningMaximumFlag = 2;
const inlineFlag = 4;

/** An entry as its metadata tells it. */
export interface StoredEntry extends Omit<Entry, 'payload'> {
  readonly payloadLength: number;
  /** The payload, not checked yet, if it is stored behind the metadata; null: it has a key of its own. */
  readonly inlinePayload: Uint8Array | null;
  /** Running maximum of the timestamps and payload bytes, this entry included (LogPosition). */
  readonly runningMaxTimestampMs: Millis | null;
  readonly payloadBytesThrough: number;
}

export const isInline = (entry: Entry): boolean => entry.payload.length <= inlinePayloadBytesMax;

/** Bytes of the value that holds the metadata. */
export const storedLength = (entry: Entry): number => metadataLength + (isInline(entry) ? entry.payload.length : 0);

/**
 * Writes the value of an entry behind its key, and seals both.
 * @param target holds the key (numberedKeyLength bytes) at `at`; the value (storedLength bytes) follows it
 * @param after the log's position after this entry
 */
export function writeMetadata(target: Uint8Array, at: number, entry: Entry, after: LogPosition, crc32c: Crc32c): void {
  const record = at + numberedKeyLength;
  const own = entry.maxTimestampMs === null ? 0 : ownTimestampFlag;
  target[record] = entryFormatVersion;
  target[record + 1] = entryKindNumbers[entry.kind];
  const running = after.maxTimestampMs === null ? 0 : runningMaximumFlag;
  target[record + 2] = own | running | (isInline(entry) ? inlineFlag : 0);
  target[record + 3] = 0;
  putInt32(target, record + 4, entry.count);
  putInt64(target, record + 8, entry.term);
  putInt64(target, record + 16, entry.baseOffset);
  putInt64(target, record + 24, entry.appendTimeMs);
  putInt64(target, record + 32, entry.maxTimestampMs ?? 0);
  putInt64(target, record + 40, after.maxTimestampMs ?? 0);
  putInt64(target, record + 48, after.payloadBytes);
  putInt32(target, record + 56, entry.payload.length);
  putInt32(target, record + 60, entry.payloadCrc);
  putInt32(target, record + 64, entry.chain);
  putInt32(target, record + sealAt, crc32c(target.subarray(at, record + sealAt)));
  if (isInline(entry)) target.set(entry.payload, record + metadataLength);
}

/** @throws LogCorruption: not what was written under this key, or of an unknown version or kind */
export function readMetadata(key: Uint8Array, value: Uint8Array, crc32c: Crc32c): StoredEntry {
  const index = indexOfKey(key);
  if (value.length < metadataLength || crc32c(value.subarray(0, sealAt), crc32c(key)) !== uint32At(value, sealAt)) {
    throw new LogCorruption(`the metadata of entry ${index} does not match its checksum`);
  }
  const flags = value[2] ?? 0;
  return {
    kind: kindOf(index, value[0] ?? 0, value[1] ?? 0),
    count: uint32At(value, 4),
    maxTimestampMs: (flags & ownTimestampFlag) === 0 ? null : toMillis(uint64At(value, 32)),
    term: toTerm(uint64At(value, 8)),
    index,
    baseOffset: toOffset(uint64At(value, 16)),
    appendTimeMs: toMillis(uint64At(value, 24)),
    payloadCrc: uint32At(value, 60),
    chain: uint32At(value, 64),
    payloadLength: uint32At(value, 56),
    inlinePayload: (flags & inlineFlag) === 0 ? null : value.subarray(metadataLength),
    runningMaxTimestampMs: (flags & runningMaximumFlag) === 0 ? null : toMillis(uint64At(value, 40)),
    payloadBytesThrough: uint64At(value, 48),
  };
}

/** The entry with its payload. Field for field, so that all entries have one shape. */
export const entryFrom = (stored: Omit<Entry, 'payload'>, payload: Uint8Array): Entry => ({
  kind: stored.kind,
  count: stored.count,
  payload,
  maxTimestampMs: stored.maxTimestampMs,
  term: stored.term,
  index: stored.index,
  baseOffset: stored.baseOffset,
  appendTimeMs: stored.appendTimeMs,
  payloadCrc: stored.payloadCrc,
  chain: stored.chain,
});

export const storedEndOffset = (stored: StoredEntry): Offset => offsetPlus(stored.baseOffset, stored.count);

export const positionOf = (stored: StoredEntry): LogPosition => ({
  index: stored.index,
  term: stored.term,
  endOffset: storedEndOffset(stored),
  chain: stored.chain,
  appendTimeMs: stored.appendTimeMs,
  maxTimestampMs: stored.runningMaxTimestampMs,
  payloadBytes: stored.payloadBytesThrough,
});

const kindsByNumber = new Map<number, EntryKind>(
  Object.entries(entryKindNumbers).map(([kind, number]) => [number, kind as EntryKind]),
);

function kindOf(index: LogIndex, version: number, number: number): EntryKind {
  if (version !== entryFormatVersion) {
    throw new LogCorruption(
      `entry ${index} has format ${version}, this broker knows ${entryFormatVersion}: upgrade it`,
    );
  }
  const kind = kindsByNumber.get(number);
  if (kind === undefined)
    throw new LogCorruption(`entry ${index} is of kind ${number}, unknown here: upgrade this broker`);
  return kind;
}

function uint64At(bytes: Uint8Array, at: number): number {
  const value = int64At(bytes, at);
  if (value === null || value < 0) throw new LogCorruption('an entry holds an integer out of range');
  return value;
}
