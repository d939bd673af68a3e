import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBatch } from '../../src/model/batch-builder.ts';
import type { DoorCheck } from '../../src/model/batch-validation.ts';
import { validateBatch } from '../../src/model/batch-validation.ts';
import { putInt16, putInt32, putInt64 } from '../../src/model/big-endian.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import { toOffset, toProducerEpoch, toProducerId, toSequence, toTerm } from '../../src/model/ids.ts';
import { batchLayout, patchBatch, readBatchHeader, splitBatches } from '../../src/model/record-batch.ts';
import { batchOf, codecs, codeOf, forged, newRecord, valueOf } from './fixtures.ts';

const good = batchOf([newRecord('one'), newRecord('two', 2_000), newRecord('three', null)]);
const check = (bytes: Uint8Array, door: Partial<DoorCheck> = {}): ErrorCode | 'ok' =>
  codeOf(validateBatch(bytes, { crc32c: codecs.crc32c, ...door }));

test('a header says what was encoded', () => {
  const producer = {
    id: toProducerId(2 ** 53 - 1),
    epoch: toProducerEpoch(32_767),
    baseSequence: toSequence(2 ** 31 - 1),
  };
  const records = [newRecord('a', 5_000), newRecord('b', 4_000), newRecord('c', 9_000)];
  const bytes = valueOf(encodeBatch({ records, producer, compression: 'gzip' }, codecs));
  const header = valueOf(readBatchHeader(bytes));
  const { crc, ...rest } = header;
  assert.equal(crc, codecs.crc32c(bytes.subarray(21)));
  assert.deepEqual(rest, {
    baseOffset: 0,
    byteLength: bytes.length,
    leaderEpoch: 0,
    attributes: 1,
    compression: 'gzip',
    lastOffsetDelta: 2,
    count: 3,
    baseTimestampMs: 5_000,
    maxTimestampMs: 9_000,
    producer,
  });
});

test('no timestamps and no producer are absent, not -1', () => {
  const header = valueOf(readBatchHeader(batchOf([newRecord('a', null)])));
  assert.equal(header.maxTimestampMs, null);
  assert.equal(header.producer, null);
});

const refusals: readonly [why: string, code: ErrorCode, bytes: Uint8Array, door?: Partial<DoorCheck>][] = [
  ['nothing', 'CORRUPT_MESSAGE', new Uint8Array(0)],
  ['less than a header', 'CORRUPT_MESSAGE', good.subarray(0, 60)],
  ['cut by one byte', 'CORRUPT_MESSAGE', good.subarray(0, -1)],
  ['one byte too many', 'CORRUPT_MESSAGE', Uint8Array.of(...good, 0)],
  ['two batches', 'CORRUPT_MESSAGE', Uint8Array.of(...good, ...good)],
  ['a negative length', 'CORRUPT_MESSAGE', forged(good, (bytes) => putInt32(bytes, batchLayout.batchLength, -1))],
  ['magic 1', 'UNSUPPORTED_VERSION', forged(good, (bytes) => (bytes[batchLayout.magic] = 1))],
  ['magic 3', 'UNSUPPORTED_VERSION', forged(good, (bytes) => (bytes[batchLayout.magic] = 3))],
  ['a wrong CRC', 'CORRUPT_MESSAGE', Uint8Array.from(good, (byte, at) => (at === batchLayout.crc ? byte ^ 1 : byte))],
  ['above the size limit', 'MESSAGE_TOO_LARGE', good, { batchBytesMax: good.length - 1 }],
  ['above the default limit', 'MESSAGE_TOO_LARGE', new Uint8Array(1024 * 1024 + 64 * 1024 + 1)],
  ['compression type 5', 'UNSUPPORTED_COMPRESSION_TYPE', attributes(5)],
  ['compression type 7', 'UNSUPPORTED_COMPRESSION_TYPE', attributes(7)],
  ['log-append time', 'INVALID_TIMESTAMP', attributes(1 << 3)],
  ['a transaction', 'INVALID_RECORD', attributes(1 << 4)],
  ['a control batch', 'INVALID_RECORD', attributes(1 << 5)],
  ['a control batch of a transaction', 'INVALID_RECORD', attributes(3 << 4)],
  ['a delete horizon', 'INVALID_RECORD', attributes(1 << 6)],
  ['the highest attribute bit', 'INVALID_RECORD', attributes(0x8000)],
  ['no records', 'INVALID_RECORD', counts(0, -1)],
  ['a count of 0', 'INVALID_RECORD', counts(0, 2)],
  ['a negative count', 'INVALID_RECORD', counts(-5, 2)],
  ['a count above the last delta', 'INVALID_RECORD', counts(4, 2)],
  ['a count below the last delta', 'INVALID_RECORD', counts(2, 2)],
  ['a count that no bytes could hold', 'INVALID_RECORD', counts(2 ** 31 - 1, 2 ** 31 - 2)],
  ['a negative last delta', 'INVALID_RECORD', counts(1, -1)],
  ['a negative base offset', 'CORRUPT_MESSAGE', baseOffset(-1, -1)],
  ['a base offset of 2^53', 'CORRUPT_MESSAGE', baseOffset(0x0020_0000, 0)],
  ['a last offset of 2^53', 'CORRUPT_MESSAGE', baseOffset(0x001f_ffff, 0xffff_fffe)],
  ['a base timestamp of -2', 'INVALID_TIMESTAMP', timestamps(-2, 5)],
  ['a largest timestamp below the base', 'INVALID_TIMESTAMP', timestamps(5, 4)],
  ['a timestamp beyond 2^53-1', 'INVALID_TIMESTAMP', forged(good, (bytes) => (bytes[batchLayout.maxTimestamp] = 1))],
  ['a producer id of -2', 'INVALID_RECORD', producer(-2, 0, 0)],
  ['a producer id without an epoch', 'INVALID_RECORD', producer(1, -1, 0)],
  ['a producer id without a sequence', 'INVALID_RECORD', producer(1, 0, -1)],
];

