/** A follower taking a snapshot, chunk by chunk, each from the same snapshot and in order (P46). */
import { assert } from '../../model/assert.ts';
import { toLogIndex } from '../../model/ids.ts';
import type { SnapshotChunk, SnapshotReply } from './messages.ts';
import type { Receiving, Replica } from './replica.ts';
import type { SnapshotMeta } from './snapshot.ts';

export function onSnapshotChunk(replica: Replica, chunk: SnapshotChunk): void {
  const { receiving } = replica;
  // first of all: nothing, not even a late chunk of an older snapshot, may make it forget what the disk is taking (P47)
  // one chunk a Ready: what comes beside it, of this snapshot or another one, is sent again
  if (receiving?.installing === true || replica.outbox.holdsChunk) {
    replica.drop('out-of-place');
    return;
  }
  if (alreadyHas(replica, chunk.meta)) {
    if (receiving?.id === chunk.meta.id) replica.receiving = null;
    answer(replica, chunk, 'installed', chunk.meta.byteLength);
    return;
  }
  const same = receiving?.id === chunk.meta.id && receiving.term === replica.term;
  const position = same ? receiving.position : 0;
  if (chunk.position !== position) {
    replica.drop('out-of-place');
    answer(replica, chunk, 'next', position);
    return;
  }
  const next = position + chunk.bytes.length;
  replica.receiving = {
    id: chunk.meta.id,
    term: replica.term,
    position: next,
    installing: chunk.last,
    from: chunk.from,
  };
  replica.outbox.install(chunk);
  if (!chunk.last) answer(replica, chunk, 'next', next);
}

/** The snapshot brings nothing new (P43); if the log holds its last entry, what precedes it is committed (P42). */
function alreadyHas(replica: Replica, meta: SnapshotMeta): boolean {
  if (meta.lastIndex <= replica.commit) return true;
  if (replica.log.termAt(meta.lastIndex) !== meta.lastTerm) return false;
  replica.verified = toLogIndex(Math.max(replica.verified, meta.lastIndex));
  replica.advanceCommit(meta.lastIndex);
  return true;
}

function answer(replica: Replica, chunk: SnapshotChunk, result: SnapshotReply['result'], position: number): void {
  const { id: from, term } = replica;
  const snapshotId = chunk.meta.id;
  replica.sendAfterPersist({ kind: 'snapshot-reply', from, to: chunk.from, term, snapshotId, result, position });
}

/** The state and the empty log after it are durable: they take the place of everything that was here. */
export function onSnapshotInstalled(replica: Replica, meta: SnapshotMeta): void {
  const { receiving } = replica;
  if (receiving?.installing !== true || receiving.id !== meta.id) return;
  assert(replica.role.kind !== 'leader', 'raft-13: a leader installs no snapshot');
  assert(meta.lastIndex > replica.commit, 'raft-4: a snapshot never moves the commit index back', `${meta.lastIndex}`);
  const { lastIndex: index, endOffset, chain } = meta;
  replica.log.reset({ index, endOffset, chain }, meta);
  replica.ledger.reset(index);
  replica.membership.reset({ index, configuration: meta.configuration });
  replica.commit = index;
  replica.applied = index;
  replica.verified = index;
  replica.receiving = null;
  replica.followMembership();
  tell(replica, receiving, 'installed', meta.byteLength);
}

/** What was received can not be used. The leader hears so, and begins again after a while, not at once. */
export function onSnapshotRefused(replica: Replica, id: string): void {
  const { receiving } = replica;
  if (receiving?.id !== id) return;
  replica.receiving = null;
  replica.drop('damaged');
  tell(replica, receiving, 'refused', 0);
}

/** Answers the leader that was sending, if it still is one. */
function tell(
  replica: Replica,
  { from: to, id: snapshotId }: Receiving,
  result: SnapshotReply['result'],
  position: number,
): void {
  const { id: from, term } = replica;
  replica.sendAfterPersist({ kind: 'snapshot-reply', from, to, term, snapshotId, result, position });
}
