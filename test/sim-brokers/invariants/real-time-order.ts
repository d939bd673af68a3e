import type { GroupNumber } from '../../../src/model/ids.ts';
import type { Ack } from '../history.ts';
import { BrokerInvariant } from '../invariant.ts';

/**
 * inv-B5: what was acknowledged before something else was sent lies before it, so each producer's batches are in its order.
 * Reliability 2.0; Jepsen's nonmonotonic-send.
 */
export class RealTimeOrder extends BrokerInvariant {
  readonly id = 'inv-B5';
  /** By group, in the order of the acknowledgements: the highest offset acknowledged by then. */
  readonly #highest = new Map<GroupNumber, { readonly at: number; readonly offset: number }[]>();

  override onAcked({ batch, topicId, offset, at }: Ack): void {
    const group = this.world.catalog.topics.get(topicId)?.groups[batch.partition];
    if (group === undefined || offset === null) return;
    const highest = this.#highest.get(group) ?? [];
    this.#highest.set(group, highest);
    const before = highest.findLast((one) => one.at < batch.startedAt);
    this.check(
      before === undefined || offset > before.offset,
      `batch ${batch.id} was sent after offset ${before?.offset} of group ${group} was acknowledged, and is at ${offset}`,
    );
    highest.push({ at, offset: Math.max(offset, highest.at(-1)?.offset ?? 0) });
  }
}
