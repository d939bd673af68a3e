import { RocksdbStore, type RocksdbStoreOptions } from '../../../src/log/rocksdb-store.ts';
import { toBrokerId } from '../../../src/model/ids.ts';
import { randomUuid } from '../../../src/model/random.ts';
import { crc32c } from '../../../src/runtime/crc32c.ts';
import { realClock } from '../../../src/runtime/real-clock.ts';
import { systemRandom } from '../../../src/runtime/system-random.ts';

/** The store as the broker opens it. */
export const openStore = (
  path: string,
  more: Partial<RocksdbStoreOptions> & Pick<RocksdbStoreOptions, 'onFault'>,
): Promise<RocksdbStore> =>
  RocksdbStore.open({
    path,
    brokerId: toBrokerId(7),
    clusterId: null,
    mayFound: true,
    newIncarnation: () => randomUuid(systemRandom),
    processNonce: randomUuid(systemRandom),
    crc32c,
    clock: realClock,
    ...more,
  });
