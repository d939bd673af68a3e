import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FetchAnswer, FetchCursor, FetchPartitionRequest } from '../../src/broker/requests.ts';
import { text } from './batches.ts';
import { at, BrokerFixture, code, isPending, offsets, value } from './broker-fixture.ts';

async function fixtureWith(partitions: number, fetchWaitersMax = 100): Promise<BrokerFixture> {
  const fixture = await BrokerFixture.started({ limits: { fetchWaitersMax } });
  await fixture.topic('orders', partitions);
  return fixture;
}

const open = (fixture: BrokerFixture, refs: readonly FetchPartitionRequest[], signal?: AbortSignal): FetchCursor =>
  value(fixture.broker.openCursor(refs, fixture.context(1_000, signal)));

/** Partition and base offsets of what an answer holds. */
const told = (answer: FetchAnswer | null): [number, number[]][] =>
  (answer?.partitions ?? []).map((one) => [one.partition, offsets(one.batches)]);

test('a cursor reads on, and waits at the end until something is committed', async () => {
  const fixture = await fixtureWith(1);
  for (let n = 0; n < 3; n++) value(await fixture.append('orders', text([`${n}`])));
  const cursor = open(fixture, [at('orders', 1)]);
  const size = text(['0']).length;
  assert.deepEqual(told(await cursor.next(size)), [[0, [1]]]);
  assert.deepEqual(told(await cursor.next(10 * size)), [[0, [2]]]);
  const waiting = cursor.next(size);
  assert.equal(await isPending(waiting), true);
  value(await fixture.append('orders', text(['3'])));
  assert.deepEqual(told(await waiting), [[0, [3]]]);
  cursor.close();
});

test('a cursor never gives more than was granted, but always one batch', async () => {
  const fixture = await fixtureWith(1);
  for (let n = 0; n < 4; n++) value(await fixture.append('orders', text([`${n}`])));
  const cursor = open(fixture, [at('orders', 0)]);
  const size = text(['0']).length;
  assert.deepEqual(told(await cursor.next(1)), [[0, [0]]]);
  assert.deepEqual(told(await cursor.next(2 * size)), [[0, [1, 2]]]);
  cursor.close();
});

test('pit-P121: a busy partition does not starve the others', async () => {
  const fixture = await fixtureWith(3);
  for (let n = 0; n < 5; n++) value(await fixture.append('orders', text(['busy'])));
  for (const partition of [1, 2]) value(await fixture.append('orders', text(['rare']), { partition }));
  const cursor = open(
    fixture,
    [0, 1, 2].map((partition) => at('orders', 0, { partition })),
  );
  const size = text(['busy']).length;
  const order: number[] = [];
  for (let n = 0; n < 7; n++) order.push(...told(await cursor.next(size)).map(([partition]) => partition));
  assert.deepEqual(order, [0, 1, 2, 0, 0, 0, 0]);
  cursor.close();
});

test('what does not fit into an answer is first in the next', async () => {
  const fixture = await fixtureWith(3);
  const values = ['small', 'large'.repeat(50), 'small'];
  for (const [partition, one] of values.entries()) value(await fixture.append('orders', text([one]), { partition }));
  const cursor = open(
    fixture,
    [0, 1, 2].map((partition) => at('orders', 0, { partition })),
  );
  assert.deepEqual(told(await cursor.next(text(['small']).length + 10)), [[0, [0]]]);
  assert.deepEqual(told(await cursor.next(10)), [[1, [0]]]);
  assert.deepEqual(told(await cursor.next(10)), [[2, [0]]]);
  cursor.close();
});

test('one commit wakes the partition it was for, the others stay unread', async () => {
  const fixture = await fixtureWith(20);
  const cursor = open(
    fixture,
    Array.from({ length: 20 }, (_, partition) => at('orders', 0, { partition })),
  );
  const waiting = cursor.next(1_000);
  assert.equal(await isPending(waiting), true);
  for (let place = 0; place < 20; place++) fixture.group(place).log.asked.length = 0;
  value(await fixture.append('orders', text(['x']), { partition: 13 }));
  assert.deepEqual(told(await waiting), [[13, [0]]]);
  const reads = Array.from({ length: 20 }, (_, place) => fixture.group(place).log.asked.length);
  assert.deepEqual(
    reads.flatMap((count, place) => (count > 0 ? [place] : [])),
    [13],
  );
  cursor.close();
});

