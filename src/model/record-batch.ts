/**
 * The layout of Kafka's RecordBatch, version 2 (magic 2): the one binary form of records, from the producer's socket to
 * the disk and on to the consumer (design D12). This file knows the 61 bytes of its header and never looks at a record.
 *
 *     batch   := baseOffset:int64            position of the first record; the leader's, not covered by crc
 *                batchLength:int32           bytes after this field: at least 49
 *                leaderEpoch:int32           term of the leader that appended; the leader's, not covered by crc
 *                magic:int8                  2
 *                crc:uint32                  CRC-32C of everything from attributes to the end
 *                attributes:int16            see below
 *                lastOffsetDelta:int32       offset of the last record, from baseOffset
 *                baseTimestamp:int64         of the first record, milliseconds since 1970; -1: none
 *                maxTimestamp:int64          the largest in the batch; -1: none
 *                producerId:int64            -1: not idempotent; the next two then mean nothing
 *                producerEpoch:int16
 *                baseSequence:int32          sequence number of the first record
 *                count:int32
 *                records                     record*, compressed as one piece if attributes say so
 *     record  := length:varint               bytes after this field
 *                attributes:int8             unused, 0
 *                timestampDelta:varlong      from baseTimestamp
 *                offsetDelta:varint          from baseOffset
 *                key:nullable value:nullable headerCount:varint (name:bytes value:nullable)*
 *     nullable := length:varint byte*        length -1: null
 *
 *     attributes   0-2 compression (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd)   3 log-append time   4 transactional
 *                  5 control   6 delete horizon   7-15 unused
 *
 * Integers are big-endian; varint and varlong as in varint.ts. Of the attributes Sluice takes compression only. The
 * log-append-time bit is never set: when a batch was appended stands in our entry (`Entry.appendTimeMs`), so that stored
 * bytes stay as the producer sealed them; a producer that sets it claims to be the broker and is refused.
 *
 * A batch is checked in three depths, each by its own function:
 *
 * | function | sees | cost at 64 KiB of 1 KiB records |
 * |---|---|---|
 * | `readBatchHeader` | that the header is whole and sane | 0.2 µs |
 * | `validateBatch` | the door check: CRC, that Sluice takes it, plain records as many as it says | the CRC + 1 µs |
 * | `verifyRecords` | every record: form, limits, offsets, timestamps; decompresses | 3 µs, uncompressed |
 */
import { assert } from './assert.ts';
import { int16At, int32At, int64At, putInt32, putInt64, uint32At } from './big-endian.ts';
import type { Compression, CompressionType } from './compression.ts';
import { compressionTypes } from './compression.ts';
import type { Crc32c } from './crc32c.ts';
import type { Refused, Result } from './errors.ts';
import { ok, refuse } from './errors.ts';
import type { Millis, Offset, ProducerEpoch, ProducerId, Sequence, Term } from './ids.ts';
import { toMillis, toOffset, toProducerEpoch, toProducerId, toSequence } from './ids.ts';

/** Where the fields of the header are. */
export const batchLayout = {
  baseOffset: 0,
  batchLength: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  count: 57,
  records: 61,
} as const;

export const batchMagic = 2;
/** Bytes before what `batchLength` counts. */
export const lengthPrefixBytes = 12;
/** The smallest record: seven fields of one byte. */
export const recordBytesMin = 7;
const noTimestamp = -1;
const noProducer = -1;
const compressionMask = 7;

/** Records in a stored batch, which was checked when it came in. */
export const recordCountOf = (batch: Uint8Array): number => int32At(batch, batchLayout.count);

/** Limits of batches; all of them in bytes. */
export interface BatchLimits {
  /** Key, value and headers of one record. */
  readonly recordBytesMax: number;
  /** An encoded batch, its header included. */
  readonly batchBytesMax: number;
  /** What the records of one batch may decompress to. */
  readonly decompressedBytesMax: number;
}

/** Design D12. The decompressed size is a guard against bombs, well above what any producer of ours batches up. */
export const batchLimits: BatchLimits = {
  recordBytesMax: 1024 * 1024,
  batchBytesMax: 1024 * 1024 + 64 * 1024,
  decompressedBytesMax: 16 * 1024 * 1024,
};

/** What batches are encoded and decoded with: native in the broker, JavaScript and WASM in the client. */
export interface BatchCodecs {
  readonly compression: Compression;
  readonly crc32c: Crc32c;
}

/** Who produced a batch, for exactly-once appends. */
export interface BatchProducer {
  readonly id: ProducerId;
  readonly epoch: ProducerEpoch;
  /** Sequence number of the first record; the others follow. */
  readonly baseSequence: Sequence;
}

export interface BatchHeader {
  readonly baseOffset: Offset;
  /** All bytes of the batch. */
  readonly byteLength: number;
  /** As written: 0 or anything before the leader patched it. */
  readonly leaderEpoch: number;
  readonly crc: number;
  /** All 16 bits. */
  readonly attributes: number;
  readonly compression: CompressionType;
  readonly lastOffsetDelta: number;
  /** Records, as the header says: 1 to lastOffsetDelta + 1. */
  readonly count: number;
  /** What the records' timestamp deltas count from, which is -1 if the first record has no timestamp. */
  readonly baseTimestampMs: number;
  /** Null: no record has a timestamp. */
  readonly maxTimestampMs: Millis | null;
  readonly producer: BatchProducer | null;
}

/**
 * Reads the header of the one batch that `bytes` holds. Refuses what is cut, has another magic, or numbers out of range;
 * checks neither the CRC nor the records, nor whether Sluice takes such a batch.
 */
