import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BrokerError } from '../../../src/model/errors.ts';
import { assignmentOf, nothing } from '../../../src/broker/group/assignment.ts';
import { phaseOf } from '../../../src/broker/group/membership.ts';
import { at, Bench, groupRef, listed, refuses } from './bench.ts';

const refusalOf = (call: () => unknown): BrokerError => {
  try {
    call();
  } catch (error) {
    return (error as Error).cause as BrokerError;
  }
  return assert.fail('was not refused');
};

test('sem-K1: a new member joins at its first epoch and gets every free partition at once', () => {
  const bench = new Bench();
  const topicId = bench.topics.create('t', 3);
  const joined = bench.join(['t']);
  assert.deepEqual(joined, {
    memberId: 'm1',
    memberEpoch: 1,
    assignment: [{ topic: 't', topicId, partitions: [0, 1, 2] }],
    resumed: false,
  });
  assert.equal(bench.group.emptySinceMs, null);
});

test('sem-K2: a group is empty, stable, reconciling and stable again', () => {
  const bench = new Bench({ membersMax: 2 });
  bench.topics.create('t', 2);
  bench.commitAsTool([at('t', 0, 5)]);
  assert.equal(phaseOf(bench.group), 'empty');
  bench.join(['t']);
  assert.equal(phaseOf(bench.group), 'stable');
  bench.join(['t']);
  assert.equal(phaseOf(bench.group), 'reconciling');
  bench.beat('m1');
  bench.beat('m1');
  assert.equal(phaseOf(bench.group), 'reconciling');
  bench.beat('m2');
  assert.equal(phaseOf(bench.group), 'stable');
});

test('sem-K3: a partition moves only after its holder acknowledged; until then the holder stays in its epoch', () => {
  const bench = new Bench({ membersMax: 2 });
  const topicId = bench.topics.create('t', 2);
  bench.join(['t']);
  const second = bench.join(['t']);
  assert.deepEqual(second.assignment, []);

  const told = bench.beat('m1');
  assert.equal(told.memberEpoch, 1);
  assert.equal(told.settled, false);
  assert.deepEqual(told.assignment, [{ topic: 't', topicId, partitions: [0] }]);
  assert.deepEqual(bench.beat('m2').assignment, null);

  // It still reads both: nothing moves, and it may commit what it is giving up.
  const both = assignmentOf([[topicId, [0, 1]]]);
  assert.equal(bench.beat('m1', both).memberEpoch, 1);
  assert.deepEqual(bench.commit('m1', 1, [at('t', 1, 10)]), [null]);
  assert.deepEqual(bench.beat('m2').assignment, null);

  // It acknowledges: now it may not commit any more, and the other one gets the partition with a new epoch.
  const acknowledged = bench.beat('m1', assignmentOf([[topicId, [0]]]));
  assert.equal(acknowledged.memberEpoch, 3);
  assert.equal(bench.commit('m1', 2, [at('t', 1, 11)])[0]?.code, 'PARTITION_NOT_OWNED');
  const granted = bench.beat('m2');
  assert.deepEqual(granted.assignment, [{ topic: 't', topicId, partitions: [1] }]);
  assert.equal(granted.memberEpoch, 4);
  assert.equal(granted.settled, true);
});

test('sem-K3: a member that owes one revocation and is told of another acknowledges each', () => {
  const bench = new Bench({ membersMax: 3 });
  const topicId = bench.topics.create('t', 6);
  bench.join(['t']);
  bench.join(['t']);
  bench.beat('m1');
  bench.join(['t']);
  bench.beat('m1', assignmentOf([[topicId, [0, 1, 2, 3, 4, 5]]]));
  assert.equal(bench.member('m1').assigned.get(topicId)?.length, 2);
  assert.equal(bench.member('m1').revoking.get(topicId)?.length, 4);
  bench.beat('m1');
  bench.beat('m2');
  bench.beat('m3');
  assert.equal(phaseOf(bench.group), 'stable');
  assert.deepEqual(
    ['m1', 'm2', 'm3'].map((id) => bench.member(id).assigned.get(topicId)?.length),
    [2, 2, 2],
  );
});

test('sem-K3: a member that leaves gives up everything at once', () => {
  const bench = new Bench({ membersMax: 2 });
  const topicId = bench.topics.create('t', 4);
  bench.join(['t']);
  bench.join(['t']);
  bench.beat('m1');
  bench.leave('m1');
  assert.deepEqual(bench.beat('m2').assignment, [{ topic: 't', topicId, partitions: [0, 1, 2, 3] }]);
});

