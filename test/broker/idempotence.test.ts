import assert from 'node:assert/strict';
import { test } from 'node:test';
import { producerIdleMsMax } from '../../src/broker/producer-table.ts';
import { toOffset } from '../../src/model/ids.ts';
import { patchBatch } from '../../src/model/record-batch.ts';
import { batch, idempotent, identity, text } from './batches.ts';
import { BrokerFixture, code, error, isPending, offsets, settle, value } from './broker-fixture.ts';

/** Six batches of two records of producer 7: sequences and offsets 0 to 11. */
async function sixBatches(fixture: BrokerFixture): Promise<void> {
  await fixture.topic('orders');
  for (let at = 0; at < 6; at++) value(await fixture.append('orders', idempotent(7, 0, at * 2, 2)));
}

/** Asks again for n-1 … n-5 and n-6, then tries a gap, an overlap and what comes next. */
async function expectRemembered(fixture: BrokerFixture): Promise<void> {
  const end = (await fixture.fetch('orders', 0)).highWatermark;
  for (let at = 1; at < 6; at++) {
    const receipt = value(await fixture.append('orders', idempotent(7, 0, at * 2, 2)));
    assert.deepEqual([receipt.baseOffset, receipt.duplicate, receipt.committed], [at * 2, true, true]);
    assert.notEqual(receipt.appendTimeMs, null);
  }
  const old = value(await fixture.append('orders', idempotent(7, 0, 0, 2)));
  assert.deepEqual([old.baseOffset, old.duplicate, old.appendTimeMs], [null, true, null]);
  assert.equal(code(await fixture.append('orders', idempotent(7, 0, 13))), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
  assert.equal(code(await fixture.append('orders', idempotent(7, 0, 11, 2))), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
  assert.equal((await fixture.fetch('orders', 0)).highWatermark, end, 'nothing was appended');
  assert.equal(value(await fixture.append('orders', idempotent(7, 0, 12, 2))).duplicate, false);
}

test('sem-I3 sem-I13 pit-P99: a retry gets the original offset from the same leader, an older one success', async () => {
  const fixture = await BrokerFixture.started();
  await sixBatches(fixture);
  await expectRemembered(fixture);
});

test('sem-I10 pit-P98: producers are remembered over a change of leader', async () => {
  const fixture = await BrokerFixture.started();
  await sixBatches(fixture);
  fixture.group().loseLeadership();
  fixture.group().elect();
  await expectRemembered(fixture);
});

test('sem-I10: producers are remembered over a restart that applies the log again', async () => {
  const fixture = await BrokerFixture.started();
  await sixBatches(fixture);
  await expectRemembered(await fixture.restarted());
});

test('sem-I10 pit-P45 pit-P100: producers are remembered over a restart from a checkpoint, whatever retention removed', async () => {
  const fixture = await BrokerFixture.started();
  await sixBatches(fixture);
  fixture.group().saveCheckpoint();
  fixture.group().moveLogStart(toOffset(12));
  await expectRemembered(await fixture.restarted());
});

test('sem-I4: the partition says which sequence it expects', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  value(await fixture.append('orders', idempotent(7, 0, 0, 3)));
  const answer = await fixture.append('orders', idempotent(7, 0, 5));
  assert.equal(answer.kind === 'refused' && answer.error.fields?.['expected'], '3');
});

test('sem-I6 sem-I7 pit-P105: an older epoch is fenced, on this leader and on the next', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  value(await fixture.append('orders', idempotent(7, 1, 0)));
  assert.equal(code(await fixture.append('orders', idempotent(7, 0, 0))), 'INVALID_PRODUCER_EPOCH');
  assert.equal(code(await fixture.append('orders', idempotent(7, 2, 1))), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
  fixture.group().loseLeadership();
  fixture.group().elect();
  assert.equal(code(await fixture.append('orders', idempotent(7, 0, 1))), 'INVALID_PRODUCER_EPOCH');
  assert.equal(value(await fixture.append('orders', idempotent(7, 2, 0))).baseOffset, 1);
});

test('sem-I8: an unknown producer starts at 0 or is told so', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  assert.equal(code(await fixture.append('orders', idempotent(7, 0, 4))), 'UNKNOWN_PRODUCER_ID');
});

test('design D14: a duplicate of a batch in flight waits for the outcome of the original', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().hold();
  const original = fixture.append('orders', idempotent(7, 0, 0, 2));
  const retry = fixture.append('orders', idempotent(7, 0, 0, 2));
  assert.equal(fixture.group().proposals, 1, 'the retry is not proposed');
  assert.equal(await isPending(retry), true);
  fixture.group().release();
  const [first, second] = [value(await original), value(await retry)];
  assert.deepEqual([first.baseOffset, first.duplicate], [0, false]);
  assert.deepEqual([second.baseOffset, second.duplicate, second.appendTimeMs], [0, true, first.appendTimeMs]);
});

test('design D14: a duplicate older than the window waits until all that came before the newest is committed', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().hold();
  const sent = [0, 1, 2, 3, 4, 5].map((sequence) => fixture.append('orders', idempotent(7, 0, sequence)));
  const retry = fixture.append('orders', idempotent(7, 0, 0));
  fixture.group().release(5);
  assert.equal(await isPending(retry), true);
  fixture.group().release();
  assert.deepEqual([value(await retry).baseOffset, value(await retry).committed], [null, true]);
  await Promise.all(sent);
});

