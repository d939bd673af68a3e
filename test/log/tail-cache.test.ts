import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cachedEntryOverheadBytes, payloadBytesByBuffer, TailCache } from '../../src/log/tail-cache.ts';
import { TailCacheBudget } from '../../src/log/tail-cache-budget.ts';
import type { Entry } from '../../src/model/entry.ts';
import { toLogIndex, toOffset } from '../../src/model/ids.ts';
import { seal, tailAfter, tailBeforeAll, type EntryTail, type EntryWish } from '../fakes/entry-sealer.ts';
import { headerOf } from '../fakes/log-fixture.ts';

const payloadBytes = 1_000;
const entryBytes = payloadBytes + cachedEntryOverheadBytes;
const index = toLogIndex;

/** A cache and the log behind it. */
class Rig {
  readonly cache: TailCache;
  #tail: EntryTail = tailBeforeAll(headerOf(7));

  constructor(budget: TailCacheBudget) {
    this.cache = new TailCache(budget, index(0));
  }

  push(count: number, wish?: EntryWish): readonly Entry[] {
    const entries = seal(
      this.#tail,
      Array.from({ length: count }, () => wish ?? { payload: Buffer.alloc(payloadBytes) }),
    );
    for (const entry of entries) {
      this.cache.push(entry);
      this.#tail = tailAfter(entry);
    }
    return entries;
  }

  pushDurable(count: number): void {
    this.cache.markDurable(this.push(count).at(-1)!.index);
  }

  truncateAfter(entry: Entry): void {
    this.cache.truncateAfter(entry.index);
    this.#tail = tailAfter(entry);
  }
}

test('inv-log-8 what is not durable stays, whatever the limit; once durable it gives way', () => {
  const budget = new TailCacheBudget(3 * entryBytes);
  const rig = new Rig(budget);
  const { cache } = rig;
  rig.push(10);
  assert.equal(cache.firstIndex, 1);
  assert.equal(budget.bytes, 10 * entryBytes);
  cache.markDurable(index(4));
  assert.equal(cache.firstIndex, 5);
  cache.markDurable(index(10));
  assert.equal(cache.firstIndex, 8);
  assert.equal(budget.bytes, 3 * entryBytes);
});

test('groups share the limit: one that uses less than its share is left alone', () => {
  const budget = new TailCacheBudget(30 * entryBytes);
  const [small, large, larger] = [new Rig(budget), new Rig(budget), new Rig(budget)];
  small.pushDurable(5);
  for (let round = 0; round < 50; round++) {
    large.pushDurable(2);
    larger.pushDurable(3);
  }
  assert.equal(small.cache.bytes, 5 * entryBytes);
  assert.ok(budget.bytes <= 30 * entryBytes);
  assert.ok(large.cache.bytes >= 8 * entryBytes, `${large.cache.bytes}`);
  assert.ok(larger.cache.bytes >= 8 * entryBytes, `${larger.cache.bytes}`);
});

test('a group that can not give way makes another one give way', () => {
  const budget = new TailCacheBudget(10 * entryBytes);
  const [durable, pinned] = [new Rig(budget), new Rig(budget)];
  durable.pushDurable(4);
  pinned.push(9);
  assert.equal(durable.cache.bytes, 1 * entryBytes);
  pinned.push(9);
  assert.equal(durable.cache.bytes, 0);
  assert.equal(pinned.cache.bytes, 18 * entryBytes);
  pinned.cache.markDurable(index(18));
  assert.equal(budget.bytes, 10 * entryBytes);
});

test('a thousand groups hold the limit together', () => {
  const budget = new TailCacheBudget(500 * entryBytes);
  const rigs = Array.from({ length: 1_000 }, () => new Rig(budget));
  for (const rig of rigs) rig.pushDurable(3);
  assert.ok(budget.bytes <= 500 * entryBytes);
  assert.ok(budget.bytes > 490 * entryBytes);
});

test('pit-P28 truncation forgets at once, and what replaces it is not durable', () => {
  const budget = new TailCacheBudget(0);
  const rig = new Rig(budget);
  const entries = rig.push(10);
  rig.truncateAfter(entries[5]!);
  assert.equal(rig.cache.get(index(7)), null);
  const [seventh] = rig.push(1, { term: 2 });
  rig.cache.markDurable(index(6));
  assert.equal(rig.cache.get(index(7))?.chain, seventh!.chain);
  assert.equal(rig.cache.get(index(6)), null);
  rig.cache.markDurable(index(7));
  assert.equal(budget.bytes, 0);
});

test('pit-P37 a small part of a large buffer is copied, a large part is not', () => {
  const rig = new Rig(new TailCacheBudget(1 << 20));
  const frame = Buffer.alloc(64 * 1024, 3);
  const [record] = rig.push(1, { payload: frame.subarray(100, 110) });
  const [batch] = rig.push(1, { payload: frame.subarray(100, 60_000) });
  const kept = rig.cache.get(record!.index)!;
  assert.deepEqual([...kept.payload], [...record!.payload]);
  assert.equal(kept.payload.buffer.byteLength, 10);
  assert.equal(rig.cache.get(batch!.index), batch);
});