test('sem-K4: an epoch above the known one, and an older one, are fenced', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.join(['t']);
  refuses('FENCED_MEMBER_EPOCH', () => bench.heartbeat('m1', 2, []));
  bench.resume('m1');
  refuses('FENCED_MEMBER_EPOCH', () => bench.heartbeat('m1', 1, []));
  assert.equal(bench.heartbeat('m1', 2, []).memberEpoch, 2);
});

test('sem-K4: the epoch before is accepted after a lost answer, if the member reads nothing but what it was given', () => {
  const bench = new Bench();
  const topicId = bench.topics.create('t', 1);
  bench.join(['t']);
  bench.topics.create('t', 2);
  const grown = bench.beat('m1');
  assert.equal(grown.memberEpoch, 2);
  const again = bench.heartbeat('m1', 1, listed(assignmentOf([[topicId, [0]]])));
  assert.deepEqual(again, { ...grown, settled: true });
  refuses('FENCED_MEMBER_EPOCH', () => bench.heartbeat('m1', 1, listed(assignmentOf([['another topic', [0]]]))));
});

test('sem-K4: a report at the epoch before acknowledges no revocation', () => {
  const bench = new Bench({ membersMax: 3 });
  const topicId = bench.topics.create('t', 2);
  bench.join(['t']);
  bench.topics.create('t', 3);
  bench.beat('m1');
  bench.join(['t']);
  bench.beat('m1');
  const owes = bench.member('m1');
  assert.deepEqual([owes.epoch, owes.previousEpoch, owes.revoking.size], [2, 1, 1]);
  bench.heartbeat('m1', 1, listed(assignmentOf([[topicId, [0]]])));
  assert.equal(bench.member('m1').revoking.size, 1);
  bench.heartbeat('m1', 2, listed(assignmentOf([[topicId, [0]]])));
  assert.equal(bench.member('m1').revoking.size, 0);
});

test('sem-K5: who does not give up what it must is expelled, unless it did so meanwhile', () => {
  const bench = new Bench({ membersMax: 2 });
  bench.topics.create('t', 2);
  bench.join(['t']);
  bench.join(['t']);
  assert.equal(bench.expire('m1', 'revocation-expired'), false, 'it was not told yet');
  bench.beat('m1');
  assert.equal(bench.expire('m1', 'revocation-expired', 7), false, 'another epoch');
  assert.equal(bench.expire('m1', 'revocation-expired'), true);
  assert.equal(bench.group.members.has('m1'), false);
  assert.equal(bench.beat('m2').assignment?.[0]?.partitions.length, 2);
});

test('sem-K7: the default assignor is uniform; a group keeps the one it was created with', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.join(['t']);
  assert.equal(bench.group.assignor, 'uniform');
  bench.assignor = 'range';
  bench.leave('m1');
  bench.join(['t']);
  assert.equal(bench.group.assignor, 'uniform');
});

test('a join that is tried again is answered with what its member has by now, and changes nothing', () => {
  const bench = new Bench({ membersMax: 2 });
  const topicId = bench.topics.create('t', 2);
  const joined = bench.join(['t']);
  const again = { fresh: { memberId: 'm1', nonceHash: 'm1-nonce' } };
  assert.deepEqual(bench.join(['t', 't'], again), joined);
  bench.join(['t']);
  bench.beat('m1');
  bench.beat('m1');
  const entries = bench.entries.length;
  const now = { ...joined, memberEpoch: 3, assignment: [{ topic: 't', topicId, partitions: [0] }] };
  assert.deepEqual(bench.join(['t'], again), now, 'in a group that is full, too');
  assert.equal(bench.entries.length, entries);
  assert.equal(bench.heartbeat('m1', 3, now.assignment).memberEpoch, 3, 'nobody is fenced');
});

test('a join id that was used for another join is refused', () => {
  const bench = new Bench();
  bench.topics.create('t', 1);
  bench.topics.create('u', 1);
  bench.join(['t']);
  refuses('INVALID_REQUEST', () => bench.join(['t', 'u'], { fresh: { memberId: 'm1', nonceHash: 'm1-nonce' } }));
  refuses('INVALID_REQUEST', () => bench.join(['t'], { fresh: { memberId: 'm1', nonceHash: 'forged' } }));
  bench.leave('m1');
  const anew = bench.join(['u'], { fresh: { memberId: 'm1', nonceHash: 'm1-nonce' } });
  assert.deepEqual([anew.memberEpoch, anew.resumed], [2, false]);
});

