import type { GroupNumber } from '../../../src/model/ids.ts';
import { Invariant } from '../invariant.ts';
import type { Operation } from '../workload.ts';
import { operationOf } from '../workload.ts';
import type { SimWorld } from '../sim-world.ts';

/** inv-B5: what was acknowledged before another operation began lies before it in the log. Linearizability of append. */
export class RealTimeOrder extends Invariant {
  readonly id = 'inv-B5';
  /** Highest acknowledged index of each group, now. */
  readonly #acked = new Map<GroupNumber, number>();
  /** The same when each operation began. */
  readonly #before = new Map<number, number>();

  constructor(world: SimWorld) {
    super(world);
    world.committed.onCommitted.push((_node, _group, entry) => {
      const id = operationOf(entry);
      if (id === null) return;
      const before = this.#before.get(id) ?? 0;
      this.check(entry.index > before, `operation ${id} at ${entry.index} began after ${before} was acknowledged`);
      this.#before.delete(id);
    });
  }

  override onOperationStarted(operation: Operation): void {
    this.#before.set(operation.id, this.#acked.get(operation.group) ?? 0);
  }

  override onOperationAcked(operation: Operation): void {
    this.#acked.set(operation.group, Math.max(this.#acked.get(operation.group) ?? 0, operation.index ?? 0));
  }
}
