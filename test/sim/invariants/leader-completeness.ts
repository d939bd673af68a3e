import type { GroupNumber } from '../../../src/model/ids.ts';
import type { RoleState } from '../../../src/raft/core/ready.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

/** inv-I4: whoever becomes leader has everything that was ever committed. Raft paper, figure 3, "Leader Completeness". */
export class LeaderCompleteness extends Invariant {
  readonly id = 'inv-I4';
  readonly #checked = new Set<string>();

  override onRole(node: SimNode, group: GroupNumber, state: RoleState): void {
    if (state.role !== 'leader') return;
    const key = `${group}/${state.term}/${node.number}`;
    if (this.#checked.has(key)) return;
    this.#checked.add(key);
    const last = this.world.committed.entries(group).findLast(({ term }) => term < state.term);
    if (last === undefined) return;
    const image = node.disk.cached.get(group);
    const has = image !== undefined && (last.index <= image.before.index || image.at(last.index)?.chain === last.chain);
    this.check(
      has,
      `n${node.number} leads g${group} in term ${state.term} without committed entry ${last.index}/${last.term}`,
    );
  }
}
