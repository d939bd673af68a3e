import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeavingPlace, PartitionPlace, ReplicaPlace, TopicEntry } from '../../src/broker/catalog-commands.ts';
import { defaultBrokerLimits } from '../../src/broker/limits.ts';
import type { Startable } from '../../src/broker/local-groups.ts';
import { LocalGroups } from '../../src/broker/local-groups.ts';
import { silentBrokerObserver } from '../../src/broker/observer.ts';
import type { GroupNumber } from '../../src/model/ids.ts';
import { toBrokerId, toGroupNumber, toMillis, toReplicaId } from '../../src/model/ids.ts';
import type { GroupSpec, RaftHost, StateMachine } from '../../src/raft/group.ts';
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

interface Bench {
  readonly local: LocalGroups;
  readonly made: GroupSpec[];
  /** Groups that were called missing. */
  readonly missing: GroupNumber[];
}

function groups(isNewest: () => boolean = () => true): Bench {
  const made: GroupSpec[] = [];
  const missing: GroupNumber[] = [];
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
  const observer = { ...silentBrokerObserver, groupMissing: (group: GroupNumber) => missing.push(group) };
  const local = new LocalGroups({ host, identity, clock, limits: defaultBrokerLimits, observer, isNewest });
  return { local, made, missing };
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

test('local-2: what an old catalog calls opened is not called missing until the newest one does too', async () => {
  let isNewest = false;
  const { local, missing } = groups(() => isNewest);
  const told: string[] = [];
  const machine = { quarantined: (reason: string) => told.push(reason) } as unknown as StateMachine;
  const startable = (): Startable => ({ machine, opened: () => assert.fail('there is nothing to start') });
  const opened = topicOf({ replicas: [at(founding, here, true)] });
  await local.start(opened, startable);
  assert.deepEqual([missing, told, local.setApart, local.absent(opened)], [[], [], [], [group]]);
  isNewest = true;
  await local.start(opened, startable);
  assert.deepEqual([missing, told.length, local.setApart.length, local.absent(opened)], [[group], 1, 1, []]);
});

test('what the group does without is not missing when it is gone: a crash came before the catalog was told', async () => {
  const { local, missing } = groups();
  const left = topicOf({ reached: 1, leaving: [leaves(at(founding, here, true), 1)] });
  assert.deepEqual(local.dispensable(left), [group]);
  assert.deepEqual(local.absent(left), []);
  await local.start(left, () => assert.fail('nothing starts'));
  assert.deepEqual(missing, []);
});
