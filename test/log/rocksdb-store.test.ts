/** What only the real store has: settings, recovery, and space that really comes back. The port's suite is in store.test.ts. */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { LogCorruption } from '../../src/log/reader.ts';
import { recordEnds } from '../../src/log/rocksdb-manifest.ts';
import { RocksdbStore, type RocksdbStoreOptions } from '../../src/log/rocksdb-store.ts';
import { StoreFault, StoreOpenError } from '../../src/log/store.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

async function withDirectory(run: (options: RocksdbStoreOptions) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-rocksdb-'));
  const options: RocksdbStoreOptions = {
    path,
    brokerId: toBrokerId(1),
    clusterId: null,
    mayFound: true,
    newIncarnation: () => '01234567-89ab-4cde-8f01-23456789abcd',
    processNonce: 'fedcba98-89ab-4cde-8f01-23456789abcd',
    crc32c,
    clock: realClock,
    onFault: (fault) => assert.fail(fault.message),
  };
  try {
    await run(options);
  } finally {
    for (const store of opened.splice(0)) await store.close();
    await rm(path, { recursive: true, force: true });
  }
}

const key = (number: number): Uint8Array => {
  const bytes = Buffer.alloc(9, 'k');
  bytes.writeBigUInt64BE(BigInt(number), 1);
  return bytes;
};
const put = (number: number, bytes: number) =>
  ({ kind: 'put', key: key(number), value: Buffer.alloc(bytes, number) }) as const;

async function filesOf(options: RocksdbStoreOptions, pattern: RegExp): Promise<readonly string[]> {
  const names = await readdir(join(options.path, 'db'));
  return names
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => join(options.path, 'db', name));
}

