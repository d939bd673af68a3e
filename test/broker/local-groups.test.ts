import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeavingPlace, PartitionPlace, ReplicaPlace, TopicEntry } from '../../src/broker/catalog-commands.ts';
import { defaultBrokerLimits } from '../../src/broker/limits.ts';
import { LocalGroups } from '../../src/broker/local-groups.ts';
import { silentBrokerObserver } from '../../src/broker/observer.ts';
import { toBrokerId, toGroupNumber, toMillis, toReplicaId } from '../../src/model/ids.ts';
import type { GroupSpec, RaftHost } from '../../src/raft/group.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

const [here, there] = [toBrokerId(1), toBrokerId(2)];
const group = toGroupNumber(5);
const [founding, other, later] = [toReplicaId(11), toReplicaId(12), toReplicaId(13)];

const at = (replicaId: typeof founding, brokerId: typeof here, opened: boolean): ReplicaPlace => ({
  ...{ replicaId, brokerId, incarnation: `disk-${brokerId}`, opened },
});
const leaves = (place: ReplicaPlace, leftAt: number): LeavingPlace => ({ ...place, leftAt });

function topicOf(place: Partial<PartitionPlace>): TopicEntry {
  const whole = { group, revision: 1, reached: 0, genesis: [founding, other], replicas: [], leaving: [], ...place };
  return {
    ...{ tenant: 0, name: 'a', topicId: 'id', internal: false, groupKind: 'data', replicationFactor: 2 },
    ...{ createdAtMs: toMillis(0), partitions: [whole] },
  } as unknown as TopicEntry;
}

function groups(): { readonly local: LocalGroups; readonly made: GroupSpec[] } {
  const made: GroupSpec[] = [];
  const host = {
    create: (spec: GroupSpec) => {
      made.push(spec);
      return Promise.resolve();
    },
  } as unknown as RaftHost;
  const identity = {
    ...{ clusterId: 'c', brokerId: here, incarnation: 'disk-1', address: '', peerAddress: null, rack: null },
    version: '',
  };
  const clock = new ManualClock();
  const local = new LocalGroups({ host, identity, clock, limits: defaultBrokerLimits, observer: silentBrokerObserver });
  return { local, made };
}

test('pit-P56: a founding voter that was moved away before it was made is made, or its group has no majority', async () => {
  const { local, made } = groups();
  const moved = topicOf({ replicas: [at(later, there, false)], leaving: [leaves(at(founding, here, false), 1)] });
  assert.deepEqual(local.unopened(moved), moved.partitions);
  await local.create(moved.partitions, 'data');
  assert.deepEqual(made, [{ group, replicaId: founding, voters: [founding, other] }]);
});

test('what leaves is not made if the group does without it, if it was there, or if it did not found the group', () => {
  const { local } = groups();
  const leaving = (place: LeavingPlace, reached = 0): TopicEntry => topicOf({ leaving: [place], reached });
  assert.deepEqual(local.unopened(leaving(leaves(at(founding, here, false), 1), 1)), []);
  assert.deepEqual(local.unopened(leaving(leaves(at(founding, here, true), 1))), []);
  assert.deepEqual(local.unopened(leaving(leaves(at(later, here, false), 1))), []);
  assert.deepEqual(local.unopened(leaving(leaves(at(founding, there, false), 1))), []);
});
