/** What a group's leader does next, as tables: from a configuration and what is desired to the step. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GroupView, PlacementStep } from '../../src/broker/placement-plan.ts';
import { planPlacement, stepsPerRevision } from '../../src/broker/placement-plan.ts';
import type { ReplicaId } from '../../src/model/ids.ts';
import { toLogIndex, toReplicaId } from '../../src/model/ids.ts';
import type { FollowerStatus } from '../../src/raft/core/progress.ts';

interface Seen {
  readonly voters: readonly number[];
  readonly learners?: readonly number[];
  readonly outgoing?: readonly number[];
  /** Of the configuration in force. */
  readonly at?: number;
  readonly committed?: boolean;
  /** Those who are not level with the leader's log, 5,000 entries. */
  readonly behind?: readonly number[];
}

function view(desired: readonly number[], revision: number, seen: Seen): GroupView {
  const { voters, learners = [], outgoing = [], at = 0, committed = true, behind = [] } = seen;
  const ids = (list: readonly number[]): readonly ReplicaId[] => list.map(toReplicaId);
  const followers = ids([...voters, ...learners]).map((id): FollowerStatus => {
    const match = toLogIndex(behind.includes(id) ? 1 : 5_000);
    return { id, state: 'replicate', match, next: match, heardMs: 0, inFlightBytes: 0, reading: false };
  });
  const configuration = { revision: at, voters: ids(voters), outgoing: ids(outgoing), learners: ids(learners) };
  const index = toLogIndex(10);
  const commitIndex = toLogIndex(committed ? 10 : 9);
  const membership = { index, configuration };
  const lastIndex = toLogIndex(5_000);
  return { replicas: ids(desired), revision, membership, commitIndex, lastIndex, followers, lagMax: 1_000 };
}

function said(step: PlacementStep): string {
  if (step.kind === 'reached') return 'reached';
  if (step.kind === 'wait') return step.why;
  const { revision, voters, learners } = step.target;
  return `r${revision} ${voters.join(' ')}${learners.length > 0 ? ` + ${learners.join(' ')}` : ''}`;
}

const one = stepsPerRevision;

const table: readonly (readonly [string, readonly number[], number, Seen, string])[] = [
  ['a group as it was founded is where it shall be', [1, 2, 3], 0, { voters: [1, 2, 3] }, 'reached'],
  ['pit-P56: a new replica begins as a learner', [1, 2, 4], 1, { voters: [1, 2, 3] }, `r${one} 1 2 3 + 4`],
  ['pit-P56: and waits until it has caught up', [1, 2, 4], 1, { voters: [1, 2, 3], learners: [4], at: one, behind: [4] }, 'learner-behind'],
  ['then it comes and the old one goes at once', [1, 2, 4], 1, { voters: [1, 2, 3], learners: [4], at: one }, `r${one + 1} 1 2 4`],
  ['nothing is asked for while a change is not committed', [1, 2, 4], 1, { voters: [1, 2, 3], learners: [4], at: one, committed: false }, 'change-in-progress'],
  ['nor in a joint phase', [1, 2, 4], 1, { voters: [1, 2, 4], outgoing: [1, 2, 3], at: one + 1 }, 'change-in-progress'],
  ['it is reached when all of it is committed', [1, 2, 4], 1, { voters: [1, 2, 4], at: one + 1 }, 'reached'],
  ['pit-P65: a move that is taken back takes its learner with it', [1, 2, 3], 2, { voters: [1, 2, 3], learners: [4], at: one, behind: [4] }, `r${2 * one} 1 2 3`],
  ['pit-P65: another target instead of the first', [1, 2, 5], 2, { voters: [1, 2, 3], learners: [4], at: one, behind: [4] }, `r${2 * one} 1 2 3 + 5`],
  ['pit-P64: a leader that knows an older placement changes nothing', [1, 2, 4], 1, { voters: [1, 2, 3], at: 2 * one }, 'older-placement'],
  ['placement-2: the same members under a new revision are confirmed', [3, 2, 1], 1, { voters: [1, 2, 3] }, `r${one} 3 2 1`],
  ['placement-2: and reached after that', [3, 2, 1], 1, { voters: [3, 2, 1], at: one }, 'reached'],
  ['more replicas: all of them come together', [1, 2, 3], 1, { voters: [1], learners: [2, 3], at: one }, `r${one + 1} 1 2 3`],
  ['more replicas: one that is behind is waited for', [1, 2, 3], 1, { voters: [1], learners: [2, 3], at: one, behind: [3] }, 'learner-behind'],
  ['fewer replicas need nobody to catch up', [1], 1, { voters: [1, 2, 3], behind: [2, 3] }, `r${one} 1`],
  ['a leader that shall go leaves with the others', [4, 5, 6], 1, { voters: [1, 2, 3], learners: [4, 5, 6], at: one }, `r${one + 1} 4 5 6`],
  ['a learner that fell back is not promoted', [1, 4], 3, { voters: [1], learners: [4], at: 3 * one + 7, behind: [4] }, 'learner-behind'],
]; // prettier-ignore

for (const [what, desired, revision, seen, expected] of table) {
  test(what, () => {
    assert.equal(said(planPlacement(view(desired, revision, seen))), expected);
  });
}

test('pit-P64 pit-P65: however placements follow each other, the group gets to the last one and never shrinks below the smaller', () => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(fc.tuple(ids, fc.integer({ min: 0, max: 4 })), { minLength: 1, maxLength: 6 }), (moves) => {
      let seen: Seen & { at: number } = { voters: [1, 2, 3], at: 0 };
      let least = 3;
      const take = (desired: readonly number[], revision: number): boolean => {
        const step = planPlacement(view(desired, revision, seen));
        if (step.kind !== 'change') return false;
        const { voters, learners } = step.target;
        assert.ok(step.target.revision > seen.at, 'raft-10: a revision rises with each change');
        const promoted = voters.filter((id) => !seen.voters.includes(id));
        assert.ok(
          promoted.every((id) => seen.learners?.includes(id)),
          'placement-1: who votes was a learner',
        );
        seen = { voters, learners, at: step.target.revision };
        return true;
      };
      moves.forEach(([desired, steps], at) => {
        least = Math.min(least, desired.length);
        for (let step = 0; step < steps; step++) take(desired, at + 1);
        assert.ok(seen.voters.length >= least, 'placement-1: never fewer voters than wanted');
        // somebody who still knows the placement before can do nothing any more once this one has begun
        if (seen.at >= (at + 1) * one) assert.equal(take([1, 2, 3], at), false);
      });
      const [last] = moves.at(-1)!;
      for (let step = 0; step < 4 && take(last, moves.length); step++);
      assert.deepEqual([...seen.voters].sort(), [...last].sort());
      assert.equal(said(planPlacement(view(last, moves.length, seen))), 'reached');
    }),
  );
});
