/**
 * Stored batches as records, for clients without a codec. Decoded lazily, a batch at a time, and cut into portions of
 * records, so that neither a batch that inflates a thousandfold nor a client with a small limit makes us hold more than
 * one decompressed batch.
 */
import type { FetchedPartition } from '../broker/requests.ts';
import type { Record as WireRecord } from '../gen/sluice/v1/record.ts';
import { decodeBatch } from '../model/batch-decoder.ts';
import { checkChecksum } from '../model/batch-validation.ts';
import type { BrokerError, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { Offset } from '../model/ids.ts';
import { offsetPlus } from '../model/ids.ts';
import type { BatchCodecs } from '../model/record-batch.ts';
import { readBatchHeader } from '../model/record-batch.ts';
import type { StoredRecord } from '../model/record.ts';
import { toInt64, toInt64OrAbsent } from './convert.ts';
import { recordBytes } from './fetch-reply.ts';

/** Records of one partition and where to go on. With an error there are no records and no next offset. */
export type Portion =
  | { readonly kind: 'records'; readonly records: readonly WireRecord[]; readonly bytes: number; readonly next: Offset }
  | { readonly kind: 'failed'; readonly error: BrokerError };

/** One batch, as records from an offset on, and the offset after it. */
interface Unpacked {
  readonly records: readonly StoredRecord[];
  readonly end: Offset;
}

/**
 * Cuts what was fetched from one partition into portions of at most `bytesMax()` bytes (asked anew for each), at least
 * one record each. Ends after the first failure. Yields at least one portion unless there are no batches.
 */
export function* unpack(
  { batches }: Pick<FetchedPartition, 'batches'>,
  fetchOffset: Offset,
  codecs: BatchCodecs,
  bytesMax: () => number,
): Generator<Portion, void> {
  let records: WireRecord[] = [];
  let bytes = 0;
  let next = fetchOffset;
  for (const batch of batches) {
    const unpacked = unpackBatch(batch, next, codecs);
    if (unpacked.kind === 'refused') {
      if (records.length > 0) yield { kind: 'records', records, bytes, next };
      yield { kind: 'failed', error: unpacked.error };
      return;
    }
    for (const stored of unpacked.value.records) {
      const record = toWireRecord(stored);
      const size = recordBytes(record);
      if (records.length > 0 && bytes + size > bytesMax()) {
        yield { kind: 'records', records, bytes, next };
        records = [];
        bytes = 0;
      }
      records.push(record);
      bytes += size;
      next = offsetPlus(stored.offset, 1);
    }
    next = unpacked.value.end;
  }
  if (batches.length > 0) yield { kind: 'records', records, bytes, next };
}

/** A batch that passed the door may still lie about its records; readers learn which offsets to pass over. */
function unpackBatch(batch: Uint8Array, from: Offset, codecs: BatchCodecs): Result<Unpacked> {
  if (checkChecksum(batch, codecs.crc32c) !== null)
    return refuse('STORAGE_CORRUPTION', 'A stored batch does not match its checksum; it is not served.');
  const decoded = decodeBatch(batch, codecs, { fromOffset: from });
  if (decoded.kind === 'ok') {
    const { header, records } = decoded.value;
    return ok({ records, end: offsetPlus(header.baseOffset, header.lastOffsetDelta + 1) });
  }
  const header = readBatchHeader(batch);
  if (header.kind === 'refused') return header;
  const { baseOffset, lastOffsetDelta } = header.value;
  const { code, message } = decoded.error;
  return refuse(code, `Its producer sealed a batch that can not be decoded (${message}); go on behind it.`, {
    fields: {
      base_offset: String(baseOffset),
      next_offset: String(offsetPlus(baseOffset, lastOffsetDelta + 1)),
    },
  });
}

function toWireRecord({ key, value, headers, timestampMs, offset }: StoredRecord): WireRecord {
  return {
    key: key ?? undefined,
    value: value ?? undefined,
    headers: headers.map((header) => ({ name: header.name, value: header.value ?? undefined })),
    timestampMs: toInt64OrAbsent(timestampMs),
    offset: toInt64(offset),
  };
}
