/** One proposal from draft to outcome, for callers that have nothing else to do meanwhile. */
import { refuse, setApart } from '../model/errors.ts';
import type { Refused } from '../model/errors.ts';
import type { EntryDraft } from '../model/entry.ts';
import type { ProposalOutcome, Proposed, RaftGroup } from '../raft/group.ts';

type ProposalRefused = Extract<Proposed, { kind: 'refused' }>;

/** Proposes at once; resolves with the refusal or with what became of it. */
export function proposeAndWait(group: RaftGroup, draft: EntryDraft): Promise<ProposalOutcome | ProposalRefused> {
  return new Promise((resolve) => {
    const proposed = group.propose(draft, { outcome: resolve });
    if (proposed.kind === 'refused') resolve(proposed);
  });
}

/** What a caller hears when Raft refuses a proposal: it is certain that nothing was appended. */
export function proposalRefusal(why: ProposalRefused['why'], retryAfterMs: number): Refused {
  switch (why) {
    case 'not-leader':
      return refuse('NOT_LEADER_OR_FOLLOWER', 'this broker does not lead the partition; ask its leader');
    case 'leader-not-ready':
      return refuse('LEADER_NOT_AVAILABLE', 'the new leader is not ready yet; try again', { retryAfterMs });
    case 'transferring':
      return refuse('LEADER_NOT_AVAILABLE', 'leadership is being handed over; try again', { retryAfterMs });
    case 'uncommitted-limit':
    case 'change-in-progress':
    case 'stale-revision':
      return refuse('LIMIT_REACHED', 'too much of this partition is not committed yet; try again', { retryAfterMs });
    case 'stopped':
      return refuse('BROKER_SHUTTING_DOWN', 'the partition is being stopped on this broker');
    case 'quarantined':
      return refuse(
        'QUARANTINED',
        'the partition is set apart on this broker: its state can not be trusted',
        setApart('partition'),
      );
    case 'invalid':
      return refuse('INTERNAL', 'the proposal was not well formed');
  }
}

/** What a caller hears of a proposal whose outcome is open: never that it failed (design D18). */
export function unknownOutcome(why: Extract<ProposalOutcome, { kind: 'unknown' }>['why']): Refused {
  switch (why) {
    case 'leadership-lost':
      return refuse('LEADERSHIP_LOST', 'leadership ended while the outcome was open: it may be committed or not');
    case 'stopped':
      return refuse('APPEND_INTERRUPTED', 'the broker stopped while the outcome was open: it may be committed or not');
    case 'quarantined':
      return refuse(
        'APPEND_INTERRUPTED',
        'the partition was set apart while the outcome was open: it may be committed',
      );
  }
}
