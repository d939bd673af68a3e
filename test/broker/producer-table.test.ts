import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvariantViolation } from '../../src/model/assert.ts';
import { toMillis, toOffset, toProducerEpoch, toProducerId, toSequence } from '../../src/model/ids.ts';
import { decodeProducerTable, encodeProducerTable } from '../../src/broker/producer-table-codec.ts';
import type { SequenceVerdict } from '../../src/broker/producer-table.ts';
import { ProducerTable, producerIdleMsMax, rememberedBatchesMax } from '../../src/broker/producer-table.ts';
import type { BatchProducer } from '../../src/model/record-batch.ts';

const span = 2 ** 31;
const stamp = (producer: number, epoch: number, sequence: number): BatchProducer => ({
  id: toProducerId(producer),
  epoch: toProducerEpoch(epoch),
  baseSequence: toSequence(sequence),
});

/** A table that was fed batches of `count` records one after the other; offsets are the record numbers. */
function fed(counts: readonly number[], epoch = 0): ProducerTable {
  const table = new ProducerTable();
  let next = 0;
  for (const count of counts) {
    table.append(stamp(7, epoch, next), count, toOffset(next), toMillis(1000 + next));
    next += count;
  }
  return table;
}

test('sem-I1: the five newest batches are remembered with offset and time, the sixth last without', () => {
  const table = fed([1, 2, 3, 4, 5, 6]);
  assert.equal(table.find(toProducerId(7))?.batches.length, rememberedBatchesMax);
  const starts = [1, 3, 6, 10, 15];
  starts.forEach((start, at) => {
    const verdict = table.check(stamp(7, 0, start), at + 2);
    const original = verdict.kind === 'duplicate' ? verdict.original : null;
    assert.deepEqual([original?.baseOffset, original?.appendTimeMs], [start, 1000 + start]);
  });
  const sixth = table.check(stamp(7, 0, 0), 1);
  assert.equal(sixth.kind === 'duplicate' && sixth.original, null);
});

test('sem-I2: sequences are dense and 2147483647 is followed by 0', () => {
  const table = fed([span - 2]);
  assert.deepEqual(table.check(stamp(7, 0, span - 2), 2), { kind: 'next', newProducer: false });
  table.append(stamp(7, 0, span - 2), 2, toOffset(span - 2), toMillis(1));
  assert.equal(table.check(stamp(7, 0, 0), 1).kind, 'next');
  const wrapping = fed([span - 1]);
  wrapping.append(stamp(7, 0, span - 1), 3, toOffset(span - 1), toMillis(1));
  assert.equal(wrapping.find(toProducerId(7))?.batches.at(-1)?.lastSequence, 1);
  assert.equal(wrapping.check(stamp(7, 0, span - 1), 3).kind, 'duplicate');
  assert.equal(wrapping.check(stamp(7, 0, 2), 1).kind, 'next');
  assert.equal(wrapping.check(stamp(7, 0, 3), 1).kind, 'out-of-order');
});

test('sem-I4: gaps and partial overlaps are out of order, whole old batches are duplicates', () => {
  const table = fed([10]);
  assert.deepEqual(table.check(stamp(7, 0, 11), 1), { kind: 'out-of-order', expected: 10 });
  assert.equal(table.check(stamp(7, 0, 5), 10).kind, 'out-of-order');
  assert.equal(table.check(stamp(7, 0, 5), 5).kind, 'duplicate');
  assert.equal(table.check(stamp(7, 0, 0), 11).kind, 'out-of-order');
});

test('sem-I4: a sequence that this epoch never reached is not taken for an old one', () => {
  const table = fed([6]);
  assert.equal(table.check(stamp(7, 0, span - 3), 1).kind, 'out-of-order');
  assert.equal(table.check(stamp(7, 0, span - 3), 4).kind, 'out-of-order');
});

test('sem-I6: an older epoch is refused', () => {
  const table = fed([3], 4);
  assert.deepEqual(table.check(stamp(7, 3, 3), 1), { kind: 'stale-epoch', current: 4 });
});

test('sem-I7: a newer epoch starts at 0 and forgets the batches of the old one', () => {
  const table = fed([3, 3], 4);
  assert.equal(table.check(stamp(7, 5, 6), 1).kind, 'out-of-order');
  table.append(stamp(7, 5, 0), 2, toOffset(6), toMillis(2000));
  assert.equal(table.find(toProducerId(7))?.batches.length, 1);
  assert.equal(table.check(stamp(7, 5, 0), 2).kind, 'duplicate');
  assert.equal(table.check(stamp(7, 5, 3), 3).kind, 'out-of-order');
});

