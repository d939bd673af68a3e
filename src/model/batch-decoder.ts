/**
 * Reads the records of a batch: to hand them out, to verify them, or to find one by time. Whatever the bytes, the answer
 * is a value or a refusal: nothing throws, no loop runs past the bytes, and nothing is allocated for what the bytes
 * merely claim.
 */
import { checkAttributes, checkChecksum, tooLarge } from './batch-validation.ts';
import type { Compression } from './compression.ts';
import type { Refused, Result } from './errors.ts';
import { ok, refuse } from './errors.ts';
import type { Millis, Offset } from './ids.ts';
import { offsetPlus, offsetZero, toMillis } from './ids.ts';
import type { BatchCodecs, BatchHeader, BatchLimits } from './record-batch.ts';
import { batchLimits, checkFraming, corrupt, readBatchHeader, recordBytesMin, recordsSection } from './record-batch.ts';
import { readHeaders, skipContent } from './record-codec.ts';
import type { StoredRecord } from './record.ts';
import { ByteCursor } from './byte-cursor.ts';

/** Limits default to `batchLimits`. */
export interface DecodeOptions extends Partial<BatchLimits> {
  /** Records below it are passed over. Default 0. */
  readonly fromOffset?: Offset;
}

export interface DecodedBatch {
  readonly header: BatchHeader;
  /** In order. Their bytes are views of the batch, or of one buffer that it was decompressed to. */
  readonly records: readonly StoredRecord[];
}

/** A record as a search by time answers it. */
export interface TimedOffset {
  readonly offset: Offset;
  readonly timestampMs: Millis;
}

/**
 * Decodes a stored batch, after checking its CRC. Refuses with CORRUPT_MESSAGE what is damaged, INVALID_RECORD what lies
 * about its records or is no data (control, transactional), MESSAGE_TOO_LARGE what decompresses to more than
 * `decompressedBytesMax`, UNSUPPORTED_COMPRESSION_TYPE and INVALID_TIMESTAMP as named. Offsets may have gaps.
 */
export function decodeBatch(bytes: Uint8Array, codecs: BatchCodecs, options: DecodeOptions = {}): Result<DecodedBatch> {
  const damaged = checkFraming(bytes) ?? checkChecksum(bytes, codecs.crc32c);
  if (damaged !== null) return damaged;
  const walk = openWalk(bytes, codecs.compression, options);
  if (walk.kind === 'refused') return walk;
  return decodeRecords(walk.value, options.fromOffset ?? offsetZero);
}

/**
 * Reads every record of a batch that passed `validateBatch` without keeping any. Null: all of them are well formed and
 * within the limits, and `decodeBatch` will take them. The door does not ask for it (no work per record in the broker):
 * a batch that is malformed inside, or lies under compression, is refused to those who read its records.
 */
export function verifyRecords(
  bytes: Uint8Array,
  compression: Compression,
  limits: Partial<BatchLimits> = {},
): Refused | null {
  const opened = openWalk(bytes, compression, limits);
  if (opened.kind === 'refused') return opened;
  const walk = opened.value;
  const recordBytesMax = limits.recordBytesMax ?? batchLimits.recordBytesMax;
  const timestampMax = walk.header.maxTimestampMs ?? noTimestamp;
  while (walk.next()) {
    const contentBytes = walk.pass();
    if (contentBytes > recordBytesMax) return tooLarge('record', contentBytes, recordBytesMax);
    if (walk.timestamp > timestampMax) {
      return refuse('INVALID_TIMESTAMP', `record ${walk.index} is later than the largest timestamp of its header`);
    }
  }
  return walk.refused;
}

/** The first record at or after `timestampMs` in a stored batch; null if there is none. */
export function findRecordByTime(
  bytes: Uint8Array,
  timestampMs: Millis,
  compression: Compression,
  options: DecodeOptions = {},
): Result<TimedOffset | null> {
  const opened = openWalk(bytes, compression, options);
  if (opened.kind === 'refused') return opened;
  const walk = opened.value;
  const from = options.fromOffset ?? offsetZero;
  while (walk.next()) {
    if (walk.timestamp >= timestampMs && walk.offset >= from) {
      return ok({ offset: walk.offset, timestampMs: toMillis(walk.timestamp) });
    }
    walk.pass();
  }
  return walk.refused ?? ok(null);
}

const noTimestamp = -1;

function decodeRecords(walk: RecordWalk, from: Offset): Result<DecodedBatch> {
  const records: StoredRecord[] = [];
  while (walk.next()) {
    if (walk.offset < from) walk.pass();
    else records.push(walk.take());
  }
  return walk.refused ?? ok({ header: walk.header, records });
}

