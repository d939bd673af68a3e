/**
 * The state of one replica that all roles share, and the few moves that change it. The roles' files decide when.
 *
 * Invariants are listed on top of raft-node.ts.
 */
import { assert } from '../../model/assert.ts';
import type { Crc32c } from '../../model/crc32c.ts';
import type { LogIndex, Millis, ReplicaId, Term } from '../../model/ids.ts';
import { toLogIndex } from '../../model/ids.ts';
import type { Random } from '../../model/random.ts';
import { ElectionTimer } from './election-timer.ts';
import type { Leadership } from './leadership.ts';
import type { RaftLimits } from './limits.ts';
import { Membership } from './membership.ts';
import type { Message } from './messages.ts';
import { Outbox } from './outbox.ts';
import type { RecoveredState, RoleState } from './ready.ts';
import { UnstableLog } from './unstable-log.ts';
import { WriteLedger } from './write-ledger.ts';

export type Role =
  | { readonly kind: 'follower' }
  | { readonly kind: 'pre-candidate'; readonly votes: Map<ReplicaId, boolean> }
  | { readonly kind: 'candidate'; readonly votes: Map<ReplicaId, boolean>; readonly transfer: boolean }
  | { readonly kind: 'leader'; readonly lead: Leadership };

/** Why a message was dropped; counted, never fatal. */
export type DropReason =
  /** For another replica, or from this one. */
  | 'wrong-target'
  /** From a replica that does not take part, as far as this one can know. */
  | 'unknown-source'
  | 'stale-term'
  /** A campaign while a leader is alive. */
  | 'within-lease'
  /** Its bytes do not match their checksums, or its entries do not follow each other. */
  | 'damaged'
  /** Nothing it could mean here: an impossible index or term, a second leader, a chunk of another snapshot. */
  | 'out-of-place'
  /** An answer to a leader that is none any more. */
  | 'late';

/** A snapshot on its way in. */
export interface Receiving {
  readonly id: string;
  readonly from: ReplicaId;
  /** The sender's term: another leader starts anew (P46). */
  readonly term: Term;
  /** Bytes so far. */
  readonly position: number;
  /** All chunks are here; the disk is taking them. */
  readonly installing: boolean;
}

export interface ReplicaOptions {
  readonly id: ReplicaId;
  readonly recovered: RecoveredState;
  readonly limits: RaftLimits;
  readonly random: Random;
  readonly crc32c: Crc32c;
  readonly now: Millis;
  /**
   * Given if the host sends one frame for all groups of two brokers instead of heartbeats for each (design D3): number of
   * the newest frame that it sent to anybody. Rounds are then numbers of frames.
   */
  readonly framesSent?: () => number;
  /** True: the preferred leader campaigns as soon as it is started (succession.ts). Default false. */
  readonly eager?: boolean;
}

export class Replica {
  readonly id: ReplicaId;
  readonly limits: RaftLimits;
  readonly crc32c: Crc32c;
  /** Null: leaders send heartbeats of their own. */
  readonly framesSent: (() => number) | null;
  readonly log: UnstableLog;
  readonly membership: Membership;
  readonly outbox = new Outbox();
  readonly timer: ElectionTimer;
  readonly ledger: WriteLedger;
  readonly dropped = new Map<DropReason, number>();
  /** Monotonic time of the newest event. */
  now: Millis;
  /** Invariant raft-2: never falls, across restarts too. */
  term: Term;
  /** Invariant raft-3: changes only with the term, or from null. */
  vote: ReplicaId | null;
  /** Invariant raft-4: never falls. */
  commit: LogIndex;
  /** Invariant: applied <= commit. */
  applied: LogIndex;
  role: Role = { kind: 'follower' };
  leader: ReplicaId | null = null;
  /** When a leader of this term was last heard; -Infinity: never since the start. */
  leaderHeardMs = -Infinity;
  /** When the way to the leader broke that is followed now; -Infinity: it did not (succession.ts). */
  cutOffMs = -Infinity;
  /** The next pause between campaigns of a preferred leader that has just started; null: no more (succession.ts). */
  earlyPauseMs: number | null = null;
  /** The log is equal to this term's leader's through this index, at least the commit index (P19). */
  verified: LogIndex;
  receiving: Receiving | null = null;

