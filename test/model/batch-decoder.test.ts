import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'node:test';
import { BatchBuilder, encodeBatch, restampProducer } from '../../src/model/batch-builder.ts';
import { decodeBatch, findRecordByTime, verifyRecords } from '../../src/model/batch-decoder.ts';
import { validateBatch } from '../../src/model/batch-validation.ts';
import { putInt32, putInt64 } from '../../src/model/big-endian.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import { toMillis, toOffset, toProducerEpoch, toProducerId, toSequence, toTerm } from '../../src/model/ids.ts';
import { batchLayout, patchBatch } from '../../src/model/record-batch.ts';
import { recordContentBytes } from '../../src/model/record.ts';
import {
  anyCompression,
  anyProducer,
  anyRecord,
  anyRecords,
  batchOf,
  codecs,
  codeOf,
  forged,
  newRecord,
  valueOf,
  withRecords,
} from './fixtures.ts';

const three = [newRecord('one', 1_000), newRecord('two', 3_000), newRecord('three', 2_000)];
const good = batchOf(three);
const decode = (bytes: Uint8Array): ErrorCode | 'ok' => codeOf(decodeBatch(bytes, codecs));
const verify = (bytes: Uint8Array): ErrorCode | 'ok' => codeOf(verifyRecords(bytes, codecs.compression));

test('what goes in comes out, whatever the records, the producer and the compression', () => {
  fc.assert(
    fc.property(anyRecords, anyProducer, anyCompression, (records, producer, compression) => {
      const bytes = valueOf(encodeBatch({ records, producer, compression }, codecs));
      assert.equal(valueOf(validateBatch(bytes, codecs)).count, records.length);
      assert.equal(verify(bytes), 'ok');
      patchBatch(bytes, toOffset(1_000), toTerm(3));
      const decoded = valueOf(decodeBatch(bytes, codecs));
      assert.deepEqual(decoded.header.producer, producer);
      assert.deepEqual(
        decoded.records,
        records.map((record, at) => ({ ...record, offset: 1_000 + at })),
      );
    }),
    { numRuns: 200 },
  );
});

test('bytes at random are refused, and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      assert.notEqual(codeOf(validateBatch(bytes, codecs)), 'ok');
      assert.notEqual(decode(bytes), 'ok');
      assert.notEqual(verify(bytes), 'ok');
      assert.notEqual(codeOf(findRecordByTime(bytes, toMillis(0), codecs.compression)), 'ok');
    }),
  );
});

test('records at random behind a right header and a right CRC never throw, and verify agrees with decode', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), anyCompression, (records, compression) => {
      const bytes = withRecords(batchOf(three, compression), records);
      if (verify(bytes) === 'ok') assert.equal(decode(bytes), 'ok');
      if (decode(bytes) !== 'ok') assert.notEqual(verify(bytes), 'ok');
    }),
    { numRuns: 1_000 },
  );
});

test('good records with a few bytes changed behind a right CRC never throw, and verify agrees with decode', () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(anyRecords, anyCompression, changes, (records, compression, edits) => {
      const original = valueOf(encodeBatch({ records, producer: null, compression }, codecs));
      const bytes = forged(original, (copy) => {
        for (const [at, value] of edits) copy[21 + (at % (copy.length - 21))] = value;
      });
      if (verify(bytes) === 'ok') assert.equal(decode(bytes), 'ok');
      valueOf(findOrRefuse(bytes));
    }),
    { numRuns: 1_000 },
  );
});

const findOrRefuse = (bytes: Uint8Array) => {
  const found = findRecordByTime(bytes, toMillis(1_500), codecs.compression);
  return found.kind === 'refused' ? { kind: 'ok' as const, value: null } : found;
};

test('a flipped bit anywhere from the attributes on is found', () => {
  fc.assert(
    fc.property(anyRecords, anyCompression, fc.nat(), fc.nat(7), (records, compression, position, bit) => {
      const bytes = batchOf(records, compression);
      bytes[21 + (position % (bytes.length - 21))]! ^= 1 << bit;
      assert.equal(decode(bytes), 'CORRUPT_MESSAGE');
      assert.equal(codeOf(validateBatch(bytes, codecs)), 'CORRUPT_MESSAGE');
    }),
  );
});

