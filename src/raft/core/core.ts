/** The surface of the pure consensus core: one replica of one group. No I/O, no timers, no async (design D2). */
import type { EntryDraft } from '../../model/entry.ts';
import type { LogIndex, Millis, Offset, ReplicaId, Term } from '../../model/ids.ts';
import type { Configuration } from './configuration.ts';
import type { RaftEvent } from './events.ts';
import type { IndexedConfiguration } from './membership.ts';
import type { FollowerStatus } from './progress.ts';
import type { ConfigurationAnswer, ProposalAnswer, Ready, RoleState } from './ready.ts';

export interface CoreStatus {
  /** In force, with the index of its entry: committed or not. */
  readonly membership: IndexedConfiguration;
  /** Everyone else who takes part; empty unless this replica leads. */
  readonly followers: readonly FollowerStatus[];
}

/** What the host needs to know of a replica that leads others (design D3). */
export interface Leading {
  readonly term: Term;
  /** Everyone who takes part, this replica too; another array whenever that changes. */
  readonly members: readonly ReplicaId[];
  /** The first frame that confirms all reads that wait; 0: none does. */
  readonly frameWanted: number;
  /** Each sign of life is to be told at once: something may have to be sent again, or a read waits. */
  readonly attentive: boolean;
}

export interface RaftCore {
  /** Its leader is null while the way to it is broken: it may have died. */
  readonly role: RoleState;
  /** Who leads this term, as far as this replica ever heard. */
  readonly leader: ReplicaId | null;
  /** Null: this replica does not lead, or has no peers. */
  readonly leading: Leading | null;
  /** On the monotonic clock: when a `tick` must be fed at the latest. Infinity: never. */
  readonly nextDeadline: number;
  /** Who takes part, in force from its append on, with the index of its entry. */
  readonly membership: IndexedConfiguration;
  /** Who takes part, and for a leader how far the others are. Made anew with each look. */
  readonly status: CoreStatus;
  /** Replicas that are being brought to a snapshot; empty unless this replica leads. */
  readonly snapshotTargets: readonly ReplicaId[];
  /**
   * Entries above this index are not known to be at every follower that was heard since `sinceMs`, on the monotonic clock
   * (P49); null: all are, or this replica does not lead.
   */
  neededAbove(sinceMs: number): LogIndex | null;
  /** Voters that have everything through `index` durably, as far as this leader knows; empty: it does not lead. */
  holders(index: LogIndex): readonly ReplicaId[];
  /** Term and base offset that the next accepted proposal will get; null if this replica does not lead. */
  nextAppend(): { readonly term: Term; readonly baseOffset: Offset } | null;
  /**
   * Feeds one event.
   * @param now monotonic milliseconds, never below an earlier call's
   * @throws InvariantViolation only
   */
  step(event: RaftEvent, now: Millis): void;
  /**
   * Appends to the leader's log in memory, or refuses. The entry is sealed here (term, index, offset, stamps, chain).
   * @param now as for `step`; default: that of the newest event, which in an idle group may be long ago
   */
  propose(draft: EntryDraft, wallMs: Millis, now?: Millis): ProposalAnswer;
  /**
   * Starts a change towards `target`, through a joint phase, which ends by itself, if more than one voter moves. A new
   * voter must be a learner that has caught up; `target.outgoing` must be empty, its revision above the present one.
   */
  proposeConfiguration(target: Configuration, wallMs: Millis, now?: Millis): ConfigurationAnswer;
  /** Takes the accumulated work; null if there is none. The caller persists before it sends `messagesAfterPersist`. */
  takeReady(): Ready | null;
}
