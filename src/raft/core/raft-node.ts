/**
 * One replica of one group: a synchronous machine (design D2). `step` feeds an event, `takeReady` takes what is to be
 * done. This file dispatches; the roles' files decide.
 *
 * Invariants, asserted in production and cited by tests:
 * - raft-1: at most one leader a term: only a candidate with a quorum of durable votes becomes one.
 * - raft-2: the term never falls, and no entry's term is above it.
 * - raft-3: one vote a term; it changes only with the term.
 * - raft-4: the commit index never falls, and nothing at or below it is truncated.
 * - raft-5: applied <= commit <= last index; what is committed is in the log.
 * - raft-6: a leader appends only entries of its own term, and never truncates.
 * - raft-7: completions of writes say what was handed out; stale ones change nothing.
 * - raft-8: where two logs match in index and term they agree in end offset and chain; else the group is quarantined.
 * - raft-9: votes and acknowledgements leave only after what they promise is durable.
 * - raft-10: a configuration's revision never falls, and at most one configuration entry is uncommitted.
 */
import { assert } from '../../model/assert.ts';
import type { EntryDraft } from '../../model/entry.ts';
import type { LogIndex, Millis, Offset, ReplicaId, Term } from '../../model/ids.ts';
import { nextIndex, toLogIndex } from '../../model/ids.ts';
import type { HardState } from '../../model/raft-state.ts';
import { countOwnVote, electionTimeout } from './candidate.ts';
import { advanceCommit, holdersOf } from './commit.ts';
import type { Configuration } from './configuration.ts';
import { proposeConfiguration } from './configuration-change.ts';
import type { CoreStatus, Leading, RaftCore } from './core.ts';
import type { RaftEvent } from './events.ts';
import { leaderDeadline, leaderTick, onHeard, readIndex } from './heartbeats.ts';
import { receive } from './inbox.ts';
import { propose } from './leader.ts';
import type { IndexedConfiguration } from './membership.ts';
import type { ConfigurationAnswer, ProposalAnswer, Ready, RoleState } from './ready.ts';
import type { DropReason, ReplicaOptions } from './replica.ts';
import { Replica } from './replica.ts';
import { neededAbove, neededByLive, onEntriesRead, onUnreachable, replicate } from './replication.ts';
import { onSnapshotInstalled, onSnapshotRefused } from './snapshot-receiving.ts';
import { onSnapshotRead } from './snapshot-sending.ts';
import { beginEarly, leaderInSight, onLeaderCutOff } from './succession.ts';
import { startTransfer } from './transfer.ts';

export type RaftNodeOptions = ReplicaOptions;

export interface NodeStatus extends CoreStatus {
  readonly vote: ReplicaId | null;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly uncommittedBytes: number;
  readonly memoryBytes: number;
}

type PeerHeard = Extract<RaftEvent, { kind: 'peer-heard' }>;

export class RaftNode implements RaftCore {
  readonly #replica: Replica;
  /** What the last Ready said, so that only changes are said again. */
  #savedHardState: HardState;
  #toldCommit: LogIndex;
  #toldRole: RoleState;
  #readyNumber = 0;

  constructor(options: RaftNodeOptions) {
    const replica = new Replica(options);
    this.#replica = replica;
    this.#savedHardState = options.recovered.hardState;
    this.#toldCommit = replica.applied;
    this.#toldRole = this.role;
    if (replica.membership.isSoleVoter(replica.id)) replica.timer.expire(options.now);
    else if (replica.promotable) replica.timer.restart(options.now);
    if (options.eager === true) beginEarly(replica);
  }

