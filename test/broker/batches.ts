/** Batches for tests of the broker. */
import assert from 'node:assert/strict';
import { encodeBatch } from '../../src/model/batch-builder.ts';
import { toMillis, toProducerEpoch, toProducerId, toSequence } from '../../src/model/ids.ts';
import type { BatchProducer } from '../../src/model/record-batch.ts';
import { createCompression } from '../../src/runtime/compression.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import type { CompressionType } from '../../src/model/compression.ts';

export const compression = await createCompression();

export interface TestBatch {
  readonly values: readonly string[];
  readonly producer?: BatchProducer | null;
  /** One a record; default none. */
  readonly timestamps?: readonly number[];
  readonly compression?: CompressionType;
}

export function batch({ values, producer = null, timestamps = [], compression: type = 'none' }: TestBatch): Uint8Array {
  const records = values.map((value, at) => {
    const time = timestamps[at];
    return {
      key: null,
      value: Buffer.from(value),
      headers: [],
      timestampMs: time === undefined ? null : toMillis(time),
    };
  });
  const encoded = encodeBatch({ compression: type, producer, records }, { crc32c, compression });
  if (encoded.kind === 'refused') assert.fail(encoded.error.message);
  return encoded.value;
}

/** A batch of `count` records from an idempotent producer. */
export function idempotent(id: number, epoch: number, sequence: number, count = 1): Uint8Array {
  const values = Array.from({ length: count }, (_, at) => `p${id} e${epoch} s${sequence + at}`);
  return batch({ values, producer: identity(id, epoch, sequence) });
}

export const identity = (id: number, epoch: number, sequence: number): BatchProducer => ({
  id: toProducerId(id),
  epoch: toProducerEpoch(epoch),
  baseSequence: toSequence(sequence),
});

export const text = (values: readonly string[]): Uint8Array => batch({ values });
