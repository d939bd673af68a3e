import { snapshotSuite } from '../conformance/snapshot-suite.ts';
import { withMemoryStore, withRocksdbStore } from '../fakes/reopenable-stores.ts';

snapshotSuite('MemoryStore', withMemoryStore);
snapshotSuite('RocksdbStore', withRocksdbStore);
