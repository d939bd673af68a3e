/**
 * A short search of every scope, and the proof that the search sees: defects that are planted in the core must be found.
 * The long search is `npm run model-check`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ids } from '../raft/core/cluster.ts';
import type { Patch } from './exposed-core.ts';
import { exposeCore } from './exposed-core.ts';
import { explore } from './explore.ts';
import { alwaysMeet } from './invariants.ts';
import { scopes } from './scopes.ts';
import { StateQueue } from './state-queue.ts';
import { StateSet } from './state-set.ts';

const statesMax = 40_000;
const scopeOf = (name: string) => scopes.find((scope) => scope.name === name)!;

test('no state near the beginning of any scope breaks an invariant', async () => {
  const makeNode = await exposeCore();
  for (const scope of scopes) {
    const { violation, states, exhausted } = explore(scope, makeNode, { statesMax, secondsMax: Infinity });
    assert.equal(violation, null, violation?.trace.join('\n'));
    assert.ok(exhausted || states >= statesMax, `${scope.name}: ${states} states`);
  }
});

const planted: readonly (Patch & { readonly name: string; readonly scope: string; readonly found: string })[] = [
  {
    name: 'a quorum of half (inv-I6)',
    file: 'src/raft/core/quorum.ts',
    search: 'Math.floor(count / 2) + 1',
    replace: 'Math.floor(count / 2)',
    scope: 'elections',
    found: 'inv-I6',
  },
  {
    name: 'pit-P1: a vote is told before it is durable',
    file: 'src/raft/core/voter.ts',
    search: "replica.sendAfterPersist({ kind: 'vote-reply'",
    replace: "replica.send({ kind: 'vote-reply'",
    scope: 'elections',
    found: 'inv-I8',
  },
  {
    name: 'pit-P4: the vote is forgotten with the role',
    file: 'src/raft/core/replica.ts',
    search: "    this.role = { kind: 'follower' };\n    this.leader = leader;",
    replace: "    this.vote = null;\n    this.role = { kind: 'follower' };\n    this.leader = leader;",
    scope: 'elections',
    found: 'inv-I8',
  },
  {
    name: 'pit-P5: the longer log wins',
    file: 'src/raft/core/voter.ts',
    search: 'request.lastTerm - replica.log.lastTerm || ',
    replace: '',
    scope: 'figure 8',
    found: 'inv-I4',
  },
  {
    name: 'pit-P17: entries of older terms are counted',
    file: 'src/raft/core/commit.ts',
    search: ' || replica.log.termAt(index) !== replica.term',
    replace: '',
    scope: 'figure 8',
    found: 'inv-I4',
  },
  {
    name: 'pit-P23: an acknowledgement leaves before the entries are durable',
    file: 'src/raft/core/follower.ts',
    search: "replica.sendAfterPersist({ kind: 'append-reply'",
    replace: "replica.send({ kind: 'append-reply'",
    scope: 'elections',
    found: 'inv-I6',
  },
];

for (const { name, scope, found, ...patch } of planted) {
  test(`the search finds what is planted: ${name}`, async () => {
    const { violation } = explore(scopeOf(scope), await exposeCore([patch]), {
      statesMax: 200_000,
      secondsMax: Infinity,
    });
    assert.equal(violation?.invariant, found);
    assert.ok(violation.trace.length > 1, 'the way there is told');
  });
}

test('a patch that fits nowhere is refused', async () => {
  await assert.rejects(exposeCore([{ file: 'src/raft/core/quorum.ts', search: 'not there', replace: '' }]));
});

test('two configurations always meet if no two quorums of them are apart', () => {
  const of = (voters: number[], outgoing: number[] = []) => {
    return { revision: 0, voters: ids(...voters), outgoing: ids(...outgoing), learners: [] };
  };
  assert.ok(alwaysMeet(of([1, 2, 3]), of([1, 2])));
  assert.ok(alwaysMeet(of([1, 2, 3]), of([1, 2, 3, 4])));
  assert.ok(!alwaysMeet(of([1, 2, 3]), of([3, 4, 5])));
  assert.ok(alwaysMeet(of([1, 2, 3]), of([3, 4, 5], [1, 2, 3])));
  assert.ok(alwaysMeet(of([3, 4, 5], [1, 2, 3]), of([3, 4, 5])));
});

test('the set tells new states from known ones, also while it grows', () => {
  const set = new StateSet(4);
  const states = Array.from({ length: 5_000 }, (_, i) => [i % 7, i, 3]);
  for (const state of states) assert.equal(set.add(state), true);
  for (const state of states) assert.equal(set.add(state), false);
  assert.equal(set.size, states.length);
  assert.equal(set.add([0, 0]), true);
});

test('the queue gives back what was put in, in order, and the way to it', () => {
  const queue = new StateQueue();
  queue.add([7], -1);
  assert.deepEqual(queue.take(), [7]);
  queue.add([1, 2], 10);
  queue.add([3], 11);
  assert.deepEqual(queue.take(), [1, 2]);
  queue.add([4, 5, 6], 12);
  assert.deepEqual(queue.take(), [3]);
  assert.deepEqual(queue.wayHere(), [11]);
  assert.deepEqual(queue.take(), [4, 5, 6]);
  assert.deepEqual(queue.wayHere(), [10, 12]);
  assert.equal(queue.take(), null);
  assert.equal(queue.depth, 2);
});
