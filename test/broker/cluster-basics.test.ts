/** Several brokers as one service: joining, the catalog on all of them, failover, restart, wiped disks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { catalogGroup, toOffset, toReplicaId } from '../../src/model/ids.ts';
import type { RaftGroup } from '../../src/raft/group.ts';
import { text } from './batches.ts';
import { code, error, value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

function catalogOf(cluster: Cluster, id: number): RaftGroup {
  const group = cluster.member(id).groups.get(catalogGroup);
  assert.ok(group !== undefined);
  return group;
}

const leaderOf = async (cluster: Cluster, topic: string, at: number): Promise<number> => {
  const [partition] = await cluster.describe(at, topic);
  assert.ok(partition !== undefined && partition.leader !== null, 'somebody leads');
  return partition.leader;
};

test('brokers join a founder, know the same catalog, and the catalog grows to three voters', async () => {
  const cluster = await Cluster.started(4);
  const first = await cluster.cluster(0);
  for (const id of [0, 1, 2, 3]) {
    const { brokers, catalogLeader, clusterId } = await cluster.cluster(id);
    assert.deepEqual([brokers.map((one) => one.brokerId), clusterId], [[0, 1, 2, 3], first.clusterId]);
    assert.equal(catalogLeader, 0);
    assert.ok(brokers.every((one) => one.healthy));
  }
  const { configuration } = catalogOf(cluster, 0).membership;
  assert.deepEqual([configuration.voters.length, configuration.learners.length], [3, 1]);
  assert.deepEqual(cluster.faults, []);
});

test('promise-durable: what was acknowledged survives the loss of the leader, and the broker that comes back has it too', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  for (let n = 0; n < 5; n++) assert.equal((await cluster.append('orders', `before ${n}`)).offset, n);
  const old = await leaderOf(cluster, 'orders', 0);
  await cluster.crash(old);
  const other = (old + 1) % 3;
  const first = await cluster.append('orders', 'after');
  assert.equal(first.offset, 5);
  assert.notEqual(first.leader, old);
  assert.equal(await cluster.visible(first.leader, 'orders'), 6);
  await cluster.start(old);
  await cluster.pass(3_000);
  for (const id of [0, 1, 2]) assert.equal(await cluster.visible(id, 'orders'), 6, `broker ${id}`);
  const [described] = await cluster.describe(other, 'orders');
  assert.deepEqual([...(described?.replicas ?? [])].sort(), [0, 1, 2]);
  assert.deepEqual(cluster.faults, []);
});

test('every broker in turn may be lost; the catalog goes on too', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 2, 3);
  let count = 0;
  for (const id of [0, 1, 2, 0]) {
    await cluster.crash(id);
    const at = (id + 1) % 3;
    for (const partition of [0, 1]) await cluster.append('orders', `${count}`, partition);
    count++;
    await cluster.topic(`topic-${count}`, 1, 2, at);
    await cluster.start(id);
    await cluster.pass(2_000);
  }
  for (const id of [0, 1, 2]) {
    for (const partition of [0, 1]) assert.equal(await cluster.visible(id, 'orders', partition), count);
    const listed = await cluster.answer(
      cluster.member(id).broker.listTopics({ includeInternal: false, limit: 10, after: '' }, cluster.context()),
    );
    assert.equal(value(listed).topics.length, count + 1);
  }
  assert.deepEqual(cluster.faults, []);
});

test('all brokers may be lost at once: everything acknowledged is there', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  for (let n = 0; n < 3; n++) await cluster.append('orders', `${n}`);
  for (const id of [0, 1, 2]) await cluster.crash(id);
  const started = [];
  for (const id of [0, 1, 2]) started.push((await cluster.begin(id)).broker.start());
  await cluster.answer(Promise.all(started));
  assert.equal((await cluster.append('orders', 'again')).offset, 3);
  await cluster.pass(1_000);
  for (const id of [0, 1, 2]) assert.equal(await cluster.visible(id, 'orders'), 4);
});

test('design D15: any broker takes any request for the catalog', async () => {
  const cluster = await Cluster.started(4);
  const created = await cluster.topic('orders', 2, 3, 3);
  for (const id of [0, 1, 2, 3]) {
    const described = await cluster.answer(cluster.member(id).broker.describeTopic('orders', cluster.context()));
    assert.equal(value(described).topic.topicId, created);
  }
  const twice = await cluster.answer(
    cluster.member(2).broker.createTopic({ name: 'orders', partitions: 1, replicationFactor: null }, cluster.context()),
  );
  assert.equal(code(twice), 'TOPIC_ALREADY_EXISTS');
  assert.equal(error(twice).fields?.['topicId'], created);
  const granted = [];
  for (const id of [0, 1, 2, 3]) {
    const grant = value(await cluster.answer(cluster.member(id).broker.initProducer(null, cluster.context())));
    granted.push(grant.producerId);
    const next = value(
      await cluster.answer(cluster.member((id + 1) % 4).broker.initProducer(grant, cluster.context())),
    );
    assert.deepEqual([next.producerId, next.producerEpoch], [grant.producerId, 1]);
  }
  assert.equal(new Set(granted).size, 4);
  value(
    await cluster.answer(cluster.member(1).broker.deleteTopic({ name: 'orders', topicId: null }, cluster.context())),
  );
  await cluster.pass(500);
  for (const id of [0, 1, 2, 3]) {
    const described = await cluster.answer(cluster.member(id).broker.describeTopic('orders', cluster.context()));
    assert.equal(code(described), 'UNKNOWN_TOPIC_OR_PARTITION');
  }
});

test('design D17: a broker that has not heard of a topic yet does not deny it', async () => {
  const cluster = await Cluster.started(4);
  const behind = 3;
  cluster.network.cutOff(cluster.member(behind).id);
  await cluster.topic('orders', 1, 1);
  const { broker } = cluster.member(behind);
  const request = { topic: 'orders', topicId: null, partition: 0, batch: text(['a']), acks: 'all' } as const;
  assert.equal(code(await cluster.answer(broker.append(request, cluster.context()))), 'LEADER_NOT_AVAILABLE');
  const at = { topic: 'orders', topicId: null, partition: 0, fetchOffset: toOffset(0), leaderEpoch: null, bytesMax: 1 };
  const fetching = broker.fetch({ partitions: [at], waitMsMax: 0, bytesMin: 0, bytesMax: 1 }, cluster.context());
  assert.equal(value(await cluster.answer(fetching)).partitions[0]?.error?.code, 'LEADER_NOT_AVAILABLE');
  cluster.network.heal();
  await cluster.pass(3_000);
  assert.equal((await cluster.answer(broker.describeTopic('orders', cluster.context()))).kind, 'ok');
  assert.equal(
    code(await cluster.answer(broker.describeTopic('nowhere', cluster.context()))),
    'UNKNOWN_TOPIC_OR_PARTITION',
  );
});

test('design D18: a request whose answer was lost is indeterminate, and is not sent again', async () => {
  const cluster = await Cluster.started(3);
  const leader = (await cluster.cluster(0)).catalogLeader!;
  const asked = (leader + 1) % 3;
  const before = catalogOf(cluster, leader).commitIndex;
  cluster.network.mute(cluster.member(leader).id);
  const creating = cluster
    .member(asked)
    .broker.createTopic({ name: 'orders', partitions: 1, replicationFactor: 1 }, cluster.context(2_000));
  const answer = await cluster.answer(creating);
  assert.equal(code(answer), 'REQUEST_TIMED_OUT');
  cluster.network.unmute(cluster.member(leader).id);
  await cluster.pass(5_000);
  assert.equal(
    (await cluster.answer(cluster.member(asked).broker.describeTopic('orders', cluster.context()))).kind,
    'ok',
  );
  assert.ok(catalogOf(cluster, leader).commitIndex > before);
});

test('pit-P78: a topic that is deleted and created again under the same name shares nothing with the old one', async () => {
  const cluster = await Cluster.started(3);
  const old = await cluster.topic('orders', 1, 3);
  await cluster.append('orders', 'old');
  const oldGroup = [...cluster.member(0).groups.keys()].at(-1)!;
  const away = (await leaderOf(cluster, 'orders', 0)) === 2 ? 1 : 2;
  await cluster.crash(away);
  const at = away === 2 ? 1 : 2;
  value(
    await cluster.answer(cluster.member(at).broker.deleteTopic({ name: 'orders', topicId: old }, cluster.context())),
  );
  const created = await cluster.topic('orders', 1, 3, at);
  assert.notEqual(created, old);
  assert.equal((await cluster.append('orders', 'new')).offset, 0);
  await cluster.start(away);
  await cluster.pass(4_000);
  for (const id of [0, 1, 2]) {
    assert.equal(await cluster.visible(id, 'orders'), 1);
    assert.equal(cluster.member(id).groups.has(oldGroup), false, `broker ${id} removed the old group`);
  }
});

test('pit-P61 pit-P96: a wiped disk is refused under its old id, and votes for nothing', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  await cluster.append('orders', 'a');
  await cluster.crash(2);
  cluster.wipe(2);
  await assert.rejects(cluster.begin(2), {
    name: 'BrokerStartError',
    message: /broker 2 is known with disk disk-2.*replaced/,
  });
  // with a new id it is another broker
  await cluster.start(3);
  await cluster.pass(6_000);
  assert.deepEqual([...cluster.member(3).groups.keys()], [catalogGroup], 'nothing is placed on it');
  const { brokers } = await cluster.cluster(0);
  assert.deepEqual(brokers.map((one) => [one.brokerId, one.healthy]), [[0, true], [1, true], [2, false], [3, true]]); // prettier-ignore
});

test('local-2: a disk that lost its replica of the catalog is not given an empty one under the same id', async () => {
  const cluster = await Cluster.started(3);
  await cluster.crash(1);
  const { incarnation } = cluster.disks.get(1)!;
  cluster.wipe(1);
  // the identity is there and the data is not, as on a disk that was restored in part
  await assert.rejects(cluster.begin(1, { incarnation }), {
    name: 'BrokerStartError',
    message: /lost its replica of the catalog/,
  });
});

test('the catalog gives the vote of a broker that is dead to another one, and then survives the next', async () => {
  const cluster = await Cluster.started(4, { brokerDeadMs: 8_000, voterReplacementMsMin: 1_000 });
  const members = (): readonly number[] => catalogOf(cluster, 0).membership.configuration.voters;
  const votersAt = [1, 2, 3].filter((id) => members().includes(catalogReplica(cluster, id)));
  const [dead, next] = votersAt;
  const gone = catalogReplica(cluster, dead!);
  await cluster.crash(dead!);
  await cluster.pass(4_000);
  assert.ok(members().includes(gone), 'not before it is dead');
  await cluster.until('its vote is given away', () => !members().includes(gone));
  assert.equal(members().length, 3);
  await cluster.pass(1_000);
  await cluster.crash(next!);
  await cluster.topic('orders', 1, 1);
  assert.deepEqual(cluster.faults, []);
});

function catalogReplica(cluster: Cluster, id: number): number {
  const leader = [...cluster.members.values()].find(({ directory }) => directory !== cluster.member(id).directory)!;
  const known = Array.from({ length: 10 }, (_, at) => toReplicaId(at + 1));
  const found = known.find((replica) => leader.directory.brokerOf(replica) === id);
  assert.ok(found !== undefined);
  return found;
}