test('a partition with an error is told once and not read on', async () => {
  const fixture = await fixtureWith(2);
  value(await fixture.append('orders', text(['x'])));
  const cursor = open(fixture, [at('orders', 9), at('nowhere', 0), at('orders', 0)]);
  const first = await cursor.next(1_000);
  assert.deepEqual(
    first?.partitions.map((one) => one.error?.code),
    ['OFFSET_OUT_OF_RANGE', 'UNKNOWN_TOPIC_OR_PARTITION', undefined],
  );
  const waiting = cursor.next(1_000);
  fixture.group(0).setApart('broken');
  const second = await waiting;
  assert.deepEqual(
    second?.partitions.map((one) => one.error?.code),
    ['QUARANTINED'],
  );
  assert.equal(await cursor.next(1_000), null, 'nothing is left to read');
});

test('a cursor ends when its caller is gone, and gives its place back', async () => {
  const fixture = await fixtureWith(2, 2);
  const caller = new AbortController();
  const refs = [at('orders', 0), at('orders', 0, { partition: 1 })];
  const cursor = open(fixture, refs, caller.signal);
  assert.equal(code(fixture.broker.openCursor([at('orders', 0)], fixture.context())), 'LIMIT_REACHED');
  const waiting = cursor.next(1_000);
  caller.abort();
  assert.equal(await waiting, null);
  assert.equal(await cursor.next(1_000), null);
  open(fixture, refs).close();
});

test('a caller that is gone already gets a cursor that has ended', async () => {
  const fixture = await fixtureWith(1);
  assert.equal(await open(fixture, [at('orders', 0)], AbortSignal.abort()).next(1_000), null);
});

test('pit-P116 pit-P118: a cursor on a deleted topic hears of it and does not move to the next of that name', async () => {
  const fixture = await fixtureWith(1);
  const cursor = open(fixture, [at('orders', 0)]);
  const waiting = cursor.next(1_000);
  value(await fixture.broker.deleteTopic({ name: 'orders', topicId: null }, fixture.context()));
  assert.deepEqual(
    (await waiting)?.partitions.map((one) => one.error?.code),
    ['UNKNOWN_TOPIC_OR_PARTITION'],
  );
  await fixture.topic('orders');
  value(await fixture.append('orders', text(['x'])));
  assert.equal(await cursor.next(1_000), null);
});

test('data that comes while a cursor reads from disk is not overslept', async () => {
  const fixture = await fixtureWith(1);
  value(await fixture.append('orders', text(['0'])));
  const { log } = fixture.group();
  let goOn = (): void => undefined;
  log.cold = true;
  log.delay = new Promise((resolve) => (goOn = resolve));
  const cursor = open(fixture, [at('orders', 0)]);
  const reading = cursor.next(1_000);
  assert.equal(await isPending(reading), true);
  value(await fixture.append('orders', text(['1'])));
  goOn();
  assert.deepEqual(told(await reading), [[0, [0]]]);
  assert.deepEqual(told(await cursor.next(1_000)), [[0, [1]]]);
  cursor.close();
});

test('on close a cursor says goodbye for every partition it still reads, then ends', async () => {
  const fixture = await fixtureWith(2);
  const cursor = open(fixture, [at('orders', 0), at('orders', 0, { partition: 1 })]);
  const waiting = cursor.next(1_000);
  const closing = fixture.broker.close();
  assert.deepEqual(
    (await waiting)?.partitions.map((one) => one.error?.code),
    ['BROKER_SHUTTING_DOWN', 'BROKER_SHUTTING_DOWN'],
  );
  assert.equal(await cursor.next(1_000), null);
  await closing;
});

test('room is asked for once there is something to read, given back if that was nothing, and a refusal ends it', async () => {
  const fixture = await fixtureWith(1);
  value(await fixture.append('orders', text(['0'])));
  const cursor = open(fixture, [at('orders', 0)]);
  const book: string[] = [];
  let grant: number | null = 1;
  const room = {
    take: (bytes: number): Promise<number | null> => {
      book.push(`take ${bytes}`);
      return Promise.resolve(grant);
    },
    giveBack: (bytes: number): void => void book.push(`give ${bytes}`),
  };
  assert.deepEqual(told(await cursor.next(1_000, room)), [[0, [0]]], 'one batch, however little is granted');
  assert.deepEqual(book, ['take 1000']);
  const waiting = cursor.next(500, room);
  assert.equal(await isPending(waiting), true);
  assert.equal(book.filter((line) => line === 'take 500').length, book.filter((line) => line === 'give 1').length);
  value(await fixture.append('orders', text(['1'])));
  assert.deepEqual(told(await waiting), [[0, [1]]]);
  value(await fixture.append('orders', text(['2'])));
  grant = null;
  assert.equal(await cursor.next(1_000, room), null);
  cursor.close();
});
