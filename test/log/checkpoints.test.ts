import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkpointsMax, removableThrough, thinned } from '../../src/log/checkpoints.ts';
import { genesisPosition, type LogPosition } from '../../src/log/log-position.ts';
import { toLogIndex, toOffset } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { headerOf } from '../fakes/log-fixture.ts';

const at = (index: number): LogPosition => ({
  ...genesisPosition(headerOf(7), crc32c),
  index: toLogIndex(index),
  endOffset: toOffset(index * 10),
});
const indexes = (positions: readonly LogPosition[]): readonly number[] => positions.map(({ index }) => index);

test('inv-log-9 the base moves to the newest checkpoint whose entries all lie below the log start', () => {
  const checkpoints = [at(5), at(10), at(20)];
  const cases: readonly (readonly [number, number | null])[] = [
    [0, null],
    [49, null],
    [50, 5],
    [99, 5],
    [100, 10],
    [199, 10],
    [5_000, 20],
  ];
  for (const [logStart, expected] of cases) {
    assert.equal(removableThrough(checkpoints, toOffset(logStart))?.index ?? null, expected, `log start ${logStart}`);
  }
  assert.equal(removableThrough([], toOffset(9)), null);
});

test('keeps the oldest, the newest, and others spread between them', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 200 }), (gaps) => {
      let kept: readonly LogPosition[] = [];
      let index = 0;
      for (const gap of gaps) {
        index += gap;
        kept = thinned([...kept, at(index)]);
        assert.ok(kept.length <= checkpointsMax);
        assert.equal(kept.at(-1)?.index, index);
        assert.equal(kept[0]?.index, gaps[0]);
        assert.deepEqual(
          indexes(kept),
          [...indexes(kept)].sort((a, b) => a - b),
        );
      }
    }),
  );
});

test('with checkpoints at even distances no gap is wider than a quarter of the log', () => {
  let kept: readonly LogPosition[] = [];
  for (let index = 1; index <= 5_000; index++) {
    kept = thinned([...kept, at(index)]);
    if (kept.length < checkpointsMax) continue;
    const widest = Math.max(...kept.slice(1).map((position, i) => position.index - (kept[i]?.index ?? 0)));
    assert.ok(widest <= index / 4, `${widest} of ${index}`);
  }
});
