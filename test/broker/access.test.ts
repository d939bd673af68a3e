import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Access } from '../../src/broker/access.ts';
import { refuse } from '../../src/model/errors.ts';
import { offsetZero, toMemberEpoch } from '../../src/model/ids.ts';
import { text } from './batches.ts';
import { at, BrokerFixture, code, value } from './broker-fixture.ts';

/** Lets everything happen, or nothing, and notes who asked for what. */
class RecordingAccess implements Access {
  readonly asked: string[] = [];
  readonly counted: string[] = [];
  deny = false;

  authorize(...[, operation, resource]: Parameters<Access['authorize']>): ReturnType<Access['authorize']> {
    this.asked.push(`${operation} ${resource}`);
    return this.deny ? refuse('INVALID_REQUEST', 'denied') : null;
  }

  account(...[, direction, bytes]: Parameters<Access['account']>): void {
    this.counted.push(`${direction} ${bytes}`);
  }
}

async function every(fixture: BrokerFixture): Promise<(string | null)[]> {
  const { broker } = fixture;
  const context = fixture.context();
  const where = { topic: 'orders', topicId: null, partition: 0 };
  const listed = await broker.listOffsets([{ ...where, at: { kind: 'latest' } }], context);
  const group = { group: 'g', memberId: 'm', memberEpoch: toMemberEpoch(1) };
  const answers = [
    await fixture.append('orders', text(['a'])),
    await fixture.fetchMany([at('orders', 0)]),
    broker.openCursor([at('orders', 0)], context),
    await broker.initProducer(null, context),
    await broker.createTopic({ name: 'new', partitions: 1, replicationFactor: 1 }, context),
    await broker.describeTopic('orders', context),
    await broker.listTopics({ includeInternal: false, limit: 1, after: '' }, context),
    await broker.describeCluster(context),
    await broker.describeBroker(null, context),
    await broker.joinGroup({ group: 'g', topics: ['orders'], resumeToken: null, clientId: '', joinId: null }, context),
    await broker.heartbeat({ ...group, owned: [] }, context),
    await broker.leaveGroup(group, context),
    await broker.commitOffsets(
      { group: 'g', member: null, offsets: [{ ...where, offset: offsetZero, leaderEpoch: null, metadata: '' }] },
      context,
    ),
    await broker.fetchCommitted({ group: 'g', partitions: null }, context),
    await broker.deleteTopic({ name: 'orders', topicId: null }, context),
  ];
  const codes = answers.map((answer) => (answer.kind === 'ok' ? null : answer.error.code));
  return [...codes, listed.kind === 'ok' ? (listed.value[0]?.error?.code ?? null) : listed.error.code];
}

test('design D21: every call asks once who may do it, and a denial ends it', async () => {
  const access = new RecordingAccess();
  const fixture = await BrokerFixture.started({ access });
  await fixture.topic('orders');
  access.asked.length = 0;
  access.deny = true;
  const codes = await every(fixture);
  assert.deepEqual(new Set(codes), new Set(['INVALID_REQUEST']));
  assert.deepEqual([...access.asked].sort(), [
    'consume-in-group g',
    'consume-in-group g',
    'consume-in-group g',
    'consume-in-group g',
    'consume-in-group g',
    'create-topic new',
    'delete-topic orders',
    'describe-broker ',
    'describe-cluster ',
    'describe-topic orders',
    'fetch orders',
    'fetch orders',
    'init-producer ',
    'list-offsets orders',
    'list-topics ',
    'produce orders',
  ]);
  assert.deepEqual(access.counted, []);
});

test('design D21: the bytes of batches are counted on their way in and out', async () => {
  const access = new RecordingAccess();
  const fixture = await BrokerFixture.started({ access });
  await fixture.topic('orders');
  const batch = text(['a']);
  value(await fixture.append('orders', batch));
  await fixture.fetch('orders', 0);
  const cursor = value(fixture.broker.openCursor([at('orders', 0)], fixture.context()));
  await cursor.next(1_000);
  cursor.close();
  const size = batch.length;
  assert.deepEqual(access.counted, [`in ${size}`, `out ${size}`, `out ${size}`]);
});

test('tenants do not see each other’s topics', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const other = { ...fixture.context(), tenant: 1 };
  assert.equal(code(await fixture.broker.describeTopic('orders', other)), 'UNKNOWN_TOPIC_OR_PARTITION');
  const created = await fixture.broker.createTopic({ name: 'orders', partitions: 2, replicationFactor: 1 }, other);
  assert.equal(value(created).topic.partitionCount, 2);
  const own = value(await fixture.broker.describeTopic('orders', fixture.context()));
  assert.equal(own.topic.partitionCount, 1);
});