for (const [why, code, bytes, door] of refusals) {
  test(`the door refuses ${why}: ${code}`, () => assert.equal(check(bytes, door), code));
}

test('the door takes a batch at the very limits', () => {
  assert.equal(check(good, { batchBytesMax: good.length }), 'ok');
  assert.equal(check(baseOffset(0x001f_ffff, 0xffff_fffc)), 'ok');
  assert.equal(check(timestamps(-1, 2 ** 53 - 1)), 'ok');
  assert.equal(check(producer(2 ** 53 - 1, 32_767, 2 ** 31 - 1)), 'ok');
});

test('a compressed count is held against what may be decompressed', () => {
  const bytes = forged(batchOf([newRecord('x')], 'zstd'), (batch) => {
    putInt32(batch, batchLayout.count, 2 ** 31 - 1);
    putInt32(batch, batchLayout.lastOffsetDelta, 2 ** 31 - 2);
  });
  assert.equal(check(bytes), 'INVALID_RECORD');
});

test('behind a wrong CRC nothing else is believed', () => {
  const bytes = Uint8Array.from(attributes(1 << 5));
  bytes[bytes.length - 1]! ^= 1;
  assert.equal(check(bytes), 'CORRUPT_MESSAGE');
});

test('every flipped bit that the CRC covers is found, and every truncation', () => {
  for (let at = batchLayout.attributes; at < good.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Uint8Array.from(good);
      flipped[at]! ^= 1 << bit;
      assert.equal(check(flipped), 'CORRUPT_MESSAGE', `byte ${at}, bit ${bit}`);
    }
  }
  for (let length = 0; length < good.length; length++) {
    assert.equal(check(good.subarray(0, length)), 'CORRUPT_MESSAGE', `${length} bytes`);
  }
});

test('the leader patches offset and epoch in place, and the CRC stays true', () => {
  const bytes = Uint8Array.from(good);
  patchBatch(bytes, toOffset(2 ** 53 - 10), toTerm(2 ** 31 - 1));
  const header = valueOf(validateBatch(bytes, codecs));
  assert.equal(header.baseOffset, 2 ** 53 - 10);
  assert.equal(header.leaderEpoch, 2 ** 31 - 1);
  assert.throws(() => patchBatch(bytes, toOffset(0), toTerm(2 ** 31)), /batch-2/);
  assert.throws(() => patchBatch(new Uint8Array(60), toOffset(0), toTerm(1)), /batch-1/);
});

test('concatenated batches are cut apart, as views', () => {
  const other = batchOf([newRecord('other')], 'snappy');
  const all = Uint8Array.of(...good, ...other, ...good);
  const parts = valueOf(splitBatches(all));
  assert.deepEqual(parts, [good, other, good]);
  assert.ok(parts.every((part) => part.buffer === all.buffer));
  assert.deepEqual(valueOf(splitBatches(new Uint8Array(0))), []);
  for (let length = 1; length < all.length; length++) {
    const whole = length === good.length || length === good.length + other.length;
    assert.equal(codeOf(splitBatches(all.subarray(0, length))), whole ? 'ok' : 'CORRUPT_MESSAGE', `${length} bytes`);
  }
  assert.equal(codeOf(splitBatches(new Uint8Array(200))), 'CORRUPT_MESSAGE');
});

function attributes(bits: number): Uint8Array {
  return forged(good, (bytes) => putInt16(bytes, batchLayout.attributes, bits));
}

function counts(count: number, lastOffsetDelta: number): Uint8Array {
  return forged(good, (bytes) => {
    putInt32(bytes, batchLayout.count, count);
    putInt32(bytes, batchLayout.lastOffsetDelta, lastOffsetDelta);
  });
}

function baseOffset(high: number, low: number): Uint8Array {
  return forged(good, (bytes) => {
    putInt32(bytes, batchLayout.baseOffset, high);
    putInt32(bytes, batchLayout.baseOffset + 4, low);
  });
}

function timestamps(base: number, max: number): Uint8Array {
  return forged(good, (bytes) => {
    putInt64(bytes, batchLayout.baseTimestamp, base);
    putInt64(bytes, batchLayout.maxTimestamp, max);
  });
}

function producer(id: number, epoch: number, sequence: number): Uint8Array {
  return forged(good, (bytes) => {
    putInt64(bytes, batchLayout.producerId, id);
    putInt16(bytes, batchLayout.producerEpoch, epoch);
    putInt32(bytes, batchLayout.baseSequence, sequence);
  });
}
