import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { RocksdbStore } from '../../src/log/rocksdb-store.ts';
import { Sweep, sweepLimitsDefault } from '../../src/log/sweep.ts';
import { toBrokerId, toGroupNumber, toLogIndex, toOffset } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import { append, commit } from '../fakes/entry-sealer.ts';
import { headerOf, logsOn, mebibyte } from '../fakes/log-fixture.ts';

const payload = Buffer.alloc(64 * 1024, 7);

test('gives back the space of removed groups and prefixes, files that others use included, and keeps what is live', async () => {
  const path = await mkdtemp(join(tmpdir(), 'sluice-sweep-'));
  const store = await RocksdbStore.open({
    path,
    brokerId: toBrokerId(1),
    clusterId: null,
    mayFound: true,
    newIncarnation: () => '01234567-89ab-4cde-8f01-23456789abcd',
    processNonce: 'fedcba98-89ab-4cde-8f01-23456789abcd',
    crc32c,
    clock: realClock,
    onFault: (fault) => {
      throw fault;
    },
    engine: { writeBufferBytes: mebibyte },
  });
  try {
    const garbage = new GarbageMeter();
    const logs = logsOn(store, 0, garbage);
    const [removed, kept] = [await logs.create(headerOf(1)), await logs.create(headerOf(2))];
    for (let round = 0; round < 40; round++) {
      for (const log of [removed, kept])
        await append(
          log,
          Array.from({ length: 8 }, () => ({ payload })),
        ).done;
    }
    let roomBytes = 0;
    const limits = { ...sweepLimitsDefault, garbageBytesMin: mebibyte };
    const failed = (error: unknown): void => {
      throw error;
    };
    const sweep = new Sweep({ store, logs, garbage, clock: realClock, limits, roomBytes: () => roomBytes, failed });
    const full = (await store.valueFiles()).bytes;
    assert.ok(full > 35 * mebibyte, `${full}`);

    await commit(kept, 320);
    await kept.saveCheckpoint({ index: toLogIndex(160), state: new Uint8Array(1) });
    await kept.moveLogStart(toOffset(160));
    await logs.remove(toGroupNumber(1));
    await sweep.lookOnce();
    const dropped = await store.valueFiles();
    assert.ok(dropped.bytes < full * 0.6, `${dropped.bytes} of ${full}: files in which nothing is left are gone`);
    assert.ok(dropped.garbageBytes > dropped.bytes * 0.3, 'the others hold values of both groups');

    roomBytes = full;
    await sweep.lookOnce();
    const rewritten = await store.valueFiles();
    assert.ok(rewritten.garbageBytes < rewritten.bytes * 0.3, JSON.stringify(rewritten));
    assert.ok(rewritten.bytes < full * 0.35, `${rewritten.bytes} of ${full}`);
    for (let from = 160; from < 320; from++) {
      const [entry] = await kept.readFrom(toOffset(from), toOffset(from + 1), 0);
      assert.equal(entry?.baseOffset, from);
    }
  } finally {
    await store.close();
    await rm(path, { recursive: true, force: true });
  }
});
