import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PartitionWork } from '../src/partition-work.ts';
import type { Work } from '../src/partition-work.ts';

/** Offsets `from` to below `until`, each in the lane that `laneOf` names. */
function filled(until: number, laneOf: (offset: number) => string | null, windowMax = 1_000): PartitionWork<number> {
  const work = new PartitionWork<number>(0, windowMax);
  for (let offset = 0; offset < until; offset++) work.add(offset, offset + 1, 1, laneOf(offset));
  return work;
}

function takeAll(work: PartitionWork<number>): Work<number>[] {
  const taken: Work<number>[] = [];
  for (let next = work.take(); next !== null; next = work.take()) taken.push(next);
  return taken;
}

const offsets = (taken: readonly Work<number>[]): number[] => taken.map(({ item }) => item);

describe('the work of a partition', () => {
  it('keeps the order of each lane, and lets those without a lane overtake (work-1)', () => {
    const work = filled(6, (offset) => ['a', 'a', 'b', null, null, 'b'][offset] ?? null);
    const first = takeAll(work);
    assert.deepEqual(offsets(first), [0, 2, 3, 4]);
    work.finish(first[1]!);
    assert.deepEqual(offsets(takeAll(work)), [5], 'the next of b, and a still waits');
    work.finish(first[0]!);
    assert.deepEqual(offsets(takeAll(work)), [1]);
  });

  it('moves only past what is done from the beginning on, over gaps of offsets too (work-2)', () => {
    const work = new PartitionWork<number>(10, 100);
    for (const [offset, next] of [[10, 11], [11, 15], [15, 16]] as const) work.add(offset, next, 1, null); // prettier-ignore
    const [a, b, c] = takeAll(work) as [Work<number>, Work<number>, Work<number>];
    assert.equal(work.finish(c), false);
    assert.equal(work.finish(b), false);
    assert.equal(work.processed, 10);
    assert.equal(work.finish(a), true);
    assert.equal(work.processed, 16);
    assert.equal(work.isEmpty, true);
  });

  it('is full by the span from the oldest unfinished record, done ones in between included', () => {
    const work = filled(4, () => null, 4);
    const taken = takeAll(work);
    for (const done of taken.slice(1)) work.finish(done);
    assert.equal(work.isFull, true);
    work.finish(taken[0]!);
    assert.equal(work.isFull, false);
    assert.equal(work.bytes, 0);
  });

  it('takes nothing once it is closed, and what was taken still counts (work-3)', () => {
    const work = filled(3, () => null);
    const first = work.take();
    const second = work.take();
    assert.ok(first !== null && second !== null);
    work.close();
    assert.equal(work.take(), null);
    assert.throws(() => work.add(3, 4, 1, null), /work-3/);
    work.finish(first);
    assert.equal(work.processed, 1);
    assert.equal(work.isBusy, true);
    work.giveUp(second);
    assert.equal(work.isBusy, false);
    assert.equal(work.processed, 1);
  });

  it('refuses to count what was not taken, or twice', () => {
    const work = filled(2, () => null);
    const taken = work.take();
    assert.ok(taken !== null);
    assert.throws(() => work.giveUp(taken), /work-2/);
    work.finish(taken);
    assert.throws(() => work.finish(taken), /work-1/);
  });

  it('begins after a seek only when what was begun before it has ended', () => {
    const before = filled(2, () => 'k');
    const running = before.take();
    assert.ok(running !== null);
    before.close();
    const middle = new PartitionWork<number>(0, 10, before);
    middle.close();
    const after = new PartitionWork<number>(0, 10, middle);
    after.add(0, 1, 1, 'k');
    assert.equal(after.take(), null);
    before.finish(running);
    assert.notEqual(after.take(), null);
  });

  it('holds its invariants whatever the order in which records are finished', () => {
    const lanes = fc.array(fc.constantFrom('a', 'b', 'c', null), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(lanes, fc.array(fc.nat(1_000)), (laneOf, choices) => {
        const work = filled(laneOf.length, (offset) => laneOf[offset] ?? null);
        const running: Work<number>[] = [];
        const finished = new Set<number>();
        const lastOfLane = new Map<string, number>();
        for (let step = 0; finished.size < laneOf.length; step++) {
          for (const taken of takeAll(work)) {
            if (taken.lane !== null) {
              assert.ok(!running.some(({ lane }) => lane === taken.lane), 'work-1: one of a lane at a time');
              assert.ok(taken.item > (lastOfLane.get(taken.lane) ?? -1), 'work-1: in order');
              lastOfLane.set(taken.lane, taken.item);
            }
            running.push(taken);
          }
          assert.ok(running.length > 0, 'something can always be begun');
          const [done] = running.splice((choices[step] ?? 0) % running.length, 1) as [Work<number>];
          finished.add(done.item);
          work.finish(done);
          let prefix = 0;
          while (finished.has(prefix)) prefix += 1;
          assert.equal(work.processed, prefix, 'work-2');
        }
        assert.equal(work.isEmpty, true);
        assert.equal(work.bytes, 0);
      }),
    );
  });
});