async function bytesOf(options: RocksdbStoreOptions, pattern: RegExp): Promise<number> {
  const sizes = await Promise.all((await filesOf(options, pattern)).map((path) => stat(path)));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

/** A store that is still open when its test fails would keep the process alive. */
const opened: RocksdbStore[] = [];
async function open(options: RocksdbStoreOptions): Promise<RocksdbStore> {
  const store = await RocksdbStore.open(options);
  opened.push(store);
  return store;
}

async function refuses(options: RocksdbStoreOptions, message: RegExp): Promise<void> {
  await assert.rejects(open(options), (error: unknown) => {
    assert.ok(error instanceof StoreOpenError, String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

describe('the RocksDB store', () => {
  it('pit-P84 runs with the settings that durability needs', () =>
    withDirectory(async (options) => {
      const store = await open(options);
      const [optionsFile] = (await filesOf(options, /^OPTIONS-/)).slice(-1);
      const text = await readFile(optionsFile!, 'utf8');
      const settings = new Map(text.split('\n').map((line) => line.trim().split('=', 2) as [string, string]));
      const required = {
        wal_recovery_mode: 'kPointInTimeRecovery',
        paranoid_checks: 'true',
        force_consistency_checks: 'true',
        manual_wal_flush: 'false',
        best_efforts_recovery: 'false',
        avoid_flush_during_recovery: 'false',
        recycle_log_file_num: '0',
        WAL_ttl_seconds: '0',
        WAL_size_limit_MB: '0',
        unordered_write: 'false',
        two_write_queues: 'false',
        atomic_flush: 'false',
        allow_mmap_writes: 'false',
        enable_blob_files: 'true',
        min_blob_size: '4096',
        blob_file_size: String(256 << 20),
        enable_blob_garbage_collection: 'false',
        write_buffer_size: String(64 << 20),
        max_open_files: '2048',
        compression: 'kNoCompression',
        blob_compression_type: 'kNoCompression',
        checksum: 'kXXH3',
      };
      for (const [name, value] of Object.entries(required)) assert.equal(settings.get(name), value, name);
      await store.close();
    }));

  it('gives disk space back: a deleted range leaves, although another one shares its blob files', () =>
    withDirectory(async (options) => {
      const store = await open(options);
      for (let n = 0; n < 400; n++) void store.write([put(n, 50_000), put(1_000 + n, 10_000)]);
      await store.write([put(5_000, 10)]);
      await store.reclaim(key(0), key(9_999));
      const before = await bytesOf(options, /\.(blob|sst|log)$/);
      assert.ok(before > 400 * 60_000);
      await store.write([{ kind: 'delete-range', from: key(0), to: key(400) }]);
      await store.reclaim(key(0), key(400));
      const after = await bytesOf(options, /\.(blob|sst|log)$/);
      assert.ok(after < 400 * 10_000 * 1.3, `${after} of ${before} bytes are left`);
      assert.equal((await store.scan({ from: key(0), to: key(9_999), limit: 10_000 })).length, 401);
      assert.deepEqual(await store.get(key(1_399)), Buffer.alloc(10_000, 1_399));
      await store.close();
    }));

  it('keeps the count of marks bounded under small writes', () =>
    withDirectory(async (options) => {
      const store = await open({ ...options, limits: { marksMax: 40 } });
      for (let n = 0; n < 300; n++) await store.write([put(n % 7, 20)]);
      const { durable } = store.commitNumbers;
      await store.close();
      const again = await open(options);
      assert.deepEqual(again.recovery, { state: 'healthy', recoveredCommit: durable, floorCommit: durable });
      await again.close();
      const logs = await bytesOf(options, /\.log$/);
      assert.ok(logs < 40_000, 'flushed on the way');
    }));

  it('refuses a second process, or a second opening in this one', () =>
    withDirectory(async (options) => {
      const store = await open(options);
      await refuses(options, /is in use by another process: stop it/);
      await store.write([put(1, 10)]);
      await store.close();
    }));

  it('refuses when the floor is missing or unreadable, or of another directory', () =>
    withDirectory(async (options) => {
      await (await open(options)).close();
      const floorPath = join(options.path, 'floor');
      const floor = await readFile(floorPath);
      await rm(floorPath);
      await refuses(options, /durable floor .* is missing, so nobody can tell .*: replace this broker/);
      await writeFile(floorPath, Buffer.alloc(8_192));
      await refuses(options, /durable floor .* is unreadable/);
      await writeFile(floorPath, floor);
      await (await open(options)).close();
    }));

  it('refuses when the database is gone', () =>
    withDirectory(async (options) => {
      await (await open(options)).close();
      await rename(join(options.path, 'db'), join(options.path, 'db-away'));
      await refuses(options, /can not be opened \(.*\): keep the files and replace this broker/);
    }));

  it('pit-P86 is lost, for good and read-only, when its newest write-ahead file was cut between two writes', () =>
    withDirectory(async (options) => {
      const store = await open(options);
      for (let n = 0; n < 10; n++) await store.write([put(n, 100)]);
      const { durable } = store.commitNumbers;
      await store.close();
      const [log] = (await filesOf(options, /\.log$/)).slice(-1);
      const ends = recordEnds(await readFile(log!), crc32c);
      await truncate(log!, ends.at(-2));
      for (const opening of [1, 2]) {
        const lost = await open(options);
        assert.deepEqual(
          lost.recovery,
          { state: 'lost', recoveredCommit: durable - 1, floorCommit: durable },
          `opening ${opening}`,
        );
        await assert.rejects(lost.write([put(99, 1)]), StoreFault);
        assert.notEqual(await lost.get(key(8)), null);
        assert.equal(await lost.get(key(9)), null);
        await lost.close();
      }
    }));

  it('rejects the read of a damaged value, in a blob file or a table, and reads all others', () =>
    withDirectory(async (options) => {
      const store = await open(options);
      await store.write([
        put(1, 50_000),
        put(2, 50_000),
        ...Array.from({ length: 100 }, (_, n) => put(100 + n, 1_000)),
      ]);
      await store.reclaim(key(0), key(999));
      await store.close();
      const [blobs] = await filesOf(options, /\.blob$/);
      const [table] = await filesOf(options, /\.sst$/);
      for (const [path, position, damaged] of [
        [blobs!, 25_000, 1],
        [table!, 500, 2],
      ] as const) {
        const bytes = await readFile(path);
        bytes[position]! ^= 4;
        await writeFile(path, bytes);
        const again = await open(options);
        await assert.rejects(again.get(key(damaged)), LogCorruption);
        await assert.rejects(again.getMany([key(199), key(damaged)]), LogCorruption);
        await assert.rejects(again.scan({ from: key(0), to: key(999), limit: 999 }), LogCorruption);
        assert.deepEqual(await again.get(key(199)), Buffer.alloc(1_000, 199));
        await again.close();
        bytes[position]! ^= 4;
        await writeFile(path, bytes);
      }
    }));

  it('opens with a torn MANIFEST tail, and keeps what it cut off', () =>
    withDirectory(async (options) => {
      const store = await open(options);
      await store.write([put(1, 10_000)]);
      await store.close();
      const [manifest] = await filesOf(options, /^MANIFEST-/);
      const whole = await readFile(manifest!);
      const ends = recordEnds(whole, crc32c);
      assert.equal(ends.at(-1), whole.length, 'the format is understood');
      // a record whose header arrived and whose bytes did not
      await appendFile(manifest!, Buffer.concat([Buffer.from('deadbeef200001', 'hex'), Buffer.alloc(32, 7)]));
      const again = await open(options);
      assert.equal(again.recovery.state, 'healthy');
      assert.deepEqual(await again.get(key(1)), Buffer.alloc(10_000, 1));
      await again.close();
      assert.equal((await readdir(options.path)).filter((name) => name.endsWith('.torn')).length, 1);
    }));

  it('pit-P83 acknowledges nothing when the engine reports an error, found by the timer alone', () =>
    withDirectory(async (options) => {
      const clock = new ManualClock();
      const faults: StoreFault[] = [];
      const store = await open({ ...options, clock, onFault: (fault) => faults.push(fault) });
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(clock.timers, 1, 'asks again and again');
      await store.close();
      assert.equal(clock.timers, 0);
      assert.equal(faults.length, 0);
    }));
});
