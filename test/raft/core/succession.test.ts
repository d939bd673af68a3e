/** Who stands for election sooner than its time-out says: D3, thesis 9.6, reliability P8 and P12. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toReplicaId } from '../../../src/model/ids.ts';
import { Cluster } from './cluster.ts';

const campaigns = (cluster: Cluster, id: number): number =>
  cluster.posted.filter((one) => one.kind === 'vote-request' && one.from === toReplicaId(id) && one.to !== one.from)
    .length;

test('the preferred leader of a group that has just started leads at once, and nobody else tries', () => {
  const cluster = new Cluster({ eager: true, voters: [2, 1, 3] });
  cluster.pass(cluster.limits.heartbeatMs);
  assert.equal(cluster.leader.id, 2);
  assert.deepEqual([campaigns(cluster, 1), campaigns(cluster, 3)], [0, 0]);
  assert.equal(cluster.leader.core.role.term, 1);
});

test('a learner and a replica that nobody made a voter are not in a hurry', () => {
  const cluster = new Cluster({ eager: true, voters: [1], learners: [2] });
  cluster.pass(cluster.limits.heartbeatMs);
  assert.equal(campaigns(cluster, 2), 0);
});

test('a preferred leader that starts before the others tries again after pauses that double, and then like everybody', () => {
  const cluster = new Cluster({ eager: true, voters: [1, 2, 3] });
  for (const id of [2, 3]) cluster.node(id).crash();
  const { electionTimeoutMs, heartbeatMs } = cluster.limits;
  cluster.pass(electionTimeoutMs);
  const early = campaigns(cluster, 1) / 2;
  // heartbeat / 3, twice that, and so on below the election time-out
  const pauses = Math.ceil(Math.log2(electionTimeoutMs / (heartbeatMs / 3)));
  assert.ok(early >= 4 && early <= pauses + 1, `${early} campaigns`);
  cluster.pass(10 * electionTimeoutMs);
  const later = campaigns(cluster, 1) / 2 - early;
  assert.ok(later >= 4 && later <= 10, `${later} in ten time-outs`);
  for (const id of [2, 3]) cluster.node(id).restart();
  cluster.pass(3 * electionTimeoutMs);
  assert.equal(cluster.leader.core.role.serving, true);
});

test('pit-P12: a preferred leader that comes back disturbs nobody who hears a leader', () => {
  const cluster = new Cluster({ eager: true, voters: [1, 2, 3] });
  cluster.pass(1_000);
  assert.equal(cluster.leader.id, 1);
  cluster.node(1).crash();
  cluster.pass(5_000);
  const { leader } = cluster;
  const { term } = leader.core.role;
  cluster.node(1).restart();
  cluster.pass(5_000);
  assert.deepEqual([cluster.leader.id, cluster.leader.core.role.term], [leader.id, term]);
});

test('a connection that breaks says nothing to who does not follow at its other end, nor to a leader or a learner', () => {
  const cluster = new Cluster({ voters: [1, 2, 3], learners: [4] });
  cluster.pass(5_000);
  const { leader } = cluster;
  const [one, other] = [...cluster.nodes.values()].filter(({ id }) => id !== leader.id && id !== 4);
  const deadlines = (): number[] => [...cluster.nodes.values()].map(({ core }) => core.nextDeadline);
  const before = deadlines();
  one!.step({ kind: 'leader-cut-off', from: other!.id });
  leader.step({ kind: 'leader-cut-off', from: one!.id });
  cluster.node(4).step({ kind: 'leader-cut-off', from: leader.id });
  assert.deepEqual(deadlines(), before);
  one!.step({ kind: 'leader-cut-off', from: leader.id });
  assert.notDeepEqual(deadlines(), before);
});

test('a follower that is cut off and hears the leader again waits as long as ever', () => {
  const cluster = new Cluster();
  cluster.pass(5_000);
  const { leader } = cluster;
  const { term } = leader.core.role;
  for (const node of cluster.nodes.values()) node.step({ kind: 'leader-cut-off', from: leader.id });
  cluster.pass(20_000);
  assert.deepEqual([cluster.leader.id, cluster.leader.core.role.term], [leader.id, term]);
});
