import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerDuty } from '../../src/gen/sluice/v1/cluster.ts';
import type { DescribeClusterResponse } from '../../src/gen/sluice/v1/cluster.ts';
import type { ListOffsetsResponse, OffsetQuery } from '../../src/gen/sluice/v1/log.ts';
import type {
  AlterTopicResponse,
  CreateTopicResponse,
  ListTopicsResponse,
  RetentionLimit,
} from '../../src/gen/sluice/v1/topic.ts';
import { lostBroker, startingBroker } from '../../src/api/refusing-broker.ts';
import { ok, refuse } from '../../src/model/errors.ts';
import { toBrokerId, toMillis, toOffset, toTerm } from '../../src/model/ids.ts';
import { fakeBroker, topicUuid } from '../fakes/fake-broker.ts';
import { call, codeName, codeOf, startRig } from './rig.ts';

const topic = {
  name: 'orders',
  topicId: topicUuid,
  partitionCount: 2,
  replicationFactor: 1,
  internal: false,
  createdAtMs: toMillis(1_700_000_000_000),
  config: {
    'retention.ms': 3_600_000,
    'retention.bytes': null,
    'retention.records': 9,
    'min.insync.replicas': null,
    'message.timestamp.before.max.ms': null,
    'message.timestamp.after.max.ms': null,
  },
};

const partitions = [
  {
    partition: 0,
    leader: toBrokerId(0),
    leaderEpoch: toTerm(2),
    replicas: [toBrokerId(0)],
    logStart: toOffset(0),
    highWatermark: toOffset(9),
    inSync: [toBrokerId(0)],
  },
  {
    partition: 1,
    ...{ leader: null, leaderEpoch: null, replicas: [toBrokerId(0)], logStart: null, highWatermark: null, inSync: [] },
  },
];

test('a created topic is described whole; what is not known is absent', async (t) => {
  const broker = fakeBroker({ createTopic: () => Promise.resolve(ok({ topic, partitions, catalogRevision: 12 })) });
  const { topics } = await startRig(t, broker);
  const request = { name: 'orders', partitions: undefined, replicationFactor: undefined, config: undefined };
  const created = await call<CreateTopicResponse>((reply) => topics.createTopic(request, reply));
  assert.ok(created.kind === 'ok');
  assert.equal(created.value.catalogRevision, 12n);
  assert.deepEqual(created.value.topic, {
    ...topic,
    createdAtMs: 1_700_000_000_000n,
    config: {
      retentionMs: { limit: { $case: 'atLeast', value: 3_600_000n } },
      retentionBytes: { limit: { $case: 'none', value: {} } },
      retentionRecords: { limit: { $case: 'atLeast', value: 9n } },
      minInsyncReplicas: { count: { $case: 'majority', value: {} } },
      messageTimestampBeforeMaxMs: { limit: { $case: 'none', value: {} } },
      messageTimestampAfterMaxMs: { limit: { $case: 'none', value: {} } },
    },
    partitions: [
      {
        partition: 0,
        ...{ leader: 0, leaderEpoch: 2, replicas: [0], logStartOffset: 0n, highWatermark: 9n, inSyncReplicas: [0] },
      },
      {
        partition: 1,
        leader: undefined,
        leaderEpoch: undefined,
        replicas: [0],
        logStartOffset: undefined,
        highWatermark: undefined,
        inSyncReplicas: [],
      },
    ],
  });
  assert.deepEqual(broker.calls[0]!.args[0], {
    name: 'orders',
    partitions: 1,
    replicationFactor: null,
    config: { set: {}, reset: [] },
  });
});

test('a change of the configuration says what is set, what has no limit, and what goes back to its default', async (t) => {
  const broker = fakeBroker({ alterTopic: () => Promise.resolve(ok({ topic, partitions, catalogRevision: 13 })) });
  const { topics } = await startRig(t, broker);
  const config = {
    retentionMs: { limit: { $case: 'atLeast', value: 5n } },
    retentionBytes: { limit: { $case: 'none', value: {} } },
    retentionRecords: undefined,
    minInsyncReplicas: undefined,
    messageTimestampBeforeMaxMs: undefined,
    messageTimestampAfterMaxMs: undefined,
  } as const;
  const request = { name: 'orders', topicId: undefined, config, reset: ['retention.records'], dryRun: true };
  const altered = await call<AlterTopicResponse>((reply) => topics.alterTopic(request, reply));
  assert.ok(altered.kind === 'ok');
  assert.deepEqual([altered.value.topic?.name, altered.value.catalogRevision], ['orders', 13n]);
  assert.deepEqual(broker.calls[0]!.args[0], {
    name: 'orders',
    topicId: null,
    config: { set: { 'retention.ms': 5, 'retention.bytes': null }, reset: ['retention.records'] },
    dryRun: true,
  });
});

