/** Bytes that no client of ours would send, to every method: each gets a typed refusal or an answer, and nothing breaks. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/grpc-js';
import fc from 'fast-check';
import { defaultApiLimits } from '../../src/api/limits.ts';
import { parseStreamedProduce } from '../../src/api/produce-stream.ts';
import { ClusterServiceService } from '../../src/gen/sluice/v1/cluster.ts';
import { GroupServiceService } from '../../src/gen/sluice/v1/group.ts';
import { FetchFormat, LogServiceService, ProduceStreamRequest } from '../../src/gen/sluice/v1/log.ts';
import { TopicServiceService } from '../../src/gen/sluice/v1/topic.ts';
import { refuse } from '../../src/model/errors.ts';
import { fakeBroker } from '../fakes/fake-broker.ts';
import type { Rig } from './rig.ts';
import { Replies, batchOf, call, codeOf, detailOf, record, startRig } from './rig.ts';

const partition = { topic: 'orders', topicId: undefined, partition: 0 };
const produceSample = {
  ...partition,
  routingKey: undefined,
  payload: { $case: 'recordBatch' as const, value: batchOf([record('v', 'k')]) },
  acks: 1,
  producer: undefined,
  compression: 0,
  timeoutMs: 1_000,
};
const fetchSample = { ...partition, fetchOffset: 0n, leaderEpoch: 1, maxBytes: 100 };
const member = { group: 'g', memberId: 'm', memberEpoch: 1 };

/** A good request of every method, to be damaged. */
const samples: Readonly<Record<string, unknown>> = {
  produce: produceSample,
  produceStream: { correlationId: 5n, produce: produceSample },
  initProducer: { previous: { producerId: 1n, producerEpoch: 1, baseSequence: 0 }, secret: new Uint8Array(16) },
  resolveAppend: {
    ...partition,
    producer: { producerId: 1n, producerEpoch: 1, baseSequence: 0 },
    secret: new Uint8Array(16),
    recordCount: 2,
    ageMs: 5n,
    timeoutMs: 9,
  },
  fetch: { partitions: [fetchSample], maxWaitMs: 1, minBytes: 1, maxBytes: 100, format: 1 },
  fetchStream: {
    action: {
      $case: 'start',
      value: { partitions: [fetchSample], format: FetchFormat.FETCH_FORMAT_RECORDS, grantBytes: 9, maxBytes: 9 },
    },
  },
  listOffsets: { queries: [{ ...partition, at: { $case: 'timestampMs', value: 5n } }] },
  deleteRecords: { ...partition, beforeOffset: 5n, timeoutMs: 9 },
  explain: partition,
  joinGroup: { group: 'g', topics: ['a', 'b'], resumeToken: new Uint8Array(5), clientId: 'me', joinId: 'j' },
  heartbeat: { ...member, owned: [{ topic: 'a', topicId: '', partitions: [1, 2] }] },
  leaveGroup: { ...member, reason: 1 },
  membership: member,
  listGroups: { pageSize: 5, pageToken: 'a' },
  describeGroup: { group: 'g' },
  deleteGroup: { group: 'g' },
  commit: {
    ...member,
    sequence: 4n,
    offsets: [{ ...partition, offset: 5n, leaderEpoch: 1, metadata: 'x' }],
  },
  fetchCommitted: { group: 'g', partitions: [{ topic: 'a', topicId: '', partitions: [0] }] },
  createTopic: { name: 'orders', partitions: 3, replicationFactor: 1 },
  deleteTopic: { name: 'orders', topicId: undefined },
  describeTopic: { name: 'orders' },
  listTopics: { includeInternal: false, pageSize: 5, pageToken: 'a' },
  describeCluster: {},
  describeBroker: { brokerId: 3 },
  alterTopic: {
    name: 'orders',
    topicId: undefined,
    config: { retentionMs: { limit: { $case: 'atLeast', value: 5n } } },
    reset: ['retention.bytes'],
    dryRun: true,
  },
  addPartitions: { name: 'orders', topicId: undefined, partitions: 5, dryRun: true },
  changeReplicationFactor: { name: 'orders', topicId: undefined, replicationFactor: 3, dryRun: true },
  drainBroker: { brokerId: 3, dryRun: true },
  undrainBroker: { brokerId: 3, dryRun: true },
  decommissionBroker: { brokerId: 3, dryRun: true },
  replaceBroker: { brokerId: 3, incarnation: 'c9bf9e57-1685-4c89-bafb-ff5af830be8a', dryRun: true },
  moveReplicas: { moves: [{ topic: 'orders', partition: 0, brokerIds: [1, 2, 3] }], dryRun: true, supersede: true },
  transferLeadership: { topic: 'orders', partition: 0, brokerId: 2, dryRun: true },
  finalizeUpgrade: { dryRun: true },
};