export function readBatchHeader(bytes: Uint8Array): Result<BatchHeader> {
  const malformed = checkFraming(bytes);
  if (malformed !== null) return malformed;
  const attributes = int16At(bytes, batchLayout.attributes) & 0xffff;
  const compression = compressionTypes[attributes & compressionMask];
  const baseOffset = int64At(bytes, batchLayout.baseOffset);
  const lastOffsetDelta = int32At(bytes, batchLayout.lastOffsetDelta);
  const count = int32At(bytes, batchLayout.count);
  const baseTimestampMs = int64At(bytes, batchLayout.baseTimestamp);
  const maxTimestamp = int64At(bytes, batchLayout.maxTimestamp);
  const producerId = int64At(bytes, batchLayout.producerId);
  const producerEpoch = int16At(bytes, batchLayout.producerEpoch);
  const baseSequence = int32At(bytes, batchLayout.baseSequence);

  if (compression === undefined) return unknownCompression(attributes);
  if (count < 1 || count > lastOffsetDelta + 1) return wrongCount(count, lastOffsetDelta);
  if (!areOffsets(baseOffset, lastOffsetDelta)) return corrupt('its offsets are negative or beyond 2^53-1');
  if (baseTimestampMs === null || maxTimestamp === null) return wrongTimestamps();
  if (baseTimestampMs < noTimestamp || maxTimestamp < baseTimestampMs) return wrongTimestamps();
  if (!isProducer(producerId, producerEpoch, baseSequence)) return wrongProducer();
  return ok({
    baseOffset: toOffset(baseOffset),
    byteLength: bytes.length,
    leaderEpoch: int32At(bytes, batchLayout.leaderEpoch),
    crc: uint32At(bytes, batchLayout.crc),
    attributes,
    compression,
    lastOffsetDelta,
    count,
    baseTimestampMs,
    maxTimestampMs: maxTimestamp === noTimestamp ? null : toMillis(maxTimestamp),
    producer:
      producerId === noProducer
        ? null
        : {
            id: toProducerId(producerId),
            epoch: toProducerEpoch(producerEpoch),
            baseSequence: toSequence(baseSequence),
          },
  });
}

/** The records of a batch, compressed or not: a view. */
export const recordsSection = (batch: Uint8Array): Uint8Array => batch.subarray(batchLayout.records);

/** What the CRC covers: a view. */
export const checksummedSection = (batch: Uint8Array): Uint8Array => batch.subarray(batchLayout.attributes);

/** Writes what only the leader knows into a batch, in place; the CRC does not cover it. */
export function patchBatch(bytes: Uint8Array, baseOffset: Offset, leaderEpoch: Term): void {
  assert(bytes.length >= batchLayout.records, 'batch-1: only a whole batch is patched', String(bytes.length));
  assert(leaderEpoch < 2 ** 31, 'batch-2: the leader epoch fits into 31 bits', String(leaderEpoch));
  putInt64(bytes, batchLayout.baseOffset, baseOffset);
  putInt32(bytes, batchLayout.leaderEpoch, leaderEpoch);
}

/** Cuts concatenated batches apart: views, in order. Refuses a remainder that is no whole batch. */
export function splitBatches(bytes: Uint8Array): Result<readonly Uint8Array[]> {
  const batches: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = bytes.length - at < batchLayout.records ? 0 : int32At(bytes, at + batchLayout.batchLength);
    const end = at + lengthPrefixBytes + length;
    if (end - at < batchLayout.records || end > bytes.length) {
      return corrupt(`no whole batch at byte ${at} of ${bytes.length}`);
    }
    batches.push(bytes.subarray(at, end));
    at = end;
  }
  return ok(batches);
}

/** A refusal of bytes that are not what they should be. */
export const corrupt = (what: string): Refused => refuse('CORRUPT_MESSAGE', `corrupt record batch: ${what}`);

/** Refuses what is cut, longer than its length field says, or of another magic. The first thing to know of any bytes. */
export function checkFraming(bytes: Uint8Array): Refused | null {
  if (bytes.length < batchLayout.records) {
    return corrupt(`${bytes.length} bytes are less than the ${batchLayout.records} of a header`);
  }
  const declared = int32At(bytes, batchLayout.batchLength) + lengthPrefixBytes;
  if (declared !== bytes.length) {
    return corrupt(`its length field means ${declared} bytes, but ${bytes.length} came (one batch a request)`);
  }
  const version = bytes[batchLayout.magic] ?? 0;
  if (version === batchMagic) return null;
  return refuse('UNSUPPORTED_VERSION', `record batch magic ${version}; only ${batchMagic} is supported`);
}

function areOffsets(base: number | null, lastDelta: number): base is number {
  return base !== null && base >= 0 && Number.isSafeInteger(base + lastDelta + 1);
}

function isProducer(id: number | null, epoch: number, baseSequence: number): id is number {
  return id === noProducer || (id !== null && id >= 0 && epoch >= 0 && baseSequence >= 0);
}

function unknownCompression(attributes: number): Refused {
  const type = attributes & compressionMask;
  return refuse('UNSUPPORTED_COMPRESSION_TYPE', `compression type ${type} is unknown; 0 to 4 are supported`);
}

function wrongCount(count: number, lastOffsetDelta: number): Refused {
  if (count < 1) return refuse('INVALID_RECORD', `a batch must hold at least one record; its count is ${count}`);
  return refuse('INVALID_RECORD', `${count} records do not fit below last offset delta ${lastOffsetDelta}`);
}

const wrongTimestamps = (): Refused =>
  refuse('INVALID_TIMESTAMP', 'timestamps must be -1 (none) or 0 to 2^53-1, the largest not below the first');

const wrongProducer = (): Refused =>
  refuse('INVALID_RECORD', 'a producer id (0 to 2^53-1) must come with an epoch and a sequence number from 0');