test('a member too many is refused and told what to do', () => {
  const bench = new Bench({ membersMax: 1 });
  bench.topics.create('t', 2);
  bench.join(['t']);
  const error = refusalOf(() => bench.join(['t']));
  assert.equal(error.code, 'GROUP_MAX_SIZE_REACHED');
  assert.deepEqual(error.fields, { limit: '1', memberId: 'm1', sessionRemainingMs: '30000' });
  assert.match(error.message, /resume token.*30000 ms/);
  assert.equal(bench.group.members.size, 1);
  bench.leave('m1');
  assert.equal(bench.join(['t']).memberEpoch, 2, 'epochs go on');
});

test('who brings the resume token is the same member at once, and fences the older holder', () => {
  const bench = new Bench();
  const topicId = bench.topics.create('t', 2);
  bench.join(['t']);
  const back = bench.resume('m1');
  assert.deepEqual(back, {
    memberId: 'm1',
    memberEpoch: 2,
    assignment: [{ topic: 't', topicId, partitions: [0, 1] }],
    resumed: true,
  });
  refuses('FENCED_MEMBER_EPOCH', () => bench.heartbeat('m1', 1, []));
  refuses('STALE_MEMBER_EPOCH', () => bench.commit('m1', 9, [at('t', 0, 3)], 1));
  refuses('FENCED_MEMBER_EPOCH', () => {
    bench.leave('m1', 1);
  });
  assert.deepEqual(bench.commit('m1', 1, [at('t', 0, 3)], 2), [null]);
});

test('a resume token with another nonce is refused; one of a member that is gone joins anew', () => {
  const bench = new Bench({ membersMax: 1 });
  bench.topics.create('t', 2);
  bench.join(['t']);
  refuses('INVALID_RESUME_TOKEN', () => bench.resume('m1', ['t'], 'forged'));
  bench.expire('m1');
  const back = bench.resume('m1', ['t']);
  assert.deepEqual([back.memberId, back.resumed], ['m2', false]);
  refuses('GROUP_MAX_SIZE_REACHED', () => bench.resume('m1', ['t']));
});

test('who resumes may subscribe to other topics, and what it owed to give up is given up', () => {
  const bench = new Bench({ membersMax: 2 });
  const a = bench.topics.create('a', 5);
  const b = bench.topics.create('b', 1);
  bench.join(['a']);
  bench.join(['a', 'b']);
  bench.beat('m1');
  assert.equal(bench.member('m1').revoking.size, 1);
  bench.resume('m1', ['a', 'b']);
  assert.equal(bench.member('m1').revoking.size, 0);
  bench.beat('m2');
  const held = [...bench.member('m1').assigned, ...bench.member('m2').assigned].map(([id]) => id);
  assert.deepEqual(new Set(held), new Set([a, b]));
});

test('topics must exist and be somebody else’s than Sluice’s own', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.topics.create('__groups', 2, true);
  const error = refusalOf(() => bench.join(['t', 'missing']));
  assert.deepEqual([error.code, error.fields], ['UNKNOWN_TOPIC_OR_PARTITION', { topic: 'missing' }]);
  refuses('INVALID_TOPIC', () => bench.join(['__groups']));
  assert.equal(bench.coordinator.groups.size, 0);
});

test('group ids, client ids and subscriptions have their form', () => {
  const bench = new Bench();
  bench.topics.create('t', 1);
  for (const groupId of ['', 'a/b', 'ä', 'x'.repeat(250), 'a\0b']) {
    refuses('INVALID_GROUP_ID', () => bench.join(['t'], { groupId }));
  }
  refuses('INVALID_REQUEST', () => bench.join(['t'], { clientId: 'x'.repeat(250) }));
  refuses('INVALID_REQUEST', () => bench.join([]));
  refuses('INVALID_REQUEST', () => bench.join(Array.from({ length: 101 }, () => 't')));
});

