import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TopicDescription } from '../../clients/typescript/src/index.ts';
import { lacksQuorumWithout } from '../../src/cli/quorum-without.ts';

const topic = (replicas: readonly number[], inSyncReplicas: readonly number[] | null): TopicDescription => ({
  name: 'orders',
  topicId: '00000000-0000-4000-8000-000000000001',
  partitionCount: 1,
  replicationFactor: replicas.length,
  internal: false,
  createdAtMs: 0,
  config: {} as TopicDescription['config'],
  partitions: [
    { partition: 0, leader: 0, leaderEpoch: 1, replicas, inSyncReplicas, logStartOffset: 0, highWatermark: 0 },
  ],
});

test('a broker may stop when a majority of the others is in sync, and not one replica earlier', () => {
  assert.equal(lacksQuorumWithout(1, [topic([0, 1, 2], [0, 1, 2])]), null);
  assert.match(lacksQuorumWithout(1, [topic([0, 1, 2], [0, 1])]) ?? '', /orders\/0 would have 1 of 3 replicas in sync/);
  assert.equal(lacksQuorumWithout(1, [topic([0, 1, 2, 3, 4], [0, 2, 4])]), null);
  assert.match(lacksQuorumWithout(1, [topic([0, 1, 2, 3, 4], [0, 1, 2])]) ?? '', /needs 3/);
});

test('what is not known is waited for; what the broker does not hold, or nobody can spare, is not', () => {
  assert.match(lacksQuorumWithout(1, [topic([0, 1, 2], null)]) ?? '', /nobody says/);
  assert.equal(lacksQuorumWithout(3, [topic([0, 1, 2], [0])]), null);
  assert.equal(lacksQuorumWithout(1, [topic([1], [1])]), null);
  assert.equal(lacksQuorumWithout(1, [topic([0, 1], [1])]), null);
});
