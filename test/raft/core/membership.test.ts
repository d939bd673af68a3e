/** Membership: reliability 2-D, design D4 and D5. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantViolation } from '../../../src/model/assert.ts';
import { toLogIndex, toTerm } from '../../../src/model/ids.ts';
import { decodeConfiguration, encodeConfiguration } from '../../../src/raft/core/configuration.ts';
import { describeConfiguration } from '../../../src/raft/core/describe.ts';
import { Cluster, ids } from './cluster.ts';

/** The configurations in a node's log, in order. */
const history = (cluster: Cluster, id: number): string[] =>
  cluster
    .node(id)
    .image.entries.filter((entry) => entry.kind === 'configuration')
    .map((entry) => describeConfiguration(decodeConfiguration(entry.payload)));

test('a learner is fed, then promoted, and counts from then on', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.add(4);
  assert.equal(cluster.configure(1, { revision: 1, learners: ids(4) }), 'accepted');
  assert.deepEqual(cluster.node(4).applied, ['a']);
  assert.equal(cluster.node(4).status, 'learner');
  assert.equal(cluster.configure(1, { revision: 2, voters: ids(1, 2, 3, 4) }), 'accepted');
  assert.equal(cluster.node(4).status, 'follower');
  cluster.isolate(2);
  cluster.propose(1, 'b');
  assert.deepEqual(cluster.node(4).applied, ['a', 'b']);
});

test('pit-P52: no change before an entry of its own term is committed', () => {
  const cluster = new Cluster();
  cluster.loses = (message) => message.kind === 'append-reply';
  cluster.elect(1);
  assert.equal(cluster.configure(1, { revision: 1, learners: ids(4) }), 'leader-not-ready');
});

test('pit-P53: one change at a time, also over a change of leaders', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.loses = (message) => message.kind === 'append-reply';
  assert.equal(cluster.configure(1, { revision: 1, learners: ids(4) }), 'accepted');
  assert.equal(cluster.configure(1, { revision: 2, learners: ids(5) }), 'change-in-progress');
  // the new leader inherits the change, uncommitted
  cluster.heal();
  cluster.loses = (message) => message.kind === 'append-reply' && message.to === 2;
  cluster.node(1).crash();
  cluster.elect(2);
  assert.equal(cluster.configure(2, { revision: 2, learners: ids(5) }), 'leader-not-ready');
  cluster.heal();
  cluster.pass(1_000);
  assert.equal(cluster.configure(2, { revision: 2, learners: ids(5) }), 'accepted');
});

test('pit-P54: a change that is truncated is undone', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(1);
  assert.equal(cluster.configure(1, { revision: 1, voters: ids(1, 2) }), 'accepted');
  assert.deepEqual(history(cluster, 1), ['r1 voters 1 2']);
  cluster.pass(5_000);
  const second = cluster.leader;
  cluster.propose(second.id, 'a');
  cluster.heal();
  cluster.pass(5_000);
  assert.deepEqual(history(cluster, 1), []);
  cluster.isolate(2);
  cluster.elect(1);
  cluster.propose(1, 'b');
  assert.deepEqual(cluster.node(3).applied, ['a', 'b'], '1 and 3 are a majority of the old three');
});

test('pit-P55: a change of several voters goes through a joint phase and leaves it by itself', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  for (const id of [4, 5]) cluster.add(id);
  cluster.configure(1, { revision: 1, learners: ids(4, 5) });
  assert.equal(cluster.configure(1, { revision: 2, voters: ids(1, 4, 5) }), 'accepted');
  assert.deepEqual(history(cluster, 5), [
    'r1 voters 1 2 3 learners 4 5',
    'r2 voters 1 4 5 leaving 1 2 3',
    'r2 voters 1 4 5',
  ]);
  cluster.isolate(2);
  cluster.isolate(3);
  cluster.propose(1, 'a');
  assert.deepEqual(cluster.node(5).applied, ['a']);
});

test('pit-P55: in the joint phase both majorities must agree, on commits and on elections', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  for (const id of [4, 5]) cluster.add(id);
  cluster.configure(1, { revision: 1, learners: ids(4, 5) });
  // the joint configuration reaches everybody, but is not known to be committed
  cluster.loses = (message) => message.kind === 'append-reply';
  cluster.configure(1, { revision: 2, voters: ids(1, 4, 5) });
  cluster.heal();
  cluster.isolate(2);
  cluster.isolate(3);
  const before = cluster.node(1).core.commitIndex;
  cluster.pass(900);
  assert.equal(cluster.node(1).core.commitIndex, before, 'the new majority alone does not commit');
  cluster.pass(20_000);
  for (const id of [1, 4, 5]) assert.notEqual(cluster.node(id).status, 'leader', 'nor elect');
  cluster.heal();
  cluster.pass(10_000);
  assert.deepEqual(history(cluster, 5).at(-1), 'r2 voters 1 4 5');
});

