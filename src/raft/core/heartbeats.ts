/**
 * A leader's proof that it still leads: numbered rounds of heartbeats. A linearizable read, and the regular check of the
 * quorum, count only answers to rounds that began after them (design D3, P11, P68).
 */
import type { RequestId } from './events.ts';
import type { Leadership } from './leadership.ts';
import { toLogIndex } from '../../model/ids.ts';
import type { ReplicaId } from '../../model/ids.ts';
import { isQuorum, reachedByQuorum } from './quorum.ts';
import type { Replica } from './replica.ts';
import { onAlive } from './replication.ts';
import { expireTransfer } from './transfer.ts';

/** The earliest time at which a leader has something to do by itself. A leader without peers has nothing. */
export function leaderDeadline(lead: Leadership): number {
  if (lead.progress.size === 0) return Infinity;
  const { heartbeatDueMs, quorumDueMs, transfer } = lead;
  return Math.min(heartbeatDueMs, quorumDueMs, transfer?.deadlineMs ?? Infinity);
}

export function leaderTick(replica: Replica, lead: Leadership): void {
  if (lead.progress.size === 0) return;
  expireTransfer(replica, lead);
  if (replica.now >= lead.quorumDueMs && !checkQuorum(replica, lead)) return;
  if (replica.now >= lead.heartbeatDueMs) startRound(replica, lead);
}

/** Sends everyone a heartbeat with a new number, unless the host sends frames for all groups. */
export function startRound(replica: Replica, lead: Leadership): void {
  if (replica.framesSent !== null) {
    lead.heartbeatDueMs = Infinity;
    return;
  }
  lead.round++;
  lead.roundOpen = true;
  lead.heartbeatDueMs = replica.now + replica.limits.heartbeatMs;
  for (const { id, match, state } of lead.progress.values()) {
    if (state.kind === 'lost') continue;
    // never beyond what this follower is known to have: its tail may not be the leader's (P19)
    const commit = toLogIndex(Math.min(match, replica.commit));
    replica.send({
      kind: 'heartbeat-request',
      from: replica.id,
      to: id,
      term: replica.term,
      commit,
      round: lead.round,
    });
  }
}

/** Steps down if no quorum answered a round that began since the last check. False: it did. */
function checkQuorum(replica: Replica, lead: Leadership): boolean {
  const since = lead.checkedRound;
  const alive = isQuorum(replica.membership.current, (id) => heardOf(replica, lead, id) > since);
  if (!alive || bulkIsDead(replica, lead)) {
    replica.becomeFollower(replica.term, null);
    return false;
  }
  lead.checkedRound = replica.newestRound(lead);
  lead.quorumDueMs = replica.now + replica.limits.electionTimeoutMs;
  return true;
}

/** Something has waited for two election time-outs, and no quorum answered anything on the bulk channel since (D3). */
function bulkIsDead(replica: Replica, lead: Leadership): boolean {
  const since = replica.now - 2 * replica.limits.electionTimeoutMs;
  if (lead.waitingSinceMs === null || lead.waitingSinceMs > since) return false;
  return !isQuorum(
    replica.membership.current,
    (id) => id === replica.id || (lead.progress.get(id)?.bulkHeardMs ?? -Infinity) > since,
  );
}

/** The newest round that a replica answered; the leader hears itself. */
function heardOf(replica: Replica, lead: Leadership, id: ReplicaId): number {
  return id === replica.id ? Infinity : (lead.progress.get(id)?.round ?? 0);
}

/** A replica answered round `round`, at `at`; `verified`: how far its log is known to agree. */
export function onHeard(
  replica: Replica,
  lead: Leadership,
  from: ReplicaId,
  round: number,
  verified: number,
  at: number = replica.now,
): void {
  const progress = lead.progress.get(from);
  if (progress === undefined) {
    replica.drop('unknown-source');
    return;
  }
  if (round > replica.newestRound(lead)) {
    replica.drop('out-of-place');
    return;
  }
  progress.round = Math.max(progress.round, round);
  progress.heardMs = Math.max(progress.heardMs, at);
  onAlive(replica, progress, verified);
  confirmReads(replica, lead);
}

function confirmReads(replica: Replica, lead: Leadership): void {
  if (lead.reads.size === 0) return;
  const newest = replica.newestRound(lead);
  const round = reachedByQuorum(replica.membership.current, (id) => Math.min(newest, heardOf(replica, lead, id)));
  for (const { id, index } of lead.reads.confirmed(round)) replica.outbox.answerRead(id, index);
}

/** A linearizable read: its index is the present commit index, told once a round that begins now is confirmed (P68). */
export function readIndex(replica: Replica, id: RequestId): void {
  const { role, commit } = replica;
  const refused =
    role.kind !== 'leader' || commit < role.lead.noOpIndex || role.lead.reads.size >= replica.limits.readsMax;
  if (refused) {
    replica.outbox.answerRead(id, null);
    return;
  }
  if (replica.membership.isSoleVoter(replica.id)) {
    replica.outbox.answerRead(id, commit);
    return;
  }
  if (replica.framesSent !== null) {
    role.lead.reads.add(id, commit, replica.framesSent() + 1);
    return;
  }
  if (!role.lead.roundOpen) startRound(replica, role.lead);
  role.lead.reads.add(id, commit, role.lead.round);
}
