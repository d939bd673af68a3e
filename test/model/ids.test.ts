import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantViolation } from '../../src/model/assert.ts';
import * as ids from '../../src/model/ids.ts';

const ranges: readonly [name: string, make: (value: number) => number, max: number][] = [
  ['offset', ids.toOffset, Number.MAX_SAFE_INTEGER],
  ['log index', ids.toLogIndex, Number.MAX_SAFE_INTEGER],
  ['term', ids.toTerm, Number.MAX_SAFE_INTEGER],
  ['group', ids.toGroupNumber, 2 ** 48 - 1],
  ['replica id', ids.toReplicaId, Number.MAX_SAFE_INTEGER],
  ['broker id', ids.toBrokerId, 2 ** 31 - 1],
  ['producer id', ids.toProducerId, Number.MAX_SAFE_INTEGER],
  ['producer epoch', ids.toProducerEpoch, 32_767],
  ['sequence', ids.toSequence, 2 ** 31 - 1],
  ['milliseconds', ids.toMillis, Number.MAX_SAFE_INTEGER],
  ['member epoch', ids.toMemberEpoch, 2 ** 31 - 1],
];

for (const [name, make, max] of ranges) {
  test(`ids-1: a ${name} is an integer from 0 to ${max}`, () => {
    for (const value of [0, 1, max]) assert.equal(make(value), value);
    for (const value of [-1, max + 1, 0.5, NaN, Infinity]) assert.throws(() => make(value), InvariantViolation);
  });
}

test('sem-I2: the sequence number after 2^31-1 is 0', () => {
  assert.equal(ids.sequencePlus(ids.toSequence(2 ** 31 - 1), 1), 0);
  assert.equal(ids.sequencePlus(ids.toSequence(2 ** 31 - 2), 5), 3);
  assert.equal(ids.sequencePlus(ids.toSequence(7), 0), 7);
});

test('arithmetic stays in range or stops', () => {
  assert.equal(ids.offsetPlus(ids.toOffset(5), 3), 8);
  assert.throws(() => ids.offsetPlus(ids.toOffset(Number.MAX_SAFE_INTEGER), 1), InvariantViolation);
  assert.equal(ids.recordsBetween(ids.toOffset(5), ids.toOffset(8)), 3);
  assert.throws(() => ids.recordsBetween(ids.toOffset(8), ids.toOffset(5)), InvariantViolation);
  assert.equal(ids.previousIndex(ids.toLogIndex(1)), ids.indexZero);
  assert.throws(() => ids.previousIndex(ids.indexZero), InvariantViolation);
  assert.equal(ids.nextIndex(ids.indexZero), 1);
  assert.equal(ids.nextTerm(ids.termZero), 1);
  assert.equal(ids.millisPlus(ids.toMillis(5), 3), 8);
});
