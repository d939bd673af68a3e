/** How each record changes a group: the only writer of the state, on every replica and after every restart the same. */
import { assert, must } from '../../model/assert.ts';
import type { MemberEpoch, Millis } from '../../model/ids.ts';
import { nothing } from './assignment.ts';
import { Group, takenOver } from './group.ts';
import type { Groups } from './groups.ts';
import type { GroupEvent } from './group-event.ts';
import type { Rebalance } from './rebalance-history.ts';
import { withRebalance } from './rebalance-history.ts';
import type { GroupEntry, GroupRecord, HolderRecord } from './records.ts';
import { shapesByName, TouchedKeys } from './state-keys.ts';
import type { StateChange } from '../../model/raft-state.ts';
import { assertTargetCovers } from './target.ts';

/** What an entry did. */
export interface Applied {
  /** The stored form of what changed. */
  readonly changes: readonly StateChange[];
  readonly events: readonly GroupEvent[];
}

/** Applies one entry. `atMs` is its append time, the same on every replica. */
export function replayEntry(groups: Groups, entry: GroupEntry, atMs: Millis): Applied {
  if (isOvertaken(groups, entry)) return { changes: [], events: [] };
  const replay = new Replay(groups, entry, atMs);
  for (const record of entry.records) replay.record(record);
  return replay.finish();
}

/** An expiry that was proposed before its member came back has no effect (design D19). */
function isOvertaken(groups: Groups, entry: GroupEntry): boolean {
  if (entry.guard === null) return false;
  return groups.find(entry)?.members.get(entry.guard.memberId)?.epoch !== entry.guard.epoch;
}

class Replay {
  private readonly groups: Groups;
  private readonly entry: GroupEntry;
  private readonly atMs: Millis;
  private readonly touched: TouchedKeys;
  private readonly events: GroupEvent[] = [];
  /** What new targets in this entry are for. */
  private cause: Pick<Rebalance, 'reason' | 'memberId' | 'clientId'> = {
    reason: 'topics-changed',
    memberId: null,
    clientId: '',
  };

  constructor(groups: Groups, entry: GroupEntry, atMs: Millis) {
    this.groups = groups;
    this.entry = entry;
    this.atMs = atMs;
    this.touched = new TouchedKeys(entry);
  }

  record(record: GroupRecord): void {
    if (record.kind === 'group-created') this.create(record);
    else if (record.kind === 'group-deleted') this.remove();
    else {
      const group = this.groups.must(this.entry);
      this.groups.update(group, () => this.change(group, record));
    }
  }

  finish(): Applied {
    return { changes: this.touched.changes(this.groups), events: this.events };
  }

  private create(record: Extract<GroupRecord, { kind: 'group-created' }>): void {
    assert(this.groups.find(this.entry) === null, 'group-7: a group is created once');
    this.groups.add(new Group(this.entry, record.assignor, record.catalogRevision, this.atMs));
    this.touched.touchGroup();
  }

  private remove(): void {
    const group = this.groups.must(this.entry);
    assert(group.members.size === 0, 'group-7: a deleted group has no members');
    assert(group.offsets.count === 0, 'group-7: a deleted group has no offsets');
    this.groups.remove(group);
    this.touched.touchGroup();
    if (group.history.length > 0) this.touched.touchHistory();
  }

  private change(group: Group, record: Exclude<GroupRecord, { kind: 'group-created' | 'group-deleted' }>): void {
    switch (record.kind) {
      case 'assignor-chosen':
        group.assignor = record.assignor;
        this.touched.touchGroup();
        return;
      case 'member-joined':
        this.joined(group, record);
        return;
      case 'member-resumed':
        this.resumed(group, record);
        return;
      case 'member-away':
        this.wentAway(group, record);
        return;
      case 'member-left':
        this.left(group, record);
        return;
      case 'target-changed':
        this.retargeted(group, record);
        return;
      case 'member-assigned':
        this.assigned(group, record);
        return;
      case 'offsets-committed':
        this.committed(group, record);
        return;
      case 'offsets-removed':
        this.offsetsRemoved(group, record);
        return;
    }
  }

  private joined(group: Group, record: HolderRecord): void {
    assert(!group.members.has(record.memberId), 'group-7: a member joins once');
    this.raise(group, record.epoch);
    const { memberId, nonceHash, profile, epoch } = record;
    const none = { previousEpoch: null, target: nothing, assigned: nothing, revoking: nothing };
    group.setMember({ memberId, nonceHash, ...profile, sinceEpoch: epoch, away: false, epoch, ...none });
    group.emptySinceMs = null;
    this.cause = { reason: 'joined', memberId, clientId: profile.clientId };
    this.touched.touchMember(memberId);
    this.events.push({ kind: 'member-joined', group: this.entry, memberId, epoch });
  }

  private resumed(group: Group, record: HolderRecord): void {
    const member = this.member(group, record.memberId);
    this.raise(group, record.epoch);
    const { memberId, nonceHash, profile, epoch } = record;
    group.setMember(takenOver({ ...member, ...profile, nonceHash, away: false }, epoch));
    this.cause = { reason: 'resumed', memberId, clientId: profile.clientId };
    this.touched.touchMember(memberId);
    this.events.push({ kind: 'member-resumed', group: this.entry, memberId, epoch });
  }