  constructor(options: ReplicaOptions) {
    const { recovered } = options;
    this.id = options.id;
    this.limits = options.limits;
    this.crc32c = options.crc32c;
    this.framesSent = options.framesSent ?? null;
    this.now = options.now;
    this.term = recovered.hardState.term;
    this.vote = recovered.hardState.vote;
    this.applied = recovered.appliedIndex;
    this.commit = toLogIndex(Math.max(recovered.hardState.commit, recovered.appliedIndex));
    assert(this.commit <= recovered.lastIndex, 'raft-5: what is committed is in the log', `${this.commit}`);
    assert(recovered.lastTerm <= this.term, 'raft-2: no entry is newer than the term', `${recovered.lastTerm}`);
    this.verified = this.commit;
    this.log = new UnstableLog(recovered, this.commit, options.crc32c);
    this.membership = new Membership(recovered.configurations);
    this.membership.committed(this.commit);
    this.ledger = new WriteLedger(recovered.lastIndex, this.term, this.vote);
    this.timer = new ElectionTimer(options.limits.electionTimeoutMs, options.random);
  }

  /** As this replica knows it; what is told of the leader is for succession.ts to say. */
  get roleState(): RoleState {
    return { role: this.#roleKind(), term: this.term, leader: this.leader, serving: this.serving };
  }

  /** A leader whose own no-op is applied (design D13). */
  get serving(): boolean {
    return this.role.kind === 'leader' && this.applied >= this.role.lead.noOpIndex;
  }

  /** True if this replica may stand for election. */
  get promotable(): boolean {
    return this.membership.mayCampaign(this.id);
  }

  /** Number of the newest round of heartbeats that began (raft/core/heartbeats.ts). */
  newestRound(lead: Leadership): number {
    return this.framesSent === null ? lead.round : this.framesSent();
  }

  drop(reason: DropReason): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + 1);
  }

  send(message: Message): void {
    this.outbox.send(message);
  }

  sendAfterPersist(message: Message): void {
    this.outbox.sendAfterPersist(message);
  }

  /** Follows `leader` (null: unknown) in `term`; a leader's accepted proposals become unknown. */
  becomeFollower(term: Term, leader: ReplicaId | null): void {
    this.#enterTerm(term, leader);
    this.timer.stop();
    this.#restartTimer();
  }

  /**
   * Somebody is in a later term: forgets leader and vote of the old one. A time-out that is running goes on: only a
   * leader that is heard, or a vote that is granted, may put the next election off (P7).
   */
  adoptTerm(term: Term): void {
    this.#enterTerm(term, null);
    if (this.timer.deadlineMs === Infinity) this.#restartTimer();
  }

  /**
   * The leader of this term spoke, now or at an earlier time that is told only now. False: there is another one already,
   * so this can not be true.
   */
  hearLeader(from: ReplicaId, at: number = this.now): boolean {
    if (this.role.kind === 'leader' || (this.leader !== null && this.leader !== from)) {
      this.drop('out-of-place');
      return false;
    }
    if (this.role.kind !== 'follower' || this.leader === null) this.becomeFollower(this.term, from);
    // what was said before the way broke says nothing of who is at its other end now
    else if (at > this.cutOffMs) this.#restartTimer(at);
    this.leaderHeardMs = at;
    this.earlyPauseMs = null;
    return true;
  }

  /** The configuration changed: only who votes in it keeps a time-out. */
  followMembership(): void {
    if (!this.promotable) this.timer.stop();
    else if (this.timer.deadlineMs === Infinity && this.role.kind !== 'leader') this.#restartTimer();
  }

  voteFor(candidate: ReplicaId): void {
    assert(this.vote === null || this.vote === candidate, 'raft-3: one vote a term', `${candidate}`);
    this.vote = candidate;
  }

  advanceCommit(index: LogIndex): void {
    assert(index >= this.commit, 'raft-4: the commit index never falls', `${index} < ${this.commit}`);
    assert(index <= this.log.lastIndex, 'raft-5: what is committed is in the log', `${index}`);
    if (index === this.commit) return;
    this.commit = index;
    this.log.committed(index);
    this.membership.committed(index);
    this.followMembership();
  }

  #enterTerm(term: Term, leader: ReplicaId | null): void {
    assert(term >= this.term, 'raft-2: the term never falls', `${term} < ${this.term}`);
    if (this.role.kind === 'leader') this.#endLeadership();
    if (term > this.term) {
      this.term = term;
      this.vote = null;
    }
    this.role = { kind: 'follower' };
    this.leader = leader;
    this.verified = this.commit;
    this.cutOffMs = -Infinity;
  }

  #restartTimer(from: number = this.now): void {
    if (this.promotable) this.timer.restart(from);
  }

  #endLeadership(): void {
    assert(this.role.kind === 'leader', 'a leader steps down');
    for (const id of this.role.lead.reads.abandonAll()) this.outbox.answerRead(id, null);
    this.outbox.lostLeadership(this.term, this.commit);
  }

  #roleKind(): RoleState['role'] {
    return this.role.kind === 'follower' && !this.promotable ? 'learner' : this.role.kind;
  }
}
