/**
 * Who stands for election sooner than its time-out says, so that a pause is as short as it can be. Every such campaign
 * begins with a pre-vote, so one that comes too early disturbs nobody (thesis section 9.6): whoever hears the leader
 * refuses it.
 *
 * - A follower whose connection with the leader broke waits no whole time-out, only long enough for a leader that lives
 *   to connect again and be heard. It is loyal no more either: a quorum that is cut off from the leader may elect
 *   another one, and a minority finds nobody who helps it (P12).
 * - The followers go in turn, so that they do not split the votes between them (P8), and begin with another one in
 *   another group, so that they share what a broker led.
 * - Whoever is asked for a pre-vote by one whose log is behind its own, and hears no leader, stands for election itself.
 * - The first voter of a configuration is the preferred leader: when it has just started, it tries at once, and again
 *   after pauses that double, until it has heard a leader, or would not come before the others any more.
 */
import type { ReplicaId } from '../../model/ids.ts';
import type { Replica } from './replica.ts';

/** The first pause of a preferred leader between two campaigns, as a part of the heartbeat interval. */
const earlyPausePart = 1 / 3;

/** Whether a leader is heard, or leads here, so that nobody is helped to replace it. */
export function isLoyal(replica: Replica): boolean {
  if (replica.role.kind === 'leader') return true;
  if (replica.leader === null || isCutOff(replica)) return false;
  return replica.now - replica.leaderHeardMs < replica.limits.electionTimeoutMs;
}

/** The way to the leader broke, and it was not heard since. */
const isCutOff = (replica: Replica): boolean => replica.cutOffMs >= replica.leaderHeardMs;

/** Who leads, as far as it can be told to others: one to whom the way broke may have died. */
export function leaderInSight(replica: Replica): ReplicaId | null {
  const mayHaveDied = replica.role.kind === 'follower' && replica.cutOffMs !== -Infinity && isCutOff(replica);
  return mayHaveDied ? null : replica.leader;
}

export function onLeaderCutOff(replica: Replica, from: ReplicaId): void {
  if (replica.role.kind !== 'follower' || replica.leader !== from) return;
  replica.cutOffMs = replica.now;
  if (!replica.promotable) return;
  const { heartbeatMs, electionTimeoutMs } = replica.limits;
  // each has half of its turn to begin in, and the other half to win in
  const turnMs = electionTimeoutMs / 2;
  const graceMs = 2 * heartbeatMs;
  replica.timer.hasten(replica.now + graceMs + turnAfter(replica, from) * turnMs, turnMs / 2);
}

/** How many voters go before this one; the leader's id decides who begins. */
function turnAfter({ id, membership }: Replica, leader: ReplicaId): number {
  const { voters, outgoing } = membership.current;
  const others = [...new Set([...voters, ...outgoing])].filter((voter) => voter !== leader).sort((a, b) => a - b);
  return (Math.max(0, others.indexOf(id)) + leader) % Math.max(1, others.length);
}

/** A candidate is behind this replica: it can not win, and should not have to find out alone who can. */
export function stepForward(replica: Replica): void {
  if (replica.role.kind !== 'follower' || !replica.promotable || isLoyal(replica)) return;
  replica.timer.hasten(replica.now, replica.limits.heartbeatMs);
}

/** The replica has just started. */
export function beginEarly(replica: Replica): void {
  if (!replica.promotable || replica.membership.current.voters[0] !== replica.id) return;
  replica.earlyPauseMs = replica.limits.heartbeatMs * earlyPausePart;
  replica.timer.expire(replica.now);
}

/** A pre-vote is asked for: others may not have started yet. */
export function tryAgainEarly(replica: Replica): void {
  const pauseMs = replica.earlyPauseMs;
  if (pauseMs === null) return;
  replica.timer.hasten(replica.now + pauseMs, 1);
  replica.earlyPauseMs = 2 * pauseMs < replica.limits.electionTimeoutMs ? 2 * pauseMs : null;
}
