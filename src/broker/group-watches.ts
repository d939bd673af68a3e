/**
 * The streams of members: who has one is known to live as soon as that changes, and is told at once when its assignment is
 * about to change. In the coordinator's memory only.
 *
 * Invariant watches-1: a member has at most one stream; a newer one ends the older.
 */
import type { Refused } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { GroupRef } from './group/records.ts';
import { groupKeyOf } from './group/records.ts';
import type { MembershipListener } from './requests.ts';

export class MemberWatches {
  /** By group, then by member. */
  private readonly groups = new Map<string, Map<string, MembershipListener>>();

  isWatched(group: GroupRef, memberId: string): boolean {
    return this.groups.get(groupKeyOf(group))?.has(memberId) === true;
  }

  /** The members of a group that have a stream. */
  membersOf(group: GroupRef): readonly string[] {
    return [...(this.groups.get(groupKeyOf(group))?.keys() ?? [])];
  }

  /** Gives back how to end it. */
  add(group: GroupRef, memberId: string, listener: MembershipListener): () => void {
    const key = groupKeyOf(group);
    this.end(
      group,
      memberId,
      refuse('FENCED_MEMBER_EPOCH', 'Another stream of the member took the place of this one.'),
    );
    const members = this.groups.get(key) ?? new Map<string, MembershipListener>();
    this.groups.set(key, members.set(memberId, listener));
    return () => {
      if (members.get(memberId) === listener) this.remove(key, memberId);
    };
  }

  tell(group: GroupRef, memberId: string): void {
    this.groups.get(groupKeyOf(group))?.get(memberId)?.heartbeatNow();
  }

  end(group: GroupRef, memberId: string, why: Refused): void {
    const key = groupKeyOf(group);
    const listener = this.groups.get(key)?.get(memberId);
    if (listener === undefined) return;
    this.remove(key, memberId);
    listener.ended(why);
  }

  endAll(why: Refused): void {
    const listeners = [...this.groups.values()].flatMap((members) => [...members.values()]);
    this.groups.clear();
    for (const listener of listeners) listener.ended(why);
  }

  private remove(key: string, memberId: string): void {
    const members = this.groups.get(key);
    members?.delete(memberId);
    if (members?.size === 0) this.groups.delete(key);
  }
}
