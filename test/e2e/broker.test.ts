/** The whole broker as a process, through plain gRPC: what it promises over kill -9, and how it starts and ends. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { ClusterServiceClient } from '../../src/gen/sluice/v1/cluster.ts';
import type { DescribeClusterResponse } from '../../src/gen/sluice/v1/cluster.ts';
import type { FetchCommittedResponse, JoinGroupResponse } from '../../src/gen/sluice/v1/group.ts';
import { GroupServiceClient } from '../../src/gen/sluice/v1/group.ts';
import type {
  FetchResponse,
  InitProducerResponse,
  ProduceRequest,
  ProduceResponse,
  ProduceStreamResponse,
} from '../../src/gen/sluice/v1/log.ts';
import { Acks, FetchFormat, LogServiceClient } from '../../src/gen/sluice/v1/log.ts';
import { Compression } from '../../src/gen/sluice/v1/record.ts';
import type { CreateTopicResponse } from '../../src/gen/sluice/v1/topic.ts';
import { TopicServiceClient } from '../../src/gen/sluice/v1/topic.ts';
import { DurableFloor, readFloor } from '../../src/log/durable-floor.ts';
import type { BatchProducer } from '../../src/model/record-batch.ts';
import { toProducerEpoch, toProducerId, toSequence } from '../../src/model/ids.ts';
import { splitBatches } from '../../src/model/record-batch.ts';
import { decodeBatch } from '../../src/model/batch-decoder.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import type { Answer } from '../api/rig.ts';
import { batchOf, call, codecs, codeOf, record, repliesOf } from '../api/rig.ts';
import { dataDirectory, startBroker } from './broker-process.ts';

const decoder = new TextDecoder();

interface Clients {
  readonly log: LogServiceClient;
  readonly topics: TopicServiceClient;
  readonly groups: GroupServiceClient;
  readonly cluster: ClusterServiceClient;
}

function connect(t: TestContext, address: string): Clients {
  const insecure = credentials.createInsecure();
  const clients = {
    log: new LogServiceClient(address, insecure),
    topics: new TopicServiceClient(address, insecure),
    groups: new GroupServiceClient(address, insecure),
    cluster: new ClusterServiceClient(address, insecure),
  };
  t.after(() => Object.values(clients).forEach((client) => client.close()));
  return clients;
}

async function value<T>(answer: Promise<Answer<T>>): Promise<T> {
  const got = await answer;
  assert.ok(got.kind === 'ok', codeOf(got));
  return got.value;
}

const produceOf = (batch: Uint8Array, more: Partial<ProduceRequest> = {}): ProduceRequest => ({
  topic: 'orders',
  topicId: undefined,
  partition: 0,
  routingKey: undefined,
  payload: { $case: 'recordBatch', value: batch },
  acks: Acks.ACKS_ALL,
  producer: undefined,
  compression: Compression.COMPRESSION_UNSPECIFIED,
  timeoutMs: undefined,
  ...more,
});

async function createTopic({ topics }: Clients, partitions = 2): Promise<CreateTopicResponse> {
  return value(
    call<CreateTopicResponse>((reply) =>
      topics.createTopic({ name: 'orders', partitions, replicationFactor: undefined, config: undefined }, reply),
    ),
  );
}

async function readAll({ log }: Clients, partition = 0): Promise<string[]> {
  const values: string[] = [];
  let fetchOffset = 0n;
  for (;;) {
    const { partitions } = await value(
      call<FetchResponse>((reply) =>
        log.fetch(
          {
            partitions: [
              {
                topic: 'orders',
                topicId: undefined,
                partition,
                fetchOffset,
                leaderEpoch: undefined,
                maxBytes: undefined,
              },
            ],
            maxWaitMs: 0,
            minBytes: undefined,
            maxBytes: undefined,
            format: FetchFormat.FETCH_FORMAT_RECORD_BATCHES,
          },
          reply,
        ),
      ),
    );
    const [found] = partitions;
    assert.equal(found!.error, undefined);
    if (found!.payload === undefined) return values;
    assert.ok(found!.payload.$case === 'recordBatches');
    const batches = splitBatches(found!.payload.value);
    assert.ok(batches.kind === 'ok');
    for (const batch of batches.value) {
      const decoded = decodeBatch(batch, codecs);
      assert.ok(decoded.kind === 'ok');
      values.push(...decoded.value.records.map((each) => decoder.decode(each.value)));
    }
    fetchOffset = found!.nextOffset!;
  }
}

describe('over kill -9', () => {
  test('records, offsets, membership and the memory of producers are there again (promise-durable)', async (t) => {
    const storage = { 'storage.dataDir': dataDirectory(t) };
    const first = startBroker(t, storage);
    const { address, clusterId } = await first.ready();
    const before = connect(t, address);
    await createTopic(before);
    const identity = await value(
      call<InitProducerResponse>((reply) => before.log.initProducer({ previous: undefined, secret: undefined }, reply)),
    );
    const stamp = (baseSequence: number): BatchProducer => ({
      id: toProducerId(Number(identity.producerId)),
      epoch: toProducerEpoch(identity.producerEpoch),
      baseSequence: toSequence(baseSequence),
    });
    const batchAt = (i: number): Uint8Array => batchOf([record(`a${i}`), record(`b${i}`)], { producer: stamp(2 * i) });

    const stream = before.log.produceStream();
    const replies = repliesOf<ProduceStreamResponse>(stream);
    for (let i = 0; i < 100; i++) stream.write({ correlationId: BigInt(i), produce: produceOf(batchAt(i)) });
    const offsets = (await replies.take(100)).map(({ result }) => {
      assert.ok(result?.$case === 'produced');
      assert.ok(result.value.committed);
      return result.value.baseOffset;
    });
    assert.deepEqual(
      offsets,
      Array.from({ length: 100 }, (_, i) => BigInt(2 * i)),
    );

    const member = await value(
      call<JoinGroupResponse>((reply) =>
        before.groups.joinGroup({ group: 'g', topics: ['orders'], resumeToken: undefined, clientId: 'test' }, reply),
      ),
    );
    assert.deepEqual(
      member.assignment.map(({ topic, partitions }) => [topic, partitions]),
      [['orders', [0, 1]]],
    );
    await value(
      call((reply) =>
        before.groups.commit(
          {
            group: 'g',
            memberId: member.memberId,
            memberEpoch: member.memberEpoch,
            sequence: 1n,
            offsets: [
              {
                topic: 'orders',
                topicId: undefined,
                partition: 0,
                offset: 123n,
                leaderEpoch: undefined,
                metadata: 'm',
              },
            ],
          },
          reply,
        ),
      ),
    );
    stream.on('error', () => undefined);
    await first.kill('SIGKILL');

    const second = startBroker(t, storage);
    const again = await second.ready();
    const after = connect(t, again.address);
    assert.equal(again.clusterId, clusterId);
    assert.deepEqual(await readAll(after), Array.from({ length: 100 }, (_, i) => [`a${i}`, `b${i}`]).flat());
    const retried = await value(call<ProduceResponse>((reply) => after.log.produce(produceOf(batchAt(99)), reply)));
    assert.deepEqual([retried.duplicate, retried.baseOffset], [true, 198n]);
    const next = await value(call<ProduceResponse>((reply) => after.log.produce(produceOf(batchAt(100)), reply)));
    assert.deepEqual([next.duplicate, next.baseOffset], [false, 200n]);
    const committed = await value(
      call<FetchCommittedResponse>((reply) => after.groups.fetchCommitted({ group: 'g', partitions: [] }, reply)),
    );
    assert.deepEqual(
      committed.offsets.map(({ partition, offset, metadata }) => [partition, offset, metadata]),
      [[0, 123n, 'm']],
    );
    const resumed = await value(
      call<JoinGroupResponse>((reply) =>
        after.groups.joinGroup(
          { group: 'g', topics: ['orders'], resumeToken: member.resumeToken, clientId: 'test' },
          reply,
        ),
      ),
    );
    assert.equal(resumed.memberId, member.memberId);
    assert.ok(resumed.memberEpoch > member.memberEpoch);
    assert.deepEqual(
      resumed.assignment.map(({ partitions }) => partitions),
      [[0, 1]],
    );
  });
});

describe('a broker', () => {
  test('is ready soon, describes itself, and ends in order with exit code 0', async (t) => {
    const broker = startBroker(t, { 'storage.dataDir': dataDirectory(t) });
    const { address, clusterId } = await broker.ready();
    const ready = broker.log.find(({ msg }) => msg === 'ready')!;
    // about a second on an idle machine; this one may be busy with other tests
    assert.ok(Number(ready['readyAfterMs']) < 15_000, JSON.stringify(ready));
    const clients = connect(t, address);
    const described = await value(call<DescribeClusterResponse>((reply) => clients.cluster.describeCluster({}, reply)));
    assert.equal(described.clusterId, clusterId);
    assert.deepEqual(
      described.brokers.map(({ brokerId, address: at, healthy }) => [brokerId, at, healthy]),
      [[0, address, true]],
    );

    await createTopic(clients);
    const stream = clients.log.produceStream();
    const replies = repliesOf<ProduceStreamResponse>(stream);
    for (let i = 0; i < 20; i++)
      stream.write({ correlationId: BigInt(i), produce: produceOf(batchOf([record(`${i}`)])) });
    await replies.next();
    const { code, stderr } = await broker.kill('SIGTERM');
    assert.deepEqual([code, stderr], [0, '']);
    const error = await replies.ended();
    assert.match(String(error?.details), /^BROKER_SHUTTING_DOWN/);
  });

  test('started without a large thread pool starts itself again with one, and dies with whom it stands in for', async (t) => {
    const broker = startBroker(t, { 'storage.dataDir': dataDirectory(t) }, {});
    const { address } = await broker.ready();
    const ended = await broker.kill('SIGKILL');
    assert.equal(ended.signal, 'SIGKILL');
    const { cluster } = connect(t, address);
    for (;;) {
      const answer = await call((reply) => cluster.describeCluster({}, reply));
      if (answer.kind === 'error') break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
});

describe('a disk that lost what was acknowledged', () => {
  test('sets the broker apart: it says so and serves nothing else', async (t) => {
    const folder = dataDirectory(t);
    const storage = { 'storage.dataDir': folder };
    const before = startBroker(t, storage);
    const { clusterId } = await before.ready();
    await before.kill('SIGTERM');
    const floorPath = path.join(folder, 'floor');
    const reading = await readFloor(floorPath, crc32c);
    assert.ok(reading.kind === 'floor');
    const floor = await DurableFloor.open(floorPath, reading.floor, crc32c);
    await floor.raise(reading.floor.commit + 1_000);
    await floor.close();

    const after = startBroker(t, storage);
    const { address } = await after.line('set apart: the disk lost acknowledged writes');
    const clients = connect(t, address);
    const described = await value(call<DescribeClusterResponse>((reply) => clients.cluster.describeCluster({}, reply)));
    assert.deepEqual([described.clusterId, described.brokers[0]!.healthy], [clusterId, false]);
    assert.match(described.brokers[0]!.unhealthyReason, /lost acknowledged writes/);
    const refused = await call((reply) => clients.log.produce(produceOf(batchOf([record('x')])), reply));
    assert.equal(codeOf(refused), 'QUARANTINED');
    assert.equal((await after.kill('SIGTERM')).code, 0);
  });
});

describe('what keeps a broker from starting is one line that says what to do', () => {
  const oneLine = /^sluice: [^\n]+\n$/;

  test('a port in use', async (t) => {
    const first = startBroker(t, { 'storage.dataDir': dataDirectory(t) });
    const { address } = await first.ready();
    const port = address.split(':').at(-1)!;
    const second = startBroker(t, { 'storage.dataDir': dataDirectory(t), 'listen.client.port': port });
    const { code, stderr } = await second.ended;
    assert.equal(code, 1);
    assert.match(stderr, oneLine);
    assert.match(stderr, /is in use: stop what listens there, or choose another port/);
  });

  test('a data directory in use, of another broker, of another cluster, or none', async (t) => {
    const folder = dataDirectory(t);
    const first = startBroker(t, { 'storage.dataDir': folder });
    await first.ready();
    const inUse = await startBroker(t, { 'storage.dataDir': folder }).ended;
    await first.kill('SIGTERM');
    const elsewhere = { 'storage.dataDir': dataDirectory(t) };
    const missing = { 'storage.dataDir': path.join(elsewhere['storage.dataDir'], 'below') };
    const cases = [
      [inUse, /another process|in use/],
      [
        await startBroker(t, { 'storage.dataDir': folder, 'broker.id': 7 }).ended,
        /belongs to broker 0 and this is broker 7/,
      ],
      [
        await startBroker(t, { 'storage.dataDir': folder, 'cluster.id': '11111111-2222-4333-8444-555555555555' }).ended,
        /belongs to cluster .* configured for 11111111/,
      ],
      [await startBroker(t, { 'storage.dataDir': '/etc/hostname' }).ended, /is not a directory/],
      [await startBroker(t, { ...elsewhere, 'storage.mayFound': 'false' }).ended, /is empty: mount .*mayFound=true/],
      [
        await startBroker(t, { ...missing, 'storage.mayFound': 'false' }).ended,
        /does not exist: mount .*mayFound=true/,
      ],
    ] as const;
    for (const [{ code, stderr }, says] of cases) {
      assert.equal(code, 1, stderr);
      assert.match(stderr, oneLine);
      assert.match(stderr, says);
    }
    assert.deepEqual(readdirSync(elsewhere['storage.dataDir']), [], 'pit-P96: nothing was founded');
    const again = startBroker(t, { 'storage.dataDir': folder, 'storage.mayFound': 'false' });
    await again.ready();
    assert.equal((await again.kill('SIGTERM')).code, 0);
  });

  test('settings that make no sense, with exit code 2', async (t) => {
    const { code, stderr, stdout } = await startBroker(t, { 'storage.datadir': 'x' }).ended;
    assert.deepEqual([code, stdout], [2, '']);
    assert.equal(stderr, 'sluice: unknown setting storage.datadir (--set); did you mean storage.dataDir?\n');
  });
});
