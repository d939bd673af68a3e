import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Assignment } from '../../../src/broker/group/assignment.ts';
import { assignmentOf, nothing, partitionTotal, sameAssignment } from '../../../src/broker/group/assignment.ts';
import type { Subscriber } from '../../../src/broker/group/assignors.ts';
import { assign } from '../../../src/broker/group/assignors.ts';
import type { TopicShape } from '../../../src/broker/group/group-topics.ts';
import { assignorNames } from '../../../src/broker/group/records.ts';

const shape = (topic: string, partitionCount: number): TopicShape => ({
  topic,
  topicId: `id-${topic}`,
  partitionCount,
});
const subscriber = (
  memberId: string,
  topics: readonly string[],
  previous: Assignment = nothing,
  rack: string | null = null,
): Subscriber => ({ memberId, topics, previous, rack });
/** Replicas in two of three racks. */
const spread = {
  racksOf: (topicId: string, partition: number) => [0, 1].map((n) => `r${(topicId.length + partition + n) % 3}`),
};
const listOf = (assignment: Assignment | undefined): [string, readonly number[]][] => [...(assignment ?? [])];

const anyShapes = fc
  .array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 })
  .map((counts) => counts.map((count, i) => shape(`t${i}`, count)));
const anySubscribers = (shapes: readonly TopicShape[]) =>
  fc
    .array(
      fc.record({
        topics: fc.subarray(shapes.map(({ topic }) => topic)),
        previous: fc.array(fc.tuple(fc.nat(shapes.length - 1), fc.nat(15)), { maxLength: 10 }),
        rack: fc.option(fc.constantFrom('r0', 'r1', 'r2', 'r3')),
      }),
      { minLength: 1, maxLength: 6 },
    )
    .map((members) =>
      members.map(({ topics, previous, rack }, i) => {
        const lists = previous.map(([t, p]): [string, number[]] => [shapes[t]?.topicId ?? '', [p]]);
        return subscriber(`m${i}`, topics, assignmentOf(lists), rack);
      }),
    );
const anyProblem = anyShapes.chain((shapes) =>
  fc.record({
    shapes: fc.constant(shapes),
    members: anySubscribers(shapes),
    assignor: fc.constantFrom(...assignorNames),
  }),
);

test('inv-B7: every partition with a subscriber goes to exactly one of them, whatever was before', () => {
  fc.assert(
    fc.property(anyProblem, ({ shapes, members, assignor }) => {
      const shares = assign(assignor, members, shapes, spread);
      for (const { topic, topicId, partitionCount } of shapes) {
        const takers = members.filter(({ topics }) => topics.includes(topic)).map(({ memberId }) => memberId);
        for (let partition = 0; partition < partitionCount; partition++) {
          const holders = members.filter(({ memberId }) => shares.get(memberId)?.get(topicId)?.includes(partition));
          assert.equal(holders.length, takers.length === 0 ? 0 : 1);
          for (const { memberId } of holders) assert.ok(takers.includes(memberId));
        }
      }
      const total = [...shares.values()].reduce((sum, share) => sum + partitionTotal(share), 0);
      const subscribed = shapes.filter(({ topic }) => members.some(({ topics }) => topics.includes(topic)));
      assert.equal(
        total,
        subscribed.reduce((sum, { partitionCount }) => sum + partitionCount, 0),
      );
    }),
    { numRuns: 300 },
  );
});

test('the order in which members and topics are named does not matter', () => {
  fc.assert(
    fc.property(anyProblem, ({ shapes, members, assignor }) => {
      const one = assign(assignor, members, shapes, spread);
      const two = assign(assignor, [...members].reverse(), [...shapes].reverse(), spread);
      for (const { memberId } of members) assert.deepEqual(listOf(one.get(memberId)), listOf(two.get(memberId)));
    }),
    { numRuns: 100 },
  );
});

test('uniform: no single move would make the loads more even, and doing it again changes nothing', () => {
  fc.assert(
    fc.property(anyProblem, ({ shapes, members }) => {
      const shares = assign('uniform', members, shapes);
      const load = (memberId: string): number => partitionTotal(shares.get(memberId) ?? nothing);
      for (const { topic, topicId } of shapes) {
        const takers = members.filter(({ topics }) => topics.includes(topic));
        for (const from of takers.filter(({ memberId }) => shares.get(memberId)?.has(topicId))) {
          for (const to of takers) assert.ok(load(from.memberId) - load(to.memberId) < 2);
        }
      }
      const kept = members.map((member) => ({ ...member, previous: shares.get(member.memberId) ?? nothing }));
      const again = assign('uniform', kept, shapes);
      for (const { memberId } of members) assert.deepEqual(listOf(again.get(memberId)), listOf(shares.get(memberId)));
    }),
    { numRuns: 300 },
  );
});

test('uniform is sticky: of 100 members with 1,000 partitions one leaves, and nobody else loses any', () => {
  const shapes = [shape('a', 600), shape('b', 400)];
  const members = Array.from({ length: 100 }, (_, i) => subscriber(`m${String(i).padStart(3, '0')}`, ['a', 'b']));
  const shares = assign('uniform', members, shapes);
  const left = members
    .filter(({ memberId }) => memberId !== 'm050')
    .map((member) => ({ ...member, previous: shares.get(member.memberId) ?? nothing }));
  const after = assign('uniform', left, shapes);
  for (const { memberId, previous } of left) {
    const now = after.get(memberId) ?? nothing;
    for (const [topicId, partitions] of previous) {
      for (const partition of partitions) assert.ok(now.get(topicId)?.includes(partition), `${memberId} lost one`);
    }
    assert.ok(partitionTotal(now) <= 11);
  }
});

