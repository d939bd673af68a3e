/** A core whose host sends one frame for all groups instead of heartbeats (design D3), and what a host sees of a core. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toReplicaId, toTerm } from '../../../src/model/ids.ts';
import type { Leading } from '../../../src/raft/core/core.ts';
import { Cluster, imageOf } from './cluster.ts';
import type { TestNode } from './cluster.ts';

/** Three replicas, of which 1 leads; `frames` is the number of the newest frame. */
function led(): { cluster: Cluster; frames: { sent: number } } {
  const frames = { sent: 0 };
  const cluster = new Cluster({ framesSent: () => frames.sent });
  cluster.elect(1);
  return { cluster, frames };
}

function answered(cluster: Cluster, from: number, round: number, heardMs?: number): void {
  const { term } = cluster.node(1).core.role;
  const heard = { kind: 'peer-heard', from: toReplicaId(from), term, round } as const;
  cluster.node(1).step(heardMs === undefined ? heard : { ...heard, heardMs });
  cluster.settle();
}

/** A call, since what a getter gives changes from look to look. */
const leading = ({ core }: TestNode): Leading | null => core.leading;

test('a leader with a host that sends frames sends no heartbeats of its own, and needs no tick for them', () => {
  const { cluster } = led();
  cluster.propose(1, 'a');
  assert.equal(cluster.posted.filter(({ kind }) => kind === 'heartbeat-request').length, 0);
  assert.deepEqual(cluster.node(3).applied, ['a']);
  assert.ok(cluster.node(1).core.nextDeadline > cluster.now + cluster.limits.heartbeatMs);
});

test('pit-P11: answers to frames prove the quorum, those of an earlier check do not', () => {
  const { cluster, frames } = led();
  frames.sent = 5;
  answered(cluster, 2, 5);
  const check = (): void => {
    cluster.freeze(cluster.node(1).core.nextDeadline - cluster.now);
    cluster.node(1).step({ kind: 'tick' });
  };
  check();
  assert.equal(cluster.node(1).status, 'leader');
  answered(cluster, 2, 5);
  check();
  assert.equal(cluster.node(1).status, 'follower', 'nobody answered a frame that left since the last check');
});

test('pit-P68: a read waits for answers to a frame that leaves after it', () => {
  const { cluster, frames } = led();
  frames.sent = 5;
  const leader = cluster.node(1);
  leader.step({ kind: 'read-index', id: 1 });
  assert.equal(leading(leader)?.frameWanted, 6);
  assert.equal(leading(leader)?.attentive, true);
  answered(cluster, 2, 5);
  assert.equal(leader.answers.has(1), false);
  answered(cluster, 2, 6);
  assert.equal(leader.answers.has(1), false, 'an answer to a frame that did not leave says nothing');
  assert.equal(leader.core.dropped.get('out-of-place'), 1);
  frames.sent = 6;
  answered(cluster, 2, 6);
  assert.equal(leader.answers.get(1), leader.core.commitIndex);
  assert.equal(leading(leader)?.frameWanted, 0);
});

test('a leader is attentive while a follower lacks anything, also the newest commit index', () => {
  const { cluster, frames } = led();
  const leader = cluster.node(1);
  assert.equal(leading(leader)?.attentive, false, 'everybody knows everything');
  assert.deepEqual(leading(leader)?.members, [1, 2, 3]);
  cluster.loses = ({ to }) => to === 3;
  cluster.propose(1, 'a');
  assert.equal(leading(leader)?.attentive, true);
  cluster.heal();
  frames.sent = 1;
  cluster.freeze(1_000);
  answered(cluster, 3, 1);
  assert.equal(leading(leader)?.attentive, false);
  assert.deepEqual(cluster.node(3).applied, ['a'], 'what was lost is sent again at a sign of life');
  leader.step({ kind: 'peer-unreachable', to: toReplicaId(3) });
  assert.equal(leading(leader)?.attentive, true, 'who began anew is told again what is committed');
  cluster.settle();
  assert.equal(leading(leader)?.attentive, false);
});

test('the commit index is told again if the request that told it was lost', () => {
  const { cluster, frames } = led();
  const leader = cluster.node(1);
  cluster.loses = (message) => message.to === 3 && message.kind === 'append-request' && message.entries.length === 0;
  cluster.propose(1, 'a');
  assert.deepEqual(cluster.node(3).applied, [], 'it has the entry and does not know that it is committed');
  cluster.heal();
  frames.sent = 1;
  cluster.freeze(1_000);
  answered(cluster, 3, 1);
  assert.deepEqual(cluster.node(3).applied, ['a']);
  assert.equal(leading(leader)?.attentive, false);
});

