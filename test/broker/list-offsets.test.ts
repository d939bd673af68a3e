import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FoundOffset, OffsetQuery } from '../../src/broker/requests.ts';
import { compressionTypes } from '../../src/model/compression.ts';
import { toMillis, toOffset, toTerm } from '../../src/model/ids.ts';
import { batch } from './batches.ts';
import { BrokerFixture, value } from './broker-fixture.ts';

async function look(fixture: BrokerFixture, at: OffsetQuery['at'], topic = 'orders'): Promise<FoundOffset> {
  const query = { topic, topicId: null, partition: 0, at };
  return value(await fixture.broker.listOffsets([query], fixture.context()))[0]!;
}

const byTime = async (fixture: BrokerFixture, timestampMs: number): Promise<[number | null, number | null]> => {
  const found = await look(fixture, { kind: 'timestamp', timestampMs: toMillis(timestampMs) });
  assert.equal(found.error, null);
  return [found.offset, found.timestampMs];
};

async function stamped(type: (typeof compressionTypes)[number] = 'none'): Promise<BrokerFixture> {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  for (const timestamps of [
    [100, 300, 200],
    [150, 400],
    [500, 450],
  ]) {
    const values = timestamps.map(String);
    value(await fixture.append('orders', batch({ values, timestamps, compression: type })));
  }
  return fixture;
}

test('earliest is the log start, latest the high watermark', async () => {
  const fixture = await stamped();
  fixture.group().moveLogStart(toOffset(2));
  const earliest = await look(fixture, { kind: 'earliest' });
  const latest = await look(fixture, { kind: 'latest' });
  assert.deepEqual([earliest.offset, earliest.timestampMs, earliest.leaderEpoch], [2, null, 1]);
  assert.deepEqual([latest.offset, latest.timestampMs], [7, null]);
});

test('sem-O7 pit-P106: a leader that has not applied its own no-op does not tell the latest offset', async () => {
  const fixture = await stamped();
  fixture.group().loseLeadership();
  fixture.group().hold();
  fixture.group().elect();
  assert.equal((await look(fixture, { kind: 'latest' })).error?.code, 'OFFSET_NOT_AVAILABLE');
  assert.equal((await look(fixture, { kind: 'earliest' })).offset, 0);
  fixture.group().release();
  assert.equal((await look(fixture, { kind: 'latest' })).offset, 7);
});

for (const type of compressionTypes) {
  test(`by time: the first record at or after it, exactly, in batches compressed with ${type}`, async () => {
    const fixture = await stamped(type);
    assert.deepEqual(await byTime(fixture, 0), [0, 100]);
    assert.deepEqual(await byTime(fixture, 101), [1, 300]);
    assert.deepEqual(await byTime(fixture, 301), [4, 400]);
    assert.deepEqual(await byTime(fixture, 450), [5, 500]);
    assert.deepEqual(await byTime(fixture, 501), [null, null]);
  });
}

test('by time: records below the log start are passed over, even if the search has to go on behind their batch', async () => {
  const fixture = await stamped();
  fixture.group().moveLogStart(toOffset(2));
  assert.deepEqual(await byTime(fixture, 0), [2, 200]);
  assert.deepEqual(await byTime(fixture, 250), [4, 400]);
});

test('by time: only what is committed', async () => {
  const fixture = await stamped();
  fixture.group().hold();
  const open = fixture.append('orders', batch({ values: ['x'], timestamps: [900] }));
  assert.deepEqual(await byTime(fixture, 600), [null, null]);
  fixture.group().release();
  await open;
  assert.deepEqual(await byTime(fixture, 600), [7, 900]);
});

