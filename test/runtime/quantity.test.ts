import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBytes, parseSpanMs } from '../../src/runtime/quantity.ts';

test('bytes are read with decimal and binary units, and bare', () => {
  assert.deepEqual(['512', '1kB', '64MiB', '1.5 GiB', '2TB'].map(parseBytes), [512, 1000, 67108864, 1610612736, 2e12]);
});

test('spans are read with units, and bare as milliseconds', () => {
  assert.deepEqual(['250', '5s', '1.5m', '2h', '1d'].map(parseSpanMs), [250, 5_000, 90_000, 7_200_000, 86_400_000]);
});

test('what is not a whole, safe quantity is not read', () => {
  assert.deepEqual(
    ['', '-1', '1 parsec', '64mib', '1.5B', '99999999TiB', '1e3', 'MiB', '0x10'].map(parseBytes),
    Array.from({ length: 9 }, () => null),
  );
  assert.equal(parseSpanMs('5S'), null);
});
