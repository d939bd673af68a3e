import type { Entry } from '../../../src/model/entry.ts';
import type { GroupNumber } from '../../../src/model/ids.ts';
import { entryEndOffset } from '../../../src/model/entry.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';
import { operationOf } from '../workload.ts';
import type { SimWorld } from '../sim-world.ts';

/** inv-B2: offsets are dense and unique, and an operation is in the log at most once. Jepsen's inconsistent-offsets, duplicate. */
export class UniqueOffset extends Invariant {
  readonly id = 'inv-B2';
  readonly #ends = new Map<GroupNumber, number>();
  readonly #seen = new Set<number>();

  constructor(world: SimWorld) {
    super(world);
    world.committed.onCommitted.push((node: SimNode, group: GroupNumber, entry: Entry) => {
      const end = this.#ends.get(group) ?? 0;
      this.check(
        entry.baseOffset === end,
        `n${node.number} g${group} index ${entry.index}: base ${entry.baseOffset}, end was ${end}`,
      );
      this.#ends.set(group, entryEndOffset(entry));
      const id = operationOf(entry);
      if (id === null) return;
      this.check(!this.#seen.has(id), `operation ${id} is in the log twice`);
      this.#seen.add(id);
    });
  }
}
