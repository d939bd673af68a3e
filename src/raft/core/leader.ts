/** Leading: opening the term, sealing proposals, moving the commit index. */
import { assert } from '../../model/assert.ts';
import type { Entry, EntryDraft } from '../../model/entry.ts';
import type { LogIndex, Millis, ReplicaId } from '../../model/ids.ts';
import { nextIndex, toLogIndex, toMillis } from '../../model/ids.ts';
import type { RequestId } from './events.ts';
import type { Leadership } from './leadership.ts';
import { entryOverheadBytes } from './limits.ts';
import { reachedByQuorum } from './quorum.ts';
import { ReadRounds } from './read-rounds.ts';
import type { ProposalAnswer, ProposalRefusal } from './ready.ts';
import type { Replica } from './replica.ts';

const noOp: EntryDraft = { kind: 'no-op', count: 0, payload: new Uint8Array(0), maxTimestampMs: null };

/** The election is won: opens the term with a no-op, without which nothing older may be counted (P17, P18). */
export function becomeLeader(replica: Replica): void {
  assert(replica.role.kind === 'candidate', 'raft-1: only a candidate becomes a leader');
  assert(replica.ledger.isDurable(replica.term, replica.id), 'raft-1: a leader voted for itself, durably');
  const lead: Leadership = {
    noOpIndex: nextIndex(replica.log.lastIndex),
    progress: new Map(),
    reads: new ReadRounds(),
  };
  replica.role = { kind: 'leader', lead };
  replica.leader = replica.id;
  replica.timer.stop();
  append(replica, noOp, toMillis(0));
}

/** Seals and appends; the caller checked that it may. */
function append(replica: Replica, draft: EntryDraft, wallMs: Millis): Entry {
  const entry = replica.log.seal(draft, replica.term, wallMs);
  assert(entry.term === replica.term, 'raft-6: a leader appends entries of its own term only');
  return entry;
}

/** Takes a proposal, or says why not: then it is certain that nothing was appended. */
export function propose(replica: Replica, draft: EntryDraft, wallMs: Millis): ProposalAnswer {
  const why = refusalOf(replica, draft);
  if (why !== null) return { kind: 'refused', why };
  return { kind: 'accepted', entry: append(replica, draft, wallMs) };
}

function refusalOf(replica: Replica, draft: EntryDraft): ProposalRefusal | null {
  if (replica.role.kind !== 'leader') return 'not-leader';
  if (!replica.serving) return 'leader-not-ready';
  if (draft.kind === 'no-op' || draft.kind === 'configuration') return 'invalid';
  if (draft.count < 0 || draft.count > 0 !== (draft.kind === 'batch')) return 'invalid';
  const waiting = replica.log.uncommittedBytes;
  const bytes = draft.payload.length + entryOverheadBytes;
  return waiting > 0 && waiting + bytes > replica.limits.uncommittedBytesMax ? 'uncommitted-limit' : null;
}

/** Moves the commit index to what a quorum has durably, if that is an entry of this term (P17). */
export function advanceCommit(replica: Replica): void {
  const { role } = replica;
  if (role.kind !== 'leader') return;
  const index = toLogIndex(reachedByQuorum(replica.membership.current, (id) => matchOf(replica, role.lead, id)));
  if (index <= replica.commit || replica.log.termAt(index) !== replica.term) return;
  replica.advanceCommit(index);
}

/** The leader's own match is what its own disk has (P23). */
function matchOf(replica: Replica, lead: Leadership, id: ReplicaId): number {
  if (id === replica.id) return replica.ledger.durableIndex;
  return lead.progress.get(id)?.match ?? 0;
}

/** A linearizable read: answered once leadership is confirmed by a round that starts now or later (P68). */
export function readIndex(replica: Replica, id: RequestId): void {
  const { role } = replica;
  if (
    role.kind !== 'leader' ||
    replica.commit < role.lead.noOpIndex ||
    role.lead.reads.size >= replica.limits.readsMax
  ) {
    replica.outbox.answerRead(id, null);
    return;
  }
  if (replica.membership.isSoleVoter(replica.id)) replica.outbox.answerRead(id, replica.commit);
}

/** The entries in memory that no follower needs: all that are committed. */
export const neededFrom = (replica: Replica): LogIndex => replica.commit;