test('sem-I8: an unknown producer must start at 0', () => {
  const table = new ProducerTable();
  assert.equal(table.check(stamp(7, 0, 1), 1).kind, 'unknown-producer');
  assert.deepEqual(table.check(stamp(7, 3, 0), 1), { kind: 'next', newProducer: true });
});

test('sem-I9 pit-P102: idle producers are forgotten by append time, and never by the batch that wakes them', () => {
  const table = new ProducerTable();
  table.append(stamp(1, 0, 0), 1, toOffset(0), toMillis(0));
  table.append(stamp(2, 0, 0), 1, toOffset(1), toMillis(5));
  table.append(stamp(1, 0, 1), 1, toOffset(2), toMillis(producerIdleMsMax + 5));
  assert.equal(table.size, 2);
  table.append(stamp(1, 0, 2), 1, toOffset(3), toMillis(producerIdleMsMax + 6));
  assert.equal(table.find(toProducerId(2)), null);
  table.append(stamp(1, 0, 3), 1, toOffset(4), toMillis(9 * producerIdleMsMax));
  assert.equal(table.size, 1);
});

test('a full table has room again once its oldest producer is idle', () => {
  const table = new ProducerTable();
  table.append(stamp(1, 0, 0), 1, toOffset(0), toMillis(0));
  table.append(stamp(2, 0, 0), 1, toOffset(1), toMillis(0));
  assert.equal(table.hasRoom(3, toMillis(0)), true);
  assert.equal(table.hasRoom(2, toMillis(producerIdleMsMax)), false);
  assert.equal(table.hasRoom(2, toMillis(producerIdleMsMax + 1)), true);
});

test('appending what does not follow is a broken invariant', () => {
  const table = fed([3]);
  assert.throws(() => {
    table.append(stamp(7, 0, 4), 1, toOffset(4), toMillis(1));
  }, InvariantViolation);
});

test('a copy goes its own way', () => {
  const table = fed([3]);
  const copy = table.copy();
  copy.append(stamp(7, 0, 3), 1, toOffset(3), toMillis(1));
  assert.equal(table.check(stamp(7, 0, 3), 1).kind, 'next');
  assert.equal(copy.check(stamp(7, 0, 3), 1).kind, 'duplicate');
});

/** Keeps every record ever appended; what the table must agree with. Starts near the wrap to reach it. */
class NaiveModel {
  readonly #known = new Map<
    number,
    { epoch: number; batches: { first: number; count: number }[]; records: number[] }
  >();

  check(producer: number, epoch: number, sequence: number, count: number): SequenceVerdict['kind'] | 'original' {
    const state = this.#known.get(producer);
    if (state === undefined) return sequence === 0 ? 'next' : 'unknown-producer';
    if (epoch < state.epoch) return 'stale-epoch';
    if (epoch > state.epoch) return sequence === 0 ? 'next' : 'out-of-order';
    if (sequence === (state.records.at(-1)! + 1) % span) return 'next';
    if (state.batches.slice(-5).some((batch) => batch.first === sequence && batch.count === count)) return 'original';
    const wanted = Array.from({ length: count }, (_, at) => (sequence + at) % span).join();
    return `,${state.records.join()},`.includes(`,${wanted},`) ? 'duplicate' : 'out-of-order';
  }

  append(producer: number, epoch: number, sequence: number, count: number): void {
    const known = this.#known.get(producer);
    const state = known?.epoch === epoch ? known : { epoch, batches: [], records: [] };
    state.batches.push({ first: sequence, count });
    for (let i = 0; i < count; i++) state.records.push((sequence + i) % span);
    this.#known.set(producer, state);
  }
}

const kindOf = (verdict: SequenceVerdict): string =>
  verdict.kind === 'duplicate' && verdict.original !== null ? 'original' : verdict.kind;

