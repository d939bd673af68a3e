/** Appends that come while nobody serves their partition wait a moment for who will, in their order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toReplicaId } from '../../src/model/ids.ts';
import { idempotent, text } from './batches.ts';
import { BrokerFixture, code, error, isPending, settle, value } from './broker-fixture.ts';

const limits = { leaderWaitMsMax: 1_000, leaderLookMs: 50, heldAppendsMax: 3 };

async function started(more: Partial<typeof limits> = {}): Promise<BrokerFixture> {
  const fixture = await BrokerFixture.started({ limits: { ...limits, ...more } });
  await fixture.topic('orders');
  return fixture;
}

test('promise-ordered, held-1: what came first is appended first once this broker serves', async () => {
  const fixture = await started({ heldAppendsMax: 10 });
  const timersBefore = fixture.clock.timers;
  fixture.group().loseLeadership();
  const answers = [0, 1, 2].map((sequence) => fixture.append('orders', idempotent(7, 0, sequence), { waitMs: 5_000 }));
  await settle();
  for (const answer of answers) assert.ok(await isPending(answer));
  fixture.group().elect();
  // behind the three, although its leader serves already
  const late = fixture.append('orders', idempotent(7, 0, 3), { waitMs: 5_000 });
  const receipts = await Promise.all([...answers, late]);
  assert.deepEqual(receipts.map((receipt) => value(receipt).baseOffset), [0, 1, 2, 3]); // prettier-ignore
  assert.equal(fixture.clock.timers, timersBefore);
});

test('who waits hears at once who leads', async () => {
  const fixture = await started();
  fixture.group().loseLeadership();
  const answer = fixture.append('orders', text(['a']));
  assert.ok(await isPending(answer));
  fixture.group().loseLeadership(0, toReplicaId(4_711));
  assert.equal(code(await answer), 'NOT_LEADER_OR_FOLLOWER');
});

test('a hand-over that came to nothing is noticed although nobody tells', async () => {
  const fixture = await started();
  fixture.group().refusing = 'transferring';
  const answer = fixture.append('orders', text(['a']));
  assert.ok(await isPending(answer));
  fixture.group().refusing = null;
  assert.ok(await isPending(answer));
  fixture.clock.advance(limits.leaderLookMs);
  assert.equal(value(await answer).baseOffset, 0);
});

test('promise-honest, held-2: without a leader the answer comes at the limit, or at the deadline, and is certain', async () => {
  const fixture = await started();
  fixture.group().loseLeadership();
  const [patient, hasty] = [10_000, 300].map((waitMs) => fixture.append('orders', text(['a']), { waitMs }));
  assert.ok(patient !== undefined && hasty !== undefined);
  await settle();
  fixture.clock.advance(300);
  assert.equal(code(await hasty), 'LEADER_NOT_AVAILABLE');
  assert.ok(await isPending(patient));
  fixture.clock.advance(700);
  const refusal = error(await patient);
  assert.equal(refusal.code, 'LEADER_NOT_AVAILABLE');
  assert.ok((refusal.retryAfterMs ?? 0) > 0);
  fixture.group().elect();
  await settle();
  assert.equal(value(await fixture.append('orders', text(['b']))).baseOffset, 0);
});

test('promise-bounded: no more wait than there is room for', async () => {
  const fixture = await started();
  fixture.group().loseLeadership();
  const held = [1, 2, 3].map(() => fixture.append('orders', text(['a'])));
  assert.equal(code(await fixture.append('orders', text(['b']))), 'LEADER_NOT_AVAILABLE');
  fixture.group().elect();
  for (const answer of held) value(await answer);
});

test('a partition that ends tells those who wait why', async () => {
  const fixture = await started();
  fixture.group().loseLeadership();
  const answer = fixture.append('orders', text(['a']));
  assert.ok(await isPending(answer));
  fixture.group().setApart('a bit flipped');
  assert.equal(code(await answer), 'QUARANTINED');
});
