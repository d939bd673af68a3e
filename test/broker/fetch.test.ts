import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toOffset, toTerm } from '../../src/model/ids.ts';
import { text } from './batches.ts';
import { at, BrokerFixture, code, isPending, offsets, value } from './broker-fixture.ts';

/** A topic whose partition 0 holds batches of two records each. */
async function filled(batches: number, partitions = 1): Promise<BrokerFixture> {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders', partitions);
  for (let n = 0; n < batches; n++) value(await fixture.append('orders', text([`${n}a`, `${n}b`])));
  return fixture;
}

test('sem-O6: below the log start and above the high watermark is out of range, at it is empty', async () => {
  const fixture = await filled(3);
  fixture.group().moveLogStart(toOffset(3));
  assert.equal((await fixture.fetch('orders', 2)).error?.code, 'OFFSET_OUT_OF_RANGE');
  const above = await fixture.fetch('orders', 7);
  assert.equal(above.error?.code, 'OFFSET_OUT_OF_RANGE');
  assert.deepEqual([above.highWatermark, above.logStart, above.nextOffset], [6, 3, null]);
  const end = await fixture.fetch('orders', 6);
  assert.deepEqual([end.error, end.batches, end.nextOffset, end.highWatermark, end.logStart], [null, [], 6, 6, 3]);
});

test('a batch that the fetch offset or the log start cuts is returned whole', async () => {
  const fixture = await filled(3);
  const middle = await fixture.fetch('orders', 3);
  assert.deepEqual(offsets(middle.batches), [2, 4]);
  assert.equal(middle.nextOffset, 6);
  fixture.group().moveLogStart(toOffset(3));
  assert.deepEqual(offsets((await fixture.fetch('orders', 3)).batches), [2, 4]);
});

test('inv-B6: nothing at or above the high watermark is ever given out', async () => {
  const fixture = await filled(1);
  fixture.group().hold();
  const open = fixture.append('orders', text(['open']));
  assert.deepEqual(offsets((await fixture.fetch('orders', 0)).batches), [0]);
  assert.equal((await fixture.fetch('orders', 3)).error?.code, 'OFFSET_OUT_OF_RANGE');
  fixture.group().release();
  await open;
  assert.deepEqual(offsets((await fixture.fetch('orders', 0)).batches), [0, 2]);
});

test('sem-H2: leader epochs that are over or not known yet', async () => {
  const fixture = await filled(1);
  fixture.group().loseLeadership();
  fixture.group().elect();
  const asked = (epoch: number): Promise<string | undefined> =>
    fixture.fetch('orders', 0, { leaderEpoch: toTerm(epoch) }).then((fetched) => fetched.error?.code);
  assert.deepEqual(
    [await asked(1), await asked(3), await asked(4)],
    ['FENCED_LEADER_EPOCH', undefined, 'UNKNOWN_LEADER_EPOCH'],
  );
});

test('design D13: while it does not serve, an offset above what is known is not available, never out of range', async () => {
  const fixture = await filled(2);
  fixture.group().loseLeadership();
  assert.deepEqual(offsets((await fixture.fetch('orders', 0)).batches), [0, 2], 'what is committed is served');
  assert.equal((await fixture.fetch('orders', 5)).error?.code, 'OFFSET_NOT_AVAILABLE');
});

test('limits in bytes hold, but one batch is always returned', async () => {
  const fixture = await filled(4);
  const size = (await fixture.fetch('orders', 0)).batches[0]!.length;
  const read = async (bytesMax: number): Promise<number[]> =>
    offsets((await fixture.fetch('orders', 0, { bytesMax })).batches);
  assert.deepEqual(await read(1), [0]);
  assert.deepEqual(await read(2 * size), [0, 2]);
  assert.deepEqual(await read(3 * size - 1), [0, 2]);
});

test('the limit of the whole answer holds for the first partition too, where its own is higher', async () => {
  const fixture = await filled(4);
  const size = (await fixture.fetch('orders', 0)).batches[0]!.length;
  const read = async (totalBytesMax: number): Promise<number[]> =>
    offsets((await fixture.fetch('orders', 0, { totalBytesMax })).batches);
  assert.deepEqual(await read(1), [0]);
  assert.deepEqual(await read(2 * size), [0, 2]);
});

