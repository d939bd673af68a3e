import { must } from '../../model/assert.ts';
import type { Group, GroupView } from './group.ts';
import type { GroupRef } from './records.ts';
import { groupKeyOf } from './records.ts';

export interface GroupsView {
  readonly size: number;
  /** Estimated memory of all groups. */
  readonly bytes: number;
  find(group: GroupRef): GroupView | null;
  all(): Iterable<GroupView>;
}

/** All groups of one coordinator. */
export class Groups implements GroupsView {
  private readonly byKey = new Map<string, Group>();
  /** Invariant: the sum of the groups' bytes as of the end of the last `update`. */
  bytes = 0;

  get size(): number {
    return this.byKey.size;
  }

  find(group: GroupRef): Group | null {
    return this.byKey.get(groupKeyOf(group)) ?? null;
  }

  must(group: GroupRef): Group {
    return must(this.find(group), `group ${groupKeyOf(group)} exists`);
  }

  all(): Iterable<Group> {
    return this.byKey.values();
  }

  add(group: Group): void {
    this.byKey.set(groupKeyOf(group), group);
    this.bytes += group.bytes;
  }

  remove(group: Group): void {
    this.byKey.delete(groupKeyOf(group));
    this.bytes -= group.bytes;
  }

  /** Runs a change of one group and keeps `bytes`. */
  update<T>(group: Group, change: () => T): T {
    const before = group.bytes;
    try {
      return change();
    } finally {
      this.bytes += group.bytes - before;
    }
  }
}
