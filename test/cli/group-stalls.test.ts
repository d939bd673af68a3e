import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Explanation, GroupDetails, GroupMember, PartitionLag } from '../../clients/typescript/src/index.ts';
import { groupStalls } from '../../src/cli/group-stalls.ts';
import type { GroupStall } from '../../src/cli/group-stalls.ts';

const lagOf = (lag: number, more: Partial<PartitionLag> = {}): PartitionLag => ({
  ...{ topic: 't', partition: 0, committedOffset: 10, logStartOffset: 0, highWatermark: 10 + lag, lag },
  ...{ lagMs: lag === 0 ? 0 : 5_000, lostRecords: 0, losesDataInMs: null },
  ...more,
});

const memberOf = (more: Partial<GroupMember> = {}): GroupMember => ({
  ...{
    memberId: 'm',
    clientId: 'c',
    topics: ['t'],
    memberEpoch: 1,
    state: 'stable',
    assigned: [{ topic: 't', partition: 0 }],
  },
  ...{ revoking: [], awaited: [], suspect: false, sessionRemainingMs: 30_000 },
  ...{ instanceId: null, away: false, rack: null },
  ...(more as object),
});

const groupOf = (members: readonly GroupMember[], more: Partial<GroupDetails> = {}): GroupDetails => ({
  ...({ group: 'g', state: 'stable', memberCount: members.length, offsetCount: 1, coordinator: 0 } as const),
  ...{ assignor: 'uniform', epoch: 1, emptySinceMs: null, members, rebalances: [] },
  ...more,
});

const readable: Explanation = {
  ...{ topicId: 'id', answeredBy: 0, leader: 0, leaderEpoch: 1, logStartOffset: 0, highWatermark: 20, endOffset: 20 },
  stalls: [],
};

/** Nothing was committed between the looks, unless told otherwise. */
const stalls = (
  group: GroupDetails,
  lags: readonly PartitionLag[],
  { before = 10, explained = readable }: { readonly before?: number; readonly explained?: Explanation } = {},
): readonly GroupStall[] =>
  groupStalls({
    ...{ group, lags, betweenMs: 2_000 },
    before: new Map(lags.map(({ topic, partition }) => [`${topic}/${partition}`, before])),
    explained: new Map(lags.map(({ topic, partition }) => [`${topic}/${partition}`, explained])),
  });

const only = (all: readonly GroupStall[]): GroupStall => {
  assert.equal(all.length, 1, JSON.stringify(all));
  return all[0] as GroupStall;
};

test('nothing is wrong: nothing committed, everything read, or it reads', () => {
  for (const [reason, found] of [
    ['nothing-committed', stalls(groupOf([]), [])],
    ['caught-up', stalls(groupOf([memberOf()]), [lagOf(0)])],
    ['reading', stalls(groupOf([memberOf()]), [lagOf(5)], { before: 4 })],
  ] as const) {
    const { repair, blocks, ...stall } = only(found);
    assert.deepEqual([stall.reason, repair, blocks], [reason, null, false]);
  }
  assert.match(
    only(stalls(groupOf([memberOf()]), [lagOf(5)], { before: 4 })).message,
    /6 records in 2 s and has 5 to go/,
  );
});

test('nobody consumes', () => {
  const stall = only(stalls(groupOf([], { emptySinceMs: 0 }), [lagOf(7)]));
  assert.equal(stall.reason, 'no-members');
  assert.match(stall.message, /no members since 1970-01-01T00:00:00\.000Z, and 7 records wait in t\/0/);
  assert.match(stall.repair ?? '', /sluice consume t -g g/);
});

test('what blocks a partition is told before whose it is', () => {
  const stalled: Explanation = {
    ...readable,
    stalls: [
      {
        ...({
          reason: 'no-leader',
          message: 'nobody leads the partition',
          blocksProduce: true,
          blocksFetch: true,
        } as const),
        ...{ missingBrokers: [1, 2], done: 1, total: 2 },
      },
    ],
  };
  const stall = only(stalls(groupOf([memberOf({ suspect: true })]), [lagOf(3)], { explained: stalled }));
  assert.equal(stall.reason, 'partition-stalled');
  assert.match(stall.message, /t\/0 can not be read: nobody leads/);
  assert.match(stall.repair ?? '', /Start brokers 1 and 2 again/);
});

test('a member is named: it gives up late, is silent, or is stuck', () => {
  const place = { topic: 't', partition: 0 };
  for (const [reason, member, says] of [
    ['member-revoking', memberOf({ assigned: [], revoking: [place], state: 'revoking' }), /m \(c\) has yet to give up/],
    ['member-suspect', memberOf({ suspect: true }), /m \(c\) is not heard of, and keeps t\/0 until it is out in 30 s/],
    ['member-stuck', memberOf(), /m \(c\) lives and committed nothing in 2 s; 3 records/],
  ] as const) {
    const stall = only(stalls(groupOf([member]), [lagOf(3)]));
    assert.deepEqual([stall.reason, stall.memberId, stall.blocks], [reason, 'm', true]);
    assert.match(stall.message, says);
    assert.notEqual(stall.repair, null);
  }
});

test('a partition that nobody reads', () => {
  const idle = memberOf({ assigned: [] });
  assert.match(only(stalls(groupOf([idle]), [lagOf(3)])).message, /No member reads t\/0: none subscribes/);
  const moving = groupOf([idle], { state: 'reconciling' });
  assert.match(only(stalls(moving, [lagOf(3)])).repair ?? '', /Wait some seconds/);
});

test('what retention took, and what it will take, is told beside what blocks', () => {
  const found = stalls(groupOf([memberOf()]), [lagOf(3, { lostRecords: 4, losesDataInMs: 60_000 })]);
  assert.deepEqual(
    found.map(({ reason }) => reason),
    ['member-stuck', 'records-lost', 'losing-records'],
  );
  assert.match(found[1]?.message ?? '', /took 4 records/);
  assert.match(found[2]?.message ?? '', /In 60 s/);
});

test('stalls of one member are one, with all its partitions', () => {
  const places = [0, 1, 2].map((partition) => ({ topic: 't', partition }));
  const lags = places.map((place) => lagOf(2, place));
  const { partitions } = only(stalls(groupOf([memberOf({ assigned: places })]), lags));
  assert.deepEqual(partitions, places);
});
