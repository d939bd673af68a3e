/** The door check (design D12): whether Sluice takes a batch, without reading what its records hold. */
import { uint32At } from './big-endian.ts';
import { ByteCursor } from './byte-cursor.ts';
import type { Crc32c } from './crc32c.ts';
import type { Refused, Result } from './errors.ts';
import { refuse } from './errors.ts';
import type { BatchHeader, BatchLimits } from './record-batch.ts';
import {
  batchLayout,
  batchLimits,
  checkFraming,
  checksummedSection,
  corrupt,
  readBatchHeader,
  recordBytesMin,
} from './record-batch.ts';

/** The limits default to `batchLimits`. */
export interface DoorCheck extends Partial<BatchLimits> {
  readonly crc32c: Crc32c;
}

/**
 * Checks a batch as a producer sent it. Refuses, in this order: MESSAGE_TOO_LARGE for its size; CORRUPT_MESSAGE if its
 * length field lies; UNSUPPORTED_VERSION for another magic; CORRUPT_MESSAGE for a wrong CRC (behind which every other
 * field would be noise); then UNSUPPORTED_COMPRESSION_TYPE; CORRUPT_MESSAGE or INVALID_TIMESTAMP for numbers out of
 * range; INVALID_RECORD if it is empty, if its count can not be true, or if it is a control or transactional batch or
 * has unknown bits.
 *
 * Of uncompressed records the lengths are walked (about 5 ns a record), so that a count that lies is refused here. What
 * is inside a record, and everything that is compressed, stays unread; `verifyRecords` reads it.
 */
export function validateBatch(bytes: Uint8Array, door: DoorCheck): Result<BatchHeader> {
  const bytesMax = door.batchBytesMax ?? batchLimits.batchBytesMax;
  if (bytes.length > bytesMax) return tooLarge('batch', bytes.length, bytesMax);
  const damaged = checkFraming(bytes) ?? checkChecksum(bytes, door.crc32c);
  if (damaged !== null) return damaged;
  const header = readBatchHeader(bytes);
  if (header.kind === 'refused') return header;
  return checkAttributes(header.value) ?? checkCount(header.value, door) ?? checkLengths(bytes, header.value) ?? header;
}

/** Refuses a batch whose CRC does not match its bytes. */
export function checkChecksum(bytes: Uint8Array, crc32c: Crc32c): Refused | null {
  const stored = uint32At(bytes, batchLayout.crc);
  const actual = crc32c(checksummedSection(bytes));
  if (stored === actual) return null;
  return corrupt(`its CRC-32C says ${stored.toString(16)}, but its bytes have ${actual.toString(16)}`);
}

/** Refuses every attribute but compression: what such a batch means to a reader is not built. */
export function checkAttributes(header: BatchHeader): Refused | null {
  const bits = header.attributes & ~0x07;
  if (bits === 0) return null;
  if (bits & 0x08) return refuse('INVALID_TIMESTAMP', 'only the broker knows append times: send create times (bit 3)');
  if (bits & 0x10) return refuse('INVALID_RECORD', 'transactional batches are not supported (attribute bit 4)');
  if (bits & 0x20) return refuse('INVALID_RECORD', 'control batches are the broker’s own (attribute bit 5)');
  return refuse('INVALID_RECORD', `unknown attribute bits 0x${bits.toString(16)}`);
}

/** A refusal of something above its limit. */
export function tooLarge(what: string, actual: number, limit: number): Refused {
  const fields = { limit: String(limit), actual: String(actual) };
  return refuse('MESSAGE_TOO_LARGE', `a ${what} of ${actual} bytes is above the limit of ${limit}`, { fields });
}

/** Offsets are dense, so every offset that the header claims must be a record, and there must be room for them all. */
function checkCount(header: BatchHeader, limits: Partial<BatchLimits>): Refused | null {
  const { count, lastOffsetDelta } = header;
  if (count !== lastOffsetDelta + 1) {
    return refuse('INVALID_RECORD', `count ${count} does not follow from last offset delta ${lastOffsetDelta}`);
  }
  const recordsBytes =
    header.compression === 'none'
      ? header.byteLength - batchLayout.records
      : (limits.decompressedBytesMax ?? batchLimits.decompressedBytesMax);
  if (count * recordBytesMin <= recordsBytes) return null;
  return refuse('INVALID_RECORD', `count ${count} can not be true: ${recordsBytes} bytes hold fewer records`);
}

/** The lengths of uncompressed records must lead to the end of the batch, in as many steps as the header says. */
function checkLengths(bytes: Uint8Array, { compression, count }: BatchHeader): Refused | null {
  if (compression !== 'none') return null;
  const cursor = new ByteCursor(bytes, batchLayout.records);
  let records = 0;
  for (; cursor.remaining > 0; records++) cursor.skip(cursor.varint());
  if (cursor.malformed) return corrupt(`the length of record ${records - 1} is malformed`);
  if (records === count) return null;
  return refuse('INVALID_RECORD', `the batch says that it holds ${count} records, but it holds ${records}`);
}
