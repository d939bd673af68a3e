/** What broker/ sees of Raft: groups that take proposals, and the state machines that they drive. */
import type { Entry, EntryDraft } from '../model/entry.ts';
import type { GroupNumber, LogIndex, Millis, Offset, ReplicaId, Term } from '../model/ids.ts';
import type { StateChange, StatePair } from '../model/raft-state.ts';
import type { LogReader } from '../log/reader.ts';
import type { Configuration } from './core/configuration.ts';
import type { IndexedConfiguration } from './core/membership.ts';
import type { FollowerStatus } from './core/progress.ts';
import type { ConfigurationRefusal, ProposalRefusal, RoleState } from './core/ready.ts';

/** What became of an accepted proposal. `unknown`: it may be committed or not; never to be reported as failed (P30). */
export type ProposalOutcome =
  | { readonly kind: 'committed' }
  | { readonly kind: 'unknown'; readonly why: 'leadership-lost' | 'stopped' | 'quarantined' };

/** Told about one accepted proposal; every accepted proposal gets exactly one `outcome`. */
export interface ProposalListener {
  /** The leader's own write is durable. Before `outcome` if at all. */
  durable?(): void;
  /** Committed and applied here; or unknown. */
  outcome(outcome: ProposalOutcome): void;
}

export type Proposed =
  | {
      readonly kind: 'accepted';
      readonly term: Term;
      readonly index: LogIndex;
      readonly baseOffset: Offset;
      readonly appendTimeMs: Millis;
    }
  | { readonly kind: 'refused'; readonly why: ProposalRefusal | 'stopped' | 'quarantined' };

type Accepted = Extract<Proposed, { kind: 'accepted' }>;
export type ConfigurationProposed =
  Accepted | { readonly kind: 'refused'; readonly why: ConfigurationRefusal | 'stopped' | 'quarantined' };

interface MachineBase {
  /** Role, term, leader or serving changed; called after everything that was applied before. */
  roleChanged(state: RoleState): void;
  /** The commit index moved: everything below `highWatermark` is visible. Called after apply. */
  committed?(highWatermark: Offset): void;
  /** The group is set apart: an invariant is broken (design D7). */
  quarantined(reason: string): void;
}

/** State of a data group: rebuilt from its newest checkpoint and by applying what follows it. */
export interface DataMachine extends MachineBase {
  readonly kind: 'data';
  /**
   * Null: from the very beginning. Called before the first apply, and again whenever a leader's snapshot takes the place of
   * everything that was applied here: nothing of it is left then. Never while this replica leads.
   */
  restore(state: Uint8Array | null): void;
  /** Synchronous, in index order, each entry once. Throws only InvariantViolation, which quarantines the group. */
  apply(entry: Entry): void;
  /** The state as of the last applied entry, for a checkpoint. */
  checkpoint(): Uint8Array;
  /** Other voters may hold more than before (RaftGroup.holders), if this replica leads: once a turn at most. */
  progressed?(): void;
}

/** State machine whose state keys are stored beside the log. */
export interface CommandMachine extends MachineBase {
  readonly kind: 'commands';
  /**
   * A leader's snapshot takes the place of everything that was loaded and applied here: a new state follows, in pages, and
   * then `loaded`. Until then the old one may be read. Never while this replica leads.
   */
  reset(): void;
  /** The state keys as of the applied index, ascending, in pages: before the first apply, and after `reset`. */
  load(page: readonly StatePair[]): void;
  /** That was all of them; what was loaded counts from now on. */
  loaded(): void;
  /** Synchronous; returns the changes of state keys, which are stored with the applied index. */
  apply(entry: Entry): readonly StateChange[];
}

export type StateMachine = DataMachine | CommandMachine;

export interface RaftGroup {
  readonly group: GroupNumber;
  readonly log: LogReader;
  readonly role: RoleState;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  /** End offset of what is committed and applied here. */
  readonly highWatermark: Offset;
  /** Who takes part, as this replica's log has it: committed once `index` is at or below the commit index. */
  readonly membership: IndexedConfiguration;
  /** How far everyone else is, if this replica leads; else empty. */
  readonly followers: readonly FollowerStatus[];
  /** Voters that have everything through `index` durably, as far as this replica knows; empty: it does not lead. */
  holders(index: LogIndex): readonly ReplicaId[];
  /** Why it is set apart; null: it is not. */
  readonly quarantine: string | null;
  /** Since when, milliseconds since 1970; null: it is not. */
  readonly quarantinedMs: Millis | null;
  /**
   * The term and base offset that the next accepted proposal will get, so that the payload can be patched before it is
   * sealed; null if this replica does not lead. Valid until the next call that may propose.
   */
  nextAppend(): { readonly term: Term; readonly baseOffset: Offset } | null;
  /** Synchronous. The entry takes effect in memory at once; the listener hears of the rest. */
  propose(draft: EntryDraft, listener: ProposalListener): Proposed;
  /** Starts a change of who votes (RaftCore.proposeConfiguration); `committed` once its first step is. */
  changeConfiguration(target: Configuration, listener: ProposalListener): ConfigurationProposed;
  /** Hands leadership to another voter; nothing happens if that is not possible. */
  transferLeadership(to: ReplicaId): void;
  /**
   * A linearizable read: `done` hears the index that must be applied before it is served, once leadership was confirmed
   * by peers that were asked after this call; null: this replica can not tell, ask the leader.
   */
  readIndex(done: (index: LogIndex | null) => void): void;
}

/** How a group comes to be on this broker. */
export interface GroupSpec {
  readonly group: GroupNumber;
  readonly replicaId: ReplicaId;
  /**
   * The genesis voters, if this replica is one of them; this replica alone for a group of one. Empty: the replica begins
   * as a learner that nobody knows yet, and takes part once the leader feeds it (P79). Without meaning once the group is
   * on disk.
   */
  readonly voters: readonly ReplicaId[];
}

/** A replica that has a log here. */
export interface LocalReplica {
  readonly group: GroupNumber;
  readonly replicaId: ReplicaId;
}

export interface RaftHost {
  /** Why every group here is set apart, the disk being not what it was (design D4, D10); null: none is for that. */
  readonly apart: string | null;
  /** What exists on this disk, by group number. */
  existing(): Promise<readonly LocalReplica[]>;
  /** Makes the log of a group that has none here, durably, and starts nothing: it does not take part yet. */
  create(spec: GroupSpec, kind: StateMachine['kind']): Promise<void>;
  /** Creates the group if it does not exist, opens it, restores the machine, starts it. */
  start(spec: GroupSpec, machine: StateMachine): Promise<RaftGroup>;
  /** Stops a group: proposals in flight become unknown. */
  stop(group: GroupNumber): Promise<void>;
  /** Stops a group and deletes its data (a committed tombstone or exclusion is the caller's duty, design D5). */
  remove(group: GroupNumber): Promise<void>;
  /** Stops all groups: every proposal in flight is answered individually (design D18). */
  close(): Promise<void>;
}
