import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toLogIndex } from '../../src/model/ids.ts';
import { PendingProposals } from '../../src/raft/pending-proposals.ts';

/** Proposals at these indexes, and what each of them hears. */
function pendingAt(...indexes: number[]): { pending: PendingProposals; heard: string[] } {
  const pending = new PendingProposals();
  const heard: string[] = [];
  for (const index of indexes) {
    pending.add(toLogIndex(index), {
      durable: () => heard.push(`${index} durable`),
      outcome: ({ kind }) => heard.push(`${index} ${kind}`),
    });
  }
  return { pending, heard };
}

test('pit-P30: what is committed is not unknown, though leadership ended before it was applied', () => {
  const { pending, heard } = pendingAt(2, 3, 5);
  pending.unknownAbove(toLogIndex(3), 'leadership-lost');
  assert.deepEqual(heard, ['5 unknown']);
  pending.applied(toLogIndex(3));
  assert.deepEqual(heard, ['5 unknown', '2 committed', '3 committed']);
  assert.equal(pending.size, 0);
});

test('each proposal hears once that it is durable, and once how it ended', () => {
  const { pending, heard } = pendingAt(1, 2, 3);
  pending.durable(toLogIndex(1));
  pending.durable(toLogIndex(1));
  pending.applied(toLogIndex(2));
  pending.durable(toLogIndex(3));
  pending.unknownAbove(toLogIndex(0), 'stopped');
  pending.applied(toLogIndex(3));
  assert.deepEqual(heard, ['1 durable', '1 committed', '2 committed', '3 durable', '3 unknown']);
});
