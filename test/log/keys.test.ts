import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GroupKeys, headerKey, headerRange, indexOfKey, keyTags, stateKeyOf } from '../../src/log/keys.ts';
import { LogCorruption } from '../../src/log/reader.ts';
import { toGroupNumber, toLogIndex, toMillis, toOffset } from '../../src/model/ids.ts';

const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex');
const anyGroup = fc.oneof(fc.nat(300), fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 48 - 1)).map(toGroupNumber);
const anyNumber = fc.oneof(fc.nat(70_000), fc.maxSafeNat(), fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 40)).map(toLogIndex);
const numberedTags = [
  keyTags.checkpoint,
  keyTags.termStart,
  keyTags.metadata,
  keyTags.payload,
  keyTags.offsetIndex,
] as const;
const anyTag = fc.constantFrom(...numberedTags);

test('the keys of one group, in the order of the picture', () => {
  const keys = new GroupKeys(toGroupNumber(0x0102));
  const five = toLogIndex(5);
  const inOrder = [
    keys.single(keyTags.hardState),
    keys.single(keyTags.logStart),
    keys.single(keyTags.checkpointList),
    keys.single(keyTags.appliedIndex),
    keys.numbered(keyTags.checkpoint, five),
    keys.numbered(keyTags.termStart, five),
    keys.numbered(keyTags.configuration, five),
    keys.numbered(keyTags.metadata, five),
    keys.numbered(keyTags.payload, five),
    keys.numbered(keyTags.offsetIndex, toOffset(5)),
    keys.timePoint(toMillis(7), five),
    keys.state(Buffer.from('a')),
  ].map(hex);
  assert.deepEqual(inOrder, [...inOrder].sort());
  assert.equal(inOrder[0], '000000000000010201');
  assert.equal(inOrder[7], '0000000000000102200000000000000005');
  assert.equal(inOrder[10], '00000000000001023100000000000000070000000000000005');
  assert.equal(hex(headerKey(toGroupNumber(0x0102))), '010000000000000102');
});

test('keys order by group, tag and number, and give the number back', () => {
  fc.assert(
    fc.property(anyGroup, anyTag, anyNumber, anyGroup, anyTag, anyNumber, (groupA, tagA, a, groupB, tagB, b) => {
      const keyA = new GroupKeys(groupA).numbered(tagA, a);
      const keyB = new GroupKeys(groupB).numbered(tagB, b);
      const expected = Math.sign(groupA - groupB || tagA - tagB || a - b);
      assert.equal(Math.sign(Buffer.compare(keyA, keyB)), expected);
      assert.equal(indexOfKey(keyA), a);
    }),
  );
});

test('time points order by timestamp, then by index', () => {
  const keys = new GroupKeys(toGroupNumber(3));
  fc.assert(
    fc.property(anyNumber, anyNumber, anyNumber, anyNumber, (timeA, a, timeB, b) => {
      const order = Buffer.compare(keys.timePoint(toMillis(timeA), a), keys.timePoint(toMillis(timeB), b));
      assert.equal(Math.sign(order), Math.sign(timeA - timeB || a - b));
      assert.equal(indexOfKey(keys.timePoint(toMillis(timeA), a)), a);
    }),
  );
});

test('every key of a group lies in its range, and in no other group`s', () => {
  fc.assert(
    fc.property(
      anyGroup,
      anyTag,
      anyNumber,
      anyGroup,
      fc.uint8Array({ maxLength: 20 }),
      (group, tag, number, other, state) => {
        const keys = new GroupKeys(group);
        const mine = [keys.numbered(tag, number), keys.state(state), keys.single(keyTags.hardState)];
        const { from, to } = new GroupKeys(other).all();
        for (const key of mine) {
          const within = Buffer.compare(from, key) <= 0 && Buffer.compare(key, to) < 0;
          assert.equal(within, group === other);
          assert.equal(key[0], 0, 'headers and the store`s own keys lie apart');
        }
        const tagged = keys.tagged(tag);
        const inTag = Buffer.compare(tagged.from, mine[0]!) <= 0 && Buffer.compare(mine[0]!, tagged.to) < 0;
        assert.ok(inTag);
        assert.deepEqual(stateKeyOf(keys.state(state)), state);
      },
    ),
  );
});

test('headers lie in their own range', () => {
  const { from, to } = headerRange();
  fc.assert(
    fc.property(anyGroup, (group) => {
      assert.ok(Buffer.compare(from, headerKey(group)) <= 0 && Buffer.compare(headerKey(group), to) < 0);
    }),
  );
});

test('a key that holds no index is corrupt', () => {
  assert.throws(() => indexOfKey(Uint8Array.of(1, 2, 3)), LogCorruption);
  assert.throws(() => indexOfKey(new Uint8Array(17).fill(0xff)), LogCorruption);
});
