/** What members may ask for: a way to share, a rack; and what came after the group was made. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bench, dump, groupRef, refuses } from './bench.ts';

const committedOf = (bench: Bench, topic: string, partitions: readonly number[]) => {
  const request = { ...groupRef, partitions: [{ topic, partitions }] };
  const found = bench.coordinator.fetchCommitted(request, bench.context);
  if (found.kind === 'refused') return assert.fail(found.error.code);
  return found.value.map(({ newerThanGroup }) => newerThanGroup);
};

test('sem-K7: the first member chooses how partitions are shared, and who asks for another way is refused', () => {
  const bench = new Bench();
  bench.topics.create('t', 4);
  bench.join(['t'], { assignor: 'range' });
  assert.equal(bench.group.assignor, 'range');
  refuses('INCONSISTENT_GROUP_PROTOCOL', () => bench.join(['t'], { assignor: 'uniform' }));
  assert.equal(bench.join(['t']).memberId, 'm2', 'who does not mind joins');
  assert.equal(bench.join(['t'], { assignor: 'range' }).memberId, 'm3');
  refuses('INCONSISTENT_GROUP_PROTOCOL', () => bench.join(['t'], { assignor: 'uniform', resume: { memberId: 'm1', nonceHash: 'm1-nonce' } })); // prettier-ignore
  assert.equal(bench.group.assignor, 'range');
});

test('a group without members, and the only member that comes back, take another way', () => {
  const bench = new Bench();
  bench.topics.create('t', 4);
  bench.join(['t'], { assignor: 'range' });
  bench.leave('m1');
  bench.join(['t'], { assignor: 'uniform' });
  assert.equal(bench.group.assignor, 'uniform');
  bench.join(['t'], { assignor: 'range', resume: { memberId: 'm2', nonceHash: 'm2-nonce' } });
  assert.equal(bench.group.assignor, 'range');
  bench.join(['t'], { resume: { memberId: 'm2', nonceHash: 'm2-nonce' } });
  assert.equal(bench.group.assignor, 'range', 'who does not mind changes nothing');
  const { fromState, fromLog } = bench.restarted();
  assert.deepEqual(dump(fromState), dump(bench.coordinator));
  assert.deepEqual(dump(fromLog), dump(bench.coordinator));
});

test('members that tell their rack get what has a replica there', () => {
  const bench = new Bench();
  const topicId = bench.topics.create('t', 4);
  for (let n = 0; n < 4; n++) bench.topics.racks.set(`${topicId} ${n}`, [n % 2 === 0 ? 'even' : 'odd']);
  bench.join(['t'], { rack: 'odd' });
  bench.join(['t'], { rack: 'even' });
  bench.beat('m1');
  bench.beat('m1');
  bench.beat('m2');
  assert.deepEqual(bench.member('m1').assigned.get(topicId), [1, 3]);
  assert.deepEqual(bench.member('m2').assigned.get(topicId), [0, 2]);
});

test('sem-O5: what was made after the group is newer than it: partitions that were added, and topics', () => {
  const bench = new Bench();
  bench.topics.create('old', 1);
  assert.deepEqual(committedOf(bench, 'old', [0]), [false], 'nothing is newer than a group that is not there');
  bench.topics.create('t', 2);
  bench.join(['t']);
  bench.topics.create('t', 4);
  bench.topics.create('young', 1);
  assert.deepEqual(committedOf(bench, 't', [0, 1, 2, 3]), [false, false, true, true]);
  assert.deepEqual(committedOf(bench, 'old', [0]), [false]);
  assert.deepEqual(committedOf(bench, 'young', [0]), [true]);
  bench.restart('fromState');
  assert.deepEqual(committedOf(bench, 't', [0, 1, 2, 3]), [false, false, true, true]);
  bench.topics.delete('old');
  bench.topics.create('old', 1);
  assert.deepEqual(committedOf(bench, 'old', [0]), [true], 'made anew is new');
});
