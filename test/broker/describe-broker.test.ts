/** What brokers tell of themselves, and that one broken replica is set apart and named while everything else goes on. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DurableGroupLogs } from '../../src/log/group-logs.ts';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { TailCacheBudget } from '../../src/log/tail-cache-budget.ts';
import type { BrokerReport } from '../../src/broker/requests.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { toBrokerId, toGroupNumber } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import type { Poison } from '../fakes/poisoned-entry.ts';
import { poisonEntry } from '../fakes/poisoned-entry.ts';
import { code, value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

const partitions = 40;
const poisoned = 7;

const report = async (cluster: Cluster, at: number): Promise<BrokerReport> =>
  value(await cluster.member(at).broker.describeBroker(null, cluster.context()));

const groupsOnDisk = async (cluster: Cluster, id: number): Promise<readonly GroupNumber[]> => {
  const resources = { crc32c, cache: new TailCacheBudget(0), garbage: new GarbageMeter() };
  const logs = new DurableGroupLogs({ store: cluster.disks.get(id)!.store, ...resources });
  return (await logs.list()).map(({ group }) => group);
};

/** Three brokers with a topic of many partitions, in each of which something was written. */
async function withTopic(): Promise<Cluster> {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', partitions, 3);
  for (let partition = 0; partition < partitions; partition++) await cluster.append('orders', 'first', partition);
  return cluster;
}

test('a broker counts its replicas and tells whom it knows', async () => {
  const cluster = await withTopic();
  const reports = await Promise.all([0, 1, 2].map((id) => report(cluster, id)));
  const leaders = reports.map(({ replicas }) => replicas.leaders);
  assert.ok(leaders.reduce((sum, count) => sum + count) >= partitions, leaders.join());
  for (const [id, { broker, replicas, quarantined, peers, disk, runtime }] of reports.entries()) {
    assert.equal(broker.brokerId, id);
    assert.equal(broker.healthy, true);
    // of the topic, and of the groups' one partition
    assert.equal(replicas.leaders + replicas.followers, partitions + 1);
    assert.deepEqual([replicas.quarantined, quarantined], [0, []]);
    assert.deepEqual(
      peers.map((peer) => peer.brokerId),
      [0, 1, 2].filter((other) => other !== id),
    );
    assert.deepEqual([disk, runtime], [null, null], 'nothing is measured here');
  }
  const { broker } = cluster.member(1);
  assert.equal(code(await broker.describeBroker(toBrokerId(9), cluster.context())), 'INVALID_REQUEST');
});

describe('pit-P81, inv-I11: a poison entry sets apart one replica on one broker', () => {
  for (const poison of ['unknown kind', 'wrong base offset', 'broken checksum'] as const satisfies Poison[]) {
    // the last entry is met when the log is opened, one before it when it is applied
    for (const from of [0, 1]) {
      test(`${poison}, ${from} before the end`, async () => {
        const cluster = await withTopic();
        const victim = 2;
        await cluster.append('orders', 'second', poisoned);
        const groups = await groupsOnDisk(cluster, victim);
        await cluster.crash(victim);
        // the topic of groups came first, then this one in the order of its partitions
        const group = toGroupNumber(groups.at(poisoned - partitions)!);
        await poisonEntry(cluster.disks.get(victim)!.store, group, poison, from);
        await cluster.start(victim);
        await cluster.until('it is found', () => cluster.member(victim).groups.get(group)?.quarantine !== null);
        const { broker, replicas, quarantined } = await report(cluster, victim);
        assert.equal(broker.healthy, true);
        assert.equal(replicas.quarantined, 1);
        const [named] = quarantined;
        assert.equal(quarantined.length, 1);
        assert.equal(named?.group, group);
        assert.deepEqual([named.partition?.topic, named.partition?.number], ['orders', poisoned]);
        assert.ok(named.reason.length > 0 && named.sinceMs > 0);
        for (const other of [0, 1]) assert.deepEqual((await report(cluster, other)).quarantined, []);
        // every partition goes on, the poisoned one with the two others
        for (let partition = 0; partition < partitions; partition++) {
          const { offset, leader } = await cluster.append('orders', 'more', partition);
          assert.equal(offset, partition === poisoned ? 2 : 1, `partition ${partition}`);
          if (partition === poisoned) assert.notEqual(leader, victim);
        }
        assert.equal(cluster.member(victim).groups.get(group)?.role.role, 'follower');
        assert.deepEqual(cluster.faults, []);
      });
    }
  }
});

test('data that is missing, and data that nobody knows, is named too', async () => {
  const cluster = await withTopic();
  const victim = 1;
  const groups = await groupsOnDisk(cluster, victim);
  const group = toGroupNumber(groups.at(poisoned - partitions)!);
  await cluster.crash(victim);
  const resources = { crc32c, cache: new TailCacheBudget(0), garbage: new GarbageMeter() };
  const logs = new DurableGroupLogs({ store: cluster.disks.get(victim)!.store, ...resources });
  const header = (await logs.list()).find((one) => one.group === group)!;
  await logs.remove(group);
  await logs.create({ ...header, group: toGroupNumber(99_999) });
  await cluster.start(victim);
  const { quarantined, replicas } = await report(cluster, victim);
  assert.deepEqual(
    quarantined.map((one) => [one.group as number, one.partition?.number ?? null]),
    [
      [group, poisoned],
      [99_999, null],
    ],
  );
  assert.equal(replicas.quarantined, 2);
});

test('local-2: data that an old catalog names is called missing only once the newest one was seen', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  await cluster.append('orders', 'a');
  await cluster.pass(1_000);
  const victim = 1;
  const group = (await groupsOnDisk(cluster, victim)).at(-1)!;
  for (const id of [0, 1, 2]) await cluster.crash(id);
  const resources = { crc32c, cache: new TailCacheBudget(0), garbage: new GarbageMeter() };
  await new DurableGroupLogs({ store: cluster.disks.get(victim)!.store, ...resources }).remove(group);
  const { broker } = await cluster.start(victim);
  await cluster.pass(20_000);
  assert.deepEqual((await report(cluster, victim)).quarantined, [], 'two of three are down: it may have been deleted');
  await cluster.start(2);
  assert.equal(await cluster.answer(broker.whenCurrent()), true);
  await cluster.pass(1_000);
  assert.deepEqual(
    (await report(cluster, victim)).quarantined.map((one) => one.group),
    [group],
  );
  assert.deepEqual(cluster.faults, []);
});