test('a bad setting is refused as INVALID_CONFIG with its key, at creation and in a change', async (t) => {
  const { topics } = await startRig(t, fakeBroker());
  const limits: readonly RetentionLimit[] = [
    { limit: undefined },
    ...[0n, -1n, 2n ** 53n].map((value): RetentionLimit => ({ limit: { $case: 'atLeast', value } })),
  ];
  for (const limit of limits) {
    const config = {
      retentionMs: undefined,
      retentionBytes: limit,
      retentionRecords: undefined,
      minInsyncReplicas: undefined,
      messageTimestampBeforeMaxMs: undefined,
      messageTimestampAfterMaxMs: undefined,
    };
    const create = { name: 'a', partitions: 1, replicationFactor: 1, config };
    const alter = { name: 'a', topicId: undefined, config, reset: [], dryRun: false };
    for (const answer of [
      await call((reply) => topics.createTopic(create, reply)),
      await call((reply) => topics.alterTopic(alter, reply)),
    ]) {
      assert.ok(answer.kind === 'error');
      assert.equal(codeOf(answer), 'INVALID_CONFIG');
      const { key, from, through } = answer.detail!.fields;
      assert.deepEqual([key, from, through], ['retention.bytes', '1', '9007199254740991']);
    }
  }
});

test('an even replication factor gets a warning, an odd one does not', async (t) => {
  const warnings = async (replicationFactor: number): Promise<readonly string[]> => {
    const made = { topic: { ...topic, replicationFactor }, partitions, catalogRevision: 1 };
    const { topics } = await startRig(t, fakeBroker({ createTopic: () => Promise.resolve(ok(made)) }));
    const request = { name: 'orders', partitions: undefined, replicationFactor, config: undefined };
    const created = await call<CreateTopicResponse>((reply) => topics.createTopic(request, reply));
    assert.ok(created.kind === 'ok');
    return created.value.warnings;
  };
  assert.deepEqual([await warnings(1), await warnings(3)], [[], []]);
  assert.deepEqual(await warnings(4), [
    'replication factor 4 survives the loss of 1 broker, no more than 3 does: choose an odd one',
  ]);
  assert.match(String(await warnings(2)), /^replication factor 2 survives the loss of 0 brokers, no more than 1 does/);
});

test('a page token leads to the next page', async (t) => {
  const broker = fakeBroker({
    listTopics: ({ after }) =>
      Promise.resolve(
        ok({ topics: [{ ...topic, name: after === '' ? 'a' : 'b' }], more: after === '', catalogRevision: 1 }),
      ),
  });
  const { topics } = await startRig(t, broker);
  const list = async (pageToken: string): Promise<ListTopicsResponse> => {
    const page = await call<ListTopicsResponse>((reply) =>
      topics.listTopics({ includeInternal: true, pageSize: 1, pageToken }, reply),
    );
    assert.ok(page.kind === 'ok');
    return page.value;
  };
  const first = await list('');
  assert.deepEqual([first.topics[0]!.name, first.nextPageToken], ['a', 'a']);
  const second = await list(first.nextPageToken);
  assert.deepEqual([second.topics[0]!.name, second.nextPageToken], ['b', '']);
});

test('bad topics are refused with their specific error', async (t) => {
  const { topics } = await startRig(t, fakeBroker());
  const create = async (name: string, count?: number, factor?: number): Promise<string> =>
    codeOf(
      await call((reply) =>
        topics.createTopic({ name, partitions: count, replicationFactor: factor, config: undefined }, reply),
      ),
    );
  assert.deepEqual(
    [
      await create(''),
      await create('..'),
      await create('ümlaut'),
      await create('__groups'),
      await create('a', 0),
      await create('a', 1_001),
      await create('a', -1),
      await create('a', 1, 0),
      await create('a', 1, 8),
    ],
    [
      ...Array<string>(4).fill('INVALID_TOPIC'),
      ...Array<string>(3).fill('INVALID_PARTITIONS'),
      ...Array<string>(2).fill('INVALID_REPLICATION_FACTOR'),
    ],
  );
});

