import type { GroupNumber } from '../../../src/model/ids.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { SimBroker } from '../sim-broker.ts';

/**
 * inv-D5: a replica's data goes only once its topic is deleted in the catalog's committed log, or the group's committed
 * configuration does without that replica. Design D5; reliability 0.4, P48, P64.
 */
export class RemovalAfterExclusion extends BrokerInvariant {
  readonly id = 'inv-D5';

  override onRemoving(broker: SimBroker, group: GroupNumber): void {
    const topic = this.world.catalog.topicOfGroup.get(group);
    this.check(topic !== undefined, `b${broker.number} removes group ${group}, which the catalog does not know`);
    if (topic.deletedAt !== null) return;
    const replica = broker.disk.cached.get(group)?.header.replicaId;
    const configuration = this.world.committedConfiguration(group);
    this.check(configuration !== null, `b${broker.number} removes group ${group}, whose members never changed`);
    const members = [...configuration.voters, ...configuration.outgoing, ...configuration.learners];
    this.check(
      replica !== undefined && !members.includes(replica),
      `b${broker.number} removes replica ${replica} of group ${group}, whose members are ${members.join(' ')}`,
    );
  }
}
