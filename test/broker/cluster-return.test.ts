/** Brokers that were all stopped: they find each other again, wherever they are, and say until then that they do not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBrokerId } from '../../src/model/ids.ts';
import { Cluster } from './cluster-fixture.ts';

const founders = [0, 1, 2];

async function founded(): Promise<Cluster> {
  const cluster = new Cluster();
  await Promise.all(founders.map((id) => cluster.start(id, { founders })));
  await cluster.pass(1_000);
  return cluster;
}

const places = (cluster: Cluster, at: number): readonly (string | null | undefined)[] =>
  founders.map((id) => cluster.member(at).broker.peerOf(toBrokerId(id))?.peerAddress);

test('the catalog learns where each is when all of them have moved', async () => {
  const cluster = await founded();
  await cluster.topic('orders', 1, 3);
  await cluster.append('orders', 'a');
  for (const id of founders) await cluster.crash(id);
  for (const id of founders) cluster.hosts.set(id, `elsewhere-${id}`);
  const members = await Promise.all(founders.map((id) => cluster.start(id, { founders })));
  for (const { broker } of members) assert.equal(await cluster.answer(broker.whenCurrent()), true);
  await cluster.pass(1_000);
  for (const id of founders) {
    assert.deepEqual(places(cluster, id), founders.map((one) => `elsewhere-${one}:9401`)); // prettier-ignore
  }
  assert.equal((await cluster.append('orders', 'b')).offset, 1);
  assert.deepEqual(cluster.faults, []);
});

test('a broker that does not reach its catalog is not current, says what it waits for, and answers all the same', async () => {
  const cluster = await founded();
  await cluster.topic('orders', 1, 3);
  await cluster.append('orders', 'a');
  await cluster.pass(1_000);
  for (const id of founders) await cluster.crash(id);
  const { broker } = await cluster.start(1, { founders });
  let current: boolean | null = null;
  void broker.whenCurrent().then((is) => (current = is));
  await cluster.pass(20_000);
  assert.equal(current, null, 'two of three are down');
  assert.ok(cluster.waits.includes('1 the leader of the catalog can not be reached; try again'), cluster.waits.join());
  assert.equal((await cluster.describe(1, 'orders')).length, 1);
  await cluster.start(2, { founders });
  await cluster.until('it has reached the catalog', () => current === true);
  assert.deepEqual(cluster.faults, []);
});

test('a broker that is stopped before it reaches its catalog never was current', async () => {
  const cluster = await founded();
  for (const id of founders) await cluster.crash(id);
  const { broker } = await cluster.start(1, { founders });
  const current = broker.whenCurrent();
  await cluster.answer(broker.close());
  assert.equal(await cluster.answer(current), false);
});
