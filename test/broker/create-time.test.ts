import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anyCreateTime, refuseCreateTime } from '../../src/broker/create-time.ts';
import { toMillis } from '../../src/model/ids.ts';
import { batch, identity } from './batches.ts';
import { BrokerFixture, code, error, value } from './broker-fixture.ts';

const hour = 3_600_000;
const year = 365 * 24 * hour;
const nowMs = toMillis(50 * year);
const bounds = { beforeMsMax: 1_000, afterMsMax: 2_000 };
const judged = (first: number, max: number | null, by = bounds) =>
  refuseCreateTime({ baseTimestampMs: first, maxTimestampMs: max === null ? null : toMillis(max) }, by, nowMs)?.error;

test('sem-A9: create times are taken up to the bounds, and no further', () => {
  assert.equal(judged(nowMs - 1_000, nowMs + 2_000), undefined);
  assert.equal(judged(-1, null), undefined, 'no record has a time');
  assert.equal(judged(-1, nowMs), undefined, 'the first record has none');
  const ahead = judged(nowMs, nowMs + 2_001);
  assert.equal(ahead?.code, 'INVALID_TIMESTAMP');
  assert.deepEqual(ahead.fields, {
    ...{ key: 'message.timestamp.after.max.ms', limit: '2000', actual: `${nowMs + 2_001}`, now: `${nowMs}` },
  });
  const behind = judged(nowMs - 1_001, nowMs);
  assert.deepEqual([behind?.code, behind?.fields?.['key']], ['INVALID_TIMESTAMP', 'message.timestamp.before.max.ms']);
  assert.equal(judged(-1, nowMs - 1_001)?.code, 'INVALID_TIMESTAMP');
  assert.equal(
    refuseCreateTime({ baseTimestampMs: 0, maxTimestampMs: toMillis(2 ** 53 - 1) }, anyCreateTime, nowMs),
    null,
  );
});

test('sem-A9: a time a year ahead is refused by default, one in the past is taken; topics can say otherwise', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const now = fixture.clock.wallMs();
  const at = (timestampMs: number) => batch({ values: ['x'], timestamps: [timestampMs] });
  const refused = error(await fixture.append('orders', at(now + year)));
  assert.equal(refused.code, 'INVALID_TIMESTAMP');
  assert.equal((await fixture.fetch('orders', 0)).highWatermark, 0, 'nothing was appended');
  value(await fixture.append('orders', at(now + hour)));
  value(await fixture.append('orders', at(0)));
  const alter = async (before: number | null, after: number | null) => {
    const set = { 'message.timestamp.before.max.ms': before, 'message.timestamp.after.max.ms': after };
    const change = { name: 'orders', topicId: null, config: { set, reset: [] }, dryRun: false };
    value(await fixture.broker.alterTopic(change, fixture.context()));
  };
  await alter(0, null);
  value(await fixture.append('orders', at(now + year)));
  assert.equal(code(await fixture.append('orders', at(now - 1))), 'INVALID_TIMESTAMP');
});

test('sem-A9 design D14: a retry is answered although its create time would not be taken any more', async () => {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  const set = { 'message.timestamp.before.max.ms': 1_000 };
  const change = { name: 'orders', topicId: null, config: { set, reset: [] }, dryRun: false };
  value(await fixture.broker.alterTopic(change, fixture.context()));
  const sent = (sequence: number) =>
    batch({ values: ['x'], timestamps: [fixture.clock.wallMs() - 900], producer: identity(7, 0, sequence) });
  const first = sent(0);
  value(await fixture.append('orders', first.slice()));
  fixture.clock.advance(10_000);
  assert.equal(value(await fixture.append('orders', first.slice())).duplicate, true);
  const late = batch({ values: ['x'], timestamps: [fixture.clock.wallMs() - 10_000], producer: identity(7, 0, 1) });
  assert.equal(code(await fixture.append('orders', late)), 'INVALID_TIMESTAMP');
  assert.equal(value(await fixture.append('orders', sent(1))).duplicate, false, 'the sequence is still free');
});
