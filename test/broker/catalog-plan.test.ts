/** Who shall take part in the catalog, as a table: from what its leader sees to the next configuration. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BrokerEntry } from '../../src/broker/catalog-commands.ts';
import type { CatalogView } from '../../src/broker/catalog-plan.ts';
import { planCatalogMembers } from '../../src/broker/catalog-plan.ts';
import { defaultBrokerLimits } from '../../src/broker/limits.ts';
import { toBrokerId, toLogIndex, toReplicaId } from '../../src/model/ids.ts';

const nowMs = 10_000_000;
const longAgo = nowMs - defaultBrokerLimits.brokerDeadMs;

interface Seen {
  /** Brokers by their replica of the catalog. */
  readonly brokers: readonly number[];
  readonly racks?: Readonly<Record<number, string>>;
  readonly notJoined?: readonly number[];
  /** Those that are decommissioned. */
  readonly leaving?: readonly number[];
  readonly voters: readonly number[];
  readonly learners?: readonly number[];
  readonly outgoing?: readonly number[];
  readonly committed?: boolean;
  /** Replicas that were not heard for as long as makes them dead. */
  readonly dead?: readonly number[];
  /** Replicas that are not fed from the log yet. */
  readonly probing?: readonly number[];
  readonly leaderSinceMs?: number;
  readonly replacedMs?: number;
}

function broker(replica: number, seen: Seen): BrokerEntry {
  return {
    brokerId: toBrokerId(replica - 1),
    address: '',
    peerAddress: null,
    rack: seen.racks?.[replica] ?? null,
    incarnation: `disk-${replica}`,
    version: '0.1.0',
    catalogReplica: toReplicaId(replica),
    joined: seen.notJoined?.includes(replica) !== true,
    ...(seen.leaving?.includes(replica) === true ? { duty: 'decommissioning' } : {}),
  };
}

function plan(seen: Seen): string {
  const { voters, learners = [], outgoing = [], dead = [], probing = [], committed = true } = seen;
  const ids = (list: readonly number[]): CatalogView['membership']['configuration']['voters'] => list.map(toReplicaId);
  const view: CatalogView = {
    brokers: seen.brokers.map((replica) => broker(replica, seen)),
    self: toReplicaId(1),
    membership: {
      index: toLogIndex(5),
      configuration: { revision: 7, voters: ids(voters), outgoing: ids(outgoing), learners: ids(learners) },
    },
    commitIndex: toLogIndex(committed ? 5 : 4),
    followers: ids([...voters, ...learners].filter((id) => id !== 1)).map((id) => ({
      id,
      state: probing.includes(id) ? 'probe' : 'replicate',
      match: toLogIndex(5),
      next: toLogIndex(6),
      heardMs: dead.includes(id) ? longAgo : nowMs - 100,
      inFlightBytes: 0,
      reading: false,
    })),
    nowMs,
    leaderSinceMs: seen.leaderSinceMs ?? longAgo - 1,
    replacedMs: seen.replacedMs ?? -Infinity,
  };
  const planned = planCatalogMembers(view, defaultBrokerLimits);
  if (planned === null) return 'nothing';
  const { revision, voters: wanted, learners: rest } = planned.target;
  assert.equal(revision, 8);
  return `${wanted.join(' ')} + ${rest.join(' ')}`;
}

const table: readonly (readonly [string, Seen, string])[] = [
  ['a founder alone', { brokers: [1], voters: [1] }, 'nothing'],
  ['a broker that joined becomes a learner', { brokers: [1, 2], voters: [1] }, '1 + 2'],
  ['one that has not made its replica yet does not', { brokers: [1, 2], voters: [1], notJoined: [2] }, 'nothing'],
  ['catalog-plan-2: two do not vote', { brokers: [1, 2], voters: [1], learners: [2] }, 'nothing'],
  ['catalog-plan-2: three do, at once', { brokers: [1, 2, 3], voters: [1], learners: [2, 3] }, '1 2 3 + '],
  ['pit-P56: not before they are fed', { brokers: [1, 2, 3], voters: [1], learners: [2, 3], probing: [3] }, 'nothing'],
  ['nor when they are silent', { brokers: [1, 2, 3], voters: [1], learners: [2, 3], dead: [3] }, 'nothing'],
  ['three are enough', { brokers: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4] }, 'nothing'],
  ['the vote of a dead one goes to a learner', { brokers: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4], dead: [2] }, '1 3 4 + 2'],
  ['catalog-plan-3: but only to one that is there', { brokers: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4], dead: [2, 4] }, 'nothing'],
  ['one at a time', { brokers: [1, 2, 3, 4, 5], voters: [1, 2, 3], learners: [4, 5], dead: [2, 3] }, '1 3 4 + 5 2'],
  ['and not soon after another', { brokers: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4], dead: [2], replacedMs: nowMs - 1_000 }, 'nothing'],
  ['a new leader gives everybody time to be heard', { brokers: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4], dead: [2], leaderSinceMs: nowMs - 1_000 }, 'nothing'],
  ['a learner whose broker was removed goes', { brokers: [1, 2, 3], voters: [1, 2, 3], learners: [4] }, '1 2 3 + '],
  ['a voter whose broker was removed goes, and another one comes', { brokers: [1, 3, 4], voters: [1, 2, 3], learners: [4] }, '1 3 4 + '],
  ['it goes also if nobody can come', { brokers: [1, 3], voters: [1, 2, 3] }, '1 3 + '],
  ['catalog-plan-4: a voter that is decommissioned gives its vote to a learner', { brokers: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4], leaving: [3] }, '1 2 4 + 3'],
  ['it keeps it while nobody can have it', { brokers: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4], leaving: [3], probing: [4] }, 'nothing'],
  ['nor does one get it that goes too', { brokers: [1, 2, 3, 4, 5], voters: [1, 2, 3], learners: [4, 5], leaving: [3, 4] }, '1 2 5 + 3 4'],
  ['one that goes is no third voter', { brokers: [1, 2, 3], voters: [1], learners: [2, 3], leaving: [3] }, 'nothing'],
  ['a leader that goes hands the leadership over first', { brokers: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4], leaving: [1] }, 'nothing'],
  ['unless it votes alone', { brokers: [1, 2], voters: [1], learners: [2], leaving: [1] }, '2 + 1'],
  ['the dead come first', { brokers: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4], dead: [2], leaving: [3] }, '1 3 4 + 2'],
  ['no rack has two votes while another has none', { brokers: [1, 2, 3, 4], racks: { 1: 'a', 2: 'a', 3: 'b', 4: 'c' }, voters: [1], learners: [2, 3, 4] }, '1 3 4 + 2'],
  ['nothing while a change is under way', { brokers: [1, 2], voters: [1], committed: false }, 'nothing'],
  ['nothing in a joint phase', { brokers: [1, 2, 3], voters: [1, 2], outgoing: [1, 3] }, 'nothing'],
]; // prettier-ignore

for (const [what, seen, expected] of table) {
  test(what, () => {
    const planned = plan(seen);
    const sorted = (text: string): string => text.split(' + ').map((part) => part.split(' ').sort().join(' ')).join(' + '); // prettier-ignore
    assert.equal(sorted(planned), sorted(expected));
  });
}
