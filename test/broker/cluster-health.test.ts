/** Who is healthy: the same answer from every broker, or an honest "not known". */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { catalogGroup } from '../../src/model/ids.ts';
import { Cluster } from './cluster-fixture.ts';

const healths = async (cluster: Cluster, at: number): Promise<string> => {
  const { brokers } = await cluster.cluster(at);
  return brokers.map(({ healthy, healthUnknown }) => (healthy ? 'yes' : healthUnknown ? 'unknown' : 'no')).join();
};

test('every broker knows from the leader of the catalog who is silent, and which rack and disk a broker has', async () => {
  const cluster = await Cluster.started(4, {}, ['a', 'b', 'c']);
  for (const at of [0, 1, 2, 3]) assert.equal(await healths(cluster, at), 'yes,yes,yes,yes', `broker ${at}`);
  const silent = [1, 2, 3].find((id) => !leads(cluster, id))!;
  await cluster.crash(silent);
  await cluster.pass(8_000);
  const expected = [0, 1, 2, 3].map((id) => (id === silent ? 'no' : 'yes')).join();
  for (const at of cluster.members.keys()) assert.equal(await healths(cluster, at), expected, `broker ${at}`);
  const { brokers } = await cluster.cluster(0);
  assert.deepEqual(
    brokers.map(({ rack }) => rack),
    ['a', 'b', 'c', null],
  );
  assert.equal(brokers[silent]?.incarnation, cluster.disks.get(silent)?.incarnation);
  assert.match(brokers[silent]?.unhealthyReason ?? '', /does not hear/);
});

test('a broker that can not ask the leader of the catalog says of nobody else how it is', async () => {
  const cluster = await Cluster.started(3);
  const cutOff = [0, 1, 2].find((id) => !leads(cluster, id))!;
  cluster.network.cutOff(cluster.member(cutOff).id);
  const expected = [0, 1, 2].map((id) => (id === cutOff ? 'yes' : 'unknown')).join();
  assert.equal(await healths(cluster, cutOff), expected, 'at once, and it still believes in the leader');
  await cluster.pass(8_000);
  assert.equal(await healths(cluster, cutOff), expected, 'when it has no leader any more');
  cluster.network.heal();
  await cluster.pass(5_000);
  assert.equal(await healths(cluster, cutOff), 'yes,yes,yes');
});

const leads = (cluster: Cluster, id: number): boolean =>
  [...cluster.member(id).groups].some(([group, { role }]) => group === catalogGroup && role.serving);
