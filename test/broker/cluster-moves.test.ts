/** Replicas that move, replication factors that change, leaderships that go back home: on whole brokers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBrokerId } from '../../src/model/ids.ts';
import { code, value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

const move = async (cluster: Cluster, at: number, topic: string, brokers: readonly number[]): Promise<void> => {
  const wish = { topic, partition: 0, brokers: brokers.map(toBrokerId) };
  for (let attempt = 0; attempt < 100; attempt++) {
    const moved = await cluster.answer(cluster.member(at).broker.moveReplicas(wish, cluster.context()));
    if (moved.kind === 'ok' || moved.error.code !== 'LEADER_NOT_AVAILABLE') return void value(moved);
    await cluster.pass(100);
  }
};

/** The newest group that some broker runs: that of the last topic. */
const newestGroup = (cluster: Cluster): number =>
  Math.max(...[...cluster.members.values()].flatMap(({ groups }) => [...groups.keys()]));

const holders = (cluster: Cluster, group: number): number[] =>
  [...cluster.members].filter(([, { groups }]) => [...groups.keys()].some((one) => one === group)).map(([id]) => id);

const voters = (cluster: Cluster, group: number): number => {
  const led = [...cluster.members.values()].flatMap(({ groups }) => [...groups.values()]);
  const leader = led.find((one) => one.group === group && one.role.serving);
  return leader?.membership.configuration.voters.length ?? 0;
};

test('a replica moves to another broker: the data comes along, and the old copy goes only then', async () => {
  const cluster = await Cluster.started(4);
  await cluster.topic('orders', 1, 3);
  for (let n = 0; n < 4; n++) await cluster.append('orders', `${n}`);
  const group = newestGroup(cluster);
  const before = holders(cluster, group);
  const [away] = before;
  const to = [0, 1, 2, 3].find((id) => !before.includes(id))!;
  const target = [...before.slice(1), to];
  await move(cluster, 2, 'orders', target);
  await cluster.until('the old copy is gone', () => !holders(cluster, group).includes(away!));
  assert.deepEqual(holders(cluster, group).sort(), [...target].sort());
  assert.equal(await cluster.visible(to, 'orders'), 4);
  assert.equal((await cluster.append('orders', 'more')).offset, 4);
  const [described] = await cluster.describe(to, 'orders');
  assert.deepEqual(described?.replicas, target);
  assert.deepEqual(cluster.faults, []);
});

test('one replica becomes three, and one again', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 1);
  await cluster.append('orders', 'a');
  const group = newestGroup(cluster);
  const [first] = holders(cluster, group);
  const all = [first!, (first! + 1) % 3, (first! + 2) % 3];
  await move(cluster, 1, 'orders', all);
  await cluster.until('three vote', () => voters(cluster, group) === 3);
  await cluster.crash(first!);
  assert.equal((await cluster.append('orders', 'b')).offset, 1);
  await cluster.start(first!);
  await move(cluster, all[1]!, 'orders', [all[1]!]);
  await cluster.until('one holds it', () => holders(cluster, group).length === 1);
  assert.equal((await cluster.append('orders', 'c')).offset, 2);
  assert.deepEqual(cluster.faults, []);
});

test('a move that is half done when a broker dies is finished, or taken back (pit-P65)', async () => {
  for (const ending of ['finished', 'taken back'] as const) {
    const cluster = await Cluster.started(4);
    await cluster.topic('orders', 1, 3);
    await cluster.append('orders', 'a');
    const group = newestGroup(cluster);
    const before = holders(cluster, group);
    const to = [0, 1, 2, 3].find((id) => !before.includes(id))!;
    await cluster.crash(to);
    await move(cluster, before[1]!, 'orders', [before[1]!, before[2]!, to]);
    await cluster.pass(3_000);
    assert.deepEqual(holders(cluster, group).sort(), [...before].sort(), 'nobody goes before the new one has come');
    if (ending === 'taken back') {
      await move(cluster, before[1]!, 'orders', [before[1]!, before[2]!, before[0]!]);
      await cluster.pass(2_000);
    }
    await cluster.start(to);
    const wanted = ending === 'finished' ? [before[1]!, before[2]!, to] : before;
    await cluster.until(ending, () => holders(cluster, group).sort().join() === [...wanted].sort().join());
    await cluster.pass(2_000);
    assert.equal((await cluster.append('orders', 'b')).offset, 1);
    for (const id of wanted) await cluster.until('it has both', () => cluster.members.has(id));
    await cluster.pass(1_000);
    for (const id of wanted) assert.equal(await cluster.visible(id, 'orders'), 2);
    assert.deepEqual(cluster.faults, []);
  }
});

test('a broker that was away gets the leaderships back that are its own', async () => {
  const cluster = await Cluster.started(3, { leadershipReturnMs: 4_000 });
  await cluster.topic('orders', 6, 3);
  const preferred = (await cluster.describe(0, 'orders')).map((one) => one.replicas[0]);
  const leads = async (): Promise<string> => {
    const all = await cluster.describe(0, 'orders');
    return all.map((one) => one.leader).join();
  };
  await cluster.pass(12_000);
  assert.equal(await leads(), preferred.join(), 'leaders spread as placed');
  // the partition of the internal topic is led by broker 0, and counts
  const counts = [0, 1, 2].map((id) => preferred.filter((one) => one === id).length + (id === 0 ? 1 : 0));
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
  await cluster.crash(2);
  await cluster.pass(5_000);
  assert.ok(!(await leads()).includes('2'));
  await cluster.start(2);
  await cluster.pass(2_000);
  assert.notEqual(await leads(), preferred.join(), 'not at once');
  await cluster.pass(12_000);
  assert.equal(await leads(), preferred.join());
});

test('the state of consumer groups gets three replicas once there are three brokers, and outlives the first', async () => {
  const cluster = await Cluster.started(3);
  const groupsPartition = 1;
  await cluster.until('three hold it', () => voters(cluster, groupsPartition) === 3);
  await cluster.crash(0);
  await cluster.topic('orders', 1, 1, 1);
  const join = { group: 'billing', topics: ['orders'], resumeToken: null, clientId: '', joinId: null };
  let joined = false;
  for (let attempt = 0; attempt < 50 && !joined; attempt++) {
    for (const id of [1, 2]) {
      const answer = await cluster.answer(cluster.member(id).broker.joinGroup(join, cluster.context()));
      joined ||= answer.kind === 'ok';
    }
    await cluster.pass(100);
  }
  assert.ok(joined);
  assert.deepEqual(cluster.faults, []);
});

test('a move to who is not there, or to one twice, is refused', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  const asked = async (brokers: readonly number[], partition = 0, topic = 'orders'): Promise<string> => {
    const wish = { topic, partition, brokers: brokers.map(toBrokerId) };
    return code(await cluster.answer(cluster.member(1).broker.moveReplicas(wish, cluster.context())));
  };
  assert.equal(await asked([0, 0]), 'INVALID_REQUEST');
  assert.equal(await asked([0, 9]), 'INVALID_REQUEST');
  assert.equal(await asked([]), 'INVALID_REPLICATION_FACTOR');
  assert.equal(await asked([0, 1, 2, 3]), 'INVALID_REPLICATION_FACTOR');
  assert.equal(await asked([0], 5), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(await asked([0], 0, 'nowhere'), 'UNKNOWN_TOPIC_OR_PARTITION');
});