test('the largest timestamp: the first record that has it, wherever it is, exactly', async () => {
  const fixture = await stamped();
  const largest = async (): Promise<[number | null, number | null]> => {
    const { offset, timestampMs } = await look(fixture, { kind: 'max-timestamp' });
    return [offset, timestampMs];
  };
  assert.deepEqual(await largest(), [5, 500]);
  value(await fixture.append('orders', batch({ values: ['older'], timestamps: [120] })));
  assert.deepEqual(await largest(), [5, 500], 'not in the last batch');
  value(await fixture.append('orders', batch({ values: ['same'], timestamps: [500] })));
  assert.deepEqual(await largest(), [5, 500], 'the first of two');
  fixture.group().moveLogStart(toOffset(6));
  assert.deepEqual(await largest(), [8, 500], 'what is below the log start does not count');
  const anyTime = { set: { 'message.timestamp.after.max.ms': null }, reset: [] };
  const change = { name: 'orders', topicId: null, config: anyTime, dryRun: false };
  value(await fixture.broker.alterTopic(change, fixture.context()));
  value(await fixture.append('orders', batch({ values: ['far'], timestamps: [2 ** 53 - 1] })));
  assert.deepEqual(await largest(), [9, 2 ** 53 - 1]);
  const empty = await BrokerFixture.started();
  await empty.topic('orders');
  assert.equal((await look(empty, { kind: 'max-timestamp' })).offset, null);
  value(await empty.append('orders', batch({ values: ['no time'] })));
  assert.equal((await look(empty, { kind: 'max-timestamp' })).offset, null);
});

test('errors are told query by query', async () => {
  const fixture = await stamped();
  fixture.group().log.damaged = true;
  const damaged = await look(fixture, { kind: 'timestamp', timestampMs: toMillis(0) });
  assert.equal(damaged.error?.code, 'STORAGE_CORRUPTION');
  const unknown = await look(fixture, { kind: 'latest' }, 'nowhere');
  assert.equal(unknown.error?.code, 'UNKNOWN_TOPIC_OR_PARTITION');
});

const endOf = async (fixture: BrokerFixture, epoch: number): Promise<[number | null, number | undefined]> => {
  const found = await look(fixture, { kind: 'end-of-epoch', epoch: toTerm(epoch) });
  assert.equal(found.error, null);
  return [found.offset, found.endedEpoch];
};

/** Two records of term 1, none of term 3, three of term 5, which leads; nobody led in between. */
async function threeTerms(): Promise<BrokerFixture> {
  const fixture = await BrokerFixture.started();
  await fixture.topic('orders');
  value(await fixture.append('orders', batch({ values: ['a', 'b'] })));
  for (const term of [3, 5]) {
    fixture.group().loseLeadership();
    fixture.group().elect();
    assert.equal(fixture.group().role.term, term);
  }
  value(await fixture.append('orders', batch({ values: ['c', 'd', 'e'] })));
  return fixture;
}

test('sem-H3: an epoch ends where the next one began; the newest ends where the log does', async () => {
  const fixture = await threeTerms();
  assert.deepEqual(await endOf(fixture, 1), [2, 1]);
  assert.deepEqual(await endOf(fixture, 3), [2, 3], 'it has no record');
  assert.deepEqual(await endOf(fixture, 4), [2, 3], 'nobody led in it: the one before');
  assert.deepEqual(await endOf(fixture, 5), [5, 5]);
  assert.deepEqual(await endOf(fixture, 6), [null, undefined], 'it has not begun');
  assert.deepEqual(await endOf(fixture, 0), [0, 0], 'below the first: where that began');
  fixture.group().hold();
  const open = fixture.append('orders', batch({ values: ['f'] }));
  assert.deepEqual(await endOf(fixture, 5), [6, 5], 'the log end, not the high watermark');
  fixture.group().release();
  await open;
});

test('sem-H3: an epoch of which nothing is left ends at the log start', async () => {
  const fixture = await threeTerms();
  fixture.group().moveLogStart(toOffset(3));
  assert.deepEqual(await endOf(fixture, 1), [3, 1]);
  assert.deepEqual(await endOf(fixture, 5), [5, 5]);
});

test('sem-H3 sem-H2: only who is sure to lead tells it, and the asker may be fenced', async () => {
  const fixture = await threeTerms();
  const at = { kind: 'end-of-epoch', epoch: toTerm(1) } as const;
  const asked = async (leaderEpoch: number | null): Promise<string | undefined> => {
    const query = { topic: 'orders', topicId: null, partition: 0, at };
    const epoch = leaderEpoch === null ? null : toTerm(leaderEpoch);
    const [found] = value(await fixture.broker.listOffsets([{ ...query, leaderEpoch: epoch }], fixture.context()));
    return found?.error?.code;
  };
  assert.deepEqual(
    [await asked(null), await asked(5), await asked(4), await asked(6)],
    [undefined, undefined, 'FENCED_LEADER_EPOCH', 'UNKNOWN_LEADER_EPOCH'],
  );
  fixture.group().loseLeadership();
  assert.equal((await look(fixture, at)).error?.code, 'LEADER_NOT_AVAILABLE');
});
