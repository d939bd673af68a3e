import type { GroupNumber, ReplicaId } from '../../../src/model/ids.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { SimBroker } from '../sim-broker.ts';

/**
 * inv-P61: a replica id is made on one disk, once: a wiped disk, or one of another broker, never passes for what voted and
 * acknowledged before. Design D4; reliability P61, P79.
 */
export class ReplicaBound extends BrokerInvariant {
  readonly id = 'inv-P61';
  readonly #disks = new Map<ReplicaId, string>();

  override onCreating(broker: SimBroker, group: GroupNumber, replica: ReplicaId): void {
    const incarnation = broker.incarnation ?? '';
    const known = this.#disks.get(replica);
    this.check(
      known === undefined || known === incarnation,
      `replica ${replica} of group ${group} was made on disk ${known}, and now on ${incarnation} of b${broker.number}`,
    );
    this.#disks.set(replica, incarnation);
  }
}
