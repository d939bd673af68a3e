import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'node:test';
import { int16At, int32At, int64At, putInt16, putInt32, putInt64, uint32At } from '../../src/model/big-endian.ts';
import { ByteCursor } from '../../src/model/byte-cursor.ts';
import { putVarint, putVarlong, varintLength, varlongLength } from '../../src/model/varint.ts';

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const safe = fc.maxSafeInteger();

function written(put: (bytes: Uint8Array, at: number, value: number) => number, value: number): Uint8Array {
  const bytes = new Uint8Array(20).fill(0xaa);
  return bytes.subarray(3, put(bytes, 3, value));
}

test('varints of the protocol buffers documentation', () => {
  const known = [
    [0, [0]],
    [-1, [1]],
    [1, [2]],
    [-64, [127]],
    [64, [0x80, 1]],
    [2 ** 31 - 1, [0xfe, 0xff, 0xff, 0xff, 0x0f]],
    [-(2 ** 31), [0xff, 0xff, 0xff, 0xff, 0x0f]],
  ] as const;
  for (const [value, bytes] of known) {
    assert.deepEqual([...written(putVarint, value)], bytes);
    assert.deepEqual([...written(putVarlong, value)], bytes);
  }
});

test('a varint comes back, as long as was said', () => {
  fc.assert(
    fc.property(int32, (value) => {
      const bytes = written(putVarint, value);
      assert.equal(bytes.length, varintLength(value));
      const cursor = new ByteCursor(bytes);
      assert.deepEqual([cursor.varint(), cursor.remaining, cursor.malformed], [value, 0, false]);
    }),
  );
});

test('a varlong comes back, as long as was said, and is what 64-bit arithmetic makes', () => {
  fc.assert(
    fc.property(
      fc.oneof(safe, int32, fc.constantFrom(2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 31, -(2 ** 31) - 1)),
      (value) => {
        const bytes = written(putVarlong, value);
        assert.equal(bytes.length, varlongLength(value));
        assert.deepEqual([...bytes], bigVarlong(value));
        const cursor = new ByteCursor(bytes);
        assert.deepEqual([cursor.varlong(), cursor.remaining, cursor.malformed], [value, 0, false]);
      },
    ),
  );
});

test('varints that end early, are too long or out of range are malformed', () => {
  const read = (bytes: readonly number[], what: 'varint' | 'varlong'): [number, boolean] => {
    const cursor = new ByteCursor(Uint8Array.from(bytes));
    return [cursor[what](), cursor.malformed];
  };
  for (const what of ['varint', 'varlong'] as const) {
    assert.deepEqual(read([], what), [0, true]);
    assert.deepEqual(read([0x80], what), [0, true]);
    assert.deepEqual(read(new Array<number>(11).fill(0x80), what), [0, true]);
  }
  assert.deepEqual(read([0x80, 0x80, 0x80, 0x80, 0x10], 'varint'), [0, true], '33 bits');
  assert.deepEqual(read(bigVarlong(2 ** 53), 'varlong'), [0, true], '2^53');
  assert.deepEqual(read(bigVarlong(-(2 ** 53)), 'varlong'), [0, true], '-2^53');
  assert.deepEqual(read([...new Array<number>(9).fill(0xff), 1], 'varlong'), [0, true], '-2^63');
  assert.deepEqual(read([0x82, 0x80, 0x80, 0], 'varint'), [1, false], 'longer than needed is allowed');
  assert.deepEqual(read([0x82, 0x80, 0x80, 0], 'varlong'), [1, false]);
});

test('after something malformed a cursor answers nothing any more', () => {
  const cursor = new ByteCursor(Uint8Array.of(3, 1, 2, 3));
  assert.equal(cursor.nullableBytes(), null);
  assert.deepEqual(
    [cursor.malformed, cursor.remaining, cursor.byte(), cursor.varint(), cursor.uintLe(2)],
    [true, 0, 0, 0, 0],
  );
});

test('a cursor stays within its span', () => {
  const cursor = new ByteCursor(Uint8Array.of(9, 4, 1, 2, 9), 1, 4);
  assert.deepEqual(cursor.nullableBytes(), Uint8Array.of(1, 2));
  assert.equal(cursor.remaining, 0);
  assert.equal(cursor.byte(), 0);
  assert.ok(cursor.malformed);
});

test('big-endian integers come back', () => {
  const bytes = new Uint8Array(10).fill(0xaa);
  const view = new DataView(bytes.buffer);
  fc.assert(
    fc.property(int32, safe, fc.integer({ min: -32_768, max: 32_767 }), (value, large, small) => {
      putInt64(bytes, 1, large);
      assert.equal(view.getBigInt64(1), BigInt(large));
      assert.equal(int64At(bytes, 1), large);
      putInt32(bytes, 1, value);
      assert.equal(int32At(bytes, 1), value);
      assert.equal(uint32At(bytes, 1), value >>> 0);
      putInt16(bytes, 1, small);
      assert.equal(int16At(bytes, 1), small);
      assert.deepEqual([bytes[0], bytes[9]], [0xaa, 0xaa]);
    }),
  );
});

test('64-bit integers that are not safe are absent', () => {
  const bytes = new Uint8Array(8);
  for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n]) {
    new DataView(bytes.buffer).setBigInt64(0, value);
    assert.equal(int64At(bytes, 0), null, String(value));
  }
});

function bigVarlong(value: number): number[] {
  const big = BigInt(value);
  let raw = BigInt.asUintN(64, (big << 1n) ^ (big >> 63n));
  const bytes: number[] = [];
  for (; raw >= 0x80n; raw >>= 7n) bytes.push(Number(raw & 0x7fn) | 0x80);
  return [...bytes, Number(raw)];
}
