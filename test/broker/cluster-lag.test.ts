/** How far a consumer group is behind is told by its coordinator for all partitions, also for those that it has no replica of. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBrokerId, toOffset } from '../../src/model/ids.ts';
import { Cluster } from './cluster-fixture.ts';

const partitions = [0, 1, 2];
const committed = 1;

/** Three brokers, and a topic with one partition on each, in which a group has read the first record. */
async function behind(recordsOf: (partition: number) => number): Promise<{ cluster: Cluster; coordinator: number }> {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', partitions.length, 1);
  for (const partition of partitions)
    for (let n = 0; n < recordsOf(partition); n++) await cluster.append('orders', `record ${n}`, partition);
  const offsets = partitions.map((partition) => {
    return { topic: 'orders', topicId: null, partition, offset: toOffset(committed), leaderEpoch: null, metadata: '' };
  });
  let coordinator: number | null = null;
  for (let attempt = 0; coordinator === null; attempt++) {
    assert.ok(attempt < 100, 'nobody coordinates the group');
    for (const [id, { broker }] of cluster.members) {
      const done = await cluster.answer(
        broker.commitOffsets({ group: 'billing', member: null, offsets }, cluster.context()),
      );
      if (done.kind === 'ok') coordinator = id;
    }
    await cluster.pass(100);
  }
  return { cluster, coordinator };
}

async function lagsAt(cluster: Cluster, id: number): Promise<ReadonlyMap<number, number>> {
  const { groups } = await cluster.answer(cluster.member(id).broker.sample(() => Promise.resolve()));
  const lags = groups.find(({ group }) => group === 'billing')?.lags ?? [];
  for (const { seconds } of lags) assert.ok(seconds !== null && seconds > 0, 'the age of the oldest is told too');
  return new Map(lags.map(({ partition, records }) => [partition, records]));
}

test('the lag of partitions elsewhere is asked of brokers that have them', async () => {
  const { cluster, coordinator } = await behind((partition) => 2 + partition);
  await cluster.pass(2_000);
  const lags = await lagsAt(cluster, coordinator);
  assert.deepEqual(
    [...lags].sort(([a], [b]) => a - b),
    partitions.map((partition) => [partition, 2 + partition - committed]),
  );
});

test('what nobody tells is left out, and keeps nobody waiting for long', async () => {
  const { cluster, coordinator } = await behind(() => 3);
  const gone = [0, 1, 2].find((id) => id !== coordinator)!;
  const [lost] = (await cluster.describe(coordinator, 'orders')).filter(({ replicas }) =>
    replicas.includes(toBrokerId(gone)),
  );
  assert.ok(lost !== undefined);
  await cluster.crash(gone);
  await cluster.pass(1_000);
  const began = cluster.clock.monotonicMs();
  const lags = await lagsAt(cluster, coordinator);
  assert.ok(cluster.clock.monotonicMs() - began <= 2_000);
  assert.deepEqual(
    [...lags.keys()].sort(),
    partitions.filter((partition) => partition !== lost.partition),
  );
});
