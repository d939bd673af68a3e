import type { GroupNumber } from '../../../src/model/ids.ts';
import type { RoleState } from '../../../src/raft/core/ready.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

/** inv-I1: at most one leader in a group and term, restarts included. Raft paper, figure 3, "Election Safety". */
export class ElectionSafety extends Invariant {
  readonly id = 'inv-I1';
  readonly #leaders = new Map<string, number>();

  override onRole(node: SimNode, group: GroupNumber, state: RoleState): void {
    if (state.role !== 'leader') return;
    const key = `${group}/${state.term}`;
    const known = this.#leaders.get(key);
    this.check(known === undefined || known === node.number, `group ${key}: n${known} and n${node.number} lead`);
    this.#leaders.set(key, node.number);
  }
}
