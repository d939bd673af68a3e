/** DeleteRecords moves the log start, through the log (semantics R3; design D11). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toOffset, toReplicaId } from '../../src/model/ids.ts';
import { idempotent, text } from './batches.ts';
import { BrokerFixture, code, error, offsets, value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

const before = (offset: number | null) => ({
  ...{ topic: 'orders', topicId: null, partition: 0 },
  before: offset === null ? null : toOffset(offset),
});

async function filled(): Promise<BrokerFixture> {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  for (const values of [['a', 'b'], ['c', 'd', 'e'], ['f']]) value(await fixture.append('orders', text(values)));
  return fixture;
}

test('sem-R3: what is below the offset can not be read, what is not stays; a batch may be cut', async () => {
  const fixture = await filled();
  const { broker } = fixture;
  const moved = value(await broker.deleteRecords(before(3), fixture.context()));
  assert.equal(moved.logStart, 3);
  assert.equal((await fixture.fetch('orders', 2)).error?.code, 'OFFSET_OUT_OF_RANGE');
  const rest = await fixture.fetch('orders', 3);
  assert.deepEqual(offsets(rest.batches), [2, 5], 'the cut batch is whole on disk');
  assert.equal(rest.logStart, 3);
  assert.equal(value(await broker.deleteRecords(before(1), fixture.context())).logStart, 3, 'it never goes back');
});

test('sem-R3: without an offset everything that is committed goes, and nothing at or above the high watermark ever', async () => {
  const fixture = await filled();
  const { broker } = fixture;
  const refused = error(await broker.deleteRecords(before(7), fixture.context()));
  assert.deepEqual([refused.code, refused.fields], ['OFFSET_OUT_OF_RANGE', { highWatermark: '6', actual: '7' }]);
  fixture.group().hold();
  const open = fixture.append('orders', text(['not committed']));
  const all = broker.deleteRecords(before(null), fixture.context());
  fixture.group().release();
  assert.equal(value(await all).logStart, 6);
  assert.equal(value(await open).baseOffset, 6);
  assert.deepEqual(offsets((await fixture.fetch('orders', 6)).batches), [6]);
});

test('a deletion that loses its leader is unknown, and may be asked for again', async () => {
  const fixture = await filled();
  fixture.group().hold();
  const open = fixture.broker.deleteRecords(before(2), fixture.context());
  fixture.group().loseLeadership(0, toReplicaId(99));
  assert.equal(code(await open), 'LEADERSHIP_LOST');
  assert.equal(code(await fixture.broker.deleteRecords(before(2), fixture.context())), 'NOT_LEADER_OR_FOLLOWER');
});

test('sem-I10: producers are remembered although their records are deleted', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  value(await fixture.append('orders', idempotent(7, 0, 0, 3)));
  value(await fixture.broker.deleteRecords(before(null), fixture.context()));
  const again = value(await fixture.append('orders', idempotent(7, 0, 0, 3)));
  assert.deepEqual([again.duplicate, again.baseOffset], [true, 0]);
});

test('every replica has the new log start, and keeps it over a restart', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  let leader = 0;
  for (const line of ['a', 'b', 'c']) ({ leader } = await cluster.append('orders', line));
  value(await cluster.answer(cluster.member(leader).broker.deleteRecords(before(2), cluster.context())));
  await cluster.pass(1_000);
  const starts = async (): Promise<(number | null)[]> => {
    const seen = [];
    for (const id of [0, 1, 2]) seen.push((await cluster.describe(id, 'orders'))[0]?.logStart ?? null);
    return seen;
  };
  assert.deepEqual(await starts(), [2, 2, 2]);
  await cluster.crash(leader);
  await cluster.start(leader);
  await cluster.pass(3_000);
  assert.deepEqual(await starts(), [2, 2, 2]);
});
