import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreFault } from '../../src/log/store.ts';
import { catalogGroup, indexZero, offsetZero, toBrokerId, toGroupNumber, toReplicaId } from '../../src/model/ids.ts';
import { text } from './batches.ts';
import { BrokerFixture, code, isPending, settle, value } from './broker-fixture.ts';

interface TopicWish {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number | null;
}

const wish = (name: string, partitions = 1, replicationFactor: number | null = null): TopicWish => ({
  name,
  partitions,
  replicationFactor,
});

test('a topic is usable when its creation is answered, and described as it is', async () => {
  const fixture = await BrokerFixture.started();
  const created = value(await fixture.broker.createTopic(wish('orders', 2), fixture.context()));
  assert.equal(created.topic.partitionCount, 2);
  assert.equal(created.topic.replicationFactor, 1);
  assert.equal(created.topic.createdAtMs, fixture.clock.wallMs());
  const leads = { leader: 0, leaderEpoch: 1, replicas: [0], logStart: 0, highWatermark: 0, inSync: [0] };
  assert.deepEqual(created.partitions, [
    { partition: 0, ...leads },
    { partition: 1, ...leads },
  ]);
  value(await fixture.append('orders', text(['a', 'b']), { partition: 1 }));
  const described = value(await fixture.broker.describeTopic('orders', fixture.context()));
  assert.equal(described.partitions[1]?.highWatermark, 2);
  assert.deepEqual(described.brokers, [{ brokerId: 0, address: '127.0.0.1:9400' }]);
  assert.equal(described.catalogRevision, created.catalogRevision);
});

test('a replication factor above the number of brokers is refused, naming both', async () => {
  const fixture = await BrokerFixture.started();
  const refused = await fixture.broker.createTopic(wish('orders', 1, 3), fixture.context());
  assert.equal(code(refused), 'INVALID_REPLICATION_FACTOR');
  assert.match(refused.kind === 'refused' ? refused.error.message : '', /3 .* 1$/);
});

test('creating a topic twice at once makes one', async () => {
  const fixture = await BrokerFixture.started();
  const [one, two] = await Promise.all([0, 1].map(() => fixture.broker.createTopic(wish('orders'), fixture.context())));
  assert.equal(one?.kind, 'ok');
  assert.equal(two && code(two), 'TOPIC_ALREADY_EXISTS');
});

test('a creation whose outcome is open at the deadline is indeterminate, and takes effect all the same', async () => {
  const fixture = await BrokerFixture.started();
  const catalog = fixture.host.running(catalogGroup);
  catalog.hold();
  const answer = fixture.broker.createTopic(wish('orders'), fixture.context(100));
  const next = fixture.broker.createTopic(wish('later'), fixture.context(100));
  assert.equal(await isPending(answer), true);
  fixture.clock.advance(100);
  assert.deepEqual([code(await answer), code(await next)], ['REQUEST_TIMED_OUT', 'REQUEST_TIMED_OUT']);
  catalog.release();
  await settle();
  assert.equal((await fixture.broker.describeTopic('orders', fixture.context())).kind, 'ok');
  assert.equal(code(await fixture.broker.describeTopic('later', fixture.context())), 'UNKNOWN_TOPIC_OR_PARTITION');
});

test('catalog-8: changes of the catalog wait for each other, and their queue is limited', async () => {
  const fixture = await BrokerFixture.started({ limits: { catalogCommandsQueuedMax: 3 } });
  const catalog = fixture.host.running(catalogGroup);
  const before = catalog.proposals;
  catalog.hold();
  const answers = ['a', 'b', 'c', 'd'].map((name) => fixture.broker.createTopic(wish(name), fixture.context()));
  await settle();
  assert.equal(catalog.proposals, before + 1);
  assert.equal(code(await answers[3]!), 'LIMIT_REACHED');
  catalog.release();
  for (const answer of answers.slice(0, 3)) assert.equal((await answer).kind, 'ok');
});

test('topics are listed by name, in pages, internal ones only if asked for', async () => {
  const fixture = await BrokerFixture.started();
  for (const name of ['c', 'a', 'B', 'd']) await fixture.topic(name);
  const list = async (limit: number, after: string, includeInternal = false): Promise<[string[], boolean]> => {
    const page = value(await fixture.broker.listTopics({ includeInternal, limit, after }, fixture.context()));
    return [page.topics.map((topic) => topic.name), page.more];
  };
  assert.deepEqual(await list(2, ''), [['B', 'a'], true]);
  assert.deepEqual(await list(2, 'a'), [['c', 'd'], false]);
  assert.deepEqual(await list(10, '', true), [['B', '__groups', 'a', 'c', 'd'], false]);
});

