/** The stores that a conformance suite runs on, each with the way to open it again with what is durable. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RocksdbStore, type RocksdbStoreOptions } from '../../src/log/rocksdb-store.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import type { WithReopenableStore } from '../conformance/log-suite.ts';
import { MemoryStore } from './memory-store.ts';

export const withMemoryStore: WithReopenableStore = async (run) => {
  let store = new MemoryStore();
  const reopen = (): Promise<MemoryStore> => Promise.resolve((store = store.powerCut()));
  await run({ store, reopen });
  await store.close();
};

export const withRocksdbStore: WithReopenableStore = async (run) => {
  const path = await mkdtemp(join(tmpdir(), 'sluice-log-'));
  const options: RocksdbStoreOptions = {
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
  };
  let store = await RocksdbStore.open(options);
  const reopen = async (): Promise<RocksdbStore> => {
    await store.close();
    return (store = await RocksdbStore.open({ ...options, mayFound: false }));
  };
  try {
    await run({ store, reopen });
  } finally {
    await store.close();
    await rm(path, { recursive: true, force: true });
  }
};