test('new partitions and a deleted topic reach the member with its next heartbeat', () => {
  const bench = new Bench();
  const a = bench.topics.create('a', 1);
  const b = bench.topics.create('b', 1);
  bench.join(['a', 'b']);
  bench.topics.create('a', 3);
  assert.deepEqual(bench.beat('m1').assignment, [
    { topic: 'a', topicId: a, partitions: [0, 1, 2] },
    { topic: 'b', topicId: b, partitions: [0] },
  ]);
  bench.topics.delete('b');
  assert.deepEqual(bench.beat('m1').assignment, [{ topic: 'a', topicId: a, partitions: [0, 1, 2] }]);
  bench.beat('m1');
  assert.equal(phaseOf(bench.group), 'stable');
});

test('a topic that is deleted and created again is another topic', () => {
  const bench = new Bench();
  bench.topics.create('t', 1);
  bench.join(['t']);
  bench.topics.delete('t');
  const topicId = bench.topics.create('t', 1);
  bench.beat('m1');
  assert.deepEqual(bench.beat('m1', nothing).assignment, [{ topic: 't', topicId, partitions: [0] }]);
});

test('a coordinator whose catalog lags takes nothing away', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.join(['t']);
  bench.topics.delete('t');
  bench.topics.revision = 1;
  assert.equal(bench.beat('m1').assignment, null);
  bench.topics.revision = 9;
  assert.deepEqual(bench.beat('m1').assignment, []);
});

test('a heartbeat of a member that reads what it shall changes nothing', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.join(['t']);
  const entries = bench.entries.length;
  assert.deepEqual(bench.beat('m1'), { memberEpoch: 1, assignment: null, settled: true });
  assert.equal(bench.entries.length, entries);
  const told = bench.beat('m1', nothing);
  assert.equal(told.assignment?.length, 1, 'one that reports less is told again');
});

test('in a heartbeat a topic may be named instead of its id', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.join(['t']);
  assert.equal(bench.heartbeat('m1', 1, [{ topic: 't', topicId: '', partitions: [1, 0] }]).assignment, null);
});

test('unknown groups and members are told apart', () => {
  const bench = new Bench();
  bench.topics.create('t', 1);
  refuses('GROUP_ID_NOT_FOUND', () => bench.heartbeat('m1', 1, []));
  refuses('GROUP_ID_NOT_FOUND', () => {
    bench.leave('m1', 1);
  });
  bench.join(['t']);
  refuses('UNKNOWN_MEMBER_ID', () => bench.heartbeat('nobody', 1, []));
  bench.leave('m1');
  refuses('UNKNOWN_MEMBER_ID', () => {
    bench.leave('m1', 1);
  });
  assert.equal(bench.group.emptySinceMs, bench.nowMs);
});

test('an expiry that is overtaken by a resumption has no effect, even if it is in the log', () => {
  const bench = new Bench();
  bench.topics.create('t', 1);
  bench.join(['t']);
  const request = {
    ...groupRef,
    memberId: 'm1',
    memberEpoch: bench.member('m1').epoch,
    cause: 'session-expired' as const,
  };
  const expiry = bench.coordinator.expire(request, bench.context);
  bench.resume('m1');
  bench.settle(expiry);
  assert.equal(bench.member('m1').epoch, 2);
  assert.equal(bench.expire('m1', 'session-expired', 1), false);
  assert.equal(bench.expire('m1'), true);
  const left = bench.events.at(-1);
  assert.ok(left?.kind === 'member-left');
  assert.deepEqual([left.memberId, left.reason], ['m1', 'session-expired']);
});

test('groups are limited in number and in memory', () => {
  const few = new Bench({ groupsMax: 1 });
  few.topics.create('t', 1);
  few.join(['t']);
  refuses('LIMIT_REACHED', () => few.join(['t'], { groupId: 'another' }));
  few.leave('m1');
  few.join(['t']);

  const small = new Bench({ stateBytesMax: 1_000 });
  small.topics.create('t', 1);
  small.join(['t']);
  refuses('LIMIT_REACHED', () => small.join(['t'], { groupId: 'another' }));
});

test('a group being created counts against the limit', () => {
  const bench = new Bench({ groupsMax: 1 });
  bench.topics.create('t', 1);
  const fresh = { memberId: 'm1', nonceHash: 'h' };
  const request = { ...groupRef, topics: ['t'], clientId: '', resume: null, fresh };
  const decision = bench.coordinator.join(request, { ...bench.context, groupsPending: 1 });
  assert.equal(decision.kind === 'refused' && decision.error.code, 'LIMIT_REACHED');
});
