import { protocolErrors, Reader, readRecordsBatch } from '@platformatic/kafka';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { encodeBatch } from '../../src/model/batch-builder.ts';
import { decodeBatch, verifyRecords } from '../../src/model/batch-decoder.ts';
import { validateBatch } from '../../src/model/batch-validation.ts';
import { putInt16, putInt32 } from '../../src/model/big-endian.ts';
import type { CompressionType } from '../../src/model/compression.ts';
import { compressionTypes } from '../../src/model/compression.ts';
import { errorTraits } from '../../src/model/errors.ts';
import { batchLayout, recordsSection } from '../../src/model/record-batch.ts';
import type { NewRecord, StoredRecord } from '../../src/model/record.ts';
import { codecs, forged, valueOf } from './fixtures.ts';
import { nativeDecompress } from './independent-decompress.ts';
import type { VectorCase } from './vector-cases.ts';
import { farTimestamps, vectorCases } from './vector-cases.ts';

interface Vector {
  readonly name: string;
  readonly compression: CompressionType;
  readonly base64: string;
}

const vectors = JSON.parse(readFileSync(new URL('vectors/batches.json', import.meta.url), 'utf8')) as Vector[];
const table = Object.entries(errorTraits);
const caseOf = (name: string): VectorCase => vectorCases.find((entry) => entry.name === name)!;
const theirs = (vector: Vector): Uint8Array => Buffer.from(vector.base64, 'base64');
const ours = (entry: VectorCase, compression: CompressionType): Uint8Array =>
  valueOf(encodeBatch({ records: entry.records, producer: entry.producer, compression }, codecs));

test('vectors cover every case and every compression', () => {
  assert.deepEqual(
    [...new Set(vectors.map(({ name }) => name))],
    vectorCases.map(({ name }) => name),
  );
  assert.deepEqual(new Set(vectors.map(({ compression }) => compression)), new Set(compressionTypes));
});

for (const vector of vectors.filter(({ compression }) => compression === 'none')) {
  test(`ours equals theirs, byte for byte: ${vector.name}`, () => {
    const entry = caseOf(vector.name);
    const encoded = ours(entry, 'none');
    assert.deepEqual(Buffer.from(encoded), theirs(vectorAs(vector, entry)));
  });
}

for (const vector of vectors) {
  test(`ours decodes theirs: ${vector.name}, ${vector.compression}`, () => {
    const bytes = theirs(vector);
    assert.equal(valueOf(validateBatch(bytes, codecs)).compression, vector.compression);
    assert.equal(verifyRecords(bytes, codecs.compression), null);
    const { header, records } = valueOf(decodeBatch(bytes, codecs));
    assert.deepEqual(header.producer, caseOf(vector.name).producer);
    assert.deepEqual(records, stored(caseOf(vector.name).records));
  });
}

for (const entry of [...vectorCases, farTimestamps]) {
  test(`theirs decodes ours: ${entry.name}`, () => assert.deepEqual(readByThem(ours(entry, 'none')), plain(entry)));
}

for (const type of compressionTypes) {
  test(`independent decompressors read ours: ${type}`, () => {
    const entry = caseOf('many small records');
    const compressed = ours(entry, type);
    const section = nativeDecompress(type, recordsSection(compressed));
    const uncompressed = ours(entry, 'none');
    assert.deepEqual(Buffer.from(section), Buffer.from(recordsSection(uncompressed)));
  });
}

test('theirs decompresses ours: gzip, lz4', () => {
  const entry = caseOf('many small records');
  for (const type of ['gzip', 'lz4'] as const) assert.deepEqual(readByThem(ours(entry, type)), plain(entry));
});

test('Kafka’s numbers are Kafka’s', () => {
  const numbers = new Map(Object.values(protocolErrors).map(({ id, code }) => [id, code]));
  const shared = table.filter(([code]) => numbers.has(code));
  assert.ok(shared.length >= 30);
  for (const [code, traits] of shared) assert.equal(traits.kafkaCode, numbers.get(code), code);
});

test('a number that a code without a name in Kafka bears is that of the same condition there', () => {
  const names = new Set(Object.keys(protocolErrors));
  const borrowed = table.filter(([code, traits]) => !names.has(code) && traits.kafkaCode !== null);
  assert.deepEqual(
    borrowed.map(([code, traits]) => [code, traits.kafkaCode]),
    [
      ['INVALID_TOPIC', 17],
      ['STORAGE_CORRUPTION', 56],
      ['LEADERSHIP_LOST', 6],
      ['INTERNAL', -1],
    ],
  );
});

/** Without a producer their encoder leaves epoch and sequence at 0, where Kafka's own writes -1, as ours does. */
function vectorAs(vector: Vector, entry: VectorCase): Vector {
  if (entry.producer !== null) return vector;
  const bytes = forged(theirs(vector), (batch) => {
    putInt16(batch, batchLayout.producerEpoch, -1);
    putInt32(batch, batchLayout.baseSequence, -1);
  });
  return { ...vector, base64: Buffer.from(bytes).toString('base64') };
}

const stored = (records: readonly NewRecord[]): StoredRecord[] =>
  records.map((record, offset) => ({ ...record, offset }) as StoredRecord);

interface PlainRecord {
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

const hex = (bytes: Uint8Array | null | undefined): string | null =>
  bytes ? Buffer.from(bytes).toString('hex') : null;

const plain = (entry: VectorCase): PlainRecord[] =>
  entry.records.map(({ timestampMs, key, value, headers }) => ({
    timestampMs: timestampMs ?? -1,
    key: hex(key),
    value: hex(value),
    headers: headers.map((header) => [hex(Buffer.from(header.name)) ?? '', hex(header.value)]),
  }));

/** Their reader answers bytes of length -1 with null. */
function readByThem(bytes: Uint8Array): PlainRecord[] {
  const batch = readRecordsBatch(Reader.from(Buffer.from(bytes)));
  return batch.records.map((record) => ({
    timestampMs: Number(batch.firstTimestamp + record.timestampDelta),
    key: hex(record.key),
    value: hex(record.value),
    headers: record.headers.map(([name, value]) => [hex(name) ?? '', hex(value)]),
  }));
}
