import type { RaftGroup } from '../../../src/raft/group.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

/** A timer that is later than this shows that the event loop stood still. */
const stallMs = 60;

/**
 * pit-P15: after a stall of the event loop no timer makes anybody campaign before what arrived meanwhile was read, because
 * a leader's sign of life may be in it. Design D3.
 */
export class StallReadsFirst extends Invariant {
  readonly id = 'pit-P15';
  readonly #campaigning = new Set<RaftGroup>();

  override onTouched(node: SimNode): void {
    const isStalled = node.unread > 0 && node.phase !== 'input' && node.timerLateMs >= stallMs;
    for (const [group, raft] of node.groups) {
      const { role } = raft.role;
      if (role !== 'pre-candidate' && role !== 'candidate') {
        this.#campaigning.delete(raft);
        continue;
      }
      if (this.#campaigning.has(raft)) continue;
      this.#campaigning.add(raft);
      this.check(!isStalled, `n${node.number} g${group} campaigns with ${node.unread} things unread after a stall`);
    }
  }
}