function openWalk(bytes: Uint8Array, compression: Compression, limits: Partial<BatchLimits>): Result<RecordWalk> {
  const header = readBatchHeader(bytes);
  if (header.kind === 'refused') return header;
  const refused = checkAttributes(header.value);
  if (refused !== null) return refused;
  const bytesMax = limits.decompressedBytesMax ?? batchLimits.decompressedBytesMax;
  const section = plainRecords(recordsSection(bytes), header.value, compression, bytesMax);
  return section.kind === 'refused' ? section : ok(new RecordWalk(header.value, section.value));
}

function plainRecords(
  section: Uint8Array,
  header: BatchHeader,
  compression: Compression,
  bytesMax: number,
): Result<Uint8Array> {
  if (header.compression === 'none') return ok(section);
  const answer = compression.decompress(header.compression, section, bytesMax);
  if (answer.kind === 'ok') return ok(answer.bytes);
  switch (answer.why) {
    case 'corrupt':
      return corrupt(`its records are no ${header.compression} data`);
    case 'too-large':
      return refuse('MESSAGE_TOO_LARGE', `a batch decompresses to more than ${bytesMax} bytes`, {
        fields: { limit: String(bytesMax) },
      });
    case 'unsupported':
      return refuse(
        'UNSUPPORTED_COMPRESSION_TYPE',
        `this ${header.compression} data needs an option that is not supported`,
      );
  }
}

/**
 * Steps through the records of one batch: `next`, then exactly one of `take` and `pass`, until `next` answers false;
 * `refused` says why it stopped, null: at the end.
 */
class RecordWalk {
  readonly header: BatchHeader;
  refused: Refused | null = null;
  /** Of the record that `next` stepped to. */
  index = -1;
  offset: Offset = offsetZero;
  /** Milliseconds since 1970; -1: none. */
  timestamp = noTimestamp;
  private offsetDelta = -1;
  private recordEnd = 0;
  private readonly cursor: ByteCursor;

  constructor(header: BatchHeader, records: Uint8Array) {
    this.header = header;
    this.cursor = new ByteCursor(records);
    if (header.count * recordBytesMin > records.length) this.refused = this.lyingCount();
  }

  next(): boolean {
    if (this.refused !== null) return false;
    if (this.cursor.malformed || this.cursor.at !== this.recordEnd) return this.stop(this.malformed());
    this.index++;
    if (this.index === this.header.count) return this.finish();
    return this.cursor.remaining === 0 ? this.stop(this.lyingCount()) : this.readStart();
  }

  take(): StoredRecord {
    const key = this.cursor.nullableBytes();
    const value = this.cursor.nullableBytes();
    const headers = readHeaders(this.cursor);
    const timestampMs = this.timestamp === noTimestamp ? null : toMillis(this.timestamp);
    return { offset: this.offset, timestampMs, key, value, headers };
  }

  /** Answers the bytes of the content that it passes over. */
  pass(): number {
    return skipContent(this.cursor);
  }

  private readStart(): boolean {
    const { cursor, header } = this;
    const bodyBytes = cursor.varint();
    this.recordEnd = cursor.at + bodyBytes;
    if (bodyBytes < 0 || bodyBytes > cursor.remaining) return this.stop(this.malformed());
    cursor.byte();
    this.timestamp = header.baseTimestampMs + cursor.varlong();
    const offsetDelta = cursor.varint();
    if (cursor.malformed) return this.stop(this.malformed());
    if (offsetDelta <= this.offsetDelta || offsetDelta > header.lastOffsetDelta)
      return this.stop(this.wrongDelta(offsetDelta));
    if (this.timestamp < noTimestamp || !Number.isSafeInteger(this.timestamp)) return this.stop(this.wrongTimestamp());
    this.offsetDelta = offsetDelta;
    this.offset = offsetPlus(header.baseOffset, offsetDelta);
    return true;
  }

  private finish(): boolean {
    return this.cursor.remaining === 0 ? false : this.stop(this.lyingCount());
  }

  private stop(refused: Refused): false {
    this.refused = refused;
    return false;
  }

  private malformed(): Refused {
    return corrupt(`record ${Math.max(this.index, 0)} is malformed`);
  }

  private lyingCount(): Refused {
    return refuse('INVALID_RECORD', `the batch says that it holds ${this.header.count} records, but its bytes do not`);
  }

  private wrongDelta(offsetDelta: number): Refused {
    return refuse('INVALID_RECORD', `record ${this.index} has offset delta ${offsetDelta}, which is out of order`);
  }

  private wrongTimestamp(): Refused {
    return refuse('INVALID_TIMESTAMP', `the timestamp of record ${this.index} is not -1 (none) or 0 to 2^53-1`);
  }
}
