/** Members with an instance id: their place outlives the process that held it, and one process holds it at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, Bench, dump, refuses } from './bench.ts';

test('sem-K1, sem-K7: a static member that left for a while comes back to what it had, and nothing moves', () => {
  const bench = new Bench();
  bench.topics.create('t', 4);
  const first = bench.joinStatic('i', ['t']);
  bench.join(['t']);
  bench.beat('m1');
  bench.beat('m1');
  bench.beat('m2');
  const [kept, others] = [bench.member('m1').assigned, bench.member('m2')];
  const rebalances = bench.group.history.length;

  bench.leave('m1', bench.member('m1').epoch, true);
  assert.equal(bench.member('m1').away, true);
  assert.deepEqual(bench.beat('m2').assignment, null, 'nobody gets what waits for it');
  refuses('FENCED_INSTANCE_ID', () => bench.heartbeat('m1', first.memberEpoch, []));
  const back = bench.joinStatic('i', ['t']);
  assert.deepEqual([back.memberId, back.resumed], ['m1', true]);
  assert.deepEqual(bench.member('m1').assigned, kept);
  assert.equal(bench.member('m1').away, false);
  assert.deepEqual(bench.member('m2'), others, 'the others notice nothing');
  assert.equal(bench.group.history.length, rebalances, 'nothing was shared anew');
});

test('sem-K7: while the older process lives another one is refused, and told when to ask again', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.joinStatic('i', ['t']);
  assert.throws(
    () => bench.joinStatic('i', ['t']),
    (error: Error) => {
      const { code, retryAfterMs, fields } = error.cause as { code: string; retryAfterMs?: number; fields?: object };
      assert.deepEqual(
        [code, retryAfterMs, fields],
        ['UNRELEASED_INSTANCE_ID', 100, { instanceId: 'i', memberId: 'm1' }],
      );
      return true;
    },
  );
  assert.equal(bench.group.members.size, 1);
  assert.equal(bench.joinStatic('j', ['t']).memberId, 'm2', 'another instance is another member');
});

test('sem-K7: a process that is missed is replaced; should it live, it is fenced and commits nothing more', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  const old = bench.joinStatic('i', ['t']);
  bench.silent = true;
  const next = bench.joinStatic('i', ['t']);
  assert.deepEqual([next.memberId, next.resumed], ['m1', true]);
  assert.deepEqual(next.assignment, old.assignment);
  refuses('FENCED_INSTANCE_ID', () => bench.heartbeat('m1', old.memberEpoch, old.assignment));
  refuses('FENCED_INSTANCE_ID', () => bench.commit('m1', 1, [at('t', 0, 5)], old.memberEpoch));
  refuses('FENCED_INSTANCE_ID', () => bench.leave('m1', old.memberEpoch));
  refuses('FENCED_MEMBER_EPOCH', () => bench.heartbeat('m1', next.memberEpoch + 1, []));
  assert.deepEqual(bench.commit('m1', 1, [at('t', 0, 6)], next.memberEpoch), [null]);
});

test('a holder that is two lost answers behind is told to join again, not that it was replaced', () => {
  const bench = new Bench();
  bench.topics.create('t', 1);
  bench.joinStatic('i', ['t']);
  bench.topics.create('t', 2);
  bench.beat('m1');
  bench.topics.create('t', 3);
  bench.beat('m1');
  assert.equal(bench.member('m1').epoch, 3);
  refuses('FENCED_MEMBER_EPOCH', () => bench.heartbeat('m1', 1, []));
  refuses('STALE_MEMBER_EPOCH', () => bench.commit('m1', 1, [at('t', 0, 5)], 1));
});

test('a join whose answer was lost is answered again, whoever held the place before', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  const made = bench.joinStatic('i', ['t'], 'first');
  assert.deepEqual(bench.joinStatic('i', ['t'], 'first'), { ...made, resumed: false });
  bench.silent = true;
  const taken = bench.joinStatic('i', ['t'], 'second');
  bench.silent = false;
  const again = bench.joinStatic('i', ['t'], 'second');
  assert.deepEqual([again.memberId, again.memberEpoch], ['m1', taken.memberEpoch]);
  bench.topics.create('u', 1);
  refuses('INVALID_REQUEST', () => bench.joinStatic('i', ['t', 'u'], 'second'));
});

test('the resume token of a static member works, and an instance id can not be carried into another member', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.joinStatic('i', ['t'], 'life');
  bench.join(['t']);
  assert.deepEqual(bench.resume('m1', ['t'], 'life').memberId, 'm1');
  refuses('INVALID_RESUME_TOKEN', () => bench.resume('m1', ['t'], 'an older life'));
  const resume = { memberId: 'm2', nonceHash: 'm2-nonce' };
  refuses('UNRELEASED_INSTANCE_ID', () => bench.join(['t'], { instanceId: 'i', resume }));
});

test('a static member that does not come back is expelled with its session, and what it held is given away', () => {
  const bench = new Bench();
  const topicId = bench.topics.create('t', 2);
  bench.joinStatic('i', ['t']);
  bench.join(['t']);
  bench.beat('m1');
  bench.leave('m1', bench.member('m1').epoch, true);
  assert.equal(bench.expire('m1'), true);
  bench.beat('m2');
  assert.deepEqual(bench.member('m2').assigned.get(topicId), [0, 1]);
  assert.equal(bench.joinStatic('i', ['t']).resumed, false);
});

test('leaving for a while frees what the member was told to give up', () => {
  const bench = new Bench();
  const topicId = bench.topics.create('t', 2);
  bench.joinStatic('i', ['t']);
  bench.join(['t']);
  bench.beat('m1', bench.member('m1').assigned);
  assert.equal(bench.member('m1').revoking.size, 1);
  bench.leave('m1', bench.member('m1').epoch, true);
  bench.beat('m2');
  assert.equal(bench.member('m2').assigned.get(topicId)?.length, 1);
});

test('only a static member can leave for a while; whether it did is said again to who asks twice', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.join(['t']);
  refuses('INVALID_REQUEST', () => bench.leave('m1', 1, true));
  bench.joinStatic('i', ['t']);
  const { epoch } = bench.member('m2');
  bench.leave('m2', epoch, true);
  bench.leave('m2', epoch, true);
  assert.equal(bench.member('m2').away, true);
  for (const instanceId of ['', 'a b', 'x'.repeat(250)])
    refuses('INVALID_REQUEST', () => bench.joinStatic(instanceId, ['t']));
});

test('inv-I12: static members are there after a restart, present and away', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.joinStatic('i', ['t']);
  bench.joinStatic('j', ['t']);
  bench.leave('m2', bench.member('m2').epoch, true);
  const { fromState, fromLog } = bench.restarted();
  assert.deepEqual(dump(fromState), dump(bench.coordinator));
  assert.deepEqual(dump(fromLog), dump(bench.coordinator));
});
