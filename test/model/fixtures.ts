/** What the tests of batches share: codecs, generators, and short ways to a batch. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeBatch } from '../../src/model/batch-builder.ts';
import { putInt32 } from '../../src/model/big-endian.ts';
import { compressionTypes } from '../../src/model/compression.ts';
import type { CompressionType } from '../../src/model/compression.ts';
import type { ErrorCode, Refused, Result } from '../../src/model/errors.ts';
import { toMillis, toProducerEpoch, toProducerId, toSequence } from '../../src/model/ids.ts';
import type { BatchCodecs, BatchProducer } from '../../src/model/record-batch.ts';
import { batchLayout, checksummedSection } from '../../src/model/record-batch.ts';
import type { NewRecord } from '../../src/model/record.ts';
import { createCompression } from '../../src/runtime/compression.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';

export const codecs: BatchCodecs = { compression: await createCompression(), crc32c };

export function valueOf<T>(result: Result<T>): T {
  if (result.kind === 'refused') assert.fail(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

/** The code of a refusal; 'ok' if it is none. */
export const codeOf = (result: Result<unknown> | Refused | null): ErrorCode | 'ok' =>
  result?.kind === 'refused' ? result.error.code : 'ok';

export const newRecord = (value: string, timestampMs: number | null = 1_000): NewRecord => ({
  key: null,
  value: new TextEncoder().encode(value),
  headers: [],
  timestampMs: timestampMs === null ? null : toMillis(timestampMs),
});

export function batchOf(records: readonly NewRecord[], compression: CompressionType = 'none'): Uint8Array {
  return valueOf(encodeBatch({ records, compression, producer: null }, codecs));
}

/** A copy of a batch with one part written anew and the CRC made right: what a lying producer sends. */
export function forged(batch: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const copy = Uint8Array.from(batch);
  change(copy);
  putInt32(copy, batchLayout.crc, crc32c(checksummedSection(copy)));
  return copy;
}

/** A batch whose records section is replaced, its header otherwise kept. */
export function withRecords(batch: Uint8Array, records: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(batchLayout.records + records.length);
  bytes.set(batch.subarray(0, batchLayout.records));
  bytes.set(records, batchLayout.records);
  return forged(bytes, (all) => putInt32(all, batchLayout.batchLength, all.length - 12));
}

// As literals are, so that they compare.
const plainObject = { noNullPrototype: true };
const content = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null });
const timestamp = fc.option(fc.oneof(fc.nat(), fc.integer({ min: 0, max: 2 ** 53 - 2 })), { nil: null });
const header = fc.record({ name: fc.string({ unit: 'grapheme', maxLength: 20 }), value: content }, plainObject);

export const anyRecord: fc.Arbitrary<NewRecord> = fc.record(
  {
    key: content,
    value: content,
    headers: fc.array(header, { maxLength: 4 }),
    timestampMs: timestamp.map((time) => (time === null ? null : toMillis(time))),
  },
  plainObject,
);
export const anyRecords = fc.array(anyRecord, { minLength: 1, maxLength: 20 });
export const anyCompression = fc.constantFrom(...compressionTypes);
export const anyProducer: fc.Arbitrary<BatchProducer | null> = fc.option(
  fc.record(
    {
      id: fc.maxSafeNat().map(toProducerId),
      epoch: fc.nat(32_767).map(toProducerEpoch),
      baseSequence: fc.nat(2 ** 31 - 1).map(toSequence),
    },
    plainObject,
  ),
  { nil: null },
);
