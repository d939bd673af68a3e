/** Answering candidates (Raft sections 5.2 and 5.4.1, thesis sections 4.2.3 and 9.6). */
import type { VoteRequest } from './messages.ts';
import type { Replica } from './replica.ts';
import { isLoyal, stepForward } from './succession.ts';

/**
 * While a leader is heard nobody is helped to replace it, and its own lease holds as long as it leads (P12); a campaign
 * that the leader itself asked for is exempt (P67).
 */
export function isWithinLease(replica: Replica, request: VoteRequest): boolean {
  if (request.transfer) return false;
  return isLoyal(replica);
}

/**
 * A candidate that this replica does not know as a member may still be one, by a configuration that did not arrive here
 * yet; but then its log is ahead of this one. Anybody else was removed, or never belonged (P12, P79).
 */
export function isStranger(replica: Replica, request: VoteRequest): boolean {
  return !replica.membership.isMember(request.from) && compareLogs(replica, request) <= 0;
}

/** Grants at most one vote a term, to a log that is not behind; a learner votes too: it may be a voter by now (P57). */
export function onVoteRequest(replica: Replica, request: VoteRequest): void {
  const free = replica.vote === null && replica.leader === null;
  const may = free || replica.vote === request.from || (request.pre && request.term > replica.term);
  const granted = may && compareLogs(replica, request) >= 0;
  if (granted && !request.pre) {
    replica.voteFor(request.from);
    replica.timer.restart(replica.now);
  }
  // it can not win, and this replica may
  if (request.pre && compareLogs(replica, request) < 0) stepForward(replica);
  // a granted pre-vote answers for the term that was asked for, everything else for the present one
  const term = granted ? request.term : replica.term;
  const { id: from } = replica;
  const { from: to, pre } = request;
  replica.sendAfterPersist({ kind: 'vote-reply', from, to, term, pre, granted });
}

/** Above 0: the candidate's log is ahead; last terms decide before lengths do (P5). */
function compareLogs(replica: Replica, request: VoteRequest): number {
  return request.lastTerm - replica.log.lastTerm || request.lastIndex - replica.log.lastIndex;
}