type Method = MethodDefinition<never, unknown>;
const methods = Object.entries({
  ...LogServiceService,
  ...GroupServiceService,
  ...TopicServiceService,
  ...ClusterServiceService,
} as unknown as Record<string, Method>);

/** Noise, and good requests with some bytes replaced, cut or doubled. */
function garbage(good: Uint8Array): fc.Arbitrary<Uint8Array> {
  const position = fc.nat(Math.max(0, good.length - 1));
  const replaced = fc
    .array(fc.tuple(position, fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 })
    .map((edits) => {
      const bytes = Uint8Array.from(good);
      for (const [at, byte] of edits) bytes[at] = byte;
      return bytes;
    });
  return fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    replaced,
    position.map((length) => good.slice(0, length)),
    fc.constant(Uint8Array.from(Buffer.concat([good, good]))),
  );
}

/** A broker that refuses everything that gets through to it. */
const refusingAll = (): ReturnType<typeof fakeBroker> => {
  const refused = refuse('LEADER_NOT_AVAILABLE', 'No.');
  const later = (): Promise<typeof refused> => Promise.resolve(refused);
  return fakeBroker({
    append: later,
    choosePartition: () => refused,
    resolveAppend: later,
    initProducer: later,
    fetch: later,
    openCursor: () => refused,
    listOffsets: later,
    deleteRecords: later,
    explain: later,
    createTopic: later,
    alterTopic: later,
    operate: later,
    deleteTopic: later,
    describeTopic: later,
    listTopics: later,
    describeCluster: later,
    describeBroker: later,
    joinGroup: later,
    heartbeat: later,
    leaveGroup: later,
    watchMember: () => refuse('COORDINATOR_LOAD_IN_PROGRESS', 'later'),
    listGroups: later,
    describeGroup: later,
    deleteGroup: later,
    commitOffsets: later,
    fetchCommitted: later,
  });
};

function rawClient(t: TestContext, rig: Rig): Client {
  const client = new Client(rig.address, credentials.createInsecure());
  t.after(() => client.close());
  return client;
}

const asIs = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

describe('garbage', () => {
  test('every method has a sample', () => {
    assert.deepEqual(methods.map(([name]) => name).sort(), Object.keys(samples).sort());
  });

  for (const [name, method] of methods.filter(([, { requestStream }]) => !requestStream)) {
    test(`to ${name} gets a typed answer`, async (t) => {
      const client = rawClient(t, await startRig(t, refusingAll()));
      const good = method.requestSerialize(samples[name] as never);
      const send = async (bytes: Uint8Array): Promise<void> => {
        const answer = await call((reply) =>
          client.makeUnaryRequest(method.path, asIs, method.responseDeserialize, bytes, reply as never),
        );
        assert.doesNotMatch(codeOf(answer), /^(ok|status .*|INTERNAL)$/);
      };
      await fc.assert(fc.asyncProperty(garbage(good), send), { numRuns: 60 });
    });
  }

  for (const [name, method] of methods.filter(([, { requestStream }]) => requestStream)) {
    test(`to ${name} gets typed replies or a typed end`, async (t) => {
      const rig = await startRig(t, refusingAll());
      const client = rawClient(t, rig);
      const good = method.requestSerialize(samples[name] as never);
      const send = async (messages: readonly Uint8Array[]): Promise<void> => {
        const stream = client.makeBidiStreamRequest(method.path, asIs, method.responseDeserialize);
        const replies = new Replies(stream);
        for (const bytes of messages) stream.write(bytes);
        stream.end();
        const error = await replies.ended();
        if (error !== null) assert.notEqual(detailOf(error), null, error.message);
      };
      await fc.assert(fc.asyncProperty(fc.array(garbage(good), { minLength: 1, maxLength: 5 }), send), { numRuns: 40 });
      assert.deepEqual([rig.server.load.calls, rig.server.load.requestBytes], [0, 0]);
    });
  }
});

test('the parser of the hot path takes any bytes', () => {
  const good = ProduceStreamRequest.encode(samples['produceStream'] as ProduceStreamRequest).finish();
  fc.assert(
    fc.property(garbage(good), (bytes) => {
      const parsed = parseStreamedProduce(Buffer.from(bytes), defaultApiLimits);
      assert.ok(parsed.bytes === bytes.length);
    }),
    { numRuns: 5_000 },
  );
});
