import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearReplica } from '../../src/broker/near-replica.ts';
import type { Locate } from '../../src/broker/replica-place.ts';
import { toBrokerId, toLogIndex, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { FollowerStatus, ProgressState } from '../../src/raft/core/progress.ts';

const limits = { inSyncHeardMs: 2_000, inSyncLagMax: 10 };
const nowMs = 10_000;
const commitIndex = toLogIndex(100);
const role = { role: 'leader' as const, term: toTerm(3), leader: toReplicaId(1), serving: true };

/** Replica n is on broker n; racks by replica. */
const located =
  (racks: Readonly<Record<number, string | null>>): Locate =>
  (replica) => {
    const rack = racks[replica];
    return rack === undefined ? null : { brokerId: toBrokerId(replica), address: `host-${replica}:9400`, rack };
  };

const follower = (id: number, match: number, state: ProgressState['kind'] = 'replicate'): FollowerStatus => ({
  ...{ id: toReplicaId(id), state, match: toLogIndex(match), next: toLogIndex(match + 1), heardMs: nowMs },
  ...{ inFlightBytes: 0, reading: false },
}); // prettier-ignore

const near = (rack: string, racks: Readonly<Record<number, string | null>>, followers: readonly FollowerStatus[]) =>
  nearReplica({ role, commitIndex, followers }, rack, located(racks), nowMs, limits)?.brokerId ?? null;

test('a reader is sent to the replica in its rack', () => {
  assert.equal(near('b', { 1: 'a', 2: 'b', 3: 'c' }, [follower(2, 100), follower(3, 100)]), 2);
});

test('of several in the rack it is the one that has most', () => {
  assert.equal(near('b', { 1: 'a', 2: 'b', 3: 'b' }, [follower(2, 95), follower(3, 99)]), 3);
  assert.equal(near('b', { 1: 'a', 2: 'b', 3: 'b' }, [follower(3, 99), follower(2, 99)]), 2);
});

test('the leader serves who is in its own rack, and whose rack nobody is in', () => {
  const followers = [follower(2, 100), follower(3, 100)];
  assert.equal(near('a', { 1: 'a', 2: 'a', 3: 'c' }, followers), null);
  assert.equal(near('z', { 1: 'a', 2: 'b', 3: null }, followers), null);
  assert.equal(near('b', { 1: 'a', 3: 'c' }, followers), null, 'where it is, is not known');
});

test('nobody is sent to a replica that is not in sync', () => {
  const racks = { 1: 'a', 2: 'b', 3: 'c' };
  assert.equal(near('b', racks, [follower(2, 89), follower(3, 100)]), null);
  assert.equal(near('b', racks, [follower(2, 100, 'probe')]), null);
  const silent = { ...follower(2, 100), heardMs: nowMs - 2_001 };
  assert.equal(near('b', racks, [silent]), null);
});