type Lie = readonly [why: string, code: ErrorCode, bytes: Uint8Array];

const liesAtTheDoor: readonly Lie[] = [
  ['more records than there are', 'INVALID_RECORD', counts(good, 4)],
  ['fewer records than there are', 'INVALID_RECORD', counts(good, 2)],
  ['a record longer than the rest', 'CORRUPT_MESSAGE', recordBytes([12, 0, 0, 0, 1, 1, 0], [14, 0, 0, 2, 1, 1, 0])],
  ['a record of negative length', 'CORRUPT_MESSAGE', recordBytes([13, 0, 0, 0, 1, 1, 0], [12, 0, 0, 2, 1, 1, 0])],
];
const liesInside: readonly Lie[] = [
  ['more compressed records than there are', 'INVALID_RECORD', counts(batchOf(three, 'zstd'), 4)],
  ['fewer compressed records than there are', 'INVALID_RECORD', counts(batchOf(three, 'zstd'), 2)],
  ['more records than the bytes could hold', 'INVALID_RECORD', counts(batchOf(three, 'gzip'), 100_000)],
  ['offset deltas that do not rise', 'INVALID_RECORD', recordBytes([12, 0, 0, 2, 1, 1, 0], [12, 0, 0, 0, 1, 1, 0])],
  ['an offset delta above the last', 'INVALID_RECORD', recordBytes([12, 0, 0, 4, 1, 1, 0], [12, 0, 0, 6, 1, 1, 0])],
  ['a record with a byte left over', 'CORRUPT_MESSAGE', recordBytes([14, 0, 0, 0, 1, 1, 0, 0], [12, 0, 0, 2, 1, 1, 0])],
  ['a key of length -2', 'CORRUPT_MESSAGE', recordBytes([12, 0, 0, 0, 3, 1, 0], [12, 0, 0, 2, 1, 1, 0])],
  ['a key past the end', 'CORRUPT_MESSAGE', recordBytes([12, 0, 0, 0, 1, 1, 0], [12, 0, 0, 2, 8, 1, 0])],
  ['a key past its record', 'CORRUPT_MESSAGE', recordBytes([12, 0, 0, 0, 8, 1, 0], [12, 0, 0, 2, 1, 1, 0])],
  ['a negative number of headers', 'CORRUPT_MESSAGE', recordBytes([12, 0, 0, 0, 1, 1, 0], [12, 0, 0, 2, 1, 1, 1])],
  ['more headers than bytes', 'CORRUPT_MESSAGE', recordBytes([12, 0, 0, 0, 1, 1, 0], [12, 0, 0, 2, 1, 1, 126])],
  ['a header without a name', 'CORRUPT_MESSAGE', recordBytes([12, 0, 0, 0, 1, 1, 0], [16, 0, 0, 2, 1, 1, 2, 1, 1])],
  ['a timestamp below -1', 'INVALID_TIMESTAMP', recordBytes([14, 0, 0xd3, 0x0f, 0, 1, 1, 0], [12, 0, 0, 2, 1, 1, 0])],
];

for (const [why, code, bytes] of [...liesAtTheDoor, ...liesInside]) {
  test(`a batch with ${why} is not read: ${code}`, () => {
    assert.equal(verify(bytes), code);
    assert.equal(decode(bytes), code);
  });
}

test('the door sees lies about lengths and counts, and leaves the others to who reads the records', () => {
  for (const [why, code, bytes] of liesAtTheDoor) assert.equal(codeOf(validateBatch(bytes, codecs)), code, why);
  for (const [why, , bytes] of liesInside) assert.equal(codeOf(validateBatch(bytes, codecs)), 'ok', why);
});

test('a record later than the largest timestamp of its header is seen by verify, and still decoded', () => {
  const bytes = forged(good, (batch) => putInt64(batch, batchLayout.maxTimestamp, 2_999));
  assert.equal(verify(bytes), 'INVALID_TIMESTAMP');
  assert.equal(decode(bytes), 'ok');
});

