import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DepartingGroup, Handed } from '../../src/broker/handover-plan.ts';
import { planHandover } from '../../src/broker/handover-plan.ts';
import type { GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import { toGroupNumber, toLogIndex, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { FollowerStatus } from '../../src/raft/core/progress.ts';

const nowMs = 10_000;
const limits = { handoversMax: 2, handoverTryMs: 1_000, handoverHeardMs: 1_000, promotionLagMax: 10 };
const replica = (n: number): ReplicaId => toReplicaId(n);

function follower(id: number, changes: Partial<FollowerStatus> = {}): FollowerStatus {
  const at = { match: toLogIndex(100), next: toLogIndex(101) };
  const fed = { heardMs: nowMs - 100, inFlightBytes: 0, reading: false };
  return { id: replica(id), state: 'replicate', ...at, ...fed, ...changes };
}

const led = (group: number, followers: readonly FollowerStatus[]): DepartingGroup => ({
  group: toGroupNumber(group),
  role: { role: 'leader', term: toTerm(1), leader: replica(1), serving: true },
  voters: [replica(1), replica(2), replica(3)],
  lastIndex: toLogIndex(100),
  followers,
});

interface Circumstances {
  readonly handed?: ReadonlyMap<GroupNumber, Handed>;
  readonly departing?: readonly number[];
}

const plan = (
  groups: readonly DepartingGroup[],
  { handed = new Map(), departing = [] }: Circumstances = {},
): { readonly to: string; readonly isOpen: boolean } => {
  const isDeparting = (one: ReplicaId): boolean => departing.some((id) => replica(id) === one);
  const { transfers, isOpen } = planHandover({ groups, handed, isDeparting, nowMs, limits });
  return { to: transfers.map(({ group, to }) => `${group}>${to}`).join(), isOpen };
};

test('only a voter that is heard, level and stays takes a leadership', () => {
  const other = follower(3);
  const cases: readonly [string, FollowerStatus, string, readonly number[]][] = [
    ['silent', follower(2, { heardMs: nowMs - 1_000 }), '4>3', []],
    ['lost', follower(2, { state: 'lost' }), '4>3', []],
    ['probed', follower(2, { state: 'probe' }), '4>3', []],
    ['behind', follower(2, { match: toLogIndex(89) }), '4>3', []],
    ['a learner', follower(9), '4>3', []],
    ['stops as well', follower(2), '4>3', [2]],
    ['level', follower(2, { match: toLogIndex(90) }), '4>2', []],
  ];
  for (const [what, one, expected, departing] of cases) {
    assert.deepEqual(plan([led(4, [one, other])], { departing }), { to: expected, isOpen: true }, what);
  }
});

test('who is behind is waited for; who is silent, lost or stops as well is not', () => {
  assert.deepEqual(plan([led(1, [follower(2, { state: 'snapshot' })])]), { to: '', isOpen: true });
  assert.deepEqual(plan([led(1, [follower(2, { heardMs: -Infinity })])]), { to: '', isOpen: false });
  assert.deepEqual(plan([led(1, [follower(2, { state: 'lost' })])]), { to: '', isOpen: false });
  assert.deepEqual(plan([led(1, [follower(2)])], { departing: [2] }), { to: '', isOpen: false });
  assert.deepEqual(plan([led(1, [])]), { to: '', isOpen: false });
  assert.deepEqual(plan([]), { to: '', isOpen: false });
});

test('a few at once, shared by the voters, and another one is asked when the first did not take it', () => {
  const both = [follower(2), follower(3)];
  assert.equal(plan([led(4, both), led(5, both), led(6, both)]).to, '4>2,5>3');
  const asked = (sinceMs: number): Circumstances => ({
    handed: new Map([[toGroupNumber(4), { to: [replica(2)], sinceMs }]]),
  });
  assert.deepEqual(plan([led(4, both)], asked(nowMs - 999)), { to: '', isOpen: true });
  assert.equal(plan([led(4, both), led(5, both), led(6, both)], asked(nowMs - 999)).to, '5>3');
  assert.equal(plan([led(4, both)], asked(nowMs - 1_000)).to, '4>3');
});

test('it votes until the election that it asked for has a winner', () => {
  const role = { role: 'follower', term: toTerm(2), leader: null, serving: false } as const;
  const elects = { ...led(4, []), role };
  const handed = new Map([[toGroupNumber(4), { to: [replica(2)], sinceMs: nowMs - 50 }]]);
  assert.equal(plan([elects], { handed }).isOpen, true);
  assert.equal(plan([{ ...elects, role: { ...role, leader: replica(2) } }], { handed }).isOpen, false);
  assert.equal(plan([elects]).isOpen, false, 'an election that it did not ask for');
});
