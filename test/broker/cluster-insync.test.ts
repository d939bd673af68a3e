/** min.insync.replicas, acknowledgements by every replica, and receipts, on whole brokers (semantics A4, A5, A10). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppendReceipt, AppendRequest } from '../../src/broker/requests.ts';
import type { Result } from '../../src/model/errors.ts';
import { toOffset } from '../../src/model/ids.ts';
import { idempotent, text } from './batches.ts';
import { code, error, value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

/** Three brokers and a topic of one partition on all of them. */
async function started(insync: number | null): Promise<Cluster> {
  const cluster = await Cluster.started(3);
  const config = { set: { 'min.insync.replicas': insync }, reset: [] };
  const wish = { name: 'orders', partitions: 1, replicationFactor: 3, config };
  value(await cluster.answer(cluster.member(0).broker.createTopic(wish, cluster.context(20_000))));
  await cluster.append('orders', 'first');
  await cluster.pass(1_000);
  return cluster;
}

async function leaderOf(cluster: Cluster): Promise<number> {
  for (const id of cluster.members.keys()) {
    const [partition] = await cluster.describe(id, 'orders');
    if (partition?.leader === id) return id;
  }
  assert.fail('nobody leads');
}

const append = (
  cluster: Cluster,
  at: number,
  batch: Uint8Array,
  more: Partial<AppendRequest> & { readonly waitMs?: number } = {},
): Promise<Result<AppendReceipt>> => {
  const { waitMs = 5_000, ...rest } = more;
  const request = { topic: 'orders', topicId: null, partition: 0, batch, acks: 'all', ...rest } as const;
  return cluster.member(at).broker.append(request, cluster.context(waitMs));
};

test('sem-A4 sem-A10: with fewer in sync than asked for nothing is appended; acks=leader is not held back', async () => {
  const cluster = await started(3);
  const leader = await leaderOf(cluster);
  const [away] = [0, 1, 2].filter((id) => id !== leader);
  const receipt = value(await cluster.answer(append(cluster, leader, text(['all three']))));
  assert.deepEqual(receipt.durableOn, [0, 1, 2]);
  await cluster.crash(away!);
  await cluster.pass(2_500);
  const before = await cluster.visible(leader, 'orders');
  const refused = error(await cluster.answer(append(cluster, leader, text(['x']))));
  assert.equal(refused.code, 'NOT_ENOUGH_REPLICAS');
  assert.deepEqual(refused.fields, { required: '3', actual: '2' });
  assert.equal(await cluster.visible(leader, 'orders'), before);
  const less = value(await cluster.answer(append(cluster, leader, text(['y']), { acks: 'leader' })));
  assert.equal(less.committed, false);
  await cluster.start(away!);
  await cluster.pass(3_000);
  assert.deepEqual(value(await cluster.answer(append(cluster, leader, text(['z'])))).durableOn, [0, 1, 2]);
});

