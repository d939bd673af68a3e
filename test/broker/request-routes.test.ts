/** Which broker a request is handed to by one that has no replica of the partition. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBrokerId, toTerm } from '../../src/model/ids.ts';
import { Cluster } from './cluster-fixture.ts';

test('replicas are asked in turn until one helps, and who leads as soon as that is told', async () => {
  const cluster = await Cluster.started(4);
  await cluster.topic('orders', 1, 3);
  const [described] = await cluster.describe(0, 'orders');
  const replicas = described?.replicas ?? [];
  const outside = [0, 1, 2, 3].map(toBrokerId).find((id) => !replicas.includes(id)) ?? toBrokerId(0);
  await cluster.pass(500);
  const { routes } = cluster.member(outside).broker;
  const ref = { topic: 'orders', topicId: null, partition: 0 };
  const asked = (): number => {
    const to = routes.leaderOf(0, ref);
    assert.ok(to !== null);
    routes.missed(0, ref, to);
    return to;
  };
  assert.deepEqual([asked(), asked(), asked(), asked()], [...replicas, replicas[0]]);

  const last = replicas[2] ?? toBrokerId(0);
  routes.learnLeader(0, ref, { brokerId: last, address: 'told:9400', leaderEpoch: toTerm(9) });
  assert.equal(routes.leaderOf(0, ref), last);
  assert.equal(asked(), last);
  assert.equal(routes.leaderOf(0, ref), replicas[0], 'what was told is forgotten when it is in vain');
  routes.learnLeader(0, ref, { brokerId: outside, address: 'told:9400', leaderEpoch: toTerm(10) });
  assert.notEqual(routes.leaderOf(0, ref), outside, 'a broker does not hand on to itself');
});
