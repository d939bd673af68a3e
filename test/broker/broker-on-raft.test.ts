/** The broker on everything that is below it in production: Raft driver, group logs, RocksDB in a directory. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Broker } from '../../src/broker/broker.ts';
import type { AppendReceipt, RequestContext } from '../../src/broker/requests.ts';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { DurableGroupLogs } from '../../src/log/group-logs.ts';
import { RocksdbStore } from '../../src/log/rocksdb-store.ts';
import { TailCacheBudget } from '../../src/log/tail-cache-budget.ts';
import type { Result } from '../../src/model/errors.ts';
import { millisPlus, toBrokerId, toMillis, toOffset } from '../../src/model/ids.ts';
import { randomUuid } from '../../src/model/random.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import { MultiRaftHost } from '../../src/raft/host.ts';
import { NoPeers } from '../../src/raft/transport.ts';
import { endOfTurn } from '../../src/raft/turns.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { batch, compression, idempotent } from './batches.ts';
import { offsets, value } from './broker-fixture.ts';

const clusterId = 'c0ffee00-0000-4000-8000-000000000002';

interface Running {
  readonly broker: Broker;
  readonly append: (bytes: Uint8Array, partition?: number) => Promise<Result<AppendReceipt>>;
  readonly context: () => RequestContext;
  /** Ends everything in the order of a shutdown. */
  readonly stop: () => Promise<void>;
}

async function run(path: string, cacheBytes: number, checkpointEntriesMax: number): Promise<Running> {
  const onFault = (error: unknown): void => {
    throw error;
  };
  const store = await RocksdbStore.open({
    path,
    brokerId: toBrokerId(0),
    clusterId: null,
    mayFound: true,
    newIncarnation: () => randomUuid(systemRandom),
    processNonce: randomUuid(systemRandom),
    crc32c,
    clock: realClock,
    onFault,
  });
  const host = new MultiRaftHost({
    logs: new DurableGroupLogs({ store, crc32c, cache: new TailCacheBudget(cacheBytes), garbage: new GarbageMeter() }),
    clusterId,
    mayVote: true,
    clock: realClock,
    random: systemRandom,
    crc32c,
    raftLimits: raftLimitsDefault,
    driverLimits: { ...driverLimitsDefault, checkpointEntriesMax },
    transport: new NoPeers(),
    directory: new NoPeers(),
    schedule: endOfTurn,
    observer: {},
    fatal: onFault,
  });
  const broker = new Broker({
    identity: {
      clusterId,
      brokerId: toBrokerId(0),
      incarnation: 'disk',
      address: 'localhost:9400',
      peerAddress: null,
      rack: null,
      version: '0.1.0',
    },
    host,
    clock: realClock,
    random: systemRandom,
    compression,
    disk: { admit: () => true },
    onFault,
    limits: { groupsPartitions: 2 },
  });
  await broker.start();
  const { signal } = new AbortController();
  const context = (): RequestContext => ({
    principal: 'tester',
    tenant: 0,
    deadlineMs: millisPlus(realClock.monotonicMs(), 20_000),
    signal,
  });
  return {
    broker,
    context,
    append: (bytes, partition = 0) =>
      broker.append({ topic: 'orders', topicId: null, partition, batch: bytes, acks: 'all' }, context()),
    stop: async () => {
      await broker.close();
      await store.close();
    },
  };
}

async function everyOffset({ broker, context }: Running, partition: number): Promise<number[]> {
  const seen: number[] = [];
  for (let from = 0; ;) {
    const ref = { topic: 'orders', topicId: null, partition, fetchOffset: toOffset(from), leaderEpoch: null };
    const request = { partitions: [{ ...ref, bytesMax: 2_000 }], waitMsMax: 0, bytesMin: 1, bytesMax: 2_000 };
    const fetched = value(await broker.fetch(request, context())).partitions[0]!;
    assert.equal(fetched.error, null);
    if (fetched.batches.length === 0) return seen;
    seen.push(...offsets(fetched.batches));
    from = fetched.nextOffset ?? 0;
  }
}

for (const [what, cacheBytes] of [
  ['a tail cache', 16 * 1024 * 1024],
  ['no tail cache', 0],
] as const) {
  test(`promise-durable: on RocksDB with ${what}, everything is there after a restart, producers included`, async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'sluice-broker-')), 'data');
    const checkpointEntriesMax = 40;
    const first = await run(path, cacheBytes, checkpointEntriesMax);
    const made = { name: 'orders', partitions: 2, replicationFactor: null };
    const { topicId } = value(await first.broker.createTopic(made, first.context())).topic;
    const identity = value(await first.broker.initProducer(null, first.context()));
    const receipts = await Promise.all(
      Array.from({ length: 100 }, (_, n) => first.append(idempotent(identity.producerId, 0, n * 3, 3))),
    );
    assert.deepEqual(
      receipts.map((receipt) => value(receipt).baseOffset),
      Array.from({ length: 100 }, (_, n) => n * 3),
    );
    const timestamps = [1_000, 2_000, 3_000];
    value(await first.append(batch({ values: ['x', 'y', 'z'], timestamps, compression: 'zstd' }), 1));
    await first.stop();

    const second = await run(path, cacheBytes, checkpointEntriesMax);
    const described = value(await second.broker.describeTopic('orders', second.context()));
    assert.equal(described.topic.topicId, topicId);
    assert.deepEqual(
      described.partitions.map((one) => one.highWatermark),
      [300, 3],
    );
    assert.deepEqual(
      await everyOffset(second, 0),
      Array.from({ length: 100 }, (_, n) => n * 3),
    );
    const retried = value(await second.append(idempotent(identity.producerId, 0, 97 * 3, 3)));
    assert.deepEqual([retried.baseOffset, retried.duplicate], [291, true]);
    assert.equal(value(await second.append(idempotent(identity.producerId, 0, 300))).baseOffset, 300);
    const at = { kind: 'timestamp', timestampMs: toMillis(1_500) } as const;
    const query = { topic: 'orders', topicId: null, partition: 1, at };
    const found = value(await second.broker.listOffsets([query], second.context()))[0];
    assert.deepEqual([found?.offset, found?.timestampMs, found?.leaderEpoch], [1, 2_000, 2]);
    assert.ok(value(await second.broker.initProducer(identity, second.context())).producerEpoch === 1);
    value(await second.broker.deleteTopic({ name: 'orders', topicId }, second.context()));
    await second.stop();

    const third = await run(path, cacheBytes, checkpointEntriesMax);
    const left = value(
      await third.broker.listTopics({ includeInternal: false, limit: 10, after: '' }, third.context()),
    );
    assert.deepEqual(left.topics, []);
    await third.stop();
    await rm(join(path, '..'), { recursive: true });
  });
}