test('pit-P121: the whole answer is limited too, and the next fetch begins at another partition', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders', 3);
  for (const partition of [0, 1, 2]) value(await fixture.append('orders', text(['x']), { partition }));
  const refs = [0, 1, 2].map((partition) => at('orders', 0, { partition }));
  const seen = new Set<number>();
  for (let n = 0; n < 3; n++) {
    const answer = value(await fixture.fetchMany(refs, { totalBytesMax: 1 }));
    assert.equal(answer.partitions.length, 1);
    assert.equal(answer.partitions[0]?.batches.length, 1);
    seen.add(answer.partitions[0].partition);
  }
  assert.deepEqual([...seen].sort(), [0, 1, 2]);
});

test('a batch that does not fit into what is left of the answer is left out, and those that fit are not', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders', 3);
  const values = ['small', 'large'.repeat(50), 'small'];
  for (const [partition, one] of values.entries()) value(await fixture.append('orders', text([one]), { partition }));
  const refs = [0, 1, 2].map((partition) => at('orders', 0, { partition }));
  const answer = value(await fixture.fetchMany(refs, { totalBytesMax: 2 * text(['small']).length }));
  assert.deepEqual(
    answer.partitions.map((one) => [one.partition, one.nextOffset]),
    [
      [0, 1],
      [2, 1],
    ],
  );
});

test('a fetch waits for data and is answered when it is committed', async () => {
  const fixture = await filled(1);
  const waiting = fixture.fetch('orders', 2, { waitMsMax: 500 });
  assert.equal(await isPending(waiting), true);
  value(await fixture.append('orders', text(['new'])));
  assert.deepEqual(offsets((await waiting).batches), [2]);
});

test('a fetch that finds nothing answers all of its partitions when the time is up', async () => {
  const fixture = await filled(1, 2);
  const { timers } = fixture.clock;
  const refs = [at('orders', 2), at('orders', 0, { partition: 1 })];
  const waiting = fixture.fetchMany(refs, { waitMsMax: 500 });
  fixture.clock.advance(499);
  assert.equal(await isPending(waiting), true);
  fixture.clock.advance(1);
  const answer = value(await waiting);
  assert.deepEqual(
    answer.partitions.map((one) => [one.partition, one.highWatermark, one.nextOffset]),
    [
      [0, 2, 2],
      [1, 0, 0],
    ],
  );
  assert.equal(fixture.clock.timers, timers, 'no timer is left');
});

test('a fetch waits for as many bytes as it asked for', async () => {
  const fixture = await filled(1);
  const size = (await fixture.fetch('orders', 0)).batches[0]!.length;
  const waiting = fixture.fetch('orders', 0, { waitMsMax: 500, bytesMin: 2 * size });
  assert.equal(await isPending(waiting), true);
  value(await fixture.append('orders', text(['1a', '1b'])));
  assert.equal((await waiting).batches.length, 2);
});

test('an error among the partitions is answered at once', async () => {
  const fixture = await filled(1);
  const answer = value(await fixture.fetchMany([at('orders', 2), at('nowhere', 0)], { waitMsMax: 500 }));
  assert.deepEqual(
    answer.partitions.map((one) => one.error?.code),
    ['UNKNOWN_TOPIC_OR_PARTITION'],
  );
});

test('pit-P116: a waiting fetch hears of a lost leader, a deleted topic and a partition set apart', async () => {
  const fixture = await filled(1, 3);
  const wait = (partition: number): Promise<string | undefined> =>
    fixture
      .fetch('orders', partition === 0 ? 2 : 0, { partition, waitMsMax: 60_000, leaderEpoch: toTerm(1) })
      .then((fetched) => fetched.error?.code);
  const [leader, apart, deleted] = [wait(0), wait(1), wait(2)];
  assert.equal(await isPending(Promise.race([leader, apart, deleted])), true);
  fixture.group(0).loseLeadership();
  assert.equal(await leader, 'FENCED_LEADER_EPOCH');
  fixture.group(1).setApart('broken');
  assert.equal(await apart, 'QUARANTINED');
  value(await fixture.broker.deleteTopic({ name: 'orders', topicId: null }, fixture.context()));
  assert.equal(await deleted, 'UNKNOWN_TOPIC_OR_PARTITION');
});