test('a deleted topic is gone at once, its data soon, and its appends in flight are unknown', async () => {
  const fixture = await BrokerFixture.started();
  const topicId = await fixture.topic('orders', 2);
  fixture.group().hold();
  const open = fixture.append('orders', text(['a']));
  const groups = [fixture.group(0).group, fixture.group(1).group];
  value(await fixture.broker.deleteTopic({ name: 'orders', topicId }, fixture.context()));
  assert.equal(code(await fixture.append('orders', text(['b']))), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(code(await open), 'APPEND_INTERRUPTED');
  await settle();
  for (const group of groups) {
    assert.equal(fixture.disk.groups.has(group), false);
    assert.ok(fixture.heard.includes(`removed ${group}`));
  }
  const again = await fixture.restarted();
  assert.deepEqual(
    again.heard.filter((line) => line.startsWith('orphaned') || line.startsWith('missing')),
    [],
  );
});

test('pit-P78: a name that is deleted and created again starts empty, under another id and another group', async () => {
  const fixture = await BrokerFixture.started();
  const first = await fixture.topic('orders');
  value(await fixture.append('orders', text(['old'])));
  value(await fixture.broker.deleteTopic({ name: 'orders', topicId: null }, fixture.context()));
  const second = await fixture.topic('orders');
  assert.notEqual(first, second);
  assert.equal(value(await fixture.append('orders', text(['new']))).baseOffset, 0);
  assert.equal(
    code(await fixture.broker.deleteTopic({ name: 'orders', topicId: first }, fixture.context())),
    'UNKNOWN_TOPIC_ID',
  );
});

test('everything is there after a restart', async () => {
  const fixture = await BrokerFixture.started();
  const topicId = await fixture.topic('orders', 3);
  value(await fixture.append('orders', text(['a', 'b']), { partition: 2 }));
  const after = await fixture.restarted();
  const described = value(await after.broker.describeTopic('orders', after.context()));
  assert.equal(described.topic.topicId, topicId);
  assert.equal(described.partitions[2]?.highWatermark, 2);
  assert.equal(value(await after.append('orders', text(['c']), { partition: 2 })).baseOffset, 2);
});

test('design D5: a removal that a crash interrupted is finished at the next start', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const { group } = fixture.group();
  const stored = fixture.disk.groups.get(group)!;
  value(await fixture.broker.deleteTopic({ name: 'orders', topicId: null }, fixture.context()));
  await settle();
  // As if the process had died before the data was gone and the report was written.
  dropLast(fixture, 'removal-done');
  fixture.disk.groups.set(group, stored);
  const after = await fixture.restarted();
  await settle();
  assert.equal(after.disk.groups.has(group), false);
  assert.ok(after.heard.includes(`removed ${group}`));
});

test('pit-P48: data that the catalog does not know is left alone and reported', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const stranger = toGroupNumber(77);
  fixture.disk.groups.set(stranger, { ...fixture.disk.groups.get(fixture.group().group)! });
  const after = await fixture.restarted();
  assert.ok(after.heard.includes('orphaned 77'));
  assert.equal(after.host.groups.has(stranger), false, 'not started');
  assert.equal(after.disk.groups.has(stranger), true, 'not deleted');
});

test('local-2 pit-P61 pit-P96: data that was here and is gone is not begun anew', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders', 2);
  value(await fixture.append('orders', text(['a'])));
  const { group } = fixture.group();
  fixture.disk.groups.delete(group);
  const after = await fixture.restarted();
  assert.ok(after.heard.includes(`missing ${group}`));
  assert.equal(code(await after.append('orders', text(['b']))), 'QUARANTINED');
  assert.equal(after.disk.groups.has(group), false);
  assert.equal(value(await after.append('orders', text(['b']), { partition: 1 })).baseOffset, 0);
});