test('uniform: a member that joins takes from the most loaded only what makes the loads even', () => {
  const shapes = [shape('a', 9)];
  const before = assign('uniform', [subscriber('m1', ['a']), subscriber('m2', ['a'])], shapes);
  const members = ['m1', 'm2', 'm3'].map((id) => subscriber(id, ['a'], before.get(id) ?? nothing));
  const after = assign('uniform', members, shapes);
  assert.deepEqual(
    ['m1', 'm2', 'm3'].map((id) => partitionTotal(after.get(id) ?? nothing)),
    [3, 3, 3],
  );
  const moved = ['m1', 'm2'].map((id) => partitionTotal(before.get(id) ?? nothing) - 3);
  assert.deepEqual(
    moved.reduce((a, b) => a + b),
    3,
  );
});

test('range: neighbouring partitions, the same numbers of every topic at the same member', () => {
  const shares = assign(
    'range',
    [subscriber('m1', ['a', 'b']), subscriber('m2', ['a', 'b'])],
    [shape('a', 5), shape('b', 5)],
  );
  assert.deepEqual(listOf(shares.get('m1')), [
    ['id-a', [0, 1]],
    ['id-b', [0, 1]],
  ]);
  assert.deepEqual(listOf(shares.get('m2')), [
    ['id-a', [2, 3, 4]],
    ['id-b', [2, 3, 4]],
  ]);
});

test('range: more members than partitions leaves some with nothing', () => {
  const shares = assign(
    'range',
    ['m1', 'm2', 'm3'].map((id) => subscriber(id, ['a'])),
    [shape('a', 2)],
  );
  assert.equal([...shares.values()].filter((share) => sameAssignment(share, nothing)).length, 1);
});

/** How many partitions are read where they have a replica. */
function nearCount(
  shares: ReadonlyMap<string, Assignment>,
  members: readonly Subscriber[],
  racks: Parameters<typeof assign>[3] = spread,
): number {
  let near = 0;
  for (const { memberId, rack } of members)
    for (const [topicId, partitions] of shares.get(memberId) ?? nothing)
      for (const partition of partitions) if (racks.racksOf(topicId, partition).includes(rack ?? '')) near += 1;
  return near;
}

/** One replica of each partition, in turn in three racks. */
const single = { racksOf: (_: string, partition: number) => [`r${partition % 3}`] };
const inRacks = (topics: readonly string[]): Subscriber[] =>
  [0, 1, 2].map((n) => subscriber(`m${n}`, topics, nothing, `r${n}`));

test('uniform: members get what has a replica in their rack, if the shares stay balanced', () => {
  const shapes = [shape('a', 9), shape('b', 3)];
  const members = inRacks(['a', 'b']);
  const shares = assign('uniform', members, shapes, single);
  assert.equal(nearCount(shares, members, single), 12);
  assert.deepEqual(members.map(({ memberId }) => partitionTotal(shares.get(memberId) ?? nothing)), [4, 4, 4]); // prettier-ignore

  const oneSided = { racksOf: () => ['r0'] };
  const uneven = assign('uniform', members, shapes, oneSided);
  assert.deepEqual(members.map(({ memberId }) => partitionTotal(uneven.get(memberId) ?? nothing)), [4, 4, 4]); // prettier-ignore
  assert.equal(nearCount(uneven, members, oneSided), 4, 'balance comes before nearness');
});

test('uniform: what can be read near one member only does not lose its place to what can be read near many', () => {
  const racks = { racksOf: (_: string, partition: number) => (partition === 0 ? ['r0', 'r1'] : ['r0']) };
  const members = [subscriber('m0', ['a'], nothing, 'r0'), subscriber('m1', ['a'], nothing, 'r1')];
  const shares = assign('uniform', members, [shape('a', 2)], racks);
  assert.deepEqual([listOf(shares.get('m0')), listOf(shares.get('m1'))], [[['id-a', [1]]], [['id-a', [0]]]]);
});

test('uniform: of what a newcomer must be given, it gets what is near it; nothing moves for nearness alone', () => {
  const shapes = [shape('a', 9)];
  const all = assignmentOf([['id-a', [0, 1, 2, 3, 4, 5, 6, 7, 8]]]);
  const members = [subscriber('m0', ['a'], all, 'r0'), subscriber('m1', ['a'], nothing, 'r1')];
  const shares = assign('uniform', members, shapes, single);
  assert.deepEqual(listOf(shares.get('m1')).flatMap(([, list]) => list.filter((n) => n % 3 === 1)), [1, 4, 7]); // prettier-ignore
  assert.deepEqual(listOf(shares.get('m0')).flatMap(([, list]) => list.filter((n) => n % 3 === 0)), [0, 3, 6]); // prettier-ignore

  const swapped = [
    subscriber('m0', ['a'], assignmentOf([['id-a', [1, 4, 7]]]), 'r0'),
    subscriber('m1', ['a'], assignmentOf([['id-a', [0, 3, 6]]]), 'r1'),
    subscriber('m2', ['a'], assignmentOf([['id-a', [2, 5, 8]]]), 'r2'),
  ];
  const kept = assign('uniform', swapped, shapes, single);
  for (const { memberId, previous } of swapped) assert.ok(sameAssignment(kept.get(memberId) ?? nothing, previous));
});

test('range: topics that are cut alike stay alike, and each piece goes where most of its replicas are', () => {
  const racks = { racksOf: (_: string, partition: number) => [`r${2 - Math.floor(partition / 2)}`] };
  const members = inRacks(['a', 'b']);
  const shares = assign('range', members, [shape('a', 6), shape('b', 6)], racks);
  assert.equal(nearCount(shares, members, racks), 12);
  for (const { memberId } of members) {
    const [a, b] = listOf(shares.get(memberId)).map(([, list]) => list);
    assert.deepEqual(a, b, 'the same numbers of both');
  }
});