test('pit-P37 the entries of one frame stay in it, and it counts until the last of them goes', () => {
  const budget = new TailCacheBudget(1 << 20);
  const cache = new TailCache(budget, index(0));
  const frame = new Uint8Array(10_000);
  const entries = seal(
    tailBeforeAll(headerOf(7)),
    Array.from({ length: 3 }, (_, n) => ({ payload: frame.subarray(100 + n * 3_000, 3_000 + n * 3_000) })),
  );
  const held = payloadBytesByBuffer(entries);
  for (const entry of entries) assert.equal(cache.push(entry, held.get(entry.payload.buffer)), entry);
  const counted = [budget.bytes];
  cache.markDurable(index(3));
  while (cache.evictOldest() > 0) counted.push(budget.bytes);
  assert.deepEqual(
    counted.map((bytes) => bytes % cachedEntryOverheadBytes === 0),
    [false, false, false, true],
  );
  assert.deepEqual(
    counted.slice(0, 3),
    [3, 2, 1].map((n) => 10_000 + n * cachedEntryOverheadBytes),
  );
  assert.equal(budget.bytes, 0);
  // one of them alone is too little to keep it for
  const alone = new TailCache(budget, index(0));
  assert.equal(alone.push(entries[0]!).payload.buffer.byteLength, 2_900);
});

test('pit-P37 what is counted is what is kept alive, however entries come and go', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('push' as const), sizes: fc.array(fc.nat(500), { minLength: 1, maxLength: 6 }) }),
    fc.record({ kind: fc.constantFrom('evict' as const, 'cut' as const, 'drop' as const), count: fc.nat(4) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const budget = new TailCacheBudget(1 << 20);
      const cache = new TailCache(budget, index(0));
      let tail = tailBeforeAll(headerOf(7));
      const tails = [tail];
      for (const one of steps) {
        const last = tails.length - 1;
        if (one.kind === 'push') {
          const size = one.sizes.reduce((sum, each) => sum + each, 200);
          const frame = new Uint8Array(size);
          let at = 0;
          const wishes = one.sizes.map((each) => ({ payload: frame.subarray(at, (at += each)) }));
          const entries = seal(tail, wishes);
          const held = payloadBytesByBuffer(entries);
          for (const entry of entries) {
            cache.push(entry, held.get(entry.payload.buffer));
            tails.push(tailAfter(entry));
          }
          cache.markDurable(index(tails.length - 1));
        } else if (one.kind === 'evict') {
          for (let n = 0; n < one.count; n++) cache.evictOldest();
        } else if (one.kind === 'cut') {
          const to = Math.max(0, last - one.count);
          cache.truncateAfter(index(to));
          tails.splice(to + 1);
        } else {
          cache.dropBefore(index(Math.min(cache.firstIndex + one.count, last + 1)));
        }
        tail = tails.at(-1)!;
        let entriesHeld = 0;
        const buffers = new Set<ArrayBufferLike>();
        for (let at = cache.firstIndex as number; at < tails.length; at++) {
          entriesHeld += 1;
          buffers.add(cache.get(index(at))!.payload.buffer);
        }
        const alive = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
        assert.equal(cache.bytes, alive + entriesHeld * cachedEntryOverheadBytes);
        assert.equal(budget.bytes, cache.bytes);
      }
    }),
  );
});

test('finds by offset what a search from the front finds', () => {
  const wish = fc.oneof(
    fc.record({ count: fc.integer({ min: 1, max: 4 }) }),
    fc.constant({ kind: 'no-op' } as const),
    fc.constant({ kind: 'fence' } as const),
  );
  fc.assert(
    fc.property(
      fc.array(wish, { maxLength: 40 }),
      fc.nat(40),
      fc.nat(60),
      fc.nat(60),
      fc.nat(60),
      (wishes, cut, from, span, bytesMax) => {
        const cache = new TailCache(new TailCacheBudget(1 << 20), index(0));
        const entries = seal(tailBeforeAll(headerOf(7)), wishes);
        for (const entry of entries) cache.push(entry);
        cache.markDurable(index(entries.length));
        cache.dropBefore(index(Math.min(cut, entries.length) + 1));
        const held = entries.slice(Math.min(cut, entries.length));
        const found = cache.readOffsets(toOffset(from), toOffset(from + span), bytesMax);
        if (held.length === 0 || from < held[0]!.baseOffset) {
          assert.equal(found, null);
          return;
        }
        const hits = held.filter(
          (entry) => entry.baseOffset + entry.count > from && entry.baseOffset < from + span && entry.count > 0,
        );
        let bytes = 0;
        const fits = hits.filter((entry, at) => (bytes += entry.payload.length) <= bytesMax || at === 0);
        assert.deepEqual(
          found?.map((entry) => entry.index),
          fits.map((entry) => entry.index),
        );
      },
    ),
  );
});
