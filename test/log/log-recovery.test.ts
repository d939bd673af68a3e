import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { GroupKeys, keyTags } from '../../src/log/keys.ts';
import { LogCorruption } from '../../src/log/reader.ts';
import type { StoreEntry, StoreRange } from '../../src/log/store.ts';
import { toGroupNumber, toLogIndex, toOffset } from '../../src/model/ids.ts';
import { append, commit, replaceAfter, tailAfter, type EntryWish } from '../fakes/entry-sealer.ts';
import { headerOf, logsOn, newLog, openLog } from '../fakes/log-fixture.ts';
import { MemoryStore } from '../fakes/memory-store.ts';

/** Counts what is read. */
class CountingStore extends MemoryStore {
  calls = 0;
  keysRead = 0;

  override async get(key: Uint8Array): Promise<Uint8Array | null> {
    this.calls++;
    this.keysRead++;
    return super.get(key);
  }
  override async getMany(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | null)[]> {
    this.calls++;
    this.keysRead += keys.length;
    return super.getMany(keys);
  }
  override async scan(range: StoreRange): Promise<readonly StoreEntry[]> {
    this.calls++;
    const found = await super.scan(range);
    this.keysRead += found.length;
    return found;
  }
}

async function readsToOpen(entries: number, uncommitted: number): Promise<{ calls: number; keysRead: number }> {
  const store = new CountingStore({ queuedBytesMax: 1 << 30 });
  const log = await newLog(store, 'data', 0);
  // batches do not come alone, and no-ops keep the fake quick
  const wish = (at: number): EntryWish => (at % 100 === 0 ? { count: 7, maxTimestampMs: at } : { kind: 'no-op' });
  for (let done = 0; done < entries; done += 2_000) {
    const { done: durable } = append(
      log,
      Array.from({ length: Math.min(2_000, entries - done) }, (_, at) => wish(done + at)),
    );
    await durable;
  }
  await commit(log, entries - uncommitted);
  store.calls = 0;
  store.keysRead = 0;
  const again = await openLog(store, 0);
  assert.equal(again.lastIndex, entries);
  await store.close();
  return { calls: store.calls, keysRead: store.keysRead };
}

test('inv-log-3 opening reads as much for 100,000 entries as for 10', async () => {
  const short = await readsToOpen(10, 3);
  assert.deepEqual(await readsToOpen(100_000, 3), short);
  assert.ok(short.calls <= 8 && short.keysRead <= 20, JSON.stringify(short));
});

test('inv-log-3 listing reads the headers and nothing else', async () => {
  const store = new CountingStore();
  const logs = logsOn(store);
  for (const group of [1, 2, 3]) {
    await append(
      await logs.create(headerOf(group)),
      Array.from({ length: 50 }, () => ({})),
    ).done;
  }
  store.keysRead = 0;
  await logs.list();
  assert.equal(store.keysRead, 3);
});

test('a restart knows the positions of the uncommitted tail, so that a new leader can replace it', async () => {
  const store = new MemoryStore();
  const log = await newLog(store);
  const { entries, done } = append(
    log,
    Array.from({ length: 300 }, () => ({ count: 2 })),
  );
  await done;
  await commit(log, 100);
  for (const after of [250, 101, 100]) {
    const again = await openLog(store);
    await replaceAfter(again, tailAfter(entries[after - 1]!), [{ count: 3 }]).done;
    assert.deepEqual([again.lastIndex, again.endOffset], [after + 1, after * 2 + 3]);
  }
});

test('every key of a group that is damaged is found when the log is opened or read', async () => {
  const store = new MemoryStore();
  const log = await newLog(store, 'data', 0);
  await append(log, [
    { kind: 'configuration' },
    ...Array.from({ length: 40 }, () => ({ payload: Buffer.alloc(1_100), maxTimestampMs: 5 })),
  ]).done;
  await commit(log, 41);
  await log.saveCheckpoint({ index: toLogIndex(2), state: Buffer.from('state') });
  await log.moveLogStart(toOffset(1));
  const timeIndex = new GroupKeys(toGroupNumber(7)).tagged(keyTags.timeIndex);
  for (const { key, value } of [...store.entries]) {
    if (Buffer.compare(timeIndex.from, key) <= 0 && Buffer.compare(key, timeIndex.to) < 0) continue; // these are empty
    const damaged = Uint8Array.from(value);
    damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1;
    await store.write([{ kind: 'put', key, value: damaged }]);
    await assert.rejects(
      async () => {
        const again = await openLog(store, 0);
        await again.loadCheckpoint();
        await again.readEntries(again.firstIndex, again.lastIndex, 1 << 20);
        for (let from = again.endOffset - 1; from >= 0; from--) {
          await again.readFrom(toOffset(from), toOffset(from + 1), 0);
        }
      },
      LogCorruption,
      Buffer.from(key).toString('hex'),
    );
    await store.write([{ kind: 'put', key, value }]);
  }
});

test('the garbage meter knows what logs hold and what they let go, across a restart', async () => {
  const store = new MemoryStore();
  const meter = new GarbageMeter();
  const logs = logsOn(store, 0, meter);
  const log = await logs.create(headerOf(7));
  const { entries, done } = append(
    log,
    Array.from({ length: 10 }, () => ({ payload: Buffer.alloc(100) })),
  );
  await done;
  assert.deepEqual([meter.liveBytes, meter.garbageBytes], [1_000, 0]);
  await replaceAfter(log, tailAfter(entries[7]!), []).done;
  assert.deepEqual([meter.liveBytes, meter.garbageBytes], [800, 200]);
  await commit(log, 8);
  await log.saveCheckpoint({ index: toLogIndex(3), state: new Uint8Array(0) });
  await log.moveLogStart(toOffset(5));
  assert.deepEqual([meter.liveBytes, meter.garbageBytes], [500, 500]);
  const after = new GarbageMeter();
  const again = logsOn(store, 0, after);
  await again.open(toGroupNumber(7));
  assert.deepEqual([after.liveBytes, after.garbageBytes], [500, 0]);
  await again.remove(toGroupNumber(7));
  assert.deepEqual([after.liveBytes, after.garbageBytes, after.ratio], [0, 500, 1]);
  after.reclaimed(500);
  assert.equal(after.ratio, 0);
});
