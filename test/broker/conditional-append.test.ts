/** Appends that name the offset at which the partition has to end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toReplicaId } from '../../src/model/ids.ts';
import { idempotent, text } from './batches.ts';
import { BrokerFixture, code, error, isPending, value } from './broker-fixture.ts';

test('a conditional append is taken where the partition ends there, and refused with where it ends', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const first = value(await fixture.append('orders', text(['a', 'b']), { expectedEndOffset: 0 }));
  assert.equal(first.baseOffset, 0);
  for (const expectedEndOffset of [0, 1, 3]) {
    const refused = error(await fixture.append('orders', text(['x']), { expectedEndOffset }));
    assert.equal(refused.code, 'UNEXPECTED_END_OFFSET');
    assert.deepEqual(refused.fields, { expected: `${expectedEndOffset}`, actual: '2' });
  }
  assert.equal(value(await fixture.append('orders', text(['c']), { expectedEndOffset: 2 })).baseOffset, 2);
});

test('of many appends that expect the same end exactly one is taken, in the order of the calls', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const rivals = [0, 1, 2, 3].map((n) => fixture.append('orders', text([`r${n}`]), { expectedEndOffset: 0 }));
  const [winner, ...losers] = await Promise.all(rivals);
  assert.equal(value(winner!).baseOffset, 0);
  for (const loser of losers) assert.deepEqual(error(loser).fields, { expected: '0', actual: '1' });
  assert.equal((await fixture.fetch('orders', 0)).highWatermark, 1);
});

test('nothing is refused for what is not committed yet: the refusal waits, and vanishes with what it stood on', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().hold();
  const first = fixture.append('orders', text(['a']));
  const kept = fixture.append('orders', text(['b']), { expectedEndOffset: 0 });
  assert.equal(await isPending(kept), true);
  fixture.group().release();
  value(await first);
  assert.deepEqual(error(await kept).fields, { expected: '0', actual: '1' });

  fixture.group().hold();
  const second = fixture.append('orders', text(['lost']));
  const open = fixture.append('orders', text(['c']), { expectedEndOffset: 1 });
  fixture.group().loseLeadership(0, toReplicaId(99));
  assert.equal(code(await second), 'LEADERSHIP_LOST');
  assert.equal(code(await open), 'NOT_LEADER_OR_FOLLOWER', 'certainly not appended, and nothing said of the end');
});

test('a refusal that can not be confirmed in time says nothing of the end', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  fixture.group().hold();
  void fixture.append('orders', text(['a']));
  const open = fixture.append('orders', text(['b']), { expectedEndOffset: 0, waitMs: 300 });
  fixture.clock.advance(300);
  assert.equal(code(await open), 'LEADER_NOT_AVAILABLE');
});

test('a retry of a conditional append that is in the log is a duplicate, not a mismatch', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const send = () => fixture.append('orders', idempotent(7, 0, 0), { expectedEndOffset: 0 });
  value(await send());
  const again = value(await send());
  assert.deepEqual([again.duplicate, again.baseOffset], [true, 0]);
  const refused = await fixture.append('orders', idempotent(7, 0, 1), { expectedEndOffset: 0 });
  assert.equal(code(refused), 'UNEXPECTED_END_OFFSET');
  const next = value(await fixture.append('orders', idempotent(7, 0, 1), { expectedEndOffset: 1 }));
  assert.equal(next.duplicate, false, 'a refused batch used up no sequence');
});
