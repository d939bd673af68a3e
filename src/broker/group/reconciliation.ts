/**
 * How one member gets from what it reads to what it shall read (semantics K3): first it gives up, then it acknowledges
 * by no longer reporting what it gave up, and only then it gets what nobody holds any more. So a partition moves only
 * after its holder has acknowledged that it stopped (reliability P111).
 */
import type { MemberEpoch } from '../../model/ids.ts';
import type { Assignment } from './assignment.ts';
import { filtered, intersection, isDisjoint, minus, nothing, union } from './assignment.ts';
import type { MemberState } from './group.ts';

export interface Reconciled {
  readonly epoch: MemberEpoch;
  readonly assigned: Assignment;
  readonly revoking: Assignment;
}

/**
 * The member's next step; null: none is possible.
 * @param acknowledged what the member reported to read, at its current epoch; null: it reported nothing that counts
 * @param isFree nobody but the member itself holds the partition
 * @param nextEpoch the epoch for a step that completes a revocation or adds partitions; a mere revocation keeps the
 *   member's epoch, so that it can commit what it gives up
 */
export function reconcile(
  member: MemberState,
  acknowledged: Assignment | null,
  isFree: (topicId: string, partition: number) => boolean,
  nextEpoch: MemberEpoch,
): Reconciled | null {
  const released = member.revoking.size > 0 && acknowledged !== null && isDisjoint(acknowledged, member.revoking);
  const kept = intersection(member.assigned, member.target);
  const dropped = minus(member.assigned, member.target);
  const revoking = union(released ? nothing : member.revoking, dropped);
  if (revoking.size > 0) {
    if (dropped.size === 0) return null;
    return { epoch: released ? nextEpoch : member.epoch, assigned: kept, revoking };
  }
  const gained = filtered(minus(member.target, kept), isFree);
  if (gained.size === 0 && !released) return null;
  return { epoch: nextEpoch, assigned: union(kept, gained), revoking: nothing };
}