test('pit-P55, pit-P59: a leader that is removed leads until that is committed, does not count itself, then hands over', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(3);
  assert.equal(cluster.configure(1, { revision: 1, voters: ids(2, 3) }), 'accepted');
  assert.equal(cluster.node(1).status, 'leader', 'the entry is on 1 and 2, but only 2 counts');
  assert.equal(cluster.node(1).core.commitIndex, 1);
  cluster.heal();
  cluster.pass(500);
  assert.equal(cluster.node(1).status, 'learner');
  assert.ok([2, 3].includes(cluster.leader.id));
  cluster.propose(cluster.leader.id, 'a');
  cluster.pass(60_000);
  assert.ok([2, 3].includes(cluster.leader.id), 'the removed one campaigns no more');
});

test('pit-P56: who is no learner, or has not caught up, is not promoted', () => {
  const cluster = new Cluster({ limits: { promotionLagMax: 2 } });
  cluster.elect(1);
  assert.equal(cluster.configure(1, { revision: 1, voters: ids(1, 2, 3, 4) }), 'learner-behind');
  cluster.configure(1, { revision: 1, learners: ids(4) });
  for (const text of ['a', 'b', 'c', 'd']) cluster.propose(1, text);
  assert.equal(cluster.configure(1, { revision: 2, voters: ids(1, 2, 3, 4) }), 'learner-behind');
  cluster.add(4);
  cluster.pass(500);
  assert.equal(cluster.configure(1, { revision: 2, voters: ids(1, 2, 3, 4) }), 'accepted');
});

test('pit-P56: a learner that is fed, and too far behind, is not promoted', () => {
  const cluster = new Cluster({ limits: { promotionLagMax: 2 } });
  cluster.elect(1);
  cluster.add(4);
  assert.equal(cluster.configure(1, { revision: 1, learners: ids(4) }), 'accepted');
  cluster.loses = (message) => message.from === 4;
  for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
  assert.equal(cluster.node(1).core.status.followers.find(({ id }) => id === 4)?.state, 'replicate');
  assert.equal(cluster.configure(1, { revision: 2, voters: ids(1, 2, 3, 4) }), 'learner-behind');
  cluster.heal();
  cluster.pass(1_000);
  assert.equal(cluster.configure(1, { revision: 2, voters: ids(1, 2, 3, 4) }), 'accepted');
});

test('pit-P59: a joint phase is not left, nor a group, for a commit that lies before it', () => {
  for (const voters of [
    [1, 4],
    [2, 3],
  ]) {
    const cluster = new Cluster({ limits: { messageBytesMax: 1, inflightMessagesMax: 1 } });
    const leader = cluster.elect(1);
    cluster.add(4);
    assert.equal(cluster.configure(1, { revision: 1, learners: ids(4) }), 'accepted');
    cluster.loses = (message) => message.kind === 'append-request' && message.entries[0]?.kind === 'configuration';
    assert.equal(cluster.offer(1, 'a').kind, 'accepted');
    assert.equal(cluster.configure(1, { revision: 2, voters: ids(...voters) }), 'accepted');
    cluster.pass(500);
    assert.deepEqual(leader.applied, ['a'], 'what was proposed before is committed');
    assert.equal(leader.status, 'leader');
    assert.equal(leader.core.status.membership.index, leader.core.status.lastIndex);
    assert.equal(
      leader.core.commitIndex,
      leader.core.status.lastIndex - 1,
      'the change is not, and nothing follows it',
    );
  }
});

test('pit-P57: a learner counts in no majority and never campaigns', () => {
  const cluster = new Cluster({ voters: [1, 2, 3], learners: [4] });
  cluster.elect(1);
  cluster.isolate(2);
  cluster.isolate(3);
  assert.equal(cluster.offer(1, 'a').kind, 'accepted');
  cluster.settle();
  assert.equal(cluster.node(1).core.commitIndex, 1);
  cluster.pass(5_000);
  assert.notEqual(cluster.node(1).status, 'leader', 'hearing the learner keeps nobody in office');
  assert.equal(cluster.node(4).status, 'learner');
  assert.equal(cluster.node(4).core.nextDeadline, Infinity);
});

test('pit-P57: a learner that was promoted and does not know it votes (campaign_learner_must_vote)', () => {
  const cluster = new Cluster({ voters: [1, 2, 3], learners: [4] });
  cluster.elect(1);
  cluster.loses = (message) => message.to === 4;
  assert.equal(cluster.configure(1, { revision: 1, voters: ids(1, 2, 3, 4), learners: [] }), 'accepted');
  cluster.heal();
  cluster.node(1).crash();
  assert.equal(cluster.node(4).status, 'learner');
  // 2, 3 and 4 are the only majority of four that is left
  cluster.elect(2);
  cluster.pass(500);
  assert.equal(cluster.node(4).status, 'follower');
});

