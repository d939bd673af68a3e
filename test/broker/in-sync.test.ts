import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inSyncReplicas } from '../../src/broker/in-sync.ts';
import { toLogIndex, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { FollowerStatus, ProgressState } from '../../src/raft/core/progress.ts';
import { Cluster } from './cluster-fixture.ts';

const limits = { inSyncHeardMs: 2_000, inSyncLagMax: 64 };
const nowMs = 10_000;

const follower = (id: number, match: number, heardMs: number, state: ProgressState['kind'] = 'replicate'): FollowerStatus => ({
  ...{ id: toReplicaId(id), state, match: toLogIndex(match), next: toLogIndex(match + 1), heardMs },
  ...{ inFlightBytes: 0, reading: false },
}); // prettier-ignore

const leading = { role: 'leader' as const, term: toTerm(3), leader: toReplicaId(1), serving: true };

test('in sync is who was heard of lately and has all but the newest of what is committed', () => {
  const commitIndex = toLogIndex(100);
  const followers = [
    follower(2, 100, nowMs),
    follower(3, 36, nowMs - 2_000),
    follower(4, 35, nowMs),
    follower(5, 100, nowMs - 2_001),
    follower(6, 100, nowMs, 'probe'),
    follower(7, 100, nowMs, 'lost'),
    follower(8, 100, -Infinity),
  ];
  assert.deepEqual(inSyncReplicas({ role: leading, commitIndex, followers }, nowMs, limits), [1, 2, 3]);
});

test('who does not lead, or does not serve yet, can not tell who is in sync', () => {
  const commitIndex = toLogIndex(1);
  for (const role of [
    { ...leading, serving: false },
    { ...leading, role: 'follower' as const },
  ])
    assert.deepEqual(inSyncReplicas({ role, commitIndex, followers: [] }, nowMs, limits), []);
});

test('the leader of three replicas tells which of them are in sync, and notices when one is gone and back', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  const { leader } = await cluster.append('orders', 'a');
  const inSync = async (): Promise<readonly number[]> => (await cluster.describe(leader, 'orders'))[0]?.inSync ?? [];
  await cluster.pass(500);
  assert.deepEqual([...(await inSync())].sort(), [0, 1, 2]);
  const gone = [0, 1, 2].find((id) => id !== leader) ?? 0;
  await cluster.crash(gone);
  await cluster.pass(2_500);
  assert.deepEqual([...(await inSync())].sort(), [0, 1, 2].filter((id) => id !== gone)); // prettier-ignore
  await cluster.start(gone);
  await cluster.pass(2_000);
  assert.deepEqual([...(await inSync())].sort(), [0, 1, 2]);
});
