/**
 * Collects the records of one membership decision. Works on images laid over the group, which it never changes: each
 * step sees the group as the records before it will leave it.
 */
import { must } from '../../model/assert.ts';
import type { MemberEpoch } from '../../model/ids.ts';
import { toMemberEpoch } from '../../model/ids.ts';
import type { Assignment } from './assignment.ts';
import { nothing } from './assignment.ts';
import type { GroupView, MemberState } from './group.ts';
import { takenOver } from './group.ts';
import type { GroupTopics, TopicShape } from './group-topics.ts';
import { reconcile } from './reconciliation.ts';
import type { AssignorName, GroupRecord, LeaveReason, MemberProfile } from './records.ts';
import { changedTargets, sameTopics, subscribedTopics } from './target.ts';

type HolderOfMember = Pick<MemberState, 'memberId' | 'nonceHash'>;

export class RebalancePlan {
  readonly records: GroupRecord[] = [];
  private readonly group: GroupView;
  private readonly topics: GroupTopics;
  private members: ReadonlyMap<string, MemberState>;
  private epoch: MemberEpoch;
  private assignor: AssignorName;
  private shapes: ReadonlyMap<string, TopicShape>;

  /** `group` may be one that is about to be created. */
  constructor(group: GroupView, topics: GroupTopics) {
    this.group = group;
    this.topics = topics;
    this.members = group.members;
    this.epoch = group.epoch;
    this.assignor = group.assignor;
    this.shapes = group.topics;
  }

  member(memberId: string): MemberState {
    return must(this.members.get(memberId), `member ${memberId} is in the plan`);
  }

  /** What the assignment's topics are called. */
  nameOf(topicId: string): string | null {
    for (const shape of this.shapes.values()) if (shape.topicId === topicId) return shape.topic;
    return null;
  }

  /** From the next sharing on. */
  choose(assignor: AssignorName): void {
    if (assignor === this.assignor) return;
    this.assignor = assignor;
    this.records.push({ kind: 'assignor-chosen', assignor });
  }

  join(who: HolderOfMember, profile: MemberProfile): void {
    const { memberId, nonceHash } = who;
    const epoch = this.nextEpoch();
    this.records.push({ kind: 'member-joined', memberId, nonceHash, profile, epoch });
    const none = { previousEpoch: null, target: nothing, assigned: nothing, revoking: nothing };
    this.set({ memberId, nonceHash, ...profile, sinceEpoch: epoch, away: false, epoch, ...none });
    this.retarget();
    this.reconcile(memberId, null, epoch);
  }

  /** A new holder takes the member's place. */
  resume({ memberId, nonceHash }: HolderOfMember, profile: MemberProfile): void {
    const epoch = this.nextEpoch();
    this.records.push({ kind: 'member-resumed', memberId, nonceHash, profile, epoch });
    this.set(takenOver({ ...this.member(memberId), ...profile, nonceHash, away: false }, epoch));
    this.retarget();
    this.reconcile(memberId, null, epoch);
  }

  /** The member's holder has gone; its place is kept until its session is over. */
  goAway(memberId: string): void {
    const epoch = this.nextEpoch();
    this.records.push({ kind: 'member-away', memberId, epoch });
    this.set(takenOver({ ...this.member(memberId), away: true }, epoch));
  }

  leave(memberId: string, reason: LeaveReason): void {
    this.records.push({ kind: 'member-left', memberId, reason });
    const left = new Map(this.members);
    left.delete(memberId);
    this.members = left;
    this.retarget();
  }

  /** Takes in what the catalog knows by now: new topics and partitions, deleted topics. */
  retargetIfTopicsChanged(): void {
    if (!sameTopics(this.shapes, subscribedTopics(this.group, this.members, this.topics))) this.retarget();
  }

  /** Moves one member one step; see reconciliation.ts. `stepEpoch`: null takes a new epoch if the step needs one. */
  reconcile(memberId: string, acknowledged: Assignment | null, stepEpoch: MemberEpoch | null): void {
    const member = this.member(memberId);
    const isFree = (topicId: string, partition: number): boolean => {
      const holder = this.group.holders.holderOf(topicId, partition);
      return holder === null || holder === memberId || !this.members.has(holder);
    };
    const step = reconcile(member, acknowledged, isFree, stepEpoch ?? toMemberEpoch(this.epoch + 1));
    if (step === null) return;
    if (step.epoch > this.epoch) this.epoch = step.epoch;
    this.records.push({ kind: 'member-assigned', memberId, ...step });
    this.set({ ...member, ...step });
  }

  private retarget(): void {
    const topics = subscribedTopics(this.group, this.members, this.topics);
    const targets = changedTargets(this.assignor, this.members, topics, this.topics);
    if (targets.length === 0 && sameTopics(this.shapes, topics)) return;
    const catalogRevision = Math.max(this.topics.revision, this.group.catalogRevision);
    this.records.push({ kind: 'target-changed', catalogRevision, topics, targets });
    this.shapes = new Map(topics.map((shape) => [shape.topic, shape]));
    const members = new Map(this.members);
    for (const { memberId, target } of targets) members.set(memberId, { ...this.member(memberId), target });
    this.members = members;
  }

  private nextEpoch(): MemberEpoch {
    this.epoch = toMemberEpoch(this.epoch + 1);
    return this.epoch;
  }

  private set(member: MemberState): void {
    this.members = new Map(this.members).set(member.memberId, member);
  }
}
