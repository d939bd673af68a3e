import { assert } from '../../model/assert.ts';
import type { Assignment } from './assignment.ts';

export interface HoldersView {
  /** Who reads the partition, or has not yet acknowledged to have stopped; null: nobody. */
  holderOf(topicId: string, partition: number): string | null;
}

/**
 * Who holds which partition of one group: an index over the members' `assigned` and `revoking`, derived and never stored.
 *
 * Invariant group-1 (B7): a partition has at most one holder.
 */
export class Holders implements HoldersView {
  private readonly byTopic = new Map<string, Map<number, string>>();

  holderOf(topicId: string, partition: number): string | null {
    return this.byTopic.get(topicId)?.get(partition) ?? null;
  }

  take(memberId: string, assignment: Assignment): void {
    for (const [topicId, partitions] of assignment) {
      const holders = this.byTopic.get(topicId) ?? new Map<number, string>();
      this.byTopic.set(topicId, holders);
      for (const partition of partitions) {
        assert(!holders.has(partition), 'group-1: a partition has one holder', `${topicId} ${partition} ${memberId}`);
        holders.set(partition, memberId);
      }
    }
  }

  release(memberId: string, assignment: Assignment): void {
    for (const [topicId, partitions] of assignment) {
      const holders = this.byTopic.get(topicId);
      for (const partition of partitions) {
        assert(holders?.get(partition) === memberId, 'group-1: only its holder releases a partition');
        holders.delete(partition);
      }
      if (holders?.size === 0) this.byTopic.delete(topicId);
    }
  }
}
