import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spanMs } from '../../src/cli/option-values.ts';
import { startingPoint } from '../../src/cli/starting-point.ts';

test('--from takes ends, offsets, the last records and times', () => {
  assert.deepEqual(startingPoint('earliest'), { kind: 'earliest' });
  assert.deepEqual(startingPoint('latest'), { kind: 'latest' });
  assert.deepEqual(startingPoint('0'), { kind: 'offset', offset: 0 });
  assert.deepEqual(startingPoint('-10'), { kind: 'last', count: 10 });
  assert.deepEqual(startingPoint('@2026-01-01T00:00Z'), { kind: 'time', timestampMs: Date.UTC(2026, 0) });
  assert.deepEqual(startingPoint('@1767225600000'), { kind: 'time', timestampMs: 1_767_225_600_000 });
});

test('--from refuses everything else', () => {
  for (const text of ['', 'Earliest', '1.5', '--1', '9007199254740992', '@', '@soon', '@1900-01-01', '1 '])
    assert.throws(() => startingPoint(text), /an offset like 100/, text);
});

test('times need a unit and stay within a day', () => {
  assert.deepEqual(['1ms', '1.5s', '2m', '24h'].map(spanMs), [1, 1_500, 120_000, 86_400_000]);
  for (const text of ['', '5', '5 s', '-1s', '25h', '0ms', '1d'])
    assert.throws(() => spanMs(text), /with its unit/, text);
});
