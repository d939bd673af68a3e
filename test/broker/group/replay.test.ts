/** What the log must never hold: replay refuses it, whoever wrote it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantViolation } from '../../../src/model/assert.ts';
import { toMemberEpoch, toOffset } from '../../../src/model/ids.ts';
import { assignmentOf, nothing } from '../../../src/broker/group/assignment.ts';
import type { GroupRecord } from '../../../src/broker/group/records.ts';
import { Bench, groupRef } from './bench.ts';

const epochOf = toMemberEpoch;
const topicOf = (bench: Bench): string => bench.topics.find(0, 't')?.topicId ?? '';

/** A group of two members, m1 with partition 0 and m2 with partition 1. */
function benchOfTwo(): Bench {
  const bench = new Bench({ membersMax: 2 });
  bench.topics.create('t', 2);
  bench.join(['t']);
  bench.join(['t']);
  bench.beat('m1');
  bench.beat('m1');
  bench.beat('m2');
  return bench;
}

function breaks(invariant: string, bench: Bench, ...records: GroupRecord[]): void {
  assert.throws(
    () => {
      bench.applyEntry({ ...groupRef, guard: null, records });
    },
    (error) => error instanceof InvariantViolation && error.invariant === invariant,
  );
}

const commitBy = (bench: Bench, memberId: string | null, memberEpoch: number, partition: number): GroupRecord => ({
  kind: 'offsets-committed',
  memberId,
  stamp: { memberEpoch, sequence: 1 },
  catalogRevision: 1,
  offsets: [{ topic: 't', topicId: topicOf(bench), partition, offset: toOffset(1), leaderEpoch: null, metadata: '' }],
});

const profile = { clientId: '', topics: ['t'], instanceId: null, rack: null };

test('inv-B7, group-1: one partition at two members', () => {
  const bench = benchOfTwo();
  const { epoch, assigned } = bench.member('m1');
  const both = assignmentOf([[topicOf(bench), [0, 1]]]);
  breaks('group-1', bench, { kind: 'member-assigned', memberId: 'm1', epoch, assigned: both, revoking: nothing });
  const other = benchOfTwo();
  breaks('group-1', other, { kind: 'member-assigned', memberId: 'm1', epoch, assigned, revoking: assigned });
});

test('inv-B7, group-2: an epoch that was given before, or that skips one', () => {
  for (const step of [0, 2]) {
    const bench = benchOfTwo();
    const epoch = epochOf(bench.group.epoch + step);
    breaks('group-2', bench, { kind: 'member-resumed', memberId: 'm1', nonceHash: '', profile, epoch });
  }
  const bench = benchOfTwo();
  const { assigned } = bench.member('m1');
  breaks('group-2', bench, { kind: 'member-assigned', memberId: 'm1', epoch: epochOf(1), assigned, revoking: nothing });
});

test('inv-B7, group-4: targets that overlap, or leave a partition out', () => {
  const bench = benchOfTwo();
  const topics = [{ topic: 't', topicId: topicOf(bench), partitionCount: 2 }];
  const target = (partitions: number[]) => assignmentOf([[topicOf(bench), partitions]]);
  const change = (partitions: number[]): GroupRecord => ({
    kind: 'target-changed',
    catalogRevision: 1,
    topics,
    targets: [{ memberId: 'm1', target: target(partitions) }],
  });
  breaks('group-4', bench, change([0, 1]));
  breaks('group-4', benchOfTwo(), change([]));
  breaks('group-4', benchOfTwo(), change([0, 2]));
});

test('pit-P109, group-5: a commit by who is not current, holds nothing, or is a tool among members', () => {
  const bench = benchOfTwo();
  breaks('group-5', bench, commitBy(bench, 'm1', Number(bench.member('m1').epoch) - 1, 0));
  breaks('group-5', bench, commitBy(bench, 'm1', bench.member('m1').epoch, 1));
  breaks('group-5', bench, commitBy(bench, null, 0, 0));
  breaks('must', bench, commitBy(bench, 'm3', 1, 0));
});

test('group-7: created twice, joined twice, deleted with members', () => {
  const bench = benchOfTwo();
  breaks('group-7', bench, { kind: 'group-created', assignor: 'range', catalogRevision: 1 });
  breaks('group-7', bench, { kind: 'group-deleted' });
  const joined = { memberId: 'm1', nonceHash: '', profile };
  breaks('group-7', bench, { kind: 'member-joined', ...joined, epoch: epochOf(bench.group.epoch + 1) });
  breaks('group-7', bench, { kind: 'member-away', memberId: 'm1', epoch: epochOf(bench.group.epoch + 1) });
  breaks('must', bench, { kind: 'member-left', memberId: 'nobody', reason: 'left' });
});

test('records for a group that does not exist', () => {
  breaks('must', new Bench(), { kind: 'group-deleted' });
});
