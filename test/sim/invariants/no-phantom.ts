import { Invariant } from '../invariant.ts';
import { operationOf } from '../workload.ts';
import type { SimWorld } from '../sim-world.ts';

/** inv-B4: what was refused, or never proposed, is never in the log. Jepsen's aborted read (G1a). */
export class NoPhantom extends Invariant {
  readonly id = 'inv-B4';

  constructor(world: SimWorld) {
    super(world);
    world.committed.onCommitted.push((_node, _group, entry) => {
      const id = operationOf(entry);
      if (id === null) return;
      const operation = world.workload.operations.get(id);
      this.check(operation !== undefined, `operation ${id} is in the log and nobody proposed it`);
      this.check(operation.state !== 'refused', `operation ${id} was refused and is in the log`);
    });
  }
}
