import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TopicConfig } from '../../src/broker/topic-config.ts';
import { toOffset } from '../../src/model/ids.ts';
import { idempotent, text } from './batches.ts';
import type { FixtureOptions } from './broker-fixture.ts';
import { BrokerFixture, code, error, offsets, settle, value } from './broker-fixture.ts';

const checkMs = 1_000;

async function started(options: FixtureOptions = {}): Promise<BrokerFixture> {
  return BrokerFixture.started({ ...options, limits: { retentionCheckMs: checkMs, ...options.limits } });
}

async function topic(fixture: BrokerFixture, name: string, set: Partial<TopicConfig>, partitions = 1): Promise<void> {
  const wish = { name, partitions, replicationFactor: null, config: { set, reset: [] } };
  value(await fixture.broker.createTopic(wish, fixture.context()));
}

/** Time passes, look by look. */
async function pass(fixture: BrokerFixture, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= checkMs) {
    fixture.clock.advance(Math.min(checkMs, left));
    await settle();
  }
  // one more turn for what the last look proposed
  await settle();
}

async function startOf(fixture: BrokerFixture, name: string, partition = 0): Promise<number | null | undefined> {
  const described = value(await fixture.broker.describeTopic(name, fixture.context()));
  return described.partitions[partition]?.logStart;
}

test('records go by age, and a reader below the log start hears of the bounds', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 10_000 });
  value(await fixture.append('orders', text(['a', 'b'])));
  await pass(fixture, 6_000);
  value(await fixture.append('orders', text(['c'])));
  await pass(fixture, 5_000);
  assert.equal(await startOf(fixture, 'orders'), 2);
  const below = await fixture.fetch('orders', 0);
  assert.equal(below.error?.code, 'OFFSET_OUT_OF_RANGE');
  assert.deepEqual([below.logStart, below.highWatermark], [2, 3]);
  assert.deepEqual(offsets((await fixture.fetch('orders', 2)).batches), [2]);
  await pass(fixture, 7_000);
  assert.equal(await startOf(fixture, 'orders'), 3, 'everything may go');
  assert.equal(value(await fixture.append('orders', text(['d']))).baseOffset, 3, 'offsets go on');
  await pass(fixture, 9_000);
  assert.equal(await startOf(fixture, 'orders'), 3);
  await pass(fixture, 2_000);
  assert.equal(await startOf(fixture, 'orders'), 4);
});

test('records go by count and by bytes, and the newest batch stays', async () => {
  const fixture = await started();
  const batch = text(['a', 'b']);
  await topic(fixture, 'counted', { 'retention.ms': null, 'retention.records': 5, 'min.insync.replicas': null });
  await topic(fixture, 'weighed', { 'retention.ms': null, 'retention.bytes': 3 * batch.length });
  for (let i = 0; i < 6; i++) {
    for (const name of ['counted', 'weighed']) value(await fixture.append(name, text(['a', 'b'])));
  }
  await pass(fixture, 2_000);
  assert.equal(await startOf(fixture, 'counted'), 6, 'three batches hold at least five records');
  assert.equal(await startOf(fixture, 'weighed'), 6);
  const change = {
    name: 'weighed',
    topicId: null,
    config: { set: { 'retention.bytes': 1 }, reset: [] },
    dryRun: false,
  };
  value(await fixture.broker.alterTopic(change, fixture.context()));
  await pass(fixture, 2_000);
  assert.equal(await startOf(fixture, 'weighed'), 10, 'a change is acted upon without a new record');
});

test('without limits, and in the topics of Sluice itself, nothing goes', async () => {
  const fixture = await started();
  await topic(fixture, 'kept', { 'retention.ms': null });
  value(await fixture.append('kept', text(['a'])));
  fixture.clock.wallOffsetMs += 1_000 * 86_400_000;
  await pass(fixture, 3_000);
  assert.equal(await startOf(fixture, 'kept'), 0);
});

test('what is not committed is not counted: a limit never goes above the high watermark', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 1_000, 'retention.records': 1, 'min.insync.replicas': null });
  value(await fixture.append('orders', text(['a'])));
  const group = fixture.group();
  group.hold();
  const open = [fixture.append('orders', text(['b'])), fixture.append('orders', text(['c']))];
  await pass(fixture, 5_000);
  group.release(2);
  await settle();
  assert.equal(group.log.logStart, 0, 'two held batches were committed, the entry behind them was not');
  group.release();
  await settle();
  assert.equal(group.log.logStart, 1, 'it was decided when one record was committed');
  for (const answer of open)
    assert.equal((await answer).kind === 'ok' || code(await answer) === 'REQUEST_TIMED_OUT', true);
});

test('retention goes on where the disk is down to its reserve: it is how space comes back', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 1_000 });
  value(await fixture.append('orders', text(['a'])));
  fixture.diskHasRoom = false;
  assert.equal(error(await fixture.append('orders', text(['b']))).code, 'DISK_RESERVE_REACHED');
  await pass(fixture, 3_000);
  assert.equal(await startOf(fixture, 'orders'), 1);
});

