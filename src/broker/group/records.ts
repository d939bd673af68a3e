/**
 * What `__groups` replicates: results of decisions, never requests, so that replay needs no clock, no catalog and no
 * assignor. Times are the entries' append times. record-codec.ts is the stored form.
 */
import type { MemberEpoch, Offset, Term } from '../../model/ids.ts';
import type { Assignment } from './assignment.ts';
import type { TopicShape } from './group-topics.ts';

export const assignorNames = ['uniform', 'range'] as const;
export type AssignorName = (typeof assignorNames)[number];

/** Stored by their place in the list: only append. */
export const leaveReasons = ['left', 'session-expired', 'revocation-expired', 'progress-expired'] as const;
/** Why a member is not in its group any more. */
export type LeaveReason = (typeof leaveReasons)[number];

/** Stored by their place in the list: only append. */
export const removalReasons = ['topic-deleted', 'expired', 'group-deleted'] as const;
/** Why committed offsets were dropped. */
export type RemovalReason = (typeof removalReasons)[number];

/** A group of one tenant. */
export interface GroupRef {
  readonly tenant: number;
  readonly groupId: string;
}

/** The key of a group in tables; '/' is in no group id. */
export const groupKeyOf = (group: GroupRef): string => `${group.tenant}/${group.groupId}`;

/** Orders commits: (member epoch, the member's own sequence); epochs of a group are never given twice. */
export interface CommitStamp {
  readonly memberEpoch: number;
  readonly sequence: number;
}

export interface OffsetInRecord {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Of the next record to read (semantics O1). */
  readonly offset: Offset;
  readonly leaderEpoch: Term | null;
  readonly metadata: string;
}

/** What a member says of itself when it joins or comes back. */
export interface MemberProfile {
  /** A name for people. */
  readonly clientId: string;
  /** Names of topics, ascending. */
  readonly topics: readonly string[];
  /**
   * A name that outlives the process, of one member at a time: whoever brings it after the member has gone takes its place
   * (a static member). Null: none.
   */
  readonly instanceId: string | null;
  /** Where it runs: partitions with a replica there are better for it. Null: not told. */
  readonly rack: string | null;
}

/** Who holds the place of a member from now on. */
export interface HolderRecord {
  readonly memberId: string;
  /** SHA-256 of the nonce in its resume token, in hex: the token itself is nowhere stored. */
  readonly nonceHash: string;
  readonly profile: MemberProfile;
  readonly epoch: MemberEpoch;
}

export interface MemberTarget {
  readonly memberId: string;
  readonly target: Assignment;
}

export type GroupRecord =
  | {
      readonly kind: 'group-created';
      readonly assignor: AssignorName;
      /** Revision of the catalog then, or an older one: what came later is newer than the group. */
      readonly catalogRevision: number;
    }
  /** Partitions are shared in this way from now on. */
  | { readonly kind: 'assignor-chosen'; readonly assignor: AssignorName }
  | ({ readonly kind: 'member-joined' } & HolderRecord)
  /** The same member, a new holder of its token or instance id: the older one is fenced by the epoch. */
  | ({ readonly kind: 'member-resumed' } & HolderRecord)
  /** A static member has gone and will be back: its place is kept for whoever brings its instance id. */
  | { readonly kind: 'member-away'; readonly memberId: string; readonly epoch: MemberEpoch }
  | { readonly kind: 'member-left'; readonly memberId: string; readonly reason: LeaveReason }
  /** Who shall read what. Only targets that changed; `topics` is complete. */
  | {
      readonly kind: 'target-changed';
      readonly catalogRevision: number;
      readonly topics: readonly TopicShape[];
      readonly targets: readonly MemberTarget[];
    }
  /** What a member reads now and what it was told to give up; complete. */
  | {
      readonly kind: 'member-assigned';
      readonly memberId: string;
      readonly epoch: MemberEpoch;
      readonly assigned: Assignment;
      readonly revoking: Assignment;
    }
  | {
      readonly kind: 'offsets-committed';
      /** Null: committed by a tool while the group had no members. */
      readonly memberId: string | null;
      readonly stamp: CommitStamp;
      readonly catalogRevision: number;
      readonly offsets: readonly OffsetInRecord[];
    }
  | {
      readonly kind: 'offsets-removed';
      readonly reason: RemovalReason;
      readonly topicId: string;
      readonly partitions: readonly number[];
    }
  | { readonly kind: 'group-deleted' };

/** One Raft entry: the records of one decision about one group; all take effect or none. */
export interface GroupEntry extends GroupRef {
  /** The entry takes effect only if this member still has this epoch when it is applied (an expiry may be overtaken). */
  readonly guard: { readonly memberId: string; readonly epoch: MemberEpoch } | null;
  readonly records: readonly GroupRecord[];
}