test('a topic whose creation a crash interrupted before its groups existed is finished at the next start', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const { group } = fixture.group();
  dropLast(fixture, 'replicas-opened');
  fixture.disk.groups.delete(group);
  const after = await fixture.restarted();
  assert.equal(value(await after.append('orders', text(['a']))).baseOffset, 0);
});

test('a fault of the store while a partition is started is told to the process', async () => {
  const fixture = await BrokerFixture.started();
  fixture.host.failing.set(toGroupNumber(2), new StoreFault('the disk is gone'));
  await assert.rejects(fixture.broker.createTopic(wish('orders'), fixture.context()), StoreFault);
  assert.equal(fixture.faults.length, 1);
});

test('a catalog that is set apart ends the process', async () => {
  const fixture = await BrokerFixture.started();
  fixture.host.running(catalogGroup).setApart('broken');
  assert.equal(fixture.faults.length, 1);
  assert.equal(code(await fixture.broker.createTopic(wish('orders'), fixture.context())), 'QUARANTINED');
});

test('a catalog that can not be opened, or a stop meanwhile, ends the start', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.host.close();
  const stored = fixture.disk.groups.get(catalogGroup)!;
  const entries = [...stored.entries];
  stored.entries = entries.map((entry) => ({ ...entry, payload: Buffer.from([9]) }));
  stored.stateApplied = indexZero;
  stored.state.clear();
  const damaged = new BrokerFixture({ disk: fixture.disk });
  await assert.rejects(damaged.broker.start(), { name: 'BrokerStartError', message: /restore the data directory/ });
  assert.deepEqual(damaged.faults, []);
  stored.entries = entries;
  const stopped = new BrokerFixture({ disk: fixture.disk });
  stopped.host.electing = false;
  const start = stopped.broker.start();
  assert.equal(await isPending(start), true);
  const ended = assert.rejects(start, { name: 'BrokerStartError', message: /stopped while it was starting/ });
  await stopped.broker.close();
  await ended;
});

for (const what of ['created', 'deleted'] as const) {
  test(`on close the disk's part of a topic that is being ${what} is ended first, however late it began`, async () => {
    const fixture = await BrokerFixture.started();
    await fixture.topic('orders');
    await fixture.topic('old');
    const catalog = fixture.host.running(catalogGroup);
    const orders = fixture.group(0);
    orders.hold();
    catalog.hold();
    const appended = fixture.append('orders', text(['a']), { waitMs: 60_000 });
    const context = fixture.context(60_000);
    if (what === 'created') void fixture.broker.createTopic(wish('new', 2), context);
    else void fixture.broker.deleteTopic({ name: 'old', topicId: null }, context);
    await settle();
    const closing = fixture.broker.close();
    await settle(); // nothing went on behind the answers when it looked; it waits for the append
    let diskAnswers = (): void => undefined;
    fixture.host.delay = new Promise((resolve) => (diskAnswers = resolve));
    catalog.release();
    orders.release();
    assert.equal(value(await appended).committed, true);
    assert.equal(await isPending(closing), true, 'it waits for the disk');
    diskAnswers();
    await closing;
    assert.deepEqual(fixture.faults, []);
  });
}

test('who does not serve the catalog does not say that a topic does not exist', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.host.running(catalogGroup).loseLeadership();
  assert.equal(code(await fixture.append('nowhere', text(['a']))), 'LEADER_NOT_AVAILABLE');
  assert.equal(code(await fixture.broker.describeTopic('nowhere', fixture.context())), 'LEADER_NOT_AVAILABLE');
  fixture.clock.advance(1_000);
  assert.equal(code(fixture.broker.choosePartition('nowhere', null)), 'LEADER_NOT_AVAILABLE');
  assert.equal(value(await fixture.append('orders', text(['a']))).baseOffset, 0, 'what is known goes on');
  assert.equal(code(await fixture.broker.createTopic(wish('more'), fixture.context())), 'LEADER_NOT_AVAILABLE');
});

test('keys choose their partition by murmur2, records without one go round', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders', 3);
  const choose = (key: string | null): number =>
    value(fixture.broker.choosePartition('orders', key === null ? null : Buffer.from(key)));
  assert.equal(choose('21'), choose('21'));
  assert.deepEqual(new Set([choose(null), choose(null), choose(null)]).size, 3);
  assert.ok(new Set(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(choose)).size > 1);
});

