/** A broker that stops hands over what it leads first, so that nobody waits for an election time-out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBrokerId } from '../../src/model/ids.ts';
import { code } from './broker-fixture.ts';
import { text } from './batches.ts';
import { Cluster } from './cluster-fixture.ts';
import { led, pauses } from './cluster-operations.ts';

const pauseMsMax = 300;

test('promise-drain: a broker that stops pauses a partition less than 300 ms, the catalog too', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 9, 3);
  for (let n = 0; n < 9; n++) await cluster.append('orders', `${n}`, n);
  await cluster.pass(12_000);
  const [id] = [0, 1, 2].filter((one) => led(cluster, one).includes(0));
  assert.ok(id !== undefined && led(cluster, id).length >= 3, 'it leads the catalog and some partitions');
  const longest = await pauses(cluster, cluster.member(id).broker.handOver());
  assert.deepEqual(led(cluster, id), []);
  for (const [group, ms] of longest) assert.ok(ms < pauseMsMax, `group ${group} had no leader for ${ms} ms`);
  const others = [0, 1, 2].filter((one) => one !== id);
  const shares = others.map((one) => led(cluster, one).length);
  assert.ok(Math.min(...shares) >= 3, `the others share what it led: ${shares.join()}`);
  await cluster.stop(id);
  await cluster.append('orders', 'after');
  assert.deepEqual(cluster.faults, []);
});

test('it serves while it hands over, and tells who leads what it gave away', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  const { leader } = await cluster.append('orders', 'a');
  const { broker } = cluster.member(leader);
  await cluster.answer(broker.handOver());
  const request = { topic: 'orders', topicId: null, partition: 0, batch: text(['b']), acks: 'all' } as const;
  const refused = await cluster.answer(broker.append(request, cluster.context()));
  assert.equal(code(refused), 'NOT_LEADER_OR_FOLLOWER');
  assert.ok(refused.kind === 'refused');
  const hint = refused.error.leaderHint;
  assert.ok(hint !== undefined);
  assert.notEqual(hint.brokerId, leader);
  assert.equal((await cluster.append('orders', 'b')).offset, 1);
});

test('leadership does not go back to a broker that said it stops, and does once it is back', async () => {
  const cluster = await Cluster.started(3, { leadershipReturnMs: 1_000, leadershipCheckMs: 500, departureMs: 60_000 });
  await cluster.topic('orders', 6, 3);
  await cluster.pass(6_000);
  const preferred = (await cluster.describe(0, 'orders')).map((one) => one.replicas[0]);
  assert.ok(preferred.includes(toBrokerId(2)));
  await cluster.answer(cluster.member(2).broker.handOver());
  // far longer than it takes to get a leadership back
  for (let passed = 0; passed < 6_000; passed += 500) {
    assert.deepEqual(led(cluster, 2), []);
    await cluster.pass(500);
  }
  await cluster.stop(2);
  await cluster.start(2);
  await cluster.pass(12_000);
  assert.equal((await cluster.describe(0, 'orders')).map((one) => one.leader).join(), preferred.join());
});

test('a broker whose peers are gone, or that is alone, is not held up', async () => {
  const alone = await Cluster.started(1);
  await alone.topic('orders', 2, 1);
  let done = false;
  void alone
    .member(0)
    .broker.handOver()
    .then(() => {
      done = true;
    });
  await alone.settle();
  assert.ok(done, 'at once');
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 2, 3);
  const { leader } = await cluster.append('orders', 'a');
  for (const id of [0, 1, 2]) if (id !== leader) await cluster.crash(id);
  const beganMs = cluster.clock.monotonicMs();
  await cluster.answer(cluster.member(leader).broker.handOver());
  assert.ok(cluster.clock.monotonicMs() - beganMs <= 3_000, 'nobody is waited for who is not heard');
});

test('one after the other stops, and each hands on what it was handed', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 3, 3);
  const { leader } = await cluster.append('orders', 'a');
  await cluster.stop(leader);
  const next = (await cluster.append('orders', 'b')).leader;
  const other = [0, 1, 2].find((id) => id !== leader && id !== next)!;
  const beganMs = cluster.clock.monotonicMs();
  await cluster.stop(next);
  assert.ok(cluster.clock.monotonicMs() - beganMs <= 3_000);
  await cluster.start(leader);
  await cluster.pass(3_000);
  assert.ok(led(cluster, other).length + led(cluster, leader).length > 0);
  assert.equal((await cluster.append('orders', 'c')).offset, 2);
  assert.deepEqual(cluster.faults, []);
});
