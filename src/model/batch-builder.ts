/**
 * Encodes record batches. Records are written straight into one growable buffer, without an allocation a record: the
 * client spends its time here.
 */
import { assert } from './assert.ts';
import { tooLarge } from './batch-validation.ts';
import { putInt16, putInt32, putInt64 } from './big-endian.ts';
import type { Compression, CompressionType } from './compression.ts';
import { compressionTypes } from './compression.ts';
import type { Crc32c } from './crc32c.ts';
import type { Refused, Result } from './errors.ts';
import { ok, refuse } from './errors.ts';
import type { BatchCodecs, BatchLimits, BatchProducer } from './record-batch.ts';
import { batchLayout, batchLimits, batchMagic, checksummedSection, lengthPrefixBytes } from './record-batch.ts';
import { putRecord, recordBodyBytes } from './record-codec.ts';
import type { NewRecord } from './record.ts';
import { recordContentBytes } from './record.ts';
import { varintLength } from './varint.ts';

/** How a batch is closed. */
export interface BatchSeal {
  readonly compression: CompressionType;
  /** Null: not idempotent. */
  readonly producer: BatchProducer | null;
}

const noTimestamp = -1;
const capacityBytesDefault = 4 * 1024;
/** A record's own fields beside its content, at most, unless it has headers. */
const recordOverheadBytes = 32;

/** Encodes records (at least one) as one batch, which is the caller's. Limits default to `batchLimits`. */
export function encodeBatch(
  batch: BatchSeal & { readonly records: readonly NewRecord[] },
  codecs: BatchCodecs,
  limits: Partial<BatchLimits> = {},
): Result<Uint8Array> {
  const builder = new BatchBuilder(limits, capacityFor(batch.records, { ...batchLimits, ...limits }));
  for (const record of batch.records) {
    const refused = builder.append(record);
    if (refused !== null) return refused;
  }
  return builder.seal(batch, codecs);
}

/**
 * Writes the producer of an encoded batch anew, in place, and its CRC: a batch whose epoch was closed goes out again at
 * epoch + 1 (design D14).
 */
export function restampProducer(batch: Uint8Array, producer: BatchProducer | null, crc32c: Crc32c): void {
  putProducer(batch, producer);
  putInt32(batch, batchLayout.crc, crc32c(checksummedSection(batch)));
}

/** A buffer that a builder begins with. */
export interface BuilderSpace {
  readonly bytes: Uint8Array;
  /** Bytes before the batch that stay free, for who puts something in front of it. 0: none. */
  readonly headroomBytes: number;
}

/**
 * Collects records into one batch.
 *
 * Invariants:
 * - builder-1: `bytes` from `start` up to `at` holds room for the header and `count` whole records.
 * - builder-2: nothing is appended after `seal`: the buffer belongs to whoever took the batch.
 */
export class BatchBuilder {
  private bytes: Uint8Array;
  private readonly start: number;
  private at: number;
  private records = 0;
  private baseTimestamp = noTimestamp;
  private maxTimestamp = noTimestamp;
  private sealed = false;
  private readonly limits: BatchLimits;

  /**
   * Limits default to `batchLimits`. `space` is the buffer that it begins with, which is its own from now on, or how long a
   * new one is; it doubles as needed. Every batch has the same room before it in its buffer.
   */
  constructor(limits: Partial<BatchLimits> = {}, space: number | BuilderSpace = capacityBytesDefault) {
    this.limits = { ...batchLimits, ...limits };
    this.start = typeof space === 'number' ? 0 : space.headroomBytes;
    this.at = this.start + batchLayout.records;
    this.bytes = typeof space === 'number' ? new Uint8Array(Math.max(space, this.at)) : space.bytes;
    if (this.bytes.length < this.at) this.bytes = new Uint8Array(this.at);
  }

  /** Records so far. */
  get count(): number {
    return this.records;
  }

  /** Bytes of the batch so far, header included, before compression. */
  get byteLength(): number {
    return this.at - this.start;
  }