test('offsets with gaps are decoded: compaction will leave some', () => {
  const bytes = forged(recordBytes([12, 0, 0, 2, 1, 1, 0], [12, 0, 0, 10, 1, 1, 0]), (batch) =>
    putInt32(batch, batchLayout.lastOffsetDelta, 6),
  );
  assert.deepEqual(
    valueOf(decodeBatch(bytes, codecs)).records.map((record) => record.offset),
    [1, 5],
  );
  assert.equal(codeOf(validateBatch(bytes, codecs)), 'INVALID_RECORD');
});

test('a batch of another kind is not handed out as data', () => {
  const control = forged(good, (bytes) => (bytes[batchLayout.attributes + 1] = 0x30));
  assert.equal(decode(control), 'INVALID_RECORD');
  const unknown = forged(good, (bytes) => (bytes[batchLayout.attributes + 1] = 6));
  assert.equal(decode(unknown), 'UNSUPPORTED_COMPRESSION_TYPE');
});

test('a decompression bomb is refused, for every compression, at the limit and not at what it holds', () => {
  const bomb = [newRecord('\0'.repeat(900_000))];
  for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const bytes = batchOf(bomb, compression);
    const limit = { decompressedBytesMax: 100_000 };
    assert.equal(codeOf(decodeBatch(bytes, codecs, limit)), 'MESSAGE_TOO_LARGE', compression);
    assert.equal(codeOf(verifyRecords(bytes, codecs.compression, limit)), 'MESSAGE_TOO_LARGE', compression);
    assert.equal(decode(bytes), 'ok', compression);
  }
});

test('records below an offset are passed over', () => {
  const bytes = Uint8Array.from(good);
  patchBatch(bytes, toOffset(10), toTerm(1));
  const offsetsFrom = (from: number): number[] =>
    valueOf(decodeBatch(bytes, codecs, { fromOffset: toOffset(from) })).records.map(({ offset }) => offset);
  assert.deepEqual(offsetsFrom(0), [10, 11, 12]);
  assert.deepEqual(offsetsFrom(11), [11, 12]);
  assert.deepEqual(offsetsFrom(13), []);
});

test('the first record at or after a time is found, from an offset on', () => {
  for (const compression of ['none', 'lz4'] as const) {
    const bytes = batchOf([...three, newRecord('four', null)], compression);
    patchBatch(bytes, toOffset(10), toTerm(1));
    const find = (time: number, from = 0) =>
      valueOf(findRecordByTime(bytes, toMillis(time), codecs.compression, { fromOffset: toOffset(from) }));
    assert.deepEqual(find(0), { offset: 10, timestampMs: 1_000 });
    assert.deepEqual(find(1_001), { offset: 11, timestampMs: 3_000 });
    assert.deepEqual(find(1_001, 12), { offset: 12, timestampMs: 2_000 });
    assert.equal(find(3_001), null);
    assert.equal(find(0, 13), null);
  }
});

test('decoded bytes are views of the batch', () => {
  const [first] = valueOf(decodeBatch(Buffer.from(good), codecs)).records;
  assert.ok(first?.value?.constructor === Uint8Array, 'not a Buffer, wherever the batch came from');
  const bytes = Uint8Array.from(good);
  assert.equal(valueOf(decodeBatch(bytes, codecs)).records[0]?.value?.buffer, bytes.buffer);
});

test('the builder knows its size and refuses without changing anything', () => {
  const limits = { recordBytesMax: 100, decompressedBytesMax: 250 };
  const builder = new BatchBuilder(limits, 0);
  assert.equal(codeOf(builder.append(newRecord('x'.repeat(101)))), 'MESSAGE_TOO_LARGE');
  assert.equal(codeOf(builder.append(newRecord('x'.repeat(100)))), 'ok');
  assert.equal(codeOf(builder.append(newRecord('x'.repeat(100)))), 'ok');
  const { byteLength } = builder;
  assert.equal(codeOf(builder.append(newRecord('x'.repeat(100)))), 'MESSAGE_TOO_LARGE');
  assert.equal(builder.byteLength, byteLength);
  assert.equal(builder.count, 2);
  const bytes = valueOf(builder.seal({ compression: 'none', producer: null }, codecs));
  assert.equal(bytes.length, byteLength);
  assert.equal(valueOf(decodeBatch(bytes, codecs)).records.length, 2);
  assert.throws(() => builder.append(newRecord('x')), /builder-2/);
});