test('offsets are found by earliest, latest and time; a query without one of them is refused', async (t) => {
  const at = (query: OffsetQuery['at']): OffsetQuery => ({
    topic: 'orders',
    topicId: undefined,
    partition: 0,
    at: query,
  });
  const broker = fakeBroker({
    listOffsets: () =>
      Promise.resolve(
        ok([
          {
            topic: 'orders',
            topicId: topicUuid,
            partition: 0,
            error: null,
            offset: toOffset(4),
            timestampMs: toMillis(8),
            leaderEpoch: toTerm(1),
          },
          {
            topic: 'orders',
            topicId: topicUuid,
            partition: 0,
            error: refuse('OFFSET_NOT_AVAILABLE', 'Wait.').error,
            offset: null,
            timestampMs: null,
            leaderEpoch: null,
          },
        ]),
      ),
  });
  const { log } = await startRig(t, broker);
  const queries = [
    at({ $case: 'earliest', value: {} }),
    at({ $case: 'latest', value: {} }),
    at({ $case: 'timestampMs', value: 6n }),
  ];
  const found = await call<ListOffsetsResponse>((reply) => log.listOffsets({ queries }, reply));
  assert.ok(found.kind === 'ok');
  const [good, bad] = found.value.offsets;
  assert.deepEqual([good!.offset, good!.timestampMs, good!.leaderEpoch, good!.error], [4n, 8n, 1, undefined]);
  assert.deepEqual([bad!.offset, codeName(bad!.error!)], [undefined, 'OFFSET_NOT_AVAILABLE']);
  assert.deepEqual(
    (broker.calls[0]!.args[0] as { at: unknown }[]).map((query) => query.at),
    [{ kind: 'earliest' }, { kind: 'latest' }, { kind: 'timestamp', timestampMs: 6 }],
  );
  for (const wrong of [[], [at(undefined)], [at({ $case: 'timestampMs', value: -1n })]])
    assert.equal(codeOf(await call((reply) => log.listOffsets({ queries: wrong }, reply))), 'INVALID_REQUEST');
});

test('while a broker starts, calls are refused as retriable', async (t) => {
  const { topics } = await startRig(t, startingBroker(100));
  const answer = await call((reply) => topics.describeTopic({ name: 'orders' }, reply));
  assert.ok(answer.kind === 'error');
  assert.deepEqual([codeOf(answer), answer.detail!.retriable], ['LEADER_NOT_AVAILABLE', true]);
});

test('a broker that lost data describes itself and refuses everything else', async (t) => {
  const broker = {
    brokerId: toBrokerId(0),
    address: 'here:1',
    incarnation: topicUuid,
    version: '1',
    healthy: false,
    unhealthyReason: 'lost',
    healthUnknown: false,
    rack: 'r1',
    duty: null,
    replicaCount: 0,
    replaceable: false,
    formatVersion: 1,
  };
  const cluster = {
    clusterId: topicUuid,
    brokers: [broker],
    catalogLeader: null,
    catalogRevision: 0,
    activeVersion: 0,
    topicCount: 0,
    partitionCount: 0,
  };
  const { cluster: client, topics, log } = await startRig(t, lostBroker(cluster, 'lost'));
  const described = await call<DescribeClusterResponse>((reply) => client.describeCluster({}, reply));
  assert.ok(described.kind === 'ok');
  assert.deepEqual(described.value.brokers, [{ ...broker, duty: BrokerDuty.BROKER_DUTY_ACTIVE }]);
  assert.equal(described.value.catalogLeader, undefined);
  assert.equal(codeOf(await call((reply) => topics.describeTopic({ name: 'orders' }, reply))), 'QUARANTINED');
  assert.equal(
    codeOf(await call((reply) => log.initProducer({ previous: undefined, secret: undefined }, reply))),
    'QUARANTINED',
  );
});
