/** Transfer and linearizable reads: reliability 2-E. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toReplicaId, toTerm } from '../../../src/model/ids.ts';
import type { Message } from '../../../src/raft/core/messages.ts';
import { Cluster } from './cluster.ts';

const timeouts = (messages: readonly Message[]): Message[] => messages.filter((one) => one.kind === 'timeout-now');

test('leadership moves to a chosen voter at once, although the leader is alive', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.propose(1, 'a');
  const before = cluster.now;
  cluster.node(1).step({ kind: 'transfer', to: toReplicaId(3) });
  cluster.settle();
  assert.equal(cluster.leader.id, 3);
  assert.equal(cluster.now, before);
  cluster.propose(3, 'b');
  assert.deepEqual(cluster.node(1).applied, ['a', 'b']);
});

test('pit-P66: a target that is behind is brought level first, and nothing is proposed meanwhile', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(3);
  cluster.propose(1, 'a');
  cluster.node(1).step({ kind: 'transfer', to: toReplicaId(3) });
  cluster.settle();
  assert.deepEqual(cluster.offer(1, 'b'), { kind: 'refused', why: 'transferring' });
  assert.deepEqual(timeouts(cluster.posted), []);
  cluster.heal();
  cluster.pass(500);
  assert.equal(cluster.leader.id, 3);
  assert.deepEqual(cluster.node(3).applied, ['a']);
});

test('pit-P66: a transfer that takes too long is given up', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(3);
  cluster.propose(1, 'a');
  cluster.node(1).step({ kind: 'transfer', to: toReplicaId(3) });
  cluster.pass(cluster.limits.electionTimeoutMs + 200);
  assert.equal(cluster.leader.id, 1);
  assert.equal(cluster.offer(1, 'b').kind, 'accepted');
});

test('pit-P66: a transfer to a learner, a stranger or the leader itself changes nothing', () => {
  const cluster = new Cluster({ learners: [4] });
  cluster.elect(1);
  for (const to of [4, 9, 1]) cluster.node(1).step({ kind: 'transfer', to: toReplicaId(to) });
  cluster.settle();
  assert.deepEqual(timeouts(cluster.posted), []);
  assert.equal(cluster.offer(1, 'a').kind, 'accepted');
});

test('pit-P66: a second transfer takes the place of the first', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(3);
  cluster.propose(1, 'a');
  cluster.node(1).step({ kind: 'transfer', to: toReplicaId(3) });
  cluster.node(1).step({ kind: 'transfer', to: toReplicaId(2) });
  cluster.settle();
  assert.equal(cluster.leader.id, 2);
});

test('pit-P67: a hand-over that arrives late, or from somebody who does not lead, starts no campaign', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.node(1).step({ kind: 'transfer', to: toReplicaId(3) });
  cluster.settle();
  const [old] = timeouts(cluster.posted);
  const { term } = cluster.leader.core.role;
  cluster.deliver(old!);
  cluster.deliver({ ...old!, to: toReplicaId(2), from: toReplicaId(1), term });
  cluster.settle();
  for (const node of cluster.nodes.values()) assert.equal(node.core.role.term, term);
  assert.equal(cluster.node(2).core.dropped.get('out-of-place'), 1);
});

test('a linearizable read is answered with the commit index, once a round that began with it is answered', () => {
  const cluster = new Cluster();
  const leader = cluster.elect(1);
  cluster.propose(1, 'a');
  leader.step({ kind: 'read-index', id: 1 });
  assert.equal(leader.answers.has(1), false);
  cluster.settle();
  assert.equal(leader.answers.get(1), 2);
});

test('pit-P68: an answer to a heartbeat that was sent before the read confirms nothing', () => {
  const cluster = new Cluster();
  const leader = cluster.elect(1);
  cluster.posted = [];
  cluster.loses = (message) => message.kind === 'heartbeat-reply';
  cluster.pass(cluster.limits.heartbeatMs);
  const old = cluster.posted.filter((one) => one.kind === 'heartbeat-reply');
  assert.ok(old.length > 0);
  leader.step({ kind: 'read-index', id: 1 });
  cluster.settle();
  for (const message of old) cluster.deliver(message);
  assert.equal(leader.answers.has(1), false);
  cluster.heal();
  cluster.pass(cluster.limits.heartbeatMs);
  assert.equal(leader.answers.get(1), 1);
});

test('pit-P68: a leader that is cut off confirms no read, and refuses it once it steps down', () => {
  const cluster = new Cluster();
  const leader = cluster.elect(1);
  cluster.isolate(1);
  leader.step({ kind: 'read-index', id: 1 });
  cluster.pass(500);
  assert.equal(leader.answers.has(1), false);
  cluster.pass(5_000);
  assert.equal(leader.answers.get(1), null);
});

test('pit-P68: before its own no-op is committed a leader answers no read (TestReadOnlyForNewLeader)', () => {
  const cluster = new Cluster();
  cluster.loses = (message) => message.kind === 'append-reply';
  const leader = cluster.elect(1);
  leader.step({ kind: 'read-index', id: 1 });
  assert.equal(leader.answers.get(1), null);
});

test('pit-P69: requests of one turn share a round, those of a later turn start another; each gets its own answer', () => {
  const cluster = new Cluster();
  const leader = cluster.elect(1);
  cluster.posted = [];
  leader.core.step({ kind: 'read-index', id: 1 }, cluster.now);
  leader.core.step({ kind: 'read-index', id: 2 }, cluster.now);
  leader.work();
  assert.equal(cluster.posted.filter((one) => one.kind === 'heartbeat-request').length, 2);
  leader.step({ kind: 'read-index', id: 3 });
  assert.equal(cluster.posted.filter((one) => one.kind === 'heartbeat-request').length, 4);
  cluster.settle();
  assert.deepEqual(
    [...leader.answers],
    [
      [1, 1],
      [2, 1],
      [3, 1],
    ],
  );
});

test('a follower answers no read, and a leader takes a bounded number', () => {
  const cluster = new Cluster({ limits: { readsMax: 2 } });
  const leader = cluster.elect(1);
  cluster.node(2).step({ kind: 'read-index', id: 1 });
  assert.equal(cluster.node(2).answers.get(1), null);
  cluster.isolate(1);
  for (const id of [1, 2, 3]) leader.step({ kind: 'read-index', id });
  assert.deepEqual([...leader.answers], [[3, null]]);
});

test('a group of one answers a read at once', () => {
  const cluster = new Cluster({ voters: [1] });
  cluster.pass(0);
  const leader = cluster.leader;
  leader.step({ kind: 'read-index', id: 1 });
  assert.equal(leader.answers.get(1), 1);
});

test('what the host hears for a group stands for a heartbeat and for its answer (D3)', () => {
  const cluster = new Cluster({ limits: { heartbeatMs: Infinity } });
  const leader = cluster.elect(1);
  const { term } = leader.core.role;
  cluster.posted = [];
  for (let i = 0; i < 20; i++) {
    cluster.pass(300);
    for (const id of [2, 3]) {
      cluster.node(id).step({ kind: 'peer-heard', from: toReplicaId(1), term, round: 1 });
      leader.step({ kind: 'read-index', id: 100 * i + id });
    }
    cluster.settle();
  }
  assert.equal(cluster.leader.core.role.term, term);
  const stale = { kind: 'peer-heard', from: toReplicaId(1), term: toTerm(0), round: 1 } as const;
  const before = cluster.node(2).core.nextDeadline;
  cluster.freeze(100);
  cluster.node(2).step(stale);
  assert.equal(cluster.node(2).core.nextDeadline, before, 'another term is not covered');
});

test('pit-P16: a leader that was paused confirms nothing when it wakes, and its proposals stay open', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.isolate(1);
  // the others go on without it; it has not run since, so it still believes that it leads
  const paused = cluster.node(1);
  paused.up = false;
  cluster.pass(5_000);
  const next = cluster.leader;
  cluster.propose(next.id, 'b');
  paused.up = true;
  assert.equal(paused.status, 'leader');
  cluster.heal();
  assert.equal(cluster.offer(1, 'c').kind, 'accepted');
  paused.step({ kind: 'read-index', id: 1 });
  cluster.settle();
  assert.equal(paused.answers.get(1), null);
  assert.deepEqual(paused.lost, [2]);
  cluster.pass(2_000);
  for (const node of cluster.nodes.values()) assert.deepEqual(node.applied, ['a', 'b']);
});
