import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster, ids } from './cluster.ts';

test('the life of one proposal, as the leader and a follower tell it', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  for (const node of cluster.nodes.values()) node.trace = [];
  cluster.propose(1, 'a');
  assert.deepEqual(cluster.node(1).trace, [
    'persist t1 vote 1 commit 1 [2/1 batch@0+1]',
    'send 1->2 t1 append-request after 1/1 [2/1 batch@0+1] commit 1',
    'send 1->3 t1 append-request after 1/1 [2/1 batch@0+1] commit 1',
    'send 1->2 t1 append-request after 2/1 [] commit 2',
    'send 1->3 t1 append-request after 2/1 [] commit 2',
    'commit 2 to 2',
  ]);
  assert.deepEqual(cluster.node(2).trace, [
    'persist t1 vote 1 commit 1 [2/1 batch@0+1]',
    'then 2->1 t1 append-reply durable 2',
    'then 2->1 t1 append-reply durable 2',
    'commit 2 to 2',
  ]);
});

test('an election, as the winner tells it', () => {
  const cluster = new Cluster();
  cluster.node(1).trace = [];
  cluster.elect(1);
  assert.deepEqual(cluster.node(1).trace?.slice(0, 9), [
    'send 1->2 t1 vote-request pre last 0/0',
    'send 1->3 t1 vote-request pre last 0/0',
    'role pre-candidate t0',
    'persist t1 vote 1 commit 0',
    'then 1->2 t1 vote-request last 0/0',
    'then 1->3 t1 vote-request last 0/0',
    'role candidate t1',
    'persist [1/1 no-op@0]',
    'send 1->2 t1 heartbeat-request round 1 commit 0',
  ]);
});

test('changes of the configuration and hand-overs read as what they are', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.node(1).trace = [];
  cluster.configure(1, { revision: 1, voters: ids(2, 3) });
  const told = cluster.node(1).trace?.join('\n') ?? '';
  assert.match(told, /persist t1 vote 1 commit 1 \[2\/1 configuration@0\]/);
  assert.match(told, /timeout-now/);
  assert.match(told, /lost leadership of t1/);
  assert.match(told, /role learner t1/);
});
