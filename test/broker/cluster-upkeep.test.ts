/** What a cluster goes through while it is used: drains, rolling restarts, upgrades, topics that go and come again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { text } from './batches.ts';
import { code } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';
import { brokerInfo, led, Load, onBroker, operate, pauses, refusedFor } from './cluster-operations.ts';

test('promise-drain: a drain pauses a partition less than 300 ms, the catalog too', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 9, 3);
  for (let n = 0; n < 9; n++) await cluster.append('orders', `${n}`, n);
  await cluster.pass(12_000);
  const [id] = [0, 1, 2].filter((one) => led(cluster, one).includes(0));
  assert.ok(id !== undefined && led(cluster, id).length >= 3, 'it leads the catalog and some partitions');
  const { broker } = cluster.member(id);
  const drained = async (): Promise<void> => {
    const done = await broker.operate(onBroker('drain-broker', id), false, cluster.context(10_000));
    assert.equal(done.kind, 'ok');
    for (let turn = 0; led(cluster, id).length > 0 && turn < 20_000; turn++) await cluster.settle(1);
  };
  const longest = await pauses(cluster, drained());
  for (const [group, ms] of longest) assert.ok(ms < 300, `group ${group} had no leader for ${ms} ms`);
  assert.deepEqual(cluster.faults, []);
});

test('one broker after the other is drained, stopped and started again under load, and nothing is lost', async (t) => {
  const cluster = await Cluster.started(3, { leadershipReturnMs: 1_000, leadershipCheckMs: 500, departureMs: 2_000 });
  await cluster.topic('orders', 6, 3);
  const load = new Load(t, cluster, 'orders', 6);
  for (const id of [0, 1, 2]) {
    await operate(cluster, onBroker('drain-broker', id), { at: (id + 1) % 3 });
    await cluster.until('it leads nothing', () => led(cluster, id).length === 0, 10_000);
    await cluster.stop(id);
    await cluster.pass(500);
    await cluster.start(id);
    await operate(cluster, onBroker('undrain-broker', id), { at: id });
    await cluster.pass(4_000);
    assert.equal((await brokerInfo(cluster, id, id))?.duty, null);
  }
  await load.stop();
  assert.deepEqual(cluster.faults, []);
});

test('a peer of a newer format takes part before the upgrade is finalized, and one of an older format not after', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  const active = async (): Promise<number> => (await cluster.cluster(0)).activeVersion;
  await cluster.stop(2);
  await cluster.start(2, { formatVersion: 2 });
  await cluster.pass(1_000);
  assert.equal((await brokerInfo(cluster, 0, 2))?.formatVersion, 2);
  await cluster.append('orders', 'both versions');
  const early = await refusedFor(cluster, { kind: 'finalize-upgrade' });
  assert.equal(early.code, 'UNSAFE_OPERATION');
  assert.match(early.message, /brokers 0 .*1 /);
  assert.equal(await active(), 1);
  for (const id of [0, 1]) {
    await cluster.stop(id);
    await cluster.start(id, { formatVersion: 2 });
    await cluster.pass(2_000);
  }
  assert.equal((await operate(cluster, { kind: 'finalize-upgrade' }, { dryRun: true })).activeVersion, 2);
  assert.equal(await active(), 1, 'a dry run changes nothing');
  assert.equal((await operate(cluster, { kind: 'finalize-upgrade' }, { at: 1 })).activeVersion, 2);
  assert.equal(await active(), 2);
  await cluster.pass(2_000);
  await cluster.stop(1);
  await assert.rejects(cluster.start(1, { formatVersion: 1 }), /format 2.*up to 1.*newer version/);
  assert.deepEqual(cluster.faults, []);
});

test('a topic is deleted under load and made again: who knew the old one gets a typed error, never the new records', async (t) => {
  const cluster = await Cluster.started(3);
  const old = await cluster.topic('orders', 3, 3);
  const load = new Load(t, cluster, 'orders', 3);
  await cluster.pass(2_000);
  assert.ok(load.acknowledged.length > 0);
  const deleted = await cluster.answer(
    cluster.member(1).broker.deleteTopic({ name: 'orders', topicId: old }, cluster.context(10_000)),
  );
  assert.equal(deleted.kind, 'ok');
  load.end();
  await cluster.pass(2_000);
  const fresh = await cluster.topic('orders', 3, 3, 2);
  assert.notEqual(fresh, old);
  await cluster.append('orders', 'new');
  for (const id of [0, 1, 2]) {
    const at = { topic: 'orders', topicId: old, partition: 0 };
    const request = { ...at, batch: text(['late']), acks: 'all' } as const;
    const refused = code(await cluster.answer(cluster.member(id).broker.append(request, cluster.context())));
    assert.ok(['UNKNOWN_TOPIC_ID', 'INCONSISTENT_TOPIC_ID'].includes(refused), `broker ${id}: ${refused}`);
  }
  assert.equal((await cluster.append('orders', 'new too')).offset, 1);
  assert.deepEqual(cluster.faults, []);
});
