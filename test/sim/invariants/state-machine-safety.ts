import type { Entry } from '../../../src/model/entry.ts';
import type { GroupNumber } from '../../../src/model/ids.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

/**
 * inv-I5: after applying index i every replica is in the same state. Raft paper, figure 3, "State Machine Safety". The
 * comparison of the entries themselves is in committed-log.ts.
 */
export class StateMachineSafety extends Invariant {
  readonly id = 'inv-I5';
  readonly #hashes = new Map<GroupNumber, number[]>();

  override onApplied(node: SimNode, group: GroupNumber, entry: Entry, hash: number): void {
    const hashes = this.#hashes.get(group) ?? [];
    this.#hashes.set(group, hashes);
    const known = hashes[entry.index];
    if (known === undefined) hashes[entry.index] = hash;
    else this.check(known === hash, `n${node.number} g${group}: another state after index ${entry.index}`);
  }
}
