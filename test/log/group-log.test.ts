import { logSuite } from '../conformance/log-suite.ts';
import { withMemoryStore, withRocksdbStore } from '../fakes/reopenable-stores.ts';

logSuite('MemoryStore', withMemoryStore);
logSuite('RocksdbStore', withRocksdbStore);
