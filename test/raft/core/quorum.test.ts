import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaId } from '../../../src/model/ids.ts';
import type { Configuration } from '../../../src/raft/core/configuration.ts';
import { isQuorum, majorityOf, reachedByQuorum, tally } from '../../../src/raft/core/quorum.ts';
import { SeededRandom } from '../../fakes/seeded-random.ts';
import { ids } from './cluster.ts';

const of = (voters: number[], outgoing: number[] = []): Configuration => {
  return { revision: 1, voters: ids(...voters), outgoing: ids(...outgoing), learners: ids(90, 91) };
};

test('a majority is more than half', () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7].map(majorityOf), [1, 2, 2, 3, 3, 4, 4]);
});

test('the value that a quorum reached, against counting by hand, for single and joint configurations', () => {
  const random = new SeededRandom(5);
  const members = [1, 2, 3, 4, 5, 6, 7];
  for (let round = 0; round < 2_000; round++) {
    const some = (): number[] => members.filter(() => random.below(2) === 0);
    const [voters, outgoing] = [some(), random.below(2) === 0 ? some() : []];
    const values = new Map(members.map((id) => [id, random.below(6)]));
    const valueOf = (id: ReplicaId): number => values.get(id) ?? 0;
    const reached = (half: number[], least: number): boolean =>
      half.length === 0 ? least === 0 : half.filter((id) => (values.get(id) ?? 0) >= least).length > half.length / 2;
    const both = (least: number): boolean =>
      reached(voters, least) && (outgoing.length === 0 || reached(outgoing, least));
    const expected = Math.max(...[0, 1, 2, 3, 4, 5].filter((least) => least === 0 || both(least)));
    assert.equal(reachedByQuorum(of(voters, outgoing), valueOf), expected, JSON.stringify({ voters, outgoing }));
  }
});

test('pit-P55: a joint election needs both majorities, and one lost half loses it', () => {
  const joint = of([1, 4, 5], [1, 2, 3]);
  const votes = (yes: number[], no: number[]): Map<ReplicaId, boolean> =>
    new Map([...ids(...yes).map((id) => [id, true] as const), ...ids(...no).map((id) => [id, false] as const)]);
  assert.equal(tally(joint, votes([1, 4, 5], [])), 'open');
  assert.equal(tally(joint, votes([1, 4, 2], [])), 'won');
  assert.equal(tally(joint, votes([1, 4, 5], [2, 3])), 'lost');
  assert.equal(tally(joint, votes([90, 91], [])), 'open', 'learners do not vote');
});

test('without voters nothing is decided', () => {
  assert.equal(
    isQuorum(of([]), () => true),
    false,
  );
  assert.equal(tally(of([]), new Map()), 'lost');
});
