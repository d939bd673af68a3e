/** Operations on a live cluster, on whole brokers and under a load of appends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBrokerId } from '../../src/model/ids.ts';
import { Cluster } from './cluster-fixture.ts';
import {
  ask,
  brokerInfo,
  holders,
  led,
  leading,
  Load,
  moving,
  newestGroup,
  onBroker,
  operate,
  refusedFor,
  replacing,
  revisionAt,
  topicNamed,
  voterCount,
} from './cluster-operations.ts';

test('a drained broker leads nothing, also after a restart, and gets its own back when that ends', async (t) => {
  const cluster = await Cluster.started(3, {
    ...{ leadershipReturnMs: 1_000, leadershipCheckMs: 500, departureMs: 2_000 },
  });
  await cluster.topic('orders', 6, 3);
  await cluster.pass(6_000);
  const before = (await cluster.describe(0, 'orders')).map((one) => one.leader);
  assert.ok(before.includes(toBrokerId(1)));
  const load = new Load(t, cluster, 'orders', 6);
  const report = await operate(cluster, onBroker('drain-broker', 1), { at: 2 });
  assert.equal(report.impact.leadersToMove, before.filter((one) => one === 1).length);
  assert.deepEqual([report.impact.bytesToMove, report.impact.replicasToMove], [0, 0]);
  await cluster.until('it leads nothing', () => led(cluster, 1).length === 0, 2_000);
  assert.equal((await brokerInfo(cluster, 0, 1))?.duty, 'draining');
  await cluster.stop(1);
  await cluster.start(1);
  for (let passed = 0; passed < 6_000; passed += 500) {
    assert.deepEqual(led(cluster, 1), []);
    await cluster.pass(500);
  }
  // repeated: nothing changes
  const revision = await revisionAt(cluster, 0);
  await operate(cluster, onBroker('drain-broker', 1));
  assert.equal(await revisionAt(cluster, 0), revision);
  await operate(cluster, onBroker('undrain-broker', 1));
  await cluster.pass(8_000);
  assert.deepEqual(
    (await cluster.describe(0, 'orders')).map((one) => one.leader),
    before,
  );
  await load.stop();
  assert.deepEqual(cluster.faults, []);
});

test('the leader of the catalog can be drained too, and new partitions are not led by who is drained', async () => {
  const cluster = await Cluster.started(4);
  const leader = (await cluster.cluster(0)).catalogLeader!;
  await operate(cluster, onBroker('drain-broker', leader));
  await cluster.until('another one leads the catalog', () => !led(cluster, leader).includes(0), 5_000);
  const other = [0, 1, 2, 3].find((id) => id !== leader)!;
  await cluster.topic('orders', 4, 3, other);
  for (const partition of await cluster.describe(other, 'orders')) assert.ok(!partition.replicas.includes(leader));
  // nobody else is left: it gets a replica rather than the topic one fewer, but is never the first
  await cluster.topic('wide', 4, 4 - 1, other);
  await cluster.topic('widest', 2, 4, other);
  for (const partition of await cluster.describe(other, 'widest')) assert.notEqual(partition.replicas[0], leader);
  assert.deepEqual(cluster.faults, []);
});

test('what would lose a quorum is refused, and a dry run says so and changes nothing', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 2, 3);
  await cluster.topic('single', 1, 1);
  await operate(cluster, onBroker('drain-broker', 1));
  const revision = await revisionAt(cluster, 0);
  const second = onBroker('drain-broker', 2);
  const refused = await refusedFor(cluster, second);
  assert.equal(refused.code, 'UNSAFE_OPERATION');
  assert.match(refused.message, /orders/);
  const dry = await operate(cluster, second, { dryRun: true });
  assert.ok(dry.impact.refusals.length > 0 && dry.impact.partitionsAtRiskCount >= 2);
  const gone = await operate(cluster, onBroker('decommission-broker', 2), { dryRun: true });
  assert.match(gone.impact.refusals[0]?.message ?? '', /fewer brokers than replicas/);
  const alive = await refusedFor(cluster, replacing(2));
  assert.match(alive.message, /heard of/);
  assert.equal((await refusedFor(cluster, onBroker('drain-broker', 9))).code, 'BROKER_ID_NOT_REGISTERED');
  assert.equal((await refusedFor(cluster, replacing(2, 'another-disk'))).code, 'INVALID_REQUEST');
  assert.equal(await revisionAt(cluster, 0), revision);
  // one is dead: the disk of another one can not be given up as well
  await operate(cluster, onBroker('undrain-broker', 1));
  await cluster.crash(2);
  await cluster.pass(8_000);
  const both = await refusedFor(cluster, onBroker('drain-broker', 1));
  assert.equal(both.code, 'UNSAFE_OPERATION');
});

test('each operation rehearsed leaves the catalog as it is', async () => {
  const cluster = await Cluster.started(4);
  await cluster.topic('orders', 3, 3);
  for (let n = 0; n < 3; n++) await cluster.append('orders', 'x'.repeat(100), n);
  const [first] = await cluster.describe(0, 'orders');
  const free = [0, 1, 2, 3].find((id) => !first!.replicas.includes(toBrokerId(id)))!;
  const revision = await revisionAt(cluster, 0);
  const moved = moving('orders', [{ partition: 0, to: [free, ...first!.replicas.slice(1)] }]);
  const rehearsed = [
    onBroker('drain-broker', 1),
    onBroker('undrain-broker', 1),
    onBroker('decommission-broker', 1),
    moved,
    leading('orders', 0, first!.replicas[1]!),
    { kind: 'add-partitions', topic: topicNamed('orders'), partitions: 6 } as const,
    { kind: 'change-replication-factor', topic: topicNamed('orders'), replicationFactor: 1 } as const,
    { kind: 'finalize-upgrade' } as const,
  ];
  for (const operation of rehearsed) {
    const report = await operate(cluster, operation, { at: 1, dryRun: true });
    assert.deepEqual(report.impact.refusals, [], operation.kind);
    await cluster.pass(1_000);
    assert.equal(await revisionAt(cluster, 0), revision, operation.kind);
  }
  const { impact } = await operate(cluster, moved, { dryRun: true });
  assert.ok(impact.bytesToMove !== null && impact.bytesToMove > 100, `${impact.bytesToMove}`);
  assert.deepEqual([impact.replicasToMove, impact.partitionsAffected, impact.leadersToMove], [1, 1, 1]);
  assert.deepEqual(cluster.faults, []);
});

test('sizes that nobody tells are unknown, not 0', async () => {
  const cluster = await Cluster.started(4);
  await cluster.topic('single', 1, 1);
  const [place] = await cluster.describe(0, 'single');
  const holder = place!.replicas[0]!;
  const asker = [0, 1, 2, 3].find((id) => id !== holder)!;
  const to = [0, 1, 2, 3].find((id) => id !== holder && id !== asker)!;
  // out of reach, and not ended: a process that ends may still answer
  cluster.network.cutOff(holder);
  const { impact } = await operate(cluster, moving('single', [{ partition: 0, to: [to] }]), {
    at: asker,
    dryRun: true,
  });
  assert.deepEqual([impact.bytesToMove, impact.partitionsOfUnknownSize, impact.leadersToMove], [null, 1, null]);
});

test('a broker is decommissioned under load: everything moves, then it is gone for good', async (t) => {
  const cluster = await Cluster.started(4);
  await cluster.topic('orders', 6, 3);
  const load = new Load(t, cluster, 'orders', 6);
  await cluster.pass(1_000);
  const gone = 3;
  const first = await operate(cluster, onBroker('decommission-broker', gone), { at: 1 });
  assert.ok(first.replicasLeft !== null && first.replicasLeft > 0);
  assert.equal(first.removed, false);
  let removed = false;
  for (let passed = 0; !removed; passed += 1_000) {
    assert.ok(passed < 60_000, 'it ends');
    await cluster.pass(1_000);
    removed = (await operate(cluster, onBroker('decommission-broker', gone), { at: 1 })).removed;
  }
  assert.equal(await brokerInfo(cluster, 0, gone), undefined);
  for (const partition of await cluster.describe(0, 'orders')) {
    assert.deepEqual([partition.replicas.length, partition.replicas.includes(toBrokerId(gone))], [3, false]);
  }
  await cluster.crash(gone);
  await cluster.pass(2_000);
  await load.stop();
  await cluster.topic('after', 1, 3);
  await assert.rejects(cluster.start(gone), /never gave it, or took back/);
  await cluster.crash(gone);
  // with an empty disk the id is as new
  cluster.wipe(gone);
  await cluster.start(gone);
  assert.equal((await brokerInfo(cluster, 0, gone))?.replicaCount, 0);
  assert.deepEqual(cluster.faults, []);
});

test('a decommissioning can be ended: what has moved stays, the rest stays too', async () => {
  const cluster = await Cluster.started(4, { replicasMovingMax: 1 });
  await cluster.topic('orders', 8, 3);
  await operate(cluster, onBroker('decommission-broker', 2));
  await cluster.pass(1_200);
  await operate(cluster, onBroker('undrain-broker', 2));
  await cluster.pass(10_000);
  const info = await brokerInfo(cluster, 0, 2);
  assert.deepEqual([info?.duty, (info?.replicaCount ?? 0) > 0], [null, true]);
  assert.deepEqual(cluster.faults, []);
});

test('pit-P61: a dead broker is replaced by an empty disk at its address, and its replicas are made anew', async (t) => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 4, 3);
  const load = new Load(t, cluster, 'orders', 4);
  await cluster.pass(2_000);
  const before = await brokerInfo(cluster, 0, 2);
  await cluster.crash(2);
  cluster.wipe(2);
  assert.match((await refusedFor(cluster, replacing(2))).message, /heard of/, 'not before it was silent');
  await cluster.pass(8_000);
  const report = await operate(cluster, replacing(2, before!.incarnation), { at: 1 });
  assert.equal(report.incarnation, before!.incarnation);
  assert.equal((await operate(cluster, replacing(2))).incarnation, before!.incarnation, 'repeatable');
  assert.equal((await brokerInfo(cluster, 0, 2))?.replaceable, true);
  await cluster.start(2);
  const info = await brokerInfo(cluster, 0, 2);
  assert.deepEqual([info?.replaceable, info?.incarnation === before!.incarnation], [false, false]);
  const groups = [...cluster.member(0).groups.keys()].filter((group) => group > 0);
  await cluster.until('it has them all', () => groups.every((group) => holders(cluster, group).includes(2)));
  await cluster.until('and votes in each', () => groups.every((group) => voterCount(cluster, group) === 3));
  await cluster.until('the catalog has three voters', () => voterCount(cluster, 0) === 3);
  // it counts: with it, another one may be missing
  await cluster.pass(3_000);
  await cluster.crash(1);
  await cluster.pass(3_000);
  await load.stop();
  assert.deepEqual(cluster.faults, []);
});

test('an empty disk is refused until the old one was given up, and the old one may come back before', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  await cluster.crash(2);
  const old = cluster.disks.get(2)!;
  cluster.wipe(2);
  await assert.rejects(cluster.start(2), /is known with disk/);
  cluster.disks.delete(2);
  await cluster.pass(8_000);
  // the old disk comes back before the new one: it is the broker's again
  await operate(cluster, replacing(2));
  cluster.disks.set(2, old);
  await cluster.start(2);
  await cluster.pass(2_000);
  assert.equal((await brokerInfo(cluster, 0, 2))?.replaceable, false);
  assert.deepEqual(cluster.faults, []);
});

test('a replication factor goes from 1 to 3, 5, 3 and 1 under load', async (t) => {
  const cluster = await Cluster.started(5);
  await cluster.topic('orders', 2, 1);
  for (const partition of [0, 1]) await cluster.append('orders', 'first', partition);
  const load = new Load(t, cluster, 'orders', 2);
  const groups = [newestGroup(cluster) - 1, newestGroup(cluster)];
  for (const replicationFactor of [3, 5, 3, 1]) {
    const wish = { kind: 'change-replication-factor', topic: topicNamed('orders'), replicationFactor } as const;
    await operate(cluster, wish, { at: 3 });
    await cluster.until(`${replicationFactor} vote`, () =>
      groups.every((group) => voterCount(cluster, group) === replicationFactor),
    );
    await cluster.until('and no more have it', () =>
      groups.every((group) => holders(cluster, group).length === replicationFactor),
    );
    await cluster.pass(1_000);
    const described = await cluster.answer(cluster.member(1).broker.describeTopic('orders', cluster.context()));
    assert.ok(described.kind === 'ok' && described.value.topic.replicationFactor === replicationFactor);
  }
  await load.stop();
  const even = { kind: 'change-replication-factor', topic: topicNamed('orders'), replicationFactor: 2 } as const;
  const warned = await operate(cluster, even, { dryRun: true });
  assert.match(warned.impact.warnings[0] ?? '', /no more brokers than 1/);
  const six = { ...even, replicationFactor: 6 };
  const refused = await refusedFor(cluster, six);
  assert.equal(refused.code, 'INVALID_REPLICATION_FACTOR');
  assert.match(refused.message, /6.*5/);
  assert.deepEqual(cluster.faults, []);
});

test('partitions are added under load, only more, and never to a topic of Sluice itself', async (t) => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 2, 3);
  const load = new Load(t, cluster, 'orders', 2);
  const wish = { kind: 'add-partitions', topic: topicNamed('orders'), partitions: 5 } as const;
  const report = await operate(cluster, wish, { at: 2 });
  assert.equal(report.impact.partitionsAffected, 3);
  assert.match(report.impact.warnings[0] ?? '', /keys/);
  load.grow(5);
  for (const id of [0, 1, 2]) await cluster.until('all know', () => cluster.members.has(id));
  await cluster.pass(2_000);
  assert.equal((await cluster.describe(1, 'orders')).length, 5);
  assert.equal((await cluster.append('orders', 'new', 4)).offset >= 0, true);
  await load.stop();
  assert.equal((await refusedFor(cluster, { ...wish, partitions: 4 })).code, 'INVALID_PARTITIONS');
  const revision = await revisionAt(cluster, 0);
  await operate(cluster, wish);
  assert.equal(await revisionAt(cluster, 0), revision, 'as many as there are: nothing to do');
  const internal = { ...wish, topic: topicNamed('__groups') };
  assert.equal((await refusedFor(cluster, internal)).code, 'INVALID_TOPIC');
  const unknown = { ...wish, topic: topicNamed('nowhere') };
  assert.equal((await refusedFor(cluster, unknown)).code, 'UNKNOWN_TOPIC_OR_PARTITION');
  // it survives a restart of everybody
  for (const id of [0, 1, 2]) await cluster.crash(id);
  await Promise.all([0, 1, 2].map((id) => cluster.begin(id))).then((members) =>
    cluster.answer(Promise.all(members.map(({ broker }) => broker.start()))),
  );
  assert.equal((await cluster.describe(1, 'orders')).length, 5);
  assert.deepEqual(cluster.faults, []);
});

test('leadership is transferred, and stays where it was sent', async () => {
  const cluster = await Cluster.started(3, { leadershipReturnMs: 1_000, leadershipCheckMs: 500 });
  await cluster.topic('orders', 1, 3);
  await cluster.append('orders', 'a');
  const [place] = await cluster.describe(0, 'orders');
  const to = place!.replicas[2]!;
  await operate(cluster, leading('orders', 0, to), { at: 1 });
  const now = (await cluster.describe(to, 'orders'))[0];
  assert.deepEqual([now?.leader, now?.replicas[0]], [to, to]);
  await cluster.pass(6_000);
  assert.equal((await cluster.describe(to, 'orders'))[0]?.leader, to);
  const revision = await revisionAt(cluster, 0);
  await operate(cluster, leading('orders', 0, to));
  assert.equal(await revisionAt(cluster, 0), revision, 'it leads already');
  assert.equal((await cluster.append('orders', 'b')).offset, 1);
  assert.match((await refusedFor(cluster, leading('orders', 0, 9))).message, /no broker 9/);
  assert.deepEqual(cluster.faults, []);
});

test('a move waits for the one before it, or supersedes it: also one whose broker died half-way (pit-P65)', async (t) => {
  const cluster = await Cluster.started(5);
  await cluster.topic('orders', 1, 3);
  await cluster.append('orders', 'first');
  const load = new Load(t, cluster, 'orders', 1);
  const group = newestGroup(cluster);
  const before = (await cluster.describe(0, 'orders'))[0]!.replicas.map(Number);
  const [four, five] = [0, 1, 2, 3, 4].filter((id) => !before.includes(id));
  const asker = before[0]!;
  await operate(cluster, moving('orders', [{ partition: 0, to: [before[0]!, before[1]!, four!] }]), { at: asker });
  // the new one dies before it has anything
  await cluster.crash(four!);
  const again = moving('orders', [{ partition: 0, to: [before[0]!, before[1]!, five!] }]);
  assert.equal((await refusedFor(cluster, again, { at: asker })).code, 'REASSIGNMENT_IN_PROGRESS');
  await cluster.pass(8_000);
  const back = moving('orders', [{ partition: 0, to: [before[0]!, before[1]!, four!] }], true);
  await operate(cluster, back, { at: asker });
  await operate(cluster, { ...again, supersede: true } as typeof again, { at: asker });
  const wanted = [before[0]!, before[1]!, five!].sort((a, b) => a - b);
  await cluster.until('superseded', () => holders(cluster, group).join() === wanted.join());
  await cluster.start(four!);
  await cluster.pass(4_000);
  assert.deepEqual(holders(cluster, group), wanted);
  await load.stop();
  const dead = await ask(cluster, moving('orders', [{ partition: 0, to: [0, 0, 1] }]));
  assert.ok(dead.kind === 'refused' && dead.error.code === 'INVALID_REQUEST');
  const fewer = await refusedFor(cluster, moving('orders', [{ partition: 0, to: [0] }]));
  assert.equal(fewer.code, 'INVALID_REPLICATION_FACTOR');
  assert.deepEqual(cluster.faults, []);
});

test('many partitions move to a new broker in one call, a few at a time, under load', async (t) => {
  const cluster = await Cluster.started(3, { replicasMovingMax: 2 });
  await cluster.topic('orders', 8, 3);
  const load = new Load(t, cluster, 'orders', 8);
  await cluster.start(3);
  await cluster.pass(1_000);
  const places = await cluster.describe(0, 'orders');
  const moves = places.map(({ partition, replicas }) => ({
    partition,
    to: [...replicas.slice(0, 2).map(Number), 3],
  }));
  const report = await operate(cluster, moving('orders', moves), { at: 3 });
  assert.equal(report.impact.replicasToMove, 8);
  await cluster.until('all are there', () => {
    const info = [...cluster.member(3).groups.keys()].filter((group) => group > 1);
    return (
      info.length === 8 &&
      info.every((group) => holders(cluster, group).length === 3 && voterCount(cluster, group) === 3)
    );
  });
  await load.stop();
  assert.deepEqual(cluster.faults, []);
});
