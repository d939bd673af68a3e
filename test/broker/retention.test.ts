import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RetentionView } from '../../src/broker/retention.ts';
import { expiryMs, isKept, nextLogStart } from '../../src/broker/retention.ts';
import type { TopicConfig } from '../../src/broker/topic-config.ts';
import { topicConfigKeepAll } from '../../src/broker/topic-config.ts';
import type { EntryMark } from '../../src/log/reader.ts';
import { toLogIndex, toMillis, toOffset } from '../../src/model/ids.ts';

interface Batch {
  readonly records: number;
  readonly bytes: number;
  readonly atMs: number;
}

/** A log of these batches, all committed. */
function marksOf(batches: readonly Batch[]): EntryMark[] {
  let [offset, bytes] = [0, 0];
  return batches.map((batch, at) => {
    const baseOffset = toOffset(offset);
    offset += batch.records;
    bytes += batch.bytes;
    const times = { appendTimeMs: toMillis(batch.atMs), payloadBytesThrough: bytes };
    return { index: toLogIndex(at + 1), baseOffset, endOffset: toOffset(offset), ...times };
  });
}

/** Where the log of these batches starts after a look. */
function startOf(
  batches: readonly Batch[],
  limits: Partial<TopicConfig>,
  more: { readonly nowMs?: number | null; readonly logStart?: number } = {},
): number {
  const marks = marksOf(batches);
  const { nowMs = 0, logStart = 0 } = more;
  const view: RetentionView = {
    config: { ...topicConfigKeepAll, ...limits },
    logStart: toOffset(logStart),
    highWatermark: marks.at(-1)?.endOffset ?? toOffset(0),
    payloadBytes: marks.at(-1)?.payloadBytesThrough ?? 0,
    nowMs: nowMs === null ? null : toMillis(nowMs),
  };
  return nextLogStart(view, marks.find((mark) => isKept(view, mark)) ?? null) ?? logStart;
}

const batch = (atMs: number, records = 10, bytes = 100): Batch => ({ records, bytes, atMs });
const four = [batch(1_000), batch(2_000), batch(3_000), batch(4_000)];

test('sem-R2: a batch goes once it is older than the limit, not when it is as old', () => {
  assert.equal(startOf(four, { 'retention.ms': 1_000 }, { nowMs: 2_000 }), 0);
  assert.equal(startOf(four, { 'retention.ms': 1_000 }, { nowMs: 2_001 }), 10);
  assert.equal(startOf(four, { 'retention.ms': 1_000 }, { nowMs: 4_000 }), 20);
});

test('by age everything may go: the log starts at the high watermark then', () => {
  assert.equal(startOf(four, { 'retention.ms': 1_000 }, { nowMs: 5_001 }), 40);
  assert.equal(startOf([], { 'retention.ms': 1_000 }, { nowMs: 5_001 }), 0);
});

test('pit-P120: with a clock that is not to be trusted nothing goes by age, the rest as ever', () => {
  assert.equal(startOf(four, { 'retention.ms': 1_000 }, { nowMs: null }), 0);
  assert.equal(
    startOf(four, { 'retention.ms': 1_000, 'retention.records': 20, 'min.insync.replicas': null }, { nowMs: null }),
    20,
  );
});

test('sem-R2: by bytes as much goes as leaves the limit, never less', () => {
  assert.equal(startOf(four, { 'retention.bytes': 400 }), 0);
  assert.equal(startOf(four, { 'retention.bytes': 301 }), 0);
  assert.equal(startOf(four, { 'retention.bytes': 300 }), 10);
  assert.equal(startOf(four, { 'retention.bytes': 201 }), 10);
});

test('by records the same, in whole batches', () => {
  assert.equal(startOf(four, { 'retention.records': 31, 'min.insync.replicas': null }), 0);
  assert.equal(startOf(four, { 'retention.records': 30, 'min.insync.replicas': null }), 10);
  assert.equal(startOf(four, { 'retention.records': 11, 'min.insync.replicas': null }), 20);
});

