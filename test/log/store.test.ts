import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toBrokerId } from '../../src/model/ids.ts';
import { RocksdbStore, type RocksdbStoreOptions } from '../../src/log/rocksdb-store.ts';
import type { StoreFault } from '../../src/log/store.ts';
import { LiveWalSync } from '../../src/log/wal-sync.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import { storeSuite } from '../conformance/store-suite.ts';
import { MemoryStore } from '../fakes/memory-store.ts';

storeSuite('MemoryStore', async (run) => {
  const faults: StoreFault[] = [];
  const store = new MemoryStore({ queuedBytesMax: 20 << 20, onFault: (fault) => faults.push(fault) });
  const opened = [store];
  const reopen = async (): Promise<MemoryStore> => {
    await store.close();
    const again = store.powerCut();
    opened.push(again);
    return again;
  };
  await run({ store, reopen, failNext: () => store.failNext(), faults });
  for (const each of opened) await each.close();
});

storeSuite('RocksdbStore', async (run) => {
  const path = await mkdtemp(join(tmpdir(), 'sluice-store-'));
  const faults: StoreFault[] = [];
  let failing = false;
  const options: RocksdbStoreOptions = {
    path,
    brokerId: toBrokerId(1),
    clusterId: null,
    mayFound: true,
    newIncarnation: () => '01234567-89ab-4cde-8f01-23456789abcd',
    processNonce: 'fedcba98-89ab-4cde-8f01-23456789abcd',
    crc32c,
    clock: realClock,
    limits: { queuedBytesMax: 20 << 20 },
    onFault: (fault) => faults.push(fault),
    openWalSync: (databasePath, currentWal) => {
      const real = new LiveWalSync(databasePath, currentWal);
      return {
        sync: () => (failing ? Promise.reject(new Error('injected')) : real.sync()),
        live: () => real.live(),
        close: () => real.close(),
      };
    },
  };
  const store = await RocksdbStore.open(options);
  const opened = [store];
  try {
    await run({
      store,
      reopen: async () => {
        await store.close();
        const again = await RocksdbStore.open({ ...options, mayFound: false });
        opened.push(again);
        return again;
      },
      failNext: () => (failing = true),
      faults,
    });
  } finally {
    for (const each of opened) await each.close();
    await rm(path, { recursive: true, force: true });
  }
});