  get role(): RoleState {
    return { ...this.#replica.roleState, leader: leaderInSight(this.#replica) };
  }

  get leader(): ReplicaId | null {
    return this.#replica.leader;
  }

  get commitIndex(): LogIndex {
    return this.#replica.commit;
  }

  get membership(): IndexedConfiguration {
    return this.#replica.membership.newest;
  }

  get nextDeadline(): number {
    const { role, timer } = this.#replica;
    return role.kind === 'leader' ? leaderDeadline(role.lead) : timer.deadlineMs;
  }

  get leading(): Leading | null {
    const { role, term, membership, log, commit } = this.#replica;
    if (role.kind !== 'leader' || role.lead.progress.size === 0) return null;
    const frameWanted = role.lead.reads.wanted;
    let attentive = frameWanted > 0;
    for (const progress of role.lead.progress.values()) attentive ||= !progress.isSettled(log.lastIndex, commit);
    return { term, members: membership.everyone, frameWanted, attentive };
  }

  /** Messages that were dropped, by reason. */
  get dropped(): ReadonlyMap<DropReason, number> {
    return this.#replica.dropped;
  }

  /** What metrics, Explain and tests look at. */
  get status(): NodeStatus {
    const { role, commit, applied, vote, log, membership } = this.#replica;
    const followers = role.kind === 'leader' ? [...role.lead.progress.values()] : [];
    return {
      vote,
      commit,
      applied,
      firstIndex: log.firstIndex,
      lastIndex: log.lastIndex,
      uncommittedBytes: log.uncommittedBytes,
      memoryBytes: log.memoryBytes,
      membership: membership.newest,
      followers: followers.map(({ id, state, match, next, heardMs, inFlightBytes, reading }) => {
        return { id, state: state.kind, match, next, heardMs, inFlightBytes, reading: reading !== null };
      }),
    };
  }

  get snapshotTargets(): readonly ReplicaId[] {
    const { role } = this.#replica;
    if (role.kind !== 'leader') return [];
    return [...role.lead.progress.values()].filter(({ state }) => state.kind === 'snapshot').map(({ id }) => id);
  }

  neededAbove(sinceMs: number): LogIndex | null {
    const { role, log } = this.#replica;
    if (role.kind !== 'leader') return null;
    const needed = neededByLive(role.lead, sinceMs);
    return needed < log.lastIndex ? toLogIndex(needed) : null;
  }

  holders(index: LogIndex): readonly ReplicaId[] {
    return holdersOf(this.#replica, index);
  }

  nextAppend(): { readonly term: Term; readonly baseOffset: Offset } | null {
    const { role, term, log } = this.#replica;
    return role.kind === 'leader' ? { term, baseOffset: log.endOffset } : null;
  }

  propose(draft: EntryDraft, wallMs: Millis, now?: Millis): ProposalAnswer {
    if (now !== undefined) this.#passTo(now);
    return propose(this.#replica, draft, wallMs);
  }

  proposeConfiguration(target: Configuration, wallMs: Millis, now?: Millis): ConfigurationAnswer {
    if (now !== undefined) this.#passTo(now);
    return proposeConfiguration(this.#replica, target, wallMs);
  }

  step(event: RaftEvent, now: Millis): void {
    const replica = this.#replica;
    this.#passTo(now);
    this.#dispatch(event);
    assert(replica.applied <= replica.commit, 'raft-5: applied <= commit');
  }

  takeReady(): Ready | null {
    const replica = this.#replica;
    replicate(replica);
    const persist = this.#takePersist();
    const committed = this.#takeCommitted();
    const role = this.#takeRole();
    if (persist === null && committed === null && role === null && replica.outbox.empty) return null;
    this.#readyNumber++;
    if (persist !== null) {
      const { lastIndex, lastTerm } = replica.log;
      const { term, vote } = replica;
      const beside = replica.receiving?.installing === true;
      replica.ledger.handedOut({ number: this.#readyNumber, lastIndex, lastTerm, term, vote, beside });
    }
    replica.log.release(toLogIndex(neededAbove(replica)), replica.limits.memoryBytesMax);
    if (replica.role.kind === 'leader') replica.role.lead.roundOpen = false;
    return { number: this.#readyNumber, persist, committed, role, ...replica.outbox.take() };
  }

  #passTo(now: Millis): void {
    const replica = this.#replica;
    assert(now >= replica.now, 'raft-11: time does not go back', `${now} < ${replica.now}`);
    replica.now = now;
  }

  #dispatch(event: RaftEvent): void {
    const replica = this.#replica;
    switch (event.kind) {
      case 'tick':
        this.#tick();
        return;
      case 'message':
        receive(replica, event.message);
        return;
      case 'persisted':
        if (!replica.ledger.completed(event.readyNumber, event.lastIndex, event.lastTerm)) return;
        countOwnVote(replica);
        advanceCommit(replica);
        return;
      case 'applied':
        assert(event.index >= replica.applied, 'raft-5: applied never falls', `${event.index}`);
        replica.applied = event.index;
        return;
      case 'entries-read':
        onEntriesRead(replica, event.token, event.entries);
        return;
      case 'peer-heard':
        this.#peerHeard(event);
        return;
      case 'leader-cut-off':
        onLeaderCutOff(replica, event.from);
        return;
      case 'peer-unreachable':
        onUnreachable(replica, event.to);
        return;
      case 'read-index':
        readIndex(replica, event.id);
        return;
      case 'transfer':
        startTransfer(replica, event.to);
        return;
      case 'snapshot-read':
        onSnapshotRead(replica, event);
        return;
      case 'snapshot-installed':
        onSnapshotInstalled(replica, event.meta);
        this.#toldCommit = toLogIndex(Math.max(this.#toldCommit, replica.applied));
        return;
      case 'snapshot-refused':
        onSnapshotRefused(replica, event.id);
        return;
      case 'compacted':
        replica.log.compacted(event.firstIndex, event.chain);
        return;
    }
  }

  #tick(): void {
    const replica = this.#replica;
    if (replica.role.kind === 'leader') leaderTick(replica, replica.role.lead);
    else if (replica.timer.expired(replica.now)) electionTimeout(replica);
  }

  /** The host heard the peer for this group, in this term: stands for a heartbeat, or for the answer to one. */
  #peerHeard({ from, term, round, heardMs }: PeerHeard): void {
    const replica = this.#replica;
    if (term !== replica.term) return;
    if (replica.role.kind === 'leader') {
      const { lead } = replica.role;
      // no heartbeat would be sent to it either
      if (lead.progress.get(from)?.state.kind !== 'lost') onHeard(replica, lead, from, round, Infinity, heardMs);
    } else if (replica.leader === from && (heardMs ?? replica.now) > replica.leaderHeardMs) {
      replica.hearLeader(from, heardMs ?? replica.now);
    }
  }

  #takePersist(): Ready['persist'] {
    const replica = this.#replica;
    const { term, vote, commit } = replica;
    const unsaved = replica.log.takeUnsaved();
    const saved = this.#savedHardState;
    const mustSave = saved.term !== term || saved.vote !== vote;
    if (unsaved === null && !mustSave) return null;
    const hardState = mustSave || saved.commit !== commit ? { term, vote, commit } : null;
    if (hardState !== null) this.#savedHardState = hardState;
    return { hardState, truncateAfter: unsaved?.truncateAfter ?? null, entries: unsaved?.entries ?? [] };
  }

  #takeCommitted(): Ready['committed'] {
    const through = this.#replica.commit;
    if (through === this.#toldCommit) return null;
    const committed = { from: nextIndex(this.#toldCommit), through };
    this.#toldCommit = through;
    return committed;
  }

  #takeRole(): RoleState | null {
    const told = this.#toldRole;
    const { role, term, leader, serving } = this.role;
    if (told.role === role && told.term === term && told.leader === leader && told.serving === serving) return null;
    this.#toldRole = { role, term, leader, serving };
    return this.#toldRole;
  }
}
