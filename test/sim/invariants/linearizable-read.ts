import type { GroupNumber, LogIndex } from '../../../src/model/ids.ts';
import { Invariant } from '../invariant.ts';
import type { Operation, Read } from '../workload.ts';

/**
 * inv-lin: a read is confirmed at an index that covers everything that was acknowledged before it began, whoever
 * acknowledged it, and pauses included. Reliability 3.7 (b); Raft thesis 6.4; P16, P68.
 */
export class LinearizableRead extends Invariant {
  readonly id = 'inv-lin';
  readonly #acked = new Map<GroupNumber, number>();
  /** What had been acknowledged when each open read began, and what its node knew to be committed. */
  readonly #begun = new Map<number, { readonly acked: number; readonly known: number; readonly led: boolean }>();

  override onOperationAcked({ group, index }: Operation): void {
    this.#acked.set(group, Math.max(this.#acked.get(group) ?? 0, index ?? 0));
  }

  override onReadStarted({ id, group, node }: Read): void {
    const raft = node.groups.get(group);
    const led = raft?.role.role === 'leader';
    this.#begun.set(id, { acked: this.#acked.get(group) ?? 0, known: raft?.commitIndex ?? 0, led });
  }

  override onReadRefused({ id }: Read): void {
    const begun = this.#begun.get(id);
    this.#begun.delete(id);
    if (begun?.led === true && begun.known < begun.acked) this.world.count('staleReadsPrevented');
  }

  override onReadConfirmed({ id, group, node }: Read, index: LogIndex): void {
    const acked = this.#begun.get(id)?.acked ?? 0;
    this.#begun.delete(id);
    this.check(index >= acked, `n${node.number} g${group}: a read at ${index} began after ${acked} was acknowledged`);
  }
}
