/** What retention asks of a log: the first entry that has to be kept, by halving, and the bytes behind it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EntryMark } from '../../src/log/reader.ts';
import { toLogIndex, toOffset } from '../../src/model/ids.ts';
import { append, commit } from '../fakes/entry-sealer.ts';
import { headerOf, logsOn } from '../fakes/log-fixture.ts';
import { MemoryStore } from '../fakes/memory-store.ts';

test('the first entry for which a test holds is found, whichever it is, with few reads', async () => {
  const logs = logsOn(new MemoryStore());
  const log = await logs.create(headerOf(1));
  const wishes = Array.from({ length: 100 }, (_, n) =>
    n % 7 === 3 ? ({ kind: 'no-op' } as const) : { count: 1 + (n % 3), payload: new Uint8Array(n) },
  );
  const { entries, done } = append(log, wishes);
  await done;
  await commit(log, 100);
  for (const wanted of [1, 2, 50, 99, 100]) {
    let asked = 0;
    const found = await log.firstEntry(toLogIndex(100), ({ index }) => {
      asked++;
      return index >= wanted;
    });
    const entry = entries[wanted - 1]!;
    const bytes = entries.slice(0, wanted).reduce((sum, { payload }) => sum + payload.length, 0);
    const expected: EntryMark = {
      index: entry.index,
      baseOffset: entry.baseOffset,
      endOffset: toOffset(entry.baseOffset + entry.count),
      appendTimeMs: entry.appendTimeMs,
      payloadBytesThrough: bytes,
    };
    assert.deepEqual(found, expected);
    assert.ok(asked <= 7, `${asked} entries were read`);
  }
  assert.equal(await log.firstEntry(toLogIndex(100), () => false), null);
  assert.equal(await log.firstEntry(toLogIndex(40), ({ index }) => index > 40), null, 'nothing above is looked at');
});

test('entries that are removed already are not looked at, and their bytes go on counting', async () => {
  const logs = logsOn(new MemoryStore());
  const log = await logs.create(headerOf(1));
  await append(
    log,
    Array.from({ length: 20 }, () => ({ payload: new Uint8Array(10) })),
  ).done;
  await commit(log, 20);
  await log.saveCheckpoint({ index: toLogIndex(8), state: new Uint8Array() });
  await log.moveLogStart(toOffset(8));
  assert.equal(log.firstIndex, 9);
  const found = await log.firstEntry(toLogIndex(20), () => true);
  assert.deepEqual([found?.index, found?.payloadBytesThrough], [9, 90]);
  assert.equal(log.payloadBytesThrough(toLogIndex(20)), 200);
  assert.equal(log.payloadBytesThrough(toLogIndex(8)), 80, 'where the log begins');
  assert.equal(log.payloadBytesThrough(toLogIndex(12)), null, 'not without a read');
});
