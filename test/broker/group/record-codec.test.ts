import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvariantViolation } from '../../../src/model/assert.ts';
import { toMemberEpoch, toOffset, toTerm } from '../../../src/model/ids.ts';
import { assignmentOf } from '../../../src/broker/group/assignment.ts';
import { decodeEntry, encodeEntry } from '../../../src/broker/group/record-codec.ts';
import type { GroupEntry, GroupRecord } from '../../../src/broker/group/records.ts';
import { assignorNames, leaveReasons, removalReasons } from '../../../src/broker/group/records.ts';

const plain = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(shape, { noNullPrototype: true });
const text = fc.string({ unit: 'grapheme', maxLength: 30 });
const count = fc.oneof(fc.nat(), fc.constant(Number.MAX_SAFE_INTEGER), fc.nat({ max: 2 ** 40 }));
const epoch = fc.nat({ max: 2 ** 31 - 1 }).map(toMemberEpoch);
const texts = fc.array(text, { maxLength: 4 });
const assignment = fc
  .array(fc.tuple(text, fc.array(fc.nat(100_000), { maxLength: 8 })), { maxLength: 4 })
  .map(assignmentOf);
const anyOffset = plain({
  topic: text,
  topicId: fc.constantFrom('id-1', 'id-2'),
  partition: fc.nat(),
  offset: count.map(toOffset),
  leaderEpoch: fc.option(count.map(toTerm)),
  metadata: text,
});
const shape = plain({ topic: text, topicId: text, partitionCount: fc.nat() });

const profile = plain({ clientId: text, topics: texts, instanceId: fc.option(text), rack: fc.option(text) });

const kinds: { [K in GroupRecord['kind']]: fc.Arbitrary<Extract<GroupRecord, { kind: K }>> } = {
  'group-created': plain({
    kind: fc.constant('group-created' as const),
    assignor: fc.constantFrom(...assignorNames),
    catalogRevision: count,
  }),
  'assignor-chosen': plain({
    kind: fc.constant('assignor-chosen' as const),
    assignor: fc.constantFrom(...assignorNames),
  }),
  'member-joined': plain({
    kind: fc.constant('member-joined' as const),
    ...{ memberId: text, nonceHash: text, profile, epoch },
  }),
  'member-resumed': plain({
    kind: fc.constant('member-resumed' as const),
    ...{ memberId: text, nonceHash: text, profile, epoch },
  }),
  'member-away': plain({ kind: fc.constant('member-away' as const), memberId: text, epoch }),
  'member-left': plain({
    kind: fc.constant('member-left' as const),
    ...{ memberId: text, reason: fc.constantFrom(...leaveReasons) },
  }),
  'target-changed': plain({
    kind: fc.constant('target-changed' as const),
    catalogRevision: count,
    topics: fc.array(shape, { maxLength: 3 }),
    targets: fc.array(plain({ memberId: text, target: assignment }), { maxLength: 3 }),
  }),
  'member-assigned': plain({
    kind: fc.constant('member-assigned' as const),
    ...{ memberId: text, epoch, assigned: assignment, revoking: assignment },
  }),
  'offsets-committed': plain({
    kind: fc.constant('offsets-committed' as const),
    memberId: fc.option(text),
    stamp: plain({ memberEpoch: fc.nat(), sequence: count }),
    catalogRevision: count,
    offsets: fc
      .array(anyOffset, { maxLength: 5 })
      .map((offsets) => offsets.map((one) => ({ ...one, topic: `name of ${one.topicId}` }))),
  }),
  'offsets-removed': plain({
    kind: fc.constant('offsets-removed' as const),
    reason: fc.constantFrom(...removalReasons),
    topicId: text,
    partitions: fc.array(fc.nat(), { maxLength: 4 }),
  }),
  'group-deleted': plain({ kind: fc.constant('group-deleted' as const) }),
};

const anyEntry: fc.Arbitrary<GroupEntry> = plain({
  tenant: fc.nat(),
  groupId: text,
  guard: fc.option(plain({ memberId: text, epoch })),
  records: fc.array(fc.oneof(...Object.values(kinds)), { maxLength: 4 }),
});

test('every entry decodes to what was encoded, and encodes to the same bytes again', () => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      const bytes = encodeEntry(entry);
      const decoded = decodeEntry(bytes);
      assert.deepEqual(decoded, entry);
      assert.deepEqual(encodeEntry(decoded), bytes);
    }),
    { numRuns: 500 },
  );
});

test('texts of any length in letters and in bytes are written behind their length in bytes', () => {
  for (const letter of ['a', 'é', '語', '😀']) {
    for (const count of [0, 1, 21, 22, 31, 32, 63, 64, 2_730, 2_731, 8_191, 8_192]) {
      const entry: GroupEntry = { tenant: 0, groupId: letter.repeat(count), guard: null, records: [] };
      assert.deepEqual(decodeEntry(encodeEntry(entry)), entry);
    }
  }
});

test('the stored form does not change', () => {
  const entry: GroupEntry = {
    tenant: 0,
    groupId: 'g',
    guard: { memberId: 'm', epoch: toMemberEpoch(2) },
    records: [
      { kind: 'member-left', memberId: 'm', reason: 'session-expired' },
      {
        kind: 'offsets-committed',
        memberId: 'm',
        stamp: { memberEpoch: 2, sequence: 3 },
        catalogRevision: 4,
        offsets: [
          { topic: 't', topicId: 'i', partition: 1, offset: toOffset(2 ** 40), leaderEpoch: null, metadata: 'é' },
          { topic: 't', topicId: 'i', partition: 2, offset: toOffset(0), leaderEpoch: toTerm(0), metadata: '' },
        ],
      },
      {
        kind: 'target-changed',
        catalogRevision: 4,
        topics: [],
        targets: [{ memberId: 'm', target: assignmentOf([['i', [3, 9]]]) }],
      },
    ],
  };
  const golden =
    '0100026701026d040604026d010701026d040608020274026904028080808080400004c3a9040001000005080002026d02026904060c';
  assert.equal(Buffer.from(encodeEntry(entry)).toString('hex'), golden);
  assert.deepEqual(decodeEntry(new Uint8Array(Buffer.from(golden, 'hex'))), entry);
});

const sample: GroupEntry = {
  tenant: 0,
  groupId: 'group',
  guard: null,
  records: [
    { kind: 'group-created', assignor: 'range', catalogRevision: 0 },
    { kind: 'member-left', memberId: 'member', reason: 'left' },
  ],
};

test('pit-P124: an unknown version or kind halts the partition', () => {
  const bytes = encodeEntry(sample);
  assert.throws(() => decodeEntry(bytes.with(0, 2)), InvariantViolation);
  const kindAt = bytes.indexOf(4, 8);
  assert.throws(() => decodeEntry(bytes.with(kindAt, 99)), InvariantViolation);
});

test('no cut and no flipped byte ends in anything but an entry or a broken invariant', () => {
  const bytes = encodeEntry(sample);
  for (let end = 0; end < bytes.length; end++) {
    assert.throws(() => decodeEntry(bytes.subarray(0, end)), InvariantViolation);
  }
  assert.throws(() => decodeEntry(Uint8Array.from([...bytes, 0])), InvariantViolation);
  fc.assert(
    fc.property(anyEntry, fc.nat(), fc.nat(255), (entry, place, value) => {
      const damaged = encodeEntry(entry);
      damaged[place % damaged.length] = value;
      try {
        decodeEntry(damaged);
      } catch (error) {
        assert.ok(error instanceof InvariantViolation, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
