import type { Entry } from '../../../src/model/entry.ts';
import type { GroupNumber } from '../../../src/model/ids.ts';
import { catalogGroup } from '../../../src/model/ids.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { SimBroker } from '../sim-broker.ts';

/** inv-P62: brokers that found and join at the same time form one cluster. Design D4; reliability P62. */
export class OneCluster extends BrokerInvariant {
  readonly id = 'inv-P62';
  #clusterId: string | null = null;

  override onApplied({ number, disk }: SimBroker, group: GroupNumber, entry: Entry): void {
    if (group !== catalogGroup || entry.kind !== 'command') return;
    const clusterId = disk.cached.get(group)?.header.clusterId ?? null;
    this.#clusterId ??= clusterId;
    this.check(this.#clusterId === clusterId, `b${number} is in cluster ${clusterId}, others in ${this.#clusterId}`);
  }
}