test('pit-P30: a duplicate whose original is lost is unknown too, and then it is new again', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().hold();
  const original = fixture.append('orders', idempotent(7, 0, 0));
  const retry = fixture.append('orders', idempotent(7, 0, 0));
  fixture.group().loseLeadership(0);
  assert.deepEqual([code(await original), code(await retry)], ['LEADERSHIP_LOST', 'LEADERSHIP_LOST']);
  fixture.group().elect();
  fixture.group().release();
  const again = value(await fixture.append('orders', idempotent(7, 0, 0)));
  assert.deepEqual([again.baseOffset, again.duplicate], [0, false]);
  const kept = await fixture.fetch('orders', 0);
  assert.deepEqual(offsets(kept.batches), [0], 'once in the log');
});

test('pit-P103: two batches with the same sequence on the way: one is in the log, the other is its duplicate', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const answers = await Promise.all([0, 1, 2, 3].map(() => fixture.append('orders', idempotent(7, 0, 0))));
  assert.deepEqual(
    answers.map((answer) => value(answer).duplicate),
    [false, true, true, true],
  );
  assert.equal((await fixture.fetch('orders', 0)).highWatermark, 1);
});

test('design D14: a retry is answered although nothing new would be admitted', async () => {
  const fixture = await BrokerFixture.started({ limits: { appendBytesInFlightMax: 1 } });
  await fixture.topic('orders', 2);
  value(await fixture.append('orders', idempotent(7, 0, 0)));
  fixture.diskHasRoom = false;
  fixture.group(1).hold();
  fixture.group().refusing = 'uncommitted-limit';
  const retry = value(await fixture.append('orders', idempotent(7, 0, 0)));
  assert.deepEqual([retry.baseOffset, retry.duplicate], [0, true]);
  assert.equal(code(await fixture.append('orders', idempotent(7, 0, 1))), 'DISK_RESERVE_REACHED');
});

test('a refused proposal leaves the table as it was', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().refusing = 'uncommitted-limit';
  assert.equal(code(await fixture.append('orders', idempotent(7, 0, 0))), 'LIMIT_REACHED');
  fixture.group().refusing = null;
  assert.equal(value(await fixture.append('orders', idempotent(7, 0, 0))).duplicate, false);
});

test('producers of a partition are limited; the known ones go on, and idle ones make room', async () => {
  const fixture = await BrokerFixture.started({ limits: { producersPerPartitionMax: 2 } });
  await fixture.topic('orders');
  value(await fixture.append('orders', idempotent(1, 0, 0)));
  value(await fixture.append('orders', idempotent(2, 0, 0)));
  assert.equal(code(await fixture.append('orders', idempotent(3, 0, 0))), 'LIMIT_REACHED');
  value(await fixture.append('orders', idempotent(2, 0, 1)));
  value(await fixture.append('orders', text(['anonymous'])));
  fixture.clock.advance(producerIdleMsMax + 1);
  value(await fixture.append('orders', idempotent(3, 0, 0)));
  assert.equal(code(await fixture.append('orders', idempotent(1, 0, 1))), 'UNKNOWN_PRODUCER_ID');
});

test('retries that wait for one batch are limited', async () => {
  const fixture = await BrokerFixture.started({ limits: { appendWaitersPerBatchMax: 2 } });
  await fixture.topic('orders');
  fixture.group().hold();
  const waiting = [0, 1].map(() => fixture.append('orders', idempotent(7, 0, 0)));
  assert.equal(code(await fixture.append('orders', idempotent(7, 0, 0))), 'LIMIT_REACHED');
  fixture.group().release();
  assert.deepEqual(
    (await Promise.all(waiting)).map((answer) => value(answer).baseOffset),
    [0, 0],
  );
});

test('partition-1: a log that breaks a producer’s sequence sets the partition apart when it is applied', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  value(await fixture.append('orders', idempotent(7, 0, 0)));
  const stored = fixture.disk.groups.get(fixture.group().group)!;
  const entry = stored.entries.at(-1)!;
  const damaged = batch({ values: ['p'], producer: identity(7, 0, 5) });
  patchBatch(damaged, entry.baseOffset, entry.term);
  stored.entries = [...stored.entries.slice(0, -1), { ...entry, payload: damaged }];
  // The table restarts empty, so sequence 5 of an unknown producer is what apply sees.
  const after = await fixture.restarted();
  await settle();
  const refusal = error(await after.append('orders', idempotent(7, 0, 1)));
  assert.equal(refusal.code, 'QUARANTINED');
  assert.match(refusal.message, /producer-2/);
});

test('inv-B3: who was deposed unnoticed refuses no sequence for good', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  value(await fixture.append('orders', idempotent(7, 0, 0)));
  fixture.group().confirming = false;
  for (const stray of [idempotent(7, 0, 5), idempotent(8, 0, 3)]) {
    const refusal = fixture.append('orders', stray, { waitMs: 300 });
    assert.equal(await isPending(refusal), true);
    fixture.clock.advance(300);
    assert.equal(code(await refusal), 'LEADER_NOT_AVAILABLE');
  }
  fixture.group().confirming = true;
  assert.equal(code(await fixture.append('orders', idempotent(7, 0, 5))), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
  assert.equal(code(await fixture.append('orders', idempotent(8, 0, 3))), 'UNKNOWN_PRODUCER_ID');
});