test('only the leader lets go, and a new one takes it up', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 1_000 });
  value(await fixture.append('orders', text(['a'])));
  const group = fixture.group();
  group.loseLeadership();
  const before = group.proposals;
  await pass(fixture, 5_000);
  assert.equal(group.proposals, before);
  group.elect();
  await pass(fixture, 2_000);
  assert.equal(await startOf(fixture, 'orders'), 1);
});

test('a refused proposal is made again', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 1_000 });
  value(await fixture.append('orders', text(['a'])));
  const group = fixture.group();
  group.refusing = 'uncommitted-limit';
  await pass(fixture, 3_000);
  assert.equal(await startOf(fixture, 'orders'), 0);
  group.refusing = null;
  await pass(fixture, 2_000);
  assert.equal(await startOf(fixture, 'orders'), 1);
});

test('an idle partition is not looked at until its oldest batch is too old', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 100_000 }, 3);
  for (let partition = 0; partition < 3; partition++) value(await fixture.append('orders', text(['a']), { partition }));
  await pass(fixture, 2_000);
  const groups = [0, 1, 2].map((place) => fixture.group(place));
  const searches = (): number => groups.reduce((sum, group) => sum + group.log.searches, 0);
  assert.equal(searches(), 3, 'each is read once, to know its oldest batch');
  await pass(fixture, 90_000);
  assert.equal(searches(), 3);
  value(await fixture.append('orders', text(['b'])));
  await pass(fixture, 2_000);
  assert.equal(searches(), 3, 'its oldest batch is known');
  await pass(fixture, 9_000);
  assert.deepEqual([await startOf(fixture, 'orders', 0), await startOf(fixture, 'orders', 2)], [1, 1]);
});

test('one look moves a limited number of log starts, and the others follow soon', async () => {
  const fixture = await started({ limits: { retentionMovesMax: 2, upkeepIntervalMs: 100 } });
  await topic(fixture, 'orders', { 'retention.ms': 500 }, 5);
  for (let partition = 0; partition < 5; partition++) value(await fixture.append('orders', text(['a']), { partition }));
  const moved = (): number => [0, 1, 2, 3, 4].filter((place) => fixture.group(place).log.logStart === 1).length;
  await pass(fixture, checkMs);
  assert.equal(moved(), 2);
  fixture.clock.advance(100);
  await settle();
  assert.equal(moved(), 4);
  fixture.clock.advance(100);
  await settle();
  assert.equal(moved(), 5);
});

test('a log that can not be read is reported, and left alone until something changes', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 1_000 });
  value(await fixture.append('orders', text(['a'])));
  const { log } = fixture.group();
  log.damaged = true;
  await pass(fixture, 5_000);
  assert.deepEqual(
    fixture.heard.filter((line) => line.startsWith('retention')),
    [`retention failed ${fixture.group().group}`],
  );
  assert.deepEqual(fixture.faults, []);
});

test('a restart finds the log start, and goes on with retention', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 5_000 });
  value(await fixture.append('orders', text(['a'])));
  await pass(fixture, 3_000);
  value(await fixture.append('orders', text(['b'])));
  await pass(fixture, 3_000);
  assert.equal(await startOf(fixture, 'orders'), 1);
  const restarted = await fixture.restarted({ limits: { retentionCheckMs: checkMs } });
  assert.equal(await startOf(restarted, 'orders'), 1);
  await pass(restarted, 4_000);
  assert.equal(await startOf(restarted, 'orders'), 2);
});

test('committed offsets stay as they are, below the log start too', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 1_000 });
  value(await fixture.append('orders', text(['a', 'b', 'c'])));
  const offset = {
    topic: 'orders',
    topicId: null,
    partition: 0,
    offset: toOffset(1),
    leaderEpoch: null,
    metadata: 'm',
  };
  const commit = { group: 'g', member: null, offsets: [offset] };
  assert.deepEqual(value(await fixture.broker.commitOffsets(commit, fixture.context())), [null]);
  await pass(fixture, 3_000);
  assert.equal(await startOf(fixture, 'orders'), 3);
  const request = { group: 'g', partitions: null };
  const [committed] = value(await fixture.broker.fetchCommitted(request, fixture.context()));
  assert.deepEqual([committed?.offset, committed?.metadata], [1, 'm']);
  assert.equal((await fixture.fetch('orders', 1)).error?.code, 'OFFSET_OUT_OF_RANGE');
});

test('pit-P100: a retry is answered with its offset though retention took the batch, and after a restart', async () => {
  const fixture = await started();
  await topic(fixture, 'orders', { 'retention.ms': 1_000 });
  assert.equal(value(await fixture.append('orders', idempotent(7, 0, 0))).baseOffset, 0);
  await pass(fixture, 3_000);
  assert.equal(await startOf(fixture, 'orders'), 1);
  fixture.group().saveCheckpoint();
  for (const one of [fixture, await fixture.restarted()]) {
    const again = value(await one.append('orders', idempotent(7, 0, 0)));
    assert.deepEqual([again.duplicate, again.baseOffset], [true, 0]);
  }
});