test('sem-A5: a batch that is committed on fewer replicas than asked for is so reported, can be read, and its retry waits', async () => {
  const cluster = await started(3);
  const leader = await leaderOf(cluster);
  const away = [0, 1, 2].find((id) => id !== leader)!;
  const before = await cluster.visible(leader, 'orders');
  cluster.network.cutOff(cluster.member(away).id);
  const batch = idempotent(7, 0, 0);
  const told = error(await cluster.answer(append(cluster, leader, batch.slice(), { waitMs: 1_000 })));
  assert.equal(told.code, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND');
  assert.deepEqual(told.fields, { required: '3', actual: '2', committed: 'true' });
  assert.equal(await cluster.visible(leader, 'orders'), before + 1);
  const retry = append(cluster, leader, batch.slice(), { waitMs: 10_000 });
  await cluster.pass(500);
  cluster.network.heal();
  const receipt = value(await cluster.answer(retry));
  assert.deepEqual([receipt.duplicate, receipt.durableOn], [true, [0, 1, 2]]);
  assert.equal(await cluster.visible(leader, 'orders'), before + 1, 'once');
});

test('a request may ask for every replica, whatever the topic asks for', async () => {
  const cluster = await started(null);
  const leader = await leaderOf(cluster);
  const away = [0, 1, 2].find((id) => id !== leader)!;
  const all = value(await cluster.answer(append(cluster, leader, text(['a']), { everyReplica: true })));
  assert.deepEqual(all.durableOn, [0, 1, 2]);
  cluster.network.cutOff(cluster.member(away).id);
  const majority = value(await cluster.answer(append(cluster, leader, text(['b']))));
  assert.equal(majority.durableOn.length, 2);
  const late = append(cluster, leader, text(['c']), { everyReplica: true, waitMs: 1_500 });
  assert.equal(code(await cluster.answer(late)), 'NOT_ENOUGH_REPLICAS_AFTER_APPEND');
  const patient = append(cluster, leader, text(['d']), { everyReplica: true, waitMs: 20_000 });
  await cluster.pass(3_000);
  cluster.network.heal();
  assert.deepEqual(value(await cluster.answer(patient)).durableOn, [0, 1, 2]);
});

test('a receipt names the entry, and a later leader has the same one there', async () => {
  const cluster = await started(null);
  const leader = await leaderOf(cluster);
  const batch = idempotent(7, 0, 0);
  const first = value(await cluster.answer(append(cluster, leader, batch.slice())));
  assert.ok(first.entry !== null && first.entry.index > 1);
  assert.equal(first.entry.term, first.leaderEpoch);
  await cluster.crash(leader);
  let again: AppendReceipt | null = null;
  for (let attempt = 0; again === null && attempt < 100; attempt++) {
    for (const id of cluster.members.keys()) {
      const result = await cluster.answer(append(cluster, id, batch.slice()));
      if (result.kind === 'ok') again = result.value;
    }
    await cluster.pass(100);
  }
  assert.ok(again?.duplicate);
  assert.deepEqual([again.baseOffset, again.entry], [first.baseOffset, first.entry]);
  assert.ok(again.leaderEpoch > first.leaderEpoch);
});

test('a leader that was deposed unnoticed refuses no conditional append for where it thinks the partition ends', async () => {
  const cluster = await started(null);
  const old = await leaderOf(cluster);
  cluster.network.cutOff(cluster.member(old).id);
  const others = [0, 1, 2].filter((id) => id !== old);
  let end: number | null = null;
  for (let attempt = 0; end === null && attempt < 100; attempt++) {
    for (const id of others) {
      const result = await cluster.answer(append(cluster, id, text(['elsewhere']), { waitMs: 1_000 }));
      if (result.kind === 'ok') end = (result.value.baseOffset ?? 0) + 1;
    }
    await cluster.pass(100);
  }
  assert.ok(end !== null);
  const stale = await cluster.answer(
    append(cluster, old, text(['x']), { expectedEndOffset: toOffset(end), waitMs: 2_000 }),
  );
  assert.notEqual(code(stale), 'UNEXPECTED_END_OFFSET');
});

test('min.insync.replicas is from a majority to all replicas, and the replication factor does not fall below it', async () => {
  const cluster = await Cluster.started(3);
  const { broker } = cluster.member(0);
  const create = (name: string, insync: number, replicationFactor: number) => {
    const config = { set: { 'min.insync.replicas': insync }, reset: [] };
    return cluster.answer(
      broker.createTopic({ name, partitions: 1, replicationFactor, config }, cluster.context(9_000)),
    );
  };
  assert.deepEqual(error(await create('few', 1, 3)).fields, {
    ...{ key: 'min.insync.replicas', actual: '1', from: '2', through: '3' },
  });
  assert.equal(code(await create('many', 4, 3)), 'INVALID_CONFIG');
  const { topic } = value(await create('good', 3, 3));
  assert.equal(topic.config['min.insync.replicas'], 3);
  const change = {
    name: 'good',
    topicId: null,
    dryRun: false,
    config: { set: { 'min.insync.replicas': 1 }, reset: [] },
  };
  assert.equal(code(await cluster.answer(broker.alterTopic(change, cluster.context()))), 'INVALID_CONFIG');
  const operation = {
    kind: 'change-replication-factor',
    topic: { tenant: 0, name: 'good', topicId: null },
    replicationFactor: 1,
  } as const;
  const refused = await cluster.answer(broker.operate(operation, false, cluster.context()));
  assert.equal(code(refused), 'INVALID_REPLICATION_FACTOR');
});