test('by bytes or records the newest batch always stays, whatever entries without records follow it', () => {
  const marker = batch(4_000, 0, 9);
  for (const limit of [{ 'retention.bytes': 1 }, { 'retention.records': 1, 'min.insync.replicas': null }]) {
    assert.equal(startOf(four, limit), 30);
    assert.equal(startOf([...four, marker, marker], limit), 30);
  }
});

test('the strictest of the limits counts', () => {
  const limits = {
    'retention.ms': 1_000,
    'retention.bytes': 350,
    'retention.records': 15,
    'min.insync.replicas': null,
  };
  assert.equal(startOf(four, limits, { nowMs: 4_000 }), 20);
  assert.equal(
    startOf(four, { ...limits, 'retention.records': 100, 'min.insync.replicas': null }, { nowMs: 4_500 }),
    30,
  );
});

test('retention-1: the log start never falls, also where it cuts a batch in its middle', () => {
  assert.equal(startOf(four, { 'retention.records': 100, 'min.insync.replicas': null }, { logStart: 15 }), 15);
  assert.equal(startOf(four, { 'retention.records': 20, 'min.insync.replicas': null }, { logStart: 15 }), 20);
});

test('an entry is due the moment after it has the age of the limit', () => {
  const [oldest] = marksOf([batch(1_000)]);
  assert.ok(oldest);
  assert.equal(expiryMs({ ...topicConfigKeepAll, 'retention.ms': 500 }, oldest), 1_501);
  assert.equal(expiryMs({ ...topicConfigKeepAll, 'retention.ms': 2 ** 53 - 1 }, oldest), 2 ** 53 - 1);
  assert.equal(expiryMs({ ...topicConfigKeepAll, 'retention.records': 1, 'min.insync.replicas': null }, oldest), null);
});

const limit = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: null });

test('retention-2: what is kept is an end of the log, and no limit lets go of what it has to keep', () => {
  const batches = fc.array(fc.record({ records: fc.nat(5), bytes: fc.nat(50), pause: fc.nat(20) }), { maxLength: 30 });
  const limits = fc.record({
    'retention.ms': limit(300),
    'retention.bytes': limit(700),
    'retention.records': limit(60),
    'min.insync.replicas': fc.constant(null),
    'message.timestamp.before.max.ms': fc.constant(null),
    'message.timestamp.after.max.ms': fc.constant(null),
  });
  const property = fc.property(batches, limits, fc.nat(700), (drawn, config, nowMs) => {
    let atMs = 0;
    const log = drawn.map(({ records, bytes, pause }) => ({ records, bytes, atMs: (atMs += pause) }));
    const marks = marksOf(log);
    const end = marks.at(-1);
    if (end === undefined) return;
    const [highWatermark, payloadBytes] = [end.endOffset, end.payloadBytesThrough];
    const view = { config, logStart: toOffset(0), highWatermark, payloadBytes, nowMs: toMillis(nowMs) };
    const kept = marks.map((mark) => isKept(view, mark));
    assert.deepEqual(
      kept,
      [...kept].sort((a, b) => Number(a) - Number(b)),
      'false, then true: halving finds the first',
    );
    const start = startOf(log, config, { nowMs });
    for (const [at, mark] of marks.entries()) {
      if (mark.endOffset > start || log[at]!.records === 0) continue;
      const reasons = [
        config['retention.ms'] !== null && nowMs - mark.appendTimeMs > config['retention.ms'],
        config['retention.bytes'] !== null && payloadBytes - mark.payloadBytesThrough >= config['retention.bytes'],
        config['retention.records'] !== null && highWatermark - mark.endOffset >= config['retention.records'],
      ];
      assert.ok(reasons.includes(true), `the batch at ${mark.baseOffset} went for no reason`);
    }
  });
  fc.assert(property, { numRuns: 500 });
});
