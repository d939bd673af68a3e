/**
 * What a message may do: who it is for, what its term means, and which role it concerns. Nothing here is fatal.
 *
 * Who may speak (design D4): answers are heard only from members; a candidate must be a member, or have a log that is ahead
 * and may therefore hold the configuration that names it; whoever leads may be unknown here, since only its entries say
 * who it is. That a frame's source is bound to the broker it came from is for the host to check.
 */
import { campaign, onVoteReply } from './candidate.ts';
import { onAppendRequest, onHeartbeatRequest } from './follower.ts';
import { onHeard } from './heartbeats.ts';
import type { Leadership } from './leadership.ts';
import type { Message, TimeoutNow } from './messages.ts';
import type { Replica } from './replica.ts';
import { onAppendReply } from './replication.ts';
import { onSnapshotChunk } from './snapshot-receiving.ts';
import { onSnapshotReply } from './snapshot-sending.ts';
import { isStranger, isWithinLease, onVoteRequest } from './voter.ts';

export function receive(replica: Replica, message: Message): void {
  if (message.to !== replica.id || message.from === replica.id) {
    replica.drop('wrong-target');
    return;
  }
  if (isImpossible(replica, message)) {
    replica.drop('out-of-place');
    return;
  }
  if (isOfAStranger(replica, message)) {
    replica.drop('unknown-source');
    return;
  }
  if (message.term < replica.term) onOldTerm(replica, message);
  else if (message.term === replica.term || onNewTerm(replica, message)) dispatch(replica, message);
}

/** What no replica can have sent, or not in this term. */
function isImpossible(replica: Replica, message: Message): boolean {
  if (message.term > replica.term + replica.limits.termJumpMax) return true;
  switch (message.kind) {
    case 'vote-request':
      // a campaign is for a term in which nobody has led yet
      return message.lastTerm >= message.term;
    case 'snapshot-chunk':
      return message.meta.lastTerm > message.term || message.position + message.bytes.length > message.meta.byteLength;
    case 'timeout-now':
      // its target has every entry of the leader, so it is in the leader's term
      return message.term > replica.term;
    case 'vote-reply':
    case 'append-request':
    case 'append-reply':
    case 'heartbeat-request':
    case 'heartbeat-reply':
    case 'snapshot-reply':
      return false;
  }
}

/** Only members are asked anything, so whoever answers and is none moves not even the term (P12). */
function isOfAStranger(replica: Replica, message: Message): boolean {
  switch (message.kind) {
    case 'vote-request':
      return isStranger(replica, message);
    case 'vote-reply':
    case 'append-reply':
    case 'heartbeat-reply':
    case 'snapshot-reply':
      return !replica.membership.isMember(message.from);
    case 'append-request':
    case 'heartbeat-request':
    case 'snapshot-chunk':
    case 'timeout-now':
      return false;
  }
}

/** Somebody is in a later term. False: the message is to be ignored. */
function onNewTerm(replica: Replica, message: Message): boolean {
  switch (message.kind) {
    case 'vote-request':
      if (isWithinLease(replica, message)) {
        replica.drop('within-lease');
        return false;
      }
      // asking for a pre-vote moves nobody's term (P9)
      if (!message.pre) replica.adoptTerm(message.term);
      return true;
    case 'vote-reply':
      // a granted pre-vote names the term that was asked for, which nobody is in yet
      if (!message.pre || !message.granted) replica.adoptTerm(message.term);
      return true;
    case 'append-request':
    case 'heartbeat-request':
    case 'snapshot-chunk':
      replica.becomeFollower(message.term, message.from);
      return true;
    case 'append-reply':
    case 'heartbeat-reply':
    case 'snapshot-reply':
      replica.adoptTerm(message.term);
      return true;
    case 'timeout-now':
      return false;
  }
}

/** The sender is behind. One that leads or campaigns hears so, or it would never stop; answers come too late. */
function onOldTerm(replica: Replica, message: Message): void {
  const { id: from, term } = replica;
  const { from: to } = message;
  replica.drop('stale-term');
  switch (message.kind) {
    case 'vote-request':
      replica.sendAfterPersist({ kind: 'vote-reply', from, to, term, pre: message.pre, granted: false });
      return;
    case 'append-request':
    case 'heartbeat-request':
    case 'snapshot-chunk':
      replica.sendAfterPersist({ kind: 'heartbeat-reply', from, to, term, round: 0, verified: replica.commit });
      return;
    case 'vote-reply':
    case 'append-reply':
    case 'heartbeat-reply':
    case 'snapshot-reply':
    case 'timeout-now':
      return;
  }
}

function dispatch(replica: Replica, message: Message): void {
  switch (message.kind) {
    case 'vote-request':
      onVoteRequest(replica, message);
      return;
    case 'vote-reply':
      if (replica.membership.isVoter(message.from)) onVoteReply(replica, message);
      else replica.drop('unknown-source');
      return;
    case 'append-request':
      if (replica.hearLeader(message.from)) onAppendRequest(replica, message);
      return;
    case 'heartbeat-request':
      if (replica.hearLeader(message.from)) onHeartbeatRequest(replica, message);
      return;
    case 'snapshot-chunk':
      if (replica.hearLeader(message.from)) onSnapshotChunk(replica, message);
      return;
    case 'append-reply':
      asLeader(replica, (lead) => onAppendReply(replica, lead, message));
      return;
    case 'heartbeat-reply':
      asLeader(replica, (lead) => onHeard(replica, lead, message.from, message.round, message.verified));
      return;
    case 'snapshot-reply':
      asLeader(replica, (lead) => onSnapshotReply(replica, lead, message));
      return;
    case 'timeout-now':
      onTimeoutNow(replica, message);
      return;
  }
}

function asLeader(replica: Replica, act: (lead: Leadership) => void): void {
  if (replica.role.kind === 'leader') act(replica.role.lead);
  else replica.drop('late');
}

/** The leader hands over: campaigns at once, without asking first. Only the leader of this very term may say so (P67). */
function onTimeoutNow(replica: Replica, message: TimeoutNow): void {
  if (!replica.promotable || replica.leader !== message.from || replica.receiving?.installing === true) {
    replica.drop('out-of-place');
    return;
  }
  campaign(replica, true);
}