test('an empty batch and one above the limit are not sealed', () => {
  assert.equal(codeOf(encodeBatch({ records: [], producer: null, compression: 'none' }, codecs)), 'INVALID_RECORD');
  const records = [newRecord('x'.repeat(1_000))];
  const seal = { records, producer: null };
  assert.equal(
    codeOf(encodeBatch({ ...seal, compression: 'none' }, codecs, { batchBytesMax: 500 })),
    'MESSAGE_TOO_LARGE',
  );
  assert.equal(codeOf(encodeBatch({ ...seal, compression: 'zstd' }, codecs, { batchBytesMax: 500 })), 'ok');
});

test('a record of exactly 1 MiB goes, one byte more does not', () => {
  const record = {
    ...newRecord('x'.repeat(1024 * 1024 - 10)),
    key: new Uint8Array(6),
    headers: [{ name: 'größ', value: null }],
  };
  assert.equal(recordContentBytes(record), 1024 * 1024 + 2);
  assert.equal(
    codeOf(encodeBatch({ records: [record], producer: null, compression: 'none' }, codecs)),
    'MESSAGE_TOO_LARGE',
  );
  const bytes = batchOf([{ ...record, key: new Uint8Array(4) }]);
  assert.equal(codeOf(validateBatch(bytes, codecs)), 'ok');
  assert.equal(verify(bytes), 'ok');
  assert.equal(
    codeOf(verifyRecords(bytes, codecs.compression, { recordBytesMax: 1024 * 1024 - 1 })),
    'MESSAGE_TOO_LARGE',
  );
});

test('timestamps that one batch can not hold are refused, not written wrong', () => {
  const records = [newRecord('a', null), newRecord('b', 2 ** 53 - 1)];
  assert.equal(codeOf(encodeBatch({ records, producer: null, compression: 'none' }, codecs)), 'INVALID_TIMESTAMP');
});

test('a batch gets another producer without being encoded again', () => {
  const from = { id: toProducerId(1), epoch: toProducerEpoch(0), baseSequence: toSequence(17) };
  const to = { id: toProducerId(1), epoch: toProducerEpoch(1), baseSequence: toSequence(0) };
  fc.assert(
    fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 3 }), anyCompression, (records, compression) => {
      const bytes = valueOf(encodeBatch({ records, producer: from, compression }, codecs));
      restampProducer(bytes, to, codecs.crc32c);
      assert.deepEqual(bytes, valueOf(encodeBatch({ records, producer: to, compression }, codecs)));
    }),
    { numRuns: 30 },
  );
});

function counts(batch: Uint8Array, count: number): Uint8Array {
  return forged(batch, (bytes) => {
    putInt32(bytes, batchLayout.count, count);
    putInt32(bytes, batchLayout.lastOffsetDelta, count - 1);
  });
}

/** A batch whose records are written here byte by byte; its base timestamp is 1,000 and its largest 3,000. */
function recordBytes(...records: readonly (readonly number[])[]): Uint8Array {
  return withRecords(counts(good, records.length), Uint8Array.from(records.flat()));
}

test('a builder begins with a given buffer, and leaves the room before every batch free', () => {
  for (const capacityBytes of [0, 100, 10_000]) {
    const given = new Uint8Array(50 + capacityBytes).fill(7);
    const builder = new BatchBuilder({}, { bytes: given, headroomBytes: 50 });
    for (let i = 0; i < 20; i++)
      assert.equal(builder.append({ key: null, value: Buffer.alloc(50, i), headers: [], timestampMs: null }), null);
    const length = builder.byteLength;
    const sealed = builder.seal({ compression: 'none', producer: null }, codecs);
    if (sealed.kind === 'refused') assert.fail(sealed.error.message);
    assert.equal(sealed.value.length, length);
    assert.ok(sealed.value.byteOffset >= 50);
    assert.equal(sealed.value.buffer === given.buffer, capacityBytes === 10_000);
    const decoded = decodeBatch(sealed.value, codecs);
    if (decoded.kind === 'refused') assert.fail(decoded.error.message);
    assert.deepEqual(
      decoded.value.records.map(({ value }) => value?.[0]),
      Array.from({ length: 20 }, (_, i) => i),
    );
  }
});
