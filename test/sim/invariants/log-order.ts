import type { GroupNumber } from '../../../src/model/ids.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

/**
 * inv-I9: first - 1 <= applied <= commit <= last, and what was dropped from the log had been applied to the state that
 * stands in for it: the machine's, or the one on disk while a snapshot is being installed. Kafka's `SnapshotAtLogStart`.
 */
export class LogOrder extends Invariant {
  readonly id = 'inv-I9';

  override onTouched(node: SimNode): void {
    for (const [group, { appliedIndex, commitIndex, log }] of node.groups) {
      if (appliedIndex > commitIndex) this.#fail(node, group, `applied ${appliedIndex} > commit ${commitIndex}`);
      if (commitIndex > log.lastIndex) this.#fail(node, group, `commit ${commitIndex} > last ${log.lastIndex}`);
      const image = node.disk.cached.get(group);
      const standsIn = Math.max(appliedIndex, image?.appliedIndex ?? 0, image?.checkpoint?.index ?? 0);
      if (log.firstIndex - 1 > standsIn) this.#fail(node, group, `first ${log.firstIndex} > ${appliedIndex} + 1`);
    }
  }

  #fail(node: SimNode, group: GroupNumber, what: string): void {
    this.check(false, `n${node.number} g${group}: ${what}`);
  }
}
