/**
 * One consumer group as the committed log made it. Only replay.ts and state-keys.ts change it; decisions read it through
 * GroupView.
 */
import { assert } from '../../model/assert.ts';
import type { MemberEpoch, Millis } from '../../model/ids.ts';
import { toMemberEpoch } from '../../model/ids.ts';
import type { Assignment } from './assignment.ts';
import { nothing, partitionTotal } from './assignment.ts';
import type { OffsetsView } from './committed-offsets.ts';
import { CommittedOffsets } from './committed-offsets.ts';
import type { TopicShape } from './group-topics.ts';
import type { HoldersView } from './holders.ts';
import { Holders } from './holders.ts';
import type { Rebalance } from './rebalance-history.ts';
import { rebalanceBytes } from './rebalance-history.ts';
import type { AssignorName, GroupRef, MemberProfile } from './records.ts';

/** A member; replaced as a whole, never changed. */
export interface MemberState extends MemberProfile {
  readonly memberId: string;
  /** SHA-256, hex, of the nonce that its resume token must bring. */
  readonly nonceHash: string;
  /** The epoch that its holder began with: a lower one is that of an older holder. */
  readonly sinceEpoch: MemberEpoch;
  /** A static member that has gone and will be back: nobody holds its place, and what it is assigned waits for it. */
  readonly away: boolean;
  /** Invariant group-2: at most the group's epoch; never falls; never given twice in the group. */
  readonly epoch: MemberEpoch;
  /**
   * The epoch before the last assignment: a heartbeat may still carry it if the answer was lost (semantics K4). Null
   * after joining and resuming, so that an older holder of the token can not pass for a lost answer.
   */
  readonly previousEpoch: MemberEpoch | null;
  /** What it shall read once everybody has given up what he must. Invariant group-4. */
  readonly target: Assignment;
  /** What it reads and may commit. Invariant group-1: held by no other member. */
  readonly assigned: Assignment;
  /** What it was told to give up and has not acknowledged; it may still commit it. Held like `assigned`. */
  readonly revoking: Assignment;
}

/** The member in other hands, or in none: the older holder is fenced by the epoch, so what it was asked to give up is given up. */
export const takenOver = (member: MemberState, epoch: MemberEpoch): MemberState => ({
  ...member,
  epoch,
  sinceEpoch: epoch,
  previousEpoch: null,
  revoking: nothing,
});

/** Semantics K2. A target is computed together with the change that calls for it, so "assigning" is never seen. */
export type GroupPhase = 'empty' | 'reconciling' | 'stable';

export interface GroupView extends GroupRef {
  readonly assignor: AssignorName;
  /** Revision of the catalog when the group was made, or an older one. */
  readonly createdRevision: number;
  /** The highest epoch that was ever given to a member; 0: none. Never falls (B7). */
  readonly epoch: MemberEpoch;
  /** Topics by name as the targets were computed from them. */
  readonly topics: ReadonlyMap<string, TopicShape>;
  /** Revision of the catalog that `topics` is from. */
  readonly catalogRevision: number;
  /** Since when the group has no members; null: it has some. */
  readonly emptySinceMs: Millis | null;
  readonly members: ReadonlyMap<string, MemberState>;
  readonly holders: HoldersView;
  readonly offsets: OffsetsView;
  /** The newest last; at most `rebalancesKeptMax`. */
  readonly history: readonly Rebalance[];
}

export class Group implements GroupView {
  readonly tenant: number;
  readonly groupId: string;
  readonly createdRevision: number;
  assignor: AssignorName;
  epoch: MemberEpoch = toMemberEpoch(0);
  topics: ReadonlyMap<string, TopicShape> = new Map();
  catalogRevision = 0;
  emptySinceMs: Millis | null;
  readonly members = new Map<string, MemberState>();
  readonly holders = new Holders();
  readonly offsets = new CommittedOffsets();
  history: readonly Rebalance[] = [];
  /** Estimated bytes of the members. Invariant: the sum of memberCost over `members`. */
  memberBytes = 0;

  constructor(group: GroupRef, assignor: AssignorName, createdRevision: number, emptySinceMs: Millis | null) {
    this.tenant = group.tenant;
    this.groupId = group.groupId;
    this.assignor = assignor;
    this.createdRevision = createdRevision;
    this.emptySinceMs = emptySinceMs;
  }

  /** Puts or replaces a member. Invariants group-1 and group-2. */
  setMember(member: MemberState): void {
    const before = this.members.get(member.memberId);
    assert(member.epoch <= this.epoch, 'group-2: no member is ahead of its group');
    assert(before === undefined || member.epoch >= before.epoch, 'group-2: a member epoch never falls');
    if (before !== undefined) this.letGo(before);
    this.holders.take(member.memberId, member.assigned);
    this.holders.take(member.memberId, member.revoking);
    this.members.set(member.memberId, member);
    this.memberBytes += memberCost(member);
  }

  removeMember(member: MemberState): void {
    assert(this.members.get(member.memberId) === member, 'group-7: who leaves was there');
    this.letGo(member);
    this.members.delete(member.memberId);
  }

  get bytes(): number {
    return groupBytes + this.memberBytes + this.offsets.bytes + rebalanceBytes * this.history.length;
  }

  private letGo(member: MemberState): void {
    this.holders.release(member.memberId, member.assigned);
    this.holders.release(member.memberId, member.revoking);
    this.memberBytes -= memberCost(member);
  }
}

const groupBytes = 1024;

function memberCost(member: MemberState): number {
  let bytes = 512 + 2 * (member.clientId.length + (member.instanceId?.length ?? 0));
  for (const topic of member.topics) bytes += 32 + 2 * topic.length;
  return (
    bytes + 16 * (partitionTotal(member.target) + partitionTotal(member.assigned) + partitionTotal(member.revoking))
  );
}