test('pit-P118: a topic that was created again is not read under the old id', async () => {
  const fixture = await filled(1);
  const topicId = value(await fixture.broker.describeTopic('orders', fixture.context())).topic.topicId;
  value(await fixture.broker.deleteTopic({ name: 'orders', topicId }, fixture.context()));
  await fixture.topic('orders');
  assert.equal((await fixture.fetch('orders', 0, { topicId })).error?.code, 'UNKNOWN_TOPIC_ID');
  assert.equal((await fixture.fetch('orders', 0)).highWatermark, 0);
});

test('pit-P122: a caller that is gone leaves neither timer nor waiter', async () => {
  const fixture = await BrokerFixture.started({ limits: { fetchWaitersMax: 2 } });
  await fixture.topic('orders', 2);
  const { timers } = fixture.clock;
  const caller = new AbortController();
  const refs = [at('orders', 0), at('orders', 0, { partition: 1 })];
  const gone = fixture.fetchMany(refs, { waitMsMax: 60_000, signal: caller.signal });
  assert.equal(await isPending(gone), true);
  const refused = await fixture.fetchMany([at('orders', 0)], { waitMsMax: 60_000 });
  assert.equal(code(refused), 'LIMIT_REACHED');
  caller.abort();
  await gone;
  assert.equal(fixture.clock.timers, timers);
  const next = fixture.fetch('orders', 0, { waitMsMax: 500 });
  assert.equal(await isPending(next), true, 'there is room again');
  fixture.clock.advance(500);
  await next;
});

test('what the cache does not hold comes from disk; what is damaged there is said so', async () => {
  const fixture = await filled(2);
  fixture.group().log.cold = true;
  assert.deepEqual(offsets((await fixture.fetch('orders', 0)).batches), [0, 2]);
  fixture.group().log.damaged = true;
  const damaged = await fixture.fetch('orders', 0);
  assert.equal(damaged.error?.code, 'STORAGE_CORRUPTION');
  assert.equal(damaged.highWatermark, 4);
});

test('pit-P38: what happens while a read waits for the disk is seen when it comes back', async () => {
  const fixture = await filled(2);
  const { log } = fixture.group();
  let goOn = (): void => undefined;
  log.cold = true;
  log.delay = new Promise((resolve) => (goOn = resolve));
  const reading = fixture.fetch('orders', 0);
  assert.equal(await isPending(reading), true);
  fixture.group().moveLogStart(toOffset(4));
  goOn();
  assert.equal((await reading).error?.code, 'OFFSET_OUT_OF_RANGE');
});

test('data that is committed between the look and the wait is not overslept', async () => {
  const fixture = await filled(1, 2);
  const log = fixture.group(0).log;
  let goOn = (): void => undefined;
  log.cold = true;
  log.delay = new Promise((resolve) => (goOn = resolve));
  const size = 200;
  // Partition 1 is seen empty, then partition 0 is read from disk while partition 1 gets its record.
  const refs = [at('orders', 0, { partition: 1 }), at('orders', 0)];
  const reading = fixture.fetchMany(refs, { waitMsMax: 60_000, bytesMin: size });
  assert.equal(await isPending(reading), true);
  value(await fixture.append('orders', text(['x'.repeat(size)]), { partition: 1 }));
  goOn();
  const answer = value(await reading);
  assert.deepEqual(answer.partitions.map((one) => one.partition).sort(), [0, 1]);
});

test('on close waiting fetches are answered early', async () => {
  const fixture = await filled(1);
  const waiting = fixture.fetch('orders', 2, { waitMsMax: 60_000 });
  assert.equal(await isPending(waiting), true);
  const closing = fixture.broker.close();
  assert.equal((await waiting).highWatermark, 2);
  await closing;
  assert.equal(fixture.clock.timers, 0);
  assert.equal(code(await fixture.fetchMany([at('orders', 0)])), 'BROKER_SHUTTING_DOWN');
});

test('pit-P107: who was deposed unnoticed does not say that an offset above its high watermark is out of range', async () => {
  const fixture = await filled(1);
  fixture.group().readIndex = (done) => {
    done(null);
  };
  const above = await fixture.fetch('orders', 3);
  assert.equal(above.error?.code, 'OFFSET_NOT_AVAILABLE');
  assert.equal(above.error.fields?.['highWatermark'], '2');
});