  private wentAway(group: Group, { memberId, epoch }: Extract<GroupRecord, { kind: 'member-away' }>): void {
    const member = this.member(group, memberId);
    assert(member.instanceId !== null, 'group-7: only a static member can be away', memberId);
    this.raise(group, epoch);
    group.setMember(takenOver({ ...member, away: true }, epoch));
    this.touched.touchMember(memberId);
    this.events.push({ kind: 'member-away', group: this.entry, memberId, epoch });
  }

  private left(group: Group, record: Extract<GroupRecord, { kind: 'member-left' }>): void {
    const member = this.member(group, record.memberId);
    group.removeMember(member);
    this.cause = { reason: record.reason, memberId: member.memberId, clientId: member.clientId };
    if (group.members.size === 0) group.emptySinceMs = this.atMs;
    this.touched.touchGroup();
    this.touched.touchMember(record.memberId);
    this.events.push({ kind: 'member-left', group: this.entry, memberId: record.memberId, reason: record.reason });
  }

  private retargeted(group: Group, record: Extract<GroupRecord, { kind: 'target-changed' }>): void {
    group.topics = shapesByName(record.topics);
    group.catalogRevision = record.catalogRevision;
    for (const { memberId, target } of record.targets) {
      group.setMember({ ...this.member(group, memberId), target });
      this.touched.touchMember(memberId);
    }
    assertTargetCovers(group);
    this.touched.touchGroup();
    this.remember(group, record.targets.length);
  }

  private remember(group: Group, membersAffected: number): void {
    const { atMs, cause } = this;
    const rebalance = { atMs, ...cause, epoch: group.epoch, memberCount: group.members.size, membersAffected };
    group.history = withRebalance(group.history, rebalance);
    this.touched.touchHistory();
    const { reason } = cause;
    if (group.members.size > 0) this.events.push({ kind: 'rebalanced', group: this.entry, reason });
  }

  private assigned(group: Group, record: Extract<GroupRecord, { kind: 'member-assigned' }>): void {
    const member = this.member(group, record.memberId);
    const { memberId, epoch, assigned, revoking } = record;
    const rises = epoch > member.epoch;
    if (rises) this.raise(group, epoch);
    const previousEpoch = rises ? member.epoch : member.previousEpoch;
    group.setMember({ ...member, epoch, previousEpoch, assigned, revoking });
    this.touched.touchMember(memberId);
    this.events.push({ kind: 'member-assigned', group: this.entry, memberId, epoch, revoking: revoking.size > 0 });
  }

  private committed(group: Group, record: Extract<GroupRecord, { kind: 'offsets-committed' }>): void {
    this.assertMayCommit(group, record);
    const { stamp, catalogRevision } = record;
    for (const { topic, topicId, partition, offset, leaderEpoch, metadata } of record.offsets) {
      const committed = { offset, leaderEpoch, metadata, commitTimeMs: this.atMs, stamp, catalogRevision };
      if (record.memberId === null) group.offsets.put(topic, topicId, partition, committed);
      else if (!group.offsets.commit(topic, topicId, partition, committed)) continue;
      this.touched.touchOffset(topicId, partition);
    }
    this.events.push({ kind: 'offsets-committed', group: this.entry, count: record.offsets.length });
  }

  /** group-5 (reliability P109): who commits is a member at its current epoch, or a tool while there are no members. */
  private assertMayCommit(group: Group, record: Extract<GroupRecord, { kind: 'offsets-committed' }>): void {
    if (record.memberId === null) {
      assert(group.members.size === 0, 'group-5: a tool commits only while there are no members');
      return;
    }
    const epoch = this.member(group, record.memberId).epoch;
    assert(epoch === record.stamp.memberEpoch, 'group-5: only the current holder commits', record.memberId);
    for (const { topicId, partition } of record.offsets) {
      assert(group.holders.holderOf(topicId, partition) === record.memberId, 'group-5: only a holder commits', topicId);
    }
  }

  private offsetsRemoved(group: Group, record: Extract<GroupRecord, { kind: 'offsets-removed' }>): void {
    for (const partition of record.partitions) {
      group.offsets.remove(record.topicId, partition);
      this.touched.touchOffset(record.topicId, partition);
    }
    const { topicId, reason, partitions } = record;
    this.events.push({ kind: 'offsets-removed', group: this.entry, topicId, reason, count: partitions.length });
  }

  /** group-2 (B7): every epoch that is given is new in its group. */
  private raise(group: Group, epoch: MemberEpoch): void {
    assert(epoch === group.epoch + 1, 'group-2: epochs are given one by one', `${group.epoch} ${epoch}`);
    group.epoch = epoch;
    this.touched.touchGroup();
  }

  private member(group: Group, memberId: string): NonNullable<ReturnType<Group['members']['get']>> {
    return must(group.members.get(memberId), `member ${memberId} is in the group`);
  }
}