test('an answer from before its restart does not say what a follower that began anew knows', () => {
  const { cluster, frames } = led();
  const leader = cluster.node(1);
  cluster.propose(1, 'a');
  const old = cluster.posted.filter((one) => one.kind === 'append-reply' && one.from === 3).at(-1);
  assert.ok(old !== undefined);
  const follower = cluster.node(3);
  follower.crash();
  follower.restart();
  assert.ok(follower.core.commitIndex < leader.core.commitIndex, 'what it knew to be committed was not durable');
  cluster.loses = ({ to }) => to === 3;
  leader.step({ kind: 'peer-unreachable', to: toReplicaId(3) });
  cluster.settle();
  cluster.deliver(old);
  assert.equal(leading(leader)?.attentive, true);
  cluster.heal();
  frames.sent = 1;
  cluster.freeze(1_000);
  answered(cluster, 3, 1);
  assert.equal(follower.core.commitIndex, leader.core.commitIndex);
  assert.equal(leading(leader)?.attentive, false);
});

test('a follower counts a frame from when it was heard, not from when it is told', () => {
  const { cluster } = led();
  const follower = cluster.node(2);
  const { term } = follower.core.role;
  const heard = { kind: 'peer-heard', from: toReplicaId(1), round: 0 } as const;
  cluster.freeze(500);
  const before = follower.core.nextDeadline;
  follower.step({ ...heard, term: toTerm(term + 1) });
  follower.step({ ...heard, from: toReplicaId(3), term });
  assert.equal(follower.core.nextDeadline, before, 'another term, another leader');
  const { electionTimeoutMs } = cluster.limits;
  follower.step({ ...heard, term, heardMs: cluster.now - 100 });
  assert.ok(follower.core.nextDeadline >= cluster.now - 100 + electionTimeoutMs);
  assert.ok(follower.core.nextDeadline < cluster.now - 100 + 2 * electionTimeoutMs);
  const told = follower.core.nextDeadline;
  follower.step({ ...heard, term, heardMs: cluster.now - 200 });
  assert.equal(follower.core.nextDeadline, told, 'what was heard earlier is no news');
  follower.step({ ...heard, term });
  assert.ok(follower.core.nextDeadline >= cluster.now + electionTimeoutMs);
});

test('pit-P27: a frame brings nothing back to life that lost its log', () => {
  const { cluster, frames } = led();
  cluster.propose(1, 'a');
  cluster.node(3).crash();
  cluster.propose(1, 'b');
  cluster.add(3, imageOf([], { term: cluster.node(1).core.role.term }));
  frames.sent = 1;
  cluster.freeze(1_000);
  answered(cluster, 3, 1);
  const leader = cluster.node(1);
  assert.deepEqual(
    leader.alarms.map(({ kind, replica }) => [kind, replica]),
    [['follower-lost-log', 3]],
  );
  assert.equal(leading(leader)?.attentive, false, 'nothing can be done about it');
  frames.sent = 2;
  answered(cluster, 3, 2);
  assert.deepEqual(cluster.node(3).applied, []);
  assert.equal(leader.core.neededAbove(-Infinity), null, 'nothing is kept for it');
});

test('only a leader with peers is one to the host', () => {
  const { cluster } = led();
  assert.equal(cluster.node(2).core.leading, null);
  assert.equal(cluster.node(2).core.nextAppend(), null);
  assert.equal(cluster.node(2).core.neededAbove(-Infinity), null);
  assert.deepEqual(cluster.node(2).core.snapshotTargets, []);
  const alone = new Cluster({ voters: [1] });
  alone.pass(5_000);
  assert.equal(alone.node(1).core.role.serving, true);
  assert.equal(alone.node(1).core.leading, null);
  assert.equal(alone.node(1).core.nextDeadline, Infinity);
});

test('pit-P49: a leader says what those who are heard still need of its log, and who gets a snapshot', () => {
  const { cluster, frames } = led();
  const leader = cluster.node(1);
  cluster.isolate(3);
  for (const text of ['a', 'b']) cluster.propose(1, text);
  const { now } = cluster;
  assert.equal(leader.core.neededAbove(-Infinity), 1, '3 has the no-op only');
  cluster.freeze(1_000);
  cluster.propose(1, 'c');
  assert.equal(leader.core.neededAbove(now + 1), null, '3 was not heard of late, 2 has everything');
  cluster.compact(1);
  cluster.heal();
  frames.sent = 1;
  cluster.loses = (message) => message.kind === 'snapshot-chunk';
  leader.step({ kind: 'peer-unreachable', to: toReplicaId(3) });
  cluster.settle();
  assert.deepEqual(leader.core.snapshotTargets, [3]);
  assert.equal(leader.core.neededAbove(-Infinity), null, 'it goes on after the snapshot');
});