test('pit-P58: two voters shrink to one, and the one goes on alone', () => {
  const cluster = new Cluster({ voters: [1, 2] });
  cluster.elect(1);
  assert.equal(cluster.configure(1, { revision: 1, voters: ids(1) }), 'accepted');
  cluster.isolate(2);
  cluster.propose(1, 'a');
  assert.deepEqual(cluster.node(1).applied, ['a']);
  assert.equal(cluster.node(1).core.nextDeadline, Infinity);
});

test('pit-P58: a leader that removed itself, and told nobody yet, campaigns on: nobody else can finish it', () => {
  const cluster = new Cluster({ voters: [1, 2] });
  cluster.elect(1);
  cluster.isolate(1);
  assert.equal(cluster.configure(1, { revision: 1, voters: ids(2) }), 'accepted');
  cluster.pass(5_000);
  assert.notEqual(cluster.node(1).status, 'leader');
  cluster.heal();
  // 2 needs the vote of 1, whose log is longer; 1 votes no more in the configuration that only it has
  cluster.pass(20_000);
  assert.equal(cluster.leader.id, 2);
  assert.deepEqual(history(cluster, 2), ['r1 voters 2']);
  assert.equal(cluster.node(1).status, 'learner');
});

test('a group of one grows to three', () => {
  const cluster = new Cluster({ voters: [1] });
  cluster.pass(0);
  for (const id of [2, 3]) cluster.add(id);
  assert.equal(cluster.configure(1, { revision: 1, learners: ids(2, 3) }), 'accepted');
  cluster.propose(1, 'a');
  assert.equal(cluster.configure(1, { revision: 2, voters: ids(1, 2, 3), learners: [] }), 'accepted');
  cluster.node(1).crash();
  cluster.pass(10_000);
  cluster.propose(cluster.leader.id, 'b');
  assert.deepEqual(cluster.leader.applied, ['a', 'b']);
});

test('pit-P60: a leader of an old configuration brings nobody back', () => {
  const cluster = new Cluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.isolate(1);
  cluster.pass(5_000);
  const second = cluster.leader.id;
  assert.equal(cluster.configure(second, { revision: 1, voters: ids(2, 3) }), 'accepted');
  cluster.heal();
  cluster.pass(10_000);
  assert.ok([2, 3].includes(cluster.leader.id));
  for (const id of [2, 3]) assert.deepEqual(history(cluster, id), ['r1 voters 2 3']);
});

test('pit-P61: a replica id that nobody named gets no vote and no place, whatever it claims', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.propose(1, 'a');
  const stranger = cluster.add(7);
  cluster.pass(10_000);
  assert.equal(stranger.status, 'learner');
  assert.deepEqual(stranger.texts, []);
  assert.equal(cluster.leader.id, 1);
});

test('pit-P64: a revision that is not newer is refused', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  assert.equal(cluster.configure(1, { revision: 5, learners: ids(4) }), 'accepted');
  assert.equal(cluster.configure(1, { revision: 5, learners: [] }), 'stale-revision');
  assert.equal(cluster.configure(1, { revision: 4, learners: [] }), 'stale-revision');
});

test('pit-P65: a learner that never arrives can be taken out again', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  assert.equal(cluster.configure(1, { revision: 1, learners: ids(4) }), 'accepted');
  assert.equal(cluster.configure(1, { revision: 2, learners: [] }), 'accepted');
  assert.equal(cluster.configure(1, { revision: 3, voters: ids(1, 2) }), 'accepted');
});

test('nonsense is refused: nobody votes, somebody twice, voter and learner, a joint target', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  for (const target of [
    { voters: [] },
    { voters: ids(1, 2, 2) },
    { voters: ids(1, 2, 3), learners: ids(3) },
    { outgoing: ids(1) },
    { learners: ids(...Array.from({ length: 62 }, (_, i) => 10 + i)) },
  ]) {
    assert.equal(cluster.configure(1, { revision: 1, ...target }), 'invalid');
  }
  assert.deepEqual(cluster.configure(2, { revision: 1 }), 'not-leader');
});

test('a configuration survives its encoding; other bytes break an invariant', () => {
  const configuration = { revision: 2 ** 40 + 7, voters: ids(1, 2 ** 33), outgoing: ids(3), learners: [] };
  const bytes = encodeConfiguration(configuration);
  assert.deepEqual(decodeConfiguration(bytes), configuration);
  for (const damaged of [
    bytes.subarray(0, -1),
    Buffer.concat([bytes, Buffer.from([0])]),
    Buffer.from([2]),
    bytes.slice(1),
  ]) {
    assert.throws(() => decodeConfiguration(damaged), InvariantViolation);
  }
});

test('a replica without a configuration waits for a leader and asks nobody for votes', () => {
  const cluster = new Cluster({ voters: [] });
  const node = cluster.add(1);
  cluster.pass(60_000);
  assert.deepEqual([node.status, node.core.role.term, cluster.posted], ['learner', toTerm(0), []]);
  assert.equal(node.core.commitIndex, toLogIndex(0));
});
