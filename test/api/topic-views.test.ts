import assert from 'node:assert/strict';
import { test } from 'node:test';
import { merged, untold } from '../../src/api/topic-views.ts';
import type { PartitionInfo } from '../../src/broker/requests.ts';
import { toBrokerId, toMillis, toOffset, toTerm } from '../../src/model/ids.ts';
import { topicUuid } from '../fakes/fake-broker.ts';

const ids = (...numbers: readonly number[]): PartitionInfo['replicas'] => numbers.map(toBrokerId);
const topic = {
  ...{ name: 'orders', topicId: topicUuid, partitionCount: 1, replicationFactor: 3, internal: false },
  createdAtMs: toMillis(0),
  config: {
    'retention.ms': null,
    'retention.bytes': null,
    'retention.records': null,
    'min.insync.replicas': null,
    'message.timestamp.before.max.ms': null,
    'message.timestamp.after.max.ms': null,
  },
};
const nothing = { leader: null, leaderEpoch: null, logStart: null, highWatermark: null, inSync: [] };

function view(partition: Partial<PartitionInfo>, ...named: readonly number[]): Parameters<typeof merged>[0] {
  const brokers = ids(...named).map((brokerId) => ({ brokerId, address: `host-${brokerId}:9400` }));
  return { topic, partitions: [{ partition: 0, replicas: ids(1, 2, 3), ...nothing, ...partition }], brokers };
}

const led = (by: number, epoch: number, ...inSync: readonly number[]): Partial<PartitionInfo> => ({
  ...{ leader: toBrokerId(by), leaderEpoch: toTerm(epoch), inSync: ids(...inSync) },
});

test('the leader of the latest term is believed, and in one term the leader itself', () => {
  const leaderOf = (mine: Partial<PartitionInfo>, other: Partial<PartitionInfo>): readonly unknown[] => {
    const [found] = merged(view(mine), view(other)).partitions;
    return [found?.leader, found?.leaderEpoch, found?.inSync];
  };
  assert.deepEqual(leaderOf({}, {}), [null, null, []], 'unknown stays unknown');
  assert.deepEqual(leaderOf({}, led(2, 4)), [2, 4, []]);
  assert.deepEqual(leaderOf(led(2, 4), {}), [2, 4, []]);
  assert.deepEqual(leaderOf(led(2, 4), led(2, 4, 2, 3)), [2, 4, [2, 3]]);
  assert.deepEqual(leaderOf(led(2, 4, 2, 3), led(2, 4)), [2, 4, [2, 3]]);
  assert.deepEqual(leaderOf(led(2, 4, 2, 3), led(1, 5)), [1, 5, []], 'who was in sync with an old leader says nothing');
  assert.deepEqual(leaderOf(led(1, 5), led(2, 4, 2, 3)), [1, 5, []]);
});

test('positions stay those of the broker here where it has a replica; addresses are put together', () => {
  const marks = (logStart: number, end: number): Partial<PartitionInfo> => ({ logStart: toOffset(logStart), highWatermark: toOffset(end) }); // prettier-ignore
  const here = merged(view(marks(3, 7), 1, 3), view(marks(4, 9), 2, 3));
  assert.deepEqual([here.partitions[0]?.logStart, here.partitions[0]?.highWatermark], [3, 7]);
  assert.deepEqual(here.brokers.map(({ brokerId }) => brokerId), [1, 2, 3]); // prettier-ignore
  const there = merged(view({}), view(marks(4, 9)));
  assert.deepEqual([there.partitions[0]?.logStart, there.partitions[0]?.highWatermark], [4, 9]);
});

test('a partition is open until its leader has told of it', () => {
  assert.equal(untold(view(led(2, 4))).length, 1);
  assert.equal(untold(view(led(2, 4, 2))).length, 0);
});
