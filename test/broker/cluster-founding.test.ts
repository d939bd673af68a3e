/** Three brokers that found a cluster together: partitions, crashes at each step, disks that are wiped meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { catalogGroup, toBrokerId } from '../../src/model/ids.ts';
import type { CrashPoint } from './cluster-fixture.ts';
import { Cluster, Crash, crashPoints } from './cluster-fixture.ts';

const founders = [0, 1, 2];
const all = async (cluster: Cluster, ids: readonly number[] = founders): Promise<void> => {
  await Promise.all(ids.map((id) => cluster.start(id, { founders })));
};

const voters = (cluster: Cluster, id: number): readonly number[] =>
  cluster.member(id).groups.get(catalogGroup)?.membership.configuration.voters ?? [];

async function isOneCluster(cluster: Cluster): Promise<void> {
  const clusters = await Promise.all([...cluster.members.keys()].map((id) => cluster.cluster(id)));
  assert.equal(new Set(clusters.map((one) => one.clusterId)).size, 1);
  assert.equal(new Set(clusters.map((one) => one.catalogLeader)).size, 1);
  for (const { brokers } of clusters) assert.deepEqual(brokers.map((one) => one.brokerId), founders); // prettier-ignore
  for (const id of cluster.members.keys()) assert.deepEqual([...voters(cluster, id)].sort(), [1, 2, 3]);
  assert.deepEqual(cluster.faults, []);
}

test('three founders form one cluster with three voters, and its topics have three replicas', async () => {
  const cluster = new Cluster();
  await all(cluster);
  await cluster.pass(1_000);
  await isOneCluster(cluster);
  await cluster.topic('orders', 1, null, 2);
  assert.equal((await cluster.append('orders', 'a')).offset, 0);
  assert.equal((await cluster.describe(1, 'orders'))[0]?.replicas.length, 3);
  // a fourth joins what three have founded
  await cluster.start(3, { founders });
  assert.equal((await cluster.cluster(3)).brokers.length, 4);
});

test('pit-P62: founders that are cut off from each other found nothing; once they are not, one cluster', async () => {
  const cluster = new Cluster();
  cluster.network.cutOff(toBrokerId(0));
  cluster.network.cutOff(toBrokerId(1));
  cluster.network.cutOff(toBrokerId(2));
  const started = all(cluster);
  await cluster.pass(5_000);
  assert.deepEqual([...cluster.members.keys()], []);
  cluster.network.heal(toBrokerId(1));
  cluster.network.heal(toBrokerId(2));
  await cluster.pass(5_000);
  assert.deepEqual([...cluster.members.keys()], [], 'two of three are not all');
  assert.ok(cluster.waits.includes('1 waits for founder 0'), cluster.waits.join());
  cluster.network.heal();
  await cluster.answer(started);
  await cluster.pass(1_000);
  await isOneCluster(cluster);
});

for (const crashAt of crashPoints) {
  test(`a founder that crashes ${crashAt} finishes what it began (each of the three)`, async () => {
    for (const victim of founders) {
      const cluster = new Cluster();
      const others = founders.filter((id) => id !== victim);
      const started = all(cluster, others);
      started.catch(() => undefined);
      await crashes(cluster, victim, crashAt);
      await cluster.start(victim, { founders });
      await cluster.answer(started);
      await cluster.pass(1_000);
      await isOneCluster(cluster);
    }
  });
}

async function crashes(cluster: Cluster, victim: number, crashAt: CrashPoint): Promise<void> {
  const begun = cluster.begin(victim, { founders, crashAt });
  await assert.rejects(begun, (error) => error instanceof Crash);
  await cluster.pass(500);
}

test('a founder whose disk is emptied before there is a genesis founds with the new one', async () => {
  const cluster = new Cluster();
  cluster.network.cutOff(toBrokerId(0));
  const first = cluster.begin(2, { founders });
  first.catch(() => undefined);
  const started = all(cluster, [0, 1]);
  await cluster.pass(2_000);
  const [old] = cluster.starting.filter((one) => one.id === 2);
  old!.stop.abort();
  await assert.rejects(first, { name: 'BrokerStartError' });
  cluster.wipe(2);
  const again = cluster.start(2, { founders });
  cluster.network.heal();
  await cluster.answer(Promise.all([started, again]));
  await cluster.pass(1_000);
  await isOneCluster(cluster);
  const { brokers } = await cluster.cluster(0);
  assert.equal(brokers[2]?.incarnation, cluster.disks.get(2)?.incarnation);
});

test('pit-P61 pit-P62: a founder whose disk is emptied after the genesis is refused, and the two others are the cluster', async () => {
  for (const victim of founders) {
    const cluster = new Cluster();
    await all(cluster);
    await cluster.pass(1_000);
    await cluster.topic('orders', 1, 3, (victim + 1) % 3);
    await cluster.append('orders', 'a');
    await cluster.crash(victim);
    cluster.wipe(victim);
    await assert.rejects(cluster.begin(victim, { founders }), { name: 'BrokerStartError', message: /replaced/ });
    assert.equal((await cluster.append('orders', 'b')).offset, 1);
  }
});

test('founders whose settings contradict each other found nothing and say why', async () => {
  const cluster = new Cluster();
  const first = cluster.start(0, { founders: [0, 1] });
  const second = cluster.start(1, { founders });
  first.catch(() => undefined);
  second.catch(() => undefined);
  await cluster.pass(5_000);
  assert.deepEqual([...cluster.members.keys()], []);
  assert.ok(cluster.waits.some((one) => one === '0 broker 1 names the founders 0, 1, 2, and this one names 0, 1'));
  for (const { stop } of cluster.starting) stop.abort();
  await assert.rejects(cluster.answer(first), { name: 'BrokerStartError' });
  await assert.rejects(cluster.answer(second), { name: 'BrokerStartError' });
});
