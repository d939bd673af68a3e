import type { Entry } from '../../../src/model/entry.ts';
import type { GroupNumber, Term } from '../../../src/model/ids.ts';
import type { RoleState } from '../../../src/raft/core/ready.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimWorld } from '../sim-world.ts';

/**
 * inv-I4: whoever becomes leader has everything that was committed in an earlier term. Raft paper, figure 3, "Leader
 * Completeness". The term in which it was committed counts, not that of the entry: who wins an election of which the last
 * vote was under way while a later term had its leader already lacks what that leader committed, and can commit nothing.
 */
export class LeaderCompleteness extends Invariant {
  readonly id = 'inv-I4';
  readonly #checked = new Set<string>();
  /** By index - 1, with the term of whoever was the first to know that it is committed: the commit's, or a later one. */
  readonly #committed = new Map<GroupNumber, { readonly entry: Entry; readonly inTerm: Term }[]>();

  constructor(world: SimWorld) {
    super(world);
    world.committed.onCommitted.push((node, group, entry) => {
      const inTerm = node.groups.get(group)?.role.term ?? entry.term;
      const known = this.#committed.get(group);
      if (known === undefined) this.#committed.set(group, [{ entry, inTerm }]);
      else known.push({ entry, inTerm });
    });
  }

  override onRole(node: SimNode, group: GroupNumber, state: RoleState): void {
    if (state.role !== 'leader') return;
    const key = `${group}/${state.term}/${node.number}`;
    if (this.#checked.has(key)) return;
    this.#checked.add(key);
    const last = this.#committed.get(group)?.findLast(({ inTerm }) => inTerm < state.term)?.entry;
    if (last === undefined) return;
    const image = node.disk.cached.get(group);
    const has = image !== undefined && (last.index <= image.before.index || image.at(last.index)?.chain === last.chain);
    this.check(
      has,
      `n${node.number} leads g${group} in term ${state.term} without committed entry ${last.index}/${last.term}`,
    );
  }
}
