import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toReplicaId } from '../../src/model/ids.ts';
import { idempotent, text } from './batches.ts';
import { BrokerFixture, code, error, isPending, offsets, settle, value } from './broker-fixture.ts';

test('promise-ordered: batches get dense offsets in the order of the calls, and are read back as they were stored', async () => {
  const fixture = await BrokerFixture.started();
  const topicId = await fixture.topic('orders');
  const receipts = await Promise.all([
    fixture.append('orders', text(['a', 'b'])),
    fixture.append('orders', text(['c'])),
    fixture.append('orders', text(['d', 'e', 'f'])),
  ]);
  assert.deepEqual(
    receipts.map((receipt) => value(receipt).baseOffset),
    [0, 2, 3],
  );
  const first = value(receipts[0]);
  assert.equal(first.topicId, topicId);
  assert.equal(first.committed, true);
  assert.equal(first.duplicate, false);
  assert.equal(first.leaderEpoch, 1);
  assert.ok(first.catalogRevision > 0);
  const fetched = await fixture.fetch('orders', 0);
  assert.deepEqual(offsets(fetched.batches), [0, 2, 3]);
  assert.equal(fetched.nextOffset, 6);
  assert.equal(fetched.highWatermark, 6);
});

test('sem-A3: acks=leader answers after the leader’s own fsync and says committed=false', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().hold();
  const answer = fixture.append('orders', text(['a']), { acks: 'leader' });
  assert.equal(await isPending(answer), true);
  fixture.group().makeDurable();
  const receipt = value(await answer);
  assert.equal(receipt.committed, false);
  assert.equal(receipt.baseOffset, 0);
  assert.deepEqual((await fixture.fetch('orders', 0)).batches, [], 'pit-P31: not visible before the commit');
  const lost = fixture.append('orders', text(['lost']), { acks: 'leader' });
  fixture.group().makeDurable();
  assert.equal(value(await lost).baseOffset, 1);
  fixture.group().loseLeadership(1);
  fixture.group().elect();
  fixture.group().release();
  const other = value(await fixture.append('orders', text(['other'])));
  assert.equal(other.baseOffset, 1, 'the offset of a lost record may be reused by another one');
});

test('sem-A2: acks=none answers at once', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().hold();
  assert.equal(value(await fixture.append('orders', text(['a']), { acks: 'none' })).committed, false);
});

test('sem-A6: a deadline that passes while waiting is indeterminate, and the record may commit later', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().hold();
  const { timers } = fixture.clock;
  const answer = fixture.append('orders', text(['a']), { waitMs: 500 });
  fixture.clock.advance(499);
  assert.equal(await isPending(answer), true);
  fixture.clock.advance(1);
  assert.equal(code(await answer), 'REQUEST_TIMED_OUT');
  fixture.group().release();
  assert.equal((await fixture.fetch('orders', 0)).highWatermark, 1);
  assert.equal(fixture.clock.timers, timers, 'no timer is left');
});

test('a batch that comes after its deadline is not appended', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  assert.equal(code(await fixture.append('orders', text(['a']), { waitMs: 0 })), 'REQUEST_TIMED_OUT');
  assert.equal(fixture.group().proposals, 0);
});

test('sem-A6 pit-P30: leadership lost while waiting is unknown, never failed; what was kept counts', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().hold();
  const kept = fixture.append('orders', text(['kept']));
  const lost = fixture.append('orders', text(['lost']));
  fixture.group().loseLeadership(1, toReplicaId(99));
  assert.deepEqual([code(await kept), code(await lost)], ['LEADERSHIP_LOST', 'LEADERSHIP_LOST']);
  assert.equal((await fixture.fetch('orders', 0)).highWatermark, 1);
  assert.equal(code(await fixture.append('orders', text(['x']))), 'NOT_LEADER_OR_FOLLOWER');
});

test('sem-A9: what can not be a batch is refused before anything else', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  assert.equal(code(await fixture.append('orders', new Uint8Array(3))), 'CORRUPT_MESSAGE');
  const gaps = text(['a', 'b']);
  gaps[26] = 5; // last offset delta: more offsets than records
  assert.equal(code(await fixture.append('orders', gaps)), 'INVALID_RECORD');
});

test('pit-P32: nothing is taken before the leader has applied its own no-op', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().loseLeadership();
  assert.equal(code(await fixture.append('orders', text(['a']))), 'LEADER_NOT_AVAILABLE');
  fixture.group().hold();
  fixture.group().elect();
  const refusal = error(await fixture.append('orders', text(['a'])));
  assert.equal(refusal.code, 'LEADER_NOT_AVAILABLE');
  assert.ok((refusal.retryAfterMs ?? 0) > 0);
  fixture.group().release();
  assert.equal(value(await fixture.append('orders', text(['a']))).leaderEpoch, 3);
});

test('proposals that Raft refuses are certainly not appended', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().refusing = 'uncommitted-limit';
  assert.equal(code(await fixture.append('orders', text(['a']))), 'LIMIT_REACHED');
  fixture.group().refusing = 'transferring';
  assert.equal(code(await fixture.append('orders', text(['a']))), 'LEADER_NOT_AVAILABLE');
  fixture.group().refusing = null;
  assert.equal(value(await fixture.append('orders', text(['a']))).baseOffset, 0);
});

