/** Becoming a leader, and taking proposals. */
import { assert } from '../../model/assert.ts';
import type { EntryDraft } from '../../model/entry.ts';
import type { Millis } from '../../model/ids.ts';
import { nextIndex } from '../../model/ids.ts';
import { append, appendNoOp, followMembership } from './appending.ts';
import { startRound } from './heartbeats.ts';
import type { Leadership } from './leadership.ts';
import { entryOverheadBytes } from './limits.ts';
import { ReadRounds } from './read-rounds.ts';
import type { ProposalAnswer, ProposalRefusal } from './ready.ts';
import type { Replica } from './replica.ts';

/** The election is won: opens the term with a no-op, without which nothing older may be counted (P17, P18). */
export function becomeLeader(replica: Replica): void {
  assert(replica.role.kind === 'candidate', 'raft-1: only a candidate becomes a leader');
  assert(replica.ledger.isDurable(replica.term, replica.id), 'raft-1: a leader voted for itself, durably');
  const lead: Leadership = {
    noOpIndex: nextIndex(replica.log.lastIndex),
    progress: new Map(),
    reads: new ReadRounds(),
    round: 0,
    roundOpen: false,
    heartbeatDueMs: replica.now,
    quorumDueMs: replica.now + replica.limits.electionTimeoutMs,
    checkedRound: 0,
    waitingSinceMs: null,
    transfer: null,
    readToken: 0,
  };
  replica.role = { kind: 'leader', lead };
  replica.leader = replica.id;
  replica.earlyPauseMs = null;
  replica.timer.stop();
  followMembership(replica, lead, lead.noOpIndex);
  appendNoOp(replica);
  startRound(replica, lead);
}

/** Takes a proposal, or says why not: then it is certain that nothing was appended. */
export function propose(replica: Replica, draft: EntryDraft, wallMs: Millis): ProposalAnswer {
  const why = refusalOf(replica, draft);
  if (why !== null) return { kind: 'refused', why };
  return { kind: 'accepted', entry: append(replica, draft, wallMs) };
}

function refusalOf(replica: Replica, draft: EntryDraft): ProposalRefusal | null {
  const { role } = replica;
  if (role.kind !== 'leader') return 'not-leader';
  if (!replica.serving) return 'leader-not-ready';
  if (role.lead.transfer !== null) return 'transferring';
  if (draft.kind === 'no-op' || draft.kind === 'configuration') return 'invalid';
  if (draft.count < 0 || draft.count > 0 !== (draft.kind === 'batch')) return 'invalid';
  const waiting = replica.log.uncommittedBytes;
  const bytes = draft.payload.length + entryOverheadBytes;
  return waiting > 0 && waiting + bytes > replica.limits.uncommittedBytesMax ? 'uncommitted-limit' : null;
}
