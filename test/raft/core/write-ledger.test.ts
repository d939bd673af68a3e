import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toLogIndex, toReplicaId, toTerm } from '../../../src/model/ids.ts';
import { WriteLedger } from '../../../src/raft/core/write-ledger.ts';

const index = toLogIndex;
const write = (number: number, lastIndex: number, term = 1, vote: number | null = null) => {
  const at = { number, lastIndex: index(lastIndex), lastTerm: toTerm(term), term: toTerm(term) };
  return { ...at, vote: vote === null ? null : toReplicaId(vote) };
};

test('what is durable is what the newest completed write ended with', () => {
  const ledger = new WriteLedger(index(3), toTerm(1), null);
  ledger.handedOut(write(1, 5));
  ledger.handedOut(write(2, 9));
  assert.equal(ledger.durableIndex, 3);
  assert.equal(ledger.completed(1, index(5), toTerm(1)), true);
  assert.equal(ledger.durableIndex, 5);
  assert.equal(ledger.busy, true);
  ledger.completed(2, index(9), toTerm(1));
  assert.deepEqual([ledger.durableIndex, ledger.busy], [9, false]);
});

test('pit-P22: a write that a truncation overtook makes durable only what the truncation left', () => {
  const ledger = new WriteLedger(index(3), toTerm(1), null);
  ledger.handedOut(write(1, 8));
  ledger.truncated(index(5));
  ledger.handedOut(write(2, 6, 2));
  ledger.completed(1, index(8), toTerm(1));
  assert.equal(ledger.durableIndex, 5);
  ledger.completed(2, index(6), toTerm(2));
  assert.equal(ledger.durableIndex, 6);
});

test('a completion that was counted already changes nothing', () => {
  const ledger = new WriteLedger(index(0), toTerm(0), null);
  ledger.handedOut(write(1, 4));
  ledger.completed(1, index(4), toTerm(1));
  ledger.truncated(index(2));
  assert.equal(ledger.completed(1, index(4), toTerm(1)), false);
  assert.equal(ledger.durableIndex, 2);
});

test('raft-7: a log that wrote something else than it was handed breaks an invariant', () => {
  const ledger = new WriteLedger(index(0), toTerm(0), null);
  ledger.handedOut(write(1, 4));
  assert.throws(() => ledger.completed(1, index(5), toTerm(1)), /raft-7/);
});

test('a vote is durable once the write that carried it is', () => {
  const ledger = new WriteLedger(index(0), toTerm(1), null);
  ledger.handedOut(write(1, 0, 2, 7));
  assert.equal(ledger.isDurable(toTerm(2), toReplicaId(7)), false);
  ledger.completed(1, index(0), toTerm(2));
  assert.equal(ledger.isDurable(toTerm(2), toReplicaId(7)), true);
  assert.equal(ledger.isDurable(toTerm(2), null), false);
});
