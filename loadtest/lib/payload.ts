/** What is produced. Made once for each virtual user: k6 takes bytes as base64, and encoding is not what is measured. */
import encoding from 'k6/encoding';
import { encodeBatch } from '../../src/model/batch-builder.ts';
import { toMillis } from '../../src/model/ids.ts';
import type { NewRecord } from '../../src/model/record.ts';
import { crc32c } from './crc32c.ts';
import { settings } from './settings.ts';

/** Bytes of the values in one call. */
export const bytesPerCall = settings.records * settings.valueBytes;

/** Text that no compression makes much smaller, the same in every run. */
function noise(length: number): Uint8Array {
  let state = 0x9e3779b9;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

const values = Array.from({ length: settings.records }, (_, i) => {
  const value = noise(settings.valueBytes + i).subarray(i);
  return { value, text: encoding.b64encode(value.slice().buffer) };
});

/** The records of one call as one encoded batch: what clients send. */
export function encodedBatch(): string {
  const timestampMs = toMillis(Date.now());
  const records = values.map(({ value }): NewRecord => ({ key: null, value, headers: [], timestampMs }));
  const compression = { compress: neverAsked, decompress: neverAsked };
  const batch = encodeBatch({ records, compression: 'none', producer: null }, { crc32c, compression });
  if (batch.kind === 'refused') throw new Error(batch.error.message);
  return encoding.b64encode(batch.value.slice().buffer);
}

/** The records of one call one by one, each with the time: for those who measure how old a record is. */
export function stampedRecords(nowMs: number): { value: string; timestampMs: string }[] {
  const timestampMs = String(nowMs);
  return values.map(({ text }) => ({ value: text, timestampMs }));
}

function neverAsked(): never {
  throw new Error('batches are not compressed here');
}