test('the table agrees with a model that keeps every record', () => {
  const step = fc.record({
    producer: fc.integer({ min: 1, max: 2 }),
    epoch: fc.integer({ min: 0, max: 2 }),
    /** Relative to what would follow. */
    shift: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: -14, max: 4 })),
    count: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new ProducerTable();
      const model = new NaiveModel();
      steps.forEach(({ producer, epoch, shift, count }, at) => {
        const state = table.find(toProducerId(producer));
        const next = state?.epoch === epoch ? state.recordCount : 0;
        const sequence = (next + shift + span) % span;
        const verdict = table.check(stamp(producer, epoch, sequence), count);
        assert.equal(kindOf(verdict), model.check(producer, epoch, sequence, count));
        if (verdict.kind !== 'next') return;
        table.append(stamp(producer, epoch, sequence), count, toOffset(at * 10), toMillis(at));
        model.append(producer, epoch, sequence, count);
      });
      assert.deepEqual([...decodeProducerTable(encodeProducerTable(table)).entries()], [...table.entries()]);
    }),
  );
});

test('around the wrap the table agrees with plain arithmetic on unwrapped sequences', () => {
  const step = fc.record({ shift: fc.integer({ min: -12, max: 3 }), count: fc.integer({ min: 1, max: 3 }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 40 }), (before, steps) => {
      const table = fed([span - before]);
      const batches = [{ start: 0, end: span - before }];
      for (const { shift, count } of steps) {
        const end = batches.at(-1)!.end;
        const start = end + shift;
        const kept = batches.slice(-5).some((batch) => batch.start === start && batch.end === start + count);
        const expected =
          start === end ? 'next' : kept ? 'original' : start + count <= end ? 'duplicate' : 'out-of-order';
        const verdict = table.check(stamp(7, 0, start % span), count);
        assert.equal(kindOf(verdict), expected);
        if (verdict.kind !== 'next') continue;
        table.append(stamp(7, 0, start % span), count, toOffset(start), toMillis(0));
        batches.push({ start, end: start + count });
      }
    }),
  );
});

test('inv-I12: equal histories give equal bytes, whatever was restored in between', () => {
  const append = fc.record({ producer: fc.integer({ min: 1, max: 5 }), count: fc.integer({ min: 1, max: 9 }) });
  fc.assert(
    fc.property(fc.array(append, { maxLength: 40 }), fc.nat(40), (appends, restoreAt) => {
      const straight = new ProducerTable();
      let restored = new ProducerTable();
      appends.forEach(({ producer, count }, at) => {
        if (at === restoreAt) restored = decodeProducerTable(encodeProducerTable(restored));
        const sequence = straight.find(toProducerId(producer))?.recordCount ?? 0;
        for (const table of [straight, restored]) {
          table.append(stamp(producer, 0, sequence), count, toOffset(at * 10), toMillis(at * 1000));
        }
      });
      assert.deepEqual(encodeProducerTable(restored), encodeProducerTable(straight));
    }),
  );
});

test('a table of version 1 is read: nobody is fenced in it, and idle is who sent nothing lately', () => {
  const now = encodeProducerTable(fed([1, 2]));
  // without lastMs and fenced of the one producer
  const before = Uint8Array.from([...now.subarray(0, 8 + 20), ...now.subarray(8 + 30)]);
  before[3] = 1;
  assert.deepEqual([...decodeProducerTable(before).entries()], [...fed([1, 2]).entries()]);
});

test('producer-6: fences survive storing, and an older one changes nothing', () => {
  const table = fed([1, 2], 3);
  table.fence(toProducerId(7), toProducerEpoch(2), toMillis(5_000));
  assert.equal(table.check(stamp(7, 3, 3), 1).kind, 'next');
  table.fence(toProducerId(7), toProducerEpoch(3), toMillis(5_000));
  table.fence(toProducerId(8), toProducerEpoch(0), toMillis(6_000));
  const restored = decodeProducerTable(encodeProducerTable(table));
  assert.deepEqual([...restored.entries()], [...table.entries()]);
  assert.equal(restored.check(stamp(7, 3, 3), 1).kind, 'fenced');
  assert.equal(restored.check(stamp(8, 0, 0), 1).kind, 'fenced');
  assert.throws(() => {
    restored.append(stamp(7, 3, 3), 1, toOffset(3), toMillis(7_000));
  }, InvariantViolation);
  restored.append(stamp(7, 4, 0), 1, toOffset(3), toMillis(7_000));
  assert.equal(restored.find(toProducerId(7))?.fenced, false);
});

test('damaged stored tables are refused, whatever is cut or unknown', () => {
  const bytes = encodeProducerTable(fed([1, 2, 3]));
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeProducerTable(bytes.subarray(0, length)), InvariantViolation);
  }
  const unknownVersion = bytes.slice();
  unknownVersion[3] = 9;
  assert.throws(() => decodeProducerTable(unknownVersion), /producer-5/);
});
