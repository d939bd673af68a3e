/** What the core wants done. The driver persists, sends, applies, and feeds completions back as events. */
import type { Entry } from '../../model/entry.ts';
import type { LogIndex, Millis, Offset, ReplicaId, Term } from '../../model/ids.ts';
import type { HardState, TermStart } from '../../model/raft-state.ts';
import type { RequestId } from './events.ts';
import type { IndexedConfiguration } from './membership.ts';
import type { SnapshotMeta } from './snapshot.ts';
import type { Message, SnapshotChunk } from './messages.ts';

/** Why a proposal was refused: it is certain that nothing was appended. */
export type ProposalRefusal =
  | 'not-leader'
  | 'leader-not-ready'
  | 'uncommitted-limit'
  | 'transferring'
  | 'change-in-progress'
  | 'stale-revision'
  | 'invalid';

/** Why a change of the configuration was refused: it is certain that nothing was appended. */
export type ConfigurationRefusal =
  | ProposalRefusal
  /** A new voter must be a learner that has caught up (P56). */
  | 'learner-behind';

export type ConfigurationAnswer =
  | { readonly kind: 'accepted'; readonly entry: Entry }
  | { readonly kind: 'refused'; readonly why: ConfigurationRefusal };

/** Accepted: in the leader's log in memory; the outcome is open until it is committed or leadership is lost. */
export type ProposalAnswer =
  { readonly kind: 'accepted'; readonly entry: Entry } | { readonly kind: 'refused'; readonly why: ProposalRefusal };

/** Something that people must hear of; the group goes on. */
export interface Alarm {
  /** A follower no longer has what it acknowledged as durable; it is neither counted nor fed any more (P27). */
  readonly kind: 'follower-lost-log';
  readonly replica: ReplicaId;
  readonly acknowledged: LogIndex;
  readonly found: LogIndex;
}

export type CoreRole = 'follower' | 'pre-candidate' | 'candidate' | 'leader' | 'learner';

export interface RoleState {
  readonly role: CoreRole;
  readonly term: Term;
  /** Null: unknown. */
  readonly leader: ReplicaId | null;
  /** True for a leader whose own no-op is applied: only then it serves (design D13). */
  readonly serving: boolean;
}

export interface Ready {
  /** Rises by one with every Ready of this node. */
  readonly number: number;
  /** One atomic write: truncation, entries, hard state. Null: nothing to persist. */
  readonly persist: {
    readonly hardState: HardState | null;
    readonly truncateAfter: LogIndex | null;
    readonly entries: readonly Entry[];
  } | null;
  /** May leave now, beside the write. */
  readonly messages: readonly Message[];
  /** May leave only when `persist` of this Ready, and of all before it, is durable: votes and acknowledgements (P1, P23, inv-I13). */
  readonly messagesAfterPersist: readonly Message[];
  /** Newly committed, to be applied in order. Null: none. */
  readonly committed: { readonly from: LogIndex; readonly through: LogIndex } | null;
  /** Accepted proposals above this index are unknown from now on: leadership ended (never "failed", P30). */
  readonly lostLeadership: { readonly term: Term; readonly committedThrough: LogIndex } | null;
  /** ReadIndex requests that are confirmed: serve once applied >= index. Null index: refused, ask again elsewhere. */
  readonly readStates: readonly { readonly id: RequestId; readonly index: LogIndex | null }[];
  /** Entries for a slow follower that are not in memory any more; answer with `entries-read`. */
  readonly reads: readonly {
    readonly token: number;
    readonly from: LogIndex;
    readonly through: LogIndex;
    readonly bytesMax: number;
  }[];
  readonly snapshotsToSend: readonly {
    readonly to: ReplicaId;
    readonly position: number;
    readonly snapshotId: string | null;
  }[];
  readonly install: { readonly chunk: SnapshotChunk } | null;
  readonly alarms: readonly Alarm[];
  /** Set when role, term, leader or serving changed. */
  readonly role: RoleState | null;
}

/** What a node is started from. */
export interface RecoveredState {
  readonly hardState: HardState;
  readonly firstIndex: LogIndex;
  /** Term of the entry before firstIndex; 0 before the first entry of all. */
  readonly boundaryTerm: Term;
  /** Chain value before firstIndex. */
  readonly boundaryChain: number;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly lastChain: number;
  /** Append time of the last entry; 0 if there is none. */
  readonly lastAppendTimeMs: Millis;
  readonly endOffset: Offset;
  readonly appliedIndex: LogIndex;
  /** Ascending; together they cover [firstIndex, lastIndex]. */
  readonly terms: readonly TermStart[];
  /** Ascending, from the newest one at or below the commit index on; the founding one has index 0. Never empty. */
  readonly configurations: readonly IndexedConfiguration[];
  /** The entries that end the log: from the commit index on, so that a follower can check and truncate. */
  readonly recent: readonly Entry[];
  readonly snapshot: SnapshotMeta | null;
}
