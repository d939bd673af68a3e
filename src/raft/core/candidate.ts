/** Standing for election (Raft section 5.2) with PreVote (thesis section 9.6). */
import type { ReplicaId, Term } from '../../model/ids.ts';
import { nextTerm } from '../../model/ids.ts';
import type { VoteReply } from './messages.ts';
import { tally } from './quorum.ts';
import { becomeLeader } from './leader.ts';
import type { Replica } from './replica.ts';
import { tryAgainEarly } from './succession.ts';

/** The election time-out passed. A sole voter asks nobody, so it skips the pre-vote. */
export function electionTimeout(replica: Replica): void {
  if (!replica.promotable) {
    replica.timer.stop();
    return;
  }
  // a snapshot is about to take the place of this log
  if (replica.receiving?.installing === true) {
    replica.timer.restart(replica.now);
    return;
  }
  if (replica.membership.isSoleVoter(replica.id)) campaign(replica, false);
  else preCampaign(replica);
}

/** Asks whether an election could be won, and changes neither term nor vote for it (P9). */
function preCampaign(replica: Replica): void {
  replica.becomeFollower(replica.term, null);
  const votes = new Map([[replica.id, true]]);
  replica.role = { kind: 'pre-candidate', votes };
  tryAgainEarly(replica);
  askForVotes(replica, nextTerm(replica.term), true, false);
}

/** Stands for election in the next term. `transfer`: the leader asked for it, so its lease does not protect it. */
export function campaign(replica: Replica, transfer: boolean): void {
  replica.becomeFollower(nextTerm(replica.term), null);
  replica.voteFor(replica.id);
  replica.role = { kind: 'candidate', votes: new Map(), transfer };
  askForVotes(replica, replica.term, false, transfer);
}

function askForVotes(replica: Replica, term: Term, pre: boolean, transfer: boolean): void {
  const { current: configuration } = replica.membership;
  for (const to of replica.membership.everyone) {
    if (to === replica.id || !replica.membership.isVoter(to)) continue;
    const { lastIndex, lastTerm } = replica.log;
    const position = { term, lastIndex, lastTerm };
    const request = { kind: 'vote-request', from: replica.id, to, ...position, pre, transfer, configuration } as const;
    if (pre) replica.send(request);
    else replica.sendAfterPersist(request);
  }
}

/** The candidate's own vote counts once it is durable (P2). */
export function countOwnVote(replica: Replica): void {
  const { role } = replica;
  if (role.kind !== 'candidate' || role.votes.has(replica.id)) return;
  if (!replica.ledger.isDurable(replica.term, replica.id)) return;
  count(replica, replica.id, true);
}

/** An answer of this term (or, for a pre-vote, of the term that was asked for). Each voter counts once (P6). */
export function onVoteReply(replica: Replica, reply: VoteReply): void {
  const { role } = replica;
  const awaited = reply.pre ? role.kind === 'pre-candidate' : role.kind === 'candidate';
  const answersThis = reply.term === (reply.pre && reply.granted ? replica.term + 1 : replica.term);
  if (awaited && answersThis) count(replica, reply.from, reply.granted);
}

function count(replica: Replica, voter: ReplicaId, granted: boolean): void {
  const { role } = replica;
  if (role.kind !== 'candidate' && role.kind !== 'pre-candidate') return;
  if (role.votes.has(voter)) return;
  role.votes.set(voter, granted);
  const result = tally(replica.membership.current, role.votes);
  if (result === 'lost') replica.becomeFollower(replica.term, null);
  if (result !== 'won') return;
  if (role.kind === 'pre-candidate') campaign(replica, false);
  else becomeLeader(replica);
}