  /**
   * Appends a copy of `record`; null: done. Refuses and changes nothing: MESSAGE_TOO_LARGE if the record is above
   * `recordBytesMax`, or all of them above `decompressedBytesMax`; INVALID_TIMESTAMP if its time is 2^53 ms from the
   * first record's. Whether the sealed batch is below `batchBytesMax` shows only in `seal`, after compression.
   */
  append(record: NewRecord): Refused | null {
    assert(!this.sealed, 'builder-2: nothing is appended to a sealed batch');
    const timestamp = record.timestampMs ?? noTimestamp;
    const delta = this.records === 0 ? 0 : timestamp - this.baseTimestamp;
    const bodyBytes = recordBodyBytes(record, delta, this.records);
    const end = this.at + varintLength(bodyBytes) + bodyBytes;
    const refused = this.checkRecord(record, bodyBytes, delta, end);
    if (refused !== null) return refused;

    this.reserve(end);
    this.at = putRecord(this.bytes, this.at, bodyBytes, record, delta, this.records);
    assert(this.at === end, 'builder-1: a record is as long as was computed');
    if (this.records === 0) this.baseTimestamp = timestamp;
    if (timestamp > this.maxTimestamp) this.maxTimestamp = timestamp;
    this.records++;
    return null;
  }

  /**
   * Compresses, writes header and CRC, and gives the batch away. Refuses an empty batch (INVALID_RECORD) and one above
   * `batchBytesMax` (MESSAGE_TOO_LARGE); the builder stays usable then.
   */
  seal(seal: BatchSeal, codecs: BatchCodecs): Result<Uint8Array> {
    assert(!this.sealed, 'builder-2: a batch is sealed once');
    if (this.records === 0) return refuse('INVALID_RECORD', 'a batch must hold at least one record');
    const batch = this.compressed(seal.compression, codecs.compression);
    if (batch.length > this.limits.batchBytesMax) return tooLarge('batch', batch.length, this.limits.batchBytesMax);
    this.sealed = true;
    this.putHeader(batch, seal);
    putInt32(batch, batchLayout.crc, codecs.crc32c(checksummedSection(batch)));
    return ok(batch);
  }

  private checkRecord(record: NewRecord, bodyBytes: number, delta: number, end: number): Refused | null {
    const { recordBytesMax, decompressedBytesMax } = this.limits;
    if (bodyBytes > recordBytesMax) {
      const contentBytes = recordContentBytes(record);
      if (contentBytes > recordBytesMax) return tooLarge('record', contentBytes, recordBytesMax);
    }
    const byteLength = end - this.start;
    if (byteLength - batchLayout.records > decompressedBytesMax)
      return tooLarge('batch', byteLength, decompressedBytesMax);
    if (!Number.isSafeInteger(delta)) return refuse('INVALID_TIMESTAMP', 'timestamps of one batch are 2^53 ms apart');
    return null;
  }

  private reserve(bytesNeeded: number): void {
    if (bytesNeeded <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(bytesNeeded, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
  }

  /** The batch with room for its header: the buffer itself if nothing is compressed. */
  private compressed(type: CompressionType, compression: Compression): Uint8Array {
    if (type === 'none') return this.bytes.subarray(this.start, this.at);
    const recordsStart = this.start + batchLayout.records;
    const section = compression.compress(type, this.bytes.subarray(recordsStart, this.at));
    const bytes = new Uint8Array(recordsStart + section.length);
    bytes.set(section, recordsStart);
    return bytes.subarray(this.start);
  }

  private putHeader(batch: Uint8Array, seal: BatchSeal): void {
    putInt64(batch, batchLayout.baseOffset, 0);
    putInt32(batch, batchLayout.batchLength, batch.length - lengthPrefixBytes);
    putInt32(batch, batchLayout.leaderEpoch, 0);
    batch[batchLayout.magic] = batchMagic;
    putInt16(batch, batchLayout.attributes, compressionTypes.indexOf(seal.compression));
    putInt32(batch, batchLayout.lastOffsetDelta, this.records - 1);
    putInt64(batch, batchLayout.baseTimestamp, this.baseTimestamp);
    putInt64(batch, batchLayout.maxTimestamp, this.maxTimestamp);
    putProducer(batch, seal.producer);
    putInt32(batch, batchLayout.count, this.records);
  }
}

function putProducer(batch: Uint8Array, producer: BatchProducer | null): void {
  putInt64(batch, batchLayout.producerId, producer?.id ?? -1);
  putInt16(batch, batchLayout.producerEpoch, producer?.epoch ?? -1);
  putInt32(batch, batchLayout.baseSequence, producer?.baseSequence ?? -1);
}

/** Enough for the records, so that the buffer seldom grows, but never more than could be sealed. */
function capacityFor(records: readonly NewRecord[], limits: BatchLimits): number {
  let bytes: number = batchLayout.records;
  for (const { key, value } of records) bytes += recordOverheadBytes + (key?.length ?? 0) + (value?.length ?? 0);
  return Math.min(bytes, limits.decompressedBytesMax);
}