test('pit-P33: bytes in flight are bounded over all partitions and come back with the outcome', async () => {
  const fixture = await BrokerFixture.started({ limits: { appendBytesInFlightMax: 250 } });
  await fixture.topic('orders', 2);
  const [first, second] = [fixture.group(0), fixture.group(1)];
  first.hold();
  second.hold();
  const one = fixture.append('orders', text(['x'.repeat(40)]));
  const two = fixture.append('orders', text(['x'.repeat(40)]), { partition: 1 });
  const refusal = error(await fixture.append('orders', text(['x'.repeat(40)]), { partition: 1 }));
  assert.equal(refusal.code, 'LIMIT_REACHED');
  assert.ok((refusal.retryAfterMs ?? 0) > 0);
  first.release();
  assert.equal(value(await one).committed, true);
  const three = fixture.append('orders', text(['x'.repeat(40)]), { partition: 1 });
  second.loseLeadership();
  assert.deepEqual([code(await two), code(await three)], ['LEADERSHIP_LOST', 'LEADERSHIP_LOST']);
  assert.equal(value(await fixture.append('orders', text(['x'.repeat(500)]))).baseOffset, 1, 'one always fits');
});

test('pit-P91: below the disk reserve produce is refused while fetch and delete go on', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  value(await fixture.append('orders', text(['a'])));
  fixture.diskHasRoom = false;
  assert.equal(code(await fixture.append('orders', text(['b']))), 'DISK_RESERVE_REACHED');
  assert.equal((await fixture.fetch('orders', 0)).batches.length, 1);
  value(await fixture.broker.deleteTopic({ name: 'orders', topicId: null }, fixture.context()));
  fixture.diskHasRoom = true;
  await fixture.topic('orders');
  assert.equal(value(await fixture.append('orders', text(['b']))).baseOffset, 0);
});

test('pit-P37: a small batch does not keep the message alive that it came in', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const bytes = text(['a']);
  const message = new Uint8Array(1_000_000);
  message.set(bytes, 500);
  value(await fixture.append('orders', message.subarray(500, 500 + bytes.length)));
  const large = text(['x'.repeat(700_000)]);
  message.set(large);
  value(await fixture.append('orders', message.subarray(0, large.length)));
  const [small, kept] = (await fixture.fetch('orders', 0)).batches;
  assert.equal(small?.buffer.byteLength, bytes.length);
  assert.equal(kept?.buffer, message.buffer, 'a large one is not copied');
});

test('a batch with a producer id needs acks=all', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  for (const acks of ['leader', 'none'] as const) {
    assert.equal(code(await fixture.append('orders', idempotent(1, 0, 0), { acks })), 'INVALID_REQUIRED_ACKS');
  }
});

test('topics and partitions that are not there, and ids that are not theirs', async () => {
  const fixture = await BrokerFixture.started();
  const topicId = await fixture.topic('orders');
  const otherId = await fixture.topic('other');
  assert.equal(code(await fixture.append('nowhere', text(['a']))), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(code(await fixture.append('orders', text(['a']), { partition: 1 })), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(code(await fixture.append('__groups', text(['a']))), 'INVALID_TOPIC');
  const by = (id: string): Promise<string> => fixture.append('orders', text(['a']), { topicId: id }).then(code);
  assert.equal(await by(otherId), 'INCONSISTENT_TOPIC_ID');
  assert.equal(await by('00000000-0000-4000-8000-000000000000'), 'UNKNOWN_TOPIC_ID');
  assert.equal(value(await fixture.append('orders', text(['a']), { topicId })).topicId, topicId);
});

test('design D7: a broken invariant in one partition sets that one apart and no other', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders', 2);
  const group = fixture.group(0);
  group.hold();
  const caught = fixture.append('orders', text(['a']));
  group.setApart('its state is broken');
  assert.equal(code(await caught), 'APPEND_INTERRUPTED');
  assert.match(error(await fixture.append('orders', text(['a']))).message, /its state is broken/);
  const fetched = (await fixture.fetch('orders', 0)).error;
  assert.equal(fetched?.code, 'QUARANTINED');
  assert.deepEqual(fetched.fields, { scope: 'partition' });
  assert.equal(value(await fixture.append('orders', text(['a']), { partition: 1 })).baseOffset, 0);
});

test('design D18: on close every append in flight is answered on its own', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders', 2);
  fixture.group(0).hold();
  fixture.group(1).hold();
  const stuck = fixture.append('orders', text(['a']), { waitMs: 60_000 });
  const finishing = fixture.append('orders', text(['b']), { partition: 1, waitMs: 60_000 });
  const closing = fixture.broker.close();
  assert.equal(code(await fixture.append('orders', text(['late']))), 'BROKER_SHUTTING_DOWN');
  fixture.group(1).release();
  assert.equal(value(await finishing).committed, true, 'what can finish within the drain time does');
  assert.equal(await isPending(closing), true);
  fixture.clock.advance(2_000);
  assert.equal(code(await stuck), 'APPEND_INTERRUPTED');
  await closing;
  await settle();
  assert.equal(fixture.clock.timers, 0, 'no timer is left');
});