test('calls before the start are refused, and the cluster is described all the same', async () => {
  const fixture = new BrokerFixture();
  assert.equal(code(await fixture.append('orders', text(['a']))), 'LEADER_NOT_AVAILABLE');
  const cluster = value(await fixture.broker.describeCluster(fixture.context()));
  assert.deepEqual([cluster.catalogLeader, cluster.catalogRevision], [null, 0]);
});

test('the cluster is described with its brokers and what it holds', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders', 3);
  const cluster = value(await fixture.broker.describeCluster(fixture.context()));
  assert.deepEqual([cluster.topicCount, cluster.partitionCount, cluster.catalogLeader], [1, 3, 0]);
  assert.equal(cluster.activeVersion, 1);
  assert.deepEqual(cluster.brokers, [
    {
      brokerId: 0,
      address: '127.0.0.1:9400',
      incarnation: 'disk-1',
      version: '0.1.0',
      healthy: true,
      unhealthyReason: '',
      healthUnknown: false,
      rack: null,
      duty: null,
      // three of the topic, one of Sluice's own
      replicaCount: 4,
      replaceable: false,
      formatVersion: 1,
    },
  ]);
});

test('a new address or version is remembered; another disk or cluster is refused with what to do', async () => {
  const fixture = await BrokerFixture.started();
  const moved = await fixture.restarted({ identity: { address: 'elsewhere:9400', version: '0.2.0' } });
  const cluster = value(await moved.broker.describeCluster(moved.context()));
  assert.deepEqual([cluster.brokers[0]?.address, cluster.brokers[0]?.version], ['elsewhere:9400', '0.2.0']);
  const start = (identity: object): Promise<unknown> => moved.restarted({ identity });
  await assert.rejects(start({ incarnation: 'disk-2' }), { name: 'BrokerStartError', message: /own data directory/ });
  await assert.rejects(start({ clusterId: 'other' }), { name: 'BrokerStartError', message: /restore the directory/ });
  const stranger = start({ brokerId: toBrokerId(5), incarnation: 'disk-5' });
  await assert.rejects(stranger, { name: 'BrokerStartError', message: /never gave it/ });
});

test('a follower names the leader', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const own = fixture.disk.groups.get(fixture.group().group)!.replicaId;
  fixture.group().loseLeadership(0, own);
  const refused = await fixture.append('orders', text(['a']));
  assert.deepEqual(refused.kind === 'refused' && refused.error.leaderHint, {
    brokerId: 0,
    address: '127.0.0.1:9400',
    leaderEpoch: 2,
  });
  fixture.group().loseLeadership(0, toReplicaId(99));
  const unknown = await fixture.append('orders', text(['a']));
  assert.equal(unknown.kind === 'refused' && unknown.error.leaderHint, undefined);
});

test('sem-O4: offsets of a deleted topic are forgotten with it', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const membership = value(
    await fixture.broker.joinGroup(
      { group: 'billing', topics: ['orders'], resumeToken: null, clientId: '', joinId: null },
      fixture.context(),
    ),
  );
  const member = { memberId: membership.memberId, memberEpoch: membership.memberEpoch, sequence: 1 };
  const offset = { topic: 'orders', topicId: null, partition: 0, offset: offsetZero, leaderEpoch: null, metadata: '' };
  const commit = { group: 'billing', member, offsets: [offset] };
  assert.deepEqual(value(await fixture.broker.commitOffsets(commit, fixture.context())), [null]);
  value(await fixture.broker.deleteTopic({ name: 'orders', topicId: null }, fixture.context()));
  fixture.clock.advance(1_000);
  await settle();
  await fixture.topic('orders');
  const found = value(await fixture.broker.fetchCommitted({ group: 'billing', partitions: null }, fixture.context()));
  assert.deepEqual(
    found.filter((one) => one.offset !== null),
    [],
  );
});

/** Takes the last command of a kind back out of the catalog's log and state, as if it had never been written. */
function dropLast(fixture: BrokerFixture, kind: string): void {
  const stored = fixture.disk.groups.get(catalogGroup)!;
  const at = stored.entries.findLastIndex((entry) => Buffer.from(entry.payload).includes(`"kind":"${kind}"`));
  assert.ok(at > 0, `a ${kind} was written`);
  stored.entries = stored.entries.slice(0, at);
  stored.state.clear();
  stored.stateApplied = indexZero;
}
