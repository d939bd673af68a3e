import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LedVoters } from '../../src/broker/durability.ts';
import { beyondMajority, liveVoters, refuseTooFew } from '../../src/broker/durability.ts';
import { toLogIndex, toReplicaId, toTerm } from '../../src/model/ids.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { FollowerStatus } from '../../src/raft/core/progress.ts';

const limits = { inSyncHeardMs: 2_000, inSyncLagMax: 1_000, retryAfterMs: 100 };

const follower = (id: number, more: Partial<FollowerStatus> = {}): FollowerStatus => ({
  ...{ id: toReplicaId(id), state: 'replicate', match: toLogIndex(50), next: toLogIndex(51), heardMs: 9_000 },
  ...{ inFlightBytes: 0, reading: false },
  ...more,
});

/** Replica 1 leads; replicas 1, 2 and 3 vote. */
const group = (...followers: FollowerStatus[]): LedVoters => ({
  role: { role: 'leader', term: toTerm(4), leader: toReplicaId(1), serving: true },
  commitIndex: toLogIndex(50),
  followers,
  membership: { configuration: { ...emptyConfiguration, voters: [1, 2, 3].map(toReplicaId) } },
});

test('what a majority gives is not asked for again', () => {
  const led = group(follower(2), follower(3));
  assert.deepEqual(
    [0, 1, 2, 3].map((wanted) => beyondMajority(wanted, led)),
    [null, null, null, 3],
  );
});

test('sem-A10: voters count that are heard, fed, and not far behind; learners do not', () => {
  const now = 10_000;
  const count = (...followers: FollowerStatus[]): number => liveVoters(group(...followers), now, limits);
  assert.equal(count(follower(2), follower(3)), 3);
  assert.equal(count(follower(2), follower(3, { heardMs: now - 2_000 })), 3, 'heard just in time');
  assert.equal(count(follower(2), follower(3, { heardMs: now - 2_001 })), 2, 'silent');
  assert.equal(count(follower(2), follower(3, { state: 'probe' })), 2, 'not fed');
  assert.equal(count(follower(2), follower(3, { state: 'lost' })), 2, 'lost its disk');
  assert.equal(count(follower(2), follower(4)), 2, 'a learner');
  const far = { ...group(follower(2), follower(3, { match: toLogIndex(0) })), commitIndex: toLogIndex(1_001) };
  assert.equal(liveVoters(far, now, { ...limits, inSyncLagMax: 1_000 }), 2, 'both are: one by its match of 50 is not');
});

test('sem-A10: a new leader that has not heard of the others yet says that it is not ready, not that they are gone', () => {
  const servingSince = 9_500;
  const unheard = group(follower(2, { heardMs: 9_600 }), follower(3, { heardMs: -Infinity, state: 'probe' }));
  const early = refuseTooFew(unheard, 3, 9_700, servingSince, limits);
  assert.equal(early?.error.code, 'LEADER_NOT_AVAILABLE');
  const later = refuseTooFew(unheard, 3, servingSince + limits.inSyncHeardMs, servingSince, limits);
  assert.equal(later?.error.code, 'NOT_ENOUGH_REPLICAS');
  assert.deepEqual(later.error.fields, { required: '3', actual: '2' });
  assert.equal(refuseTooFew(group(follower(2), follower(3)), 3, 10_000, servingSince, limits), null);
});
