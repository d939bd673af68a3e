import { recordsOf } from '../committed-logs.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { BrokerWorld } from '../broker-world.ts';

/**
 * inv-B4: what was refused with certainty, or never sent, or sent to another topic or partition, is never in a log.
 * Reliability 2.0 (NoPhantom); Jepsen's aborted read (G1a). The same of a deleted topic's records (P78, P118).
 */
export class NoPhantom extends BrokerInvariant {
  readonly id = 'inv-B4';

  constructor(world: BrokerWorld) {
    super(world);
    world.committed.onCommitted.push((group, entry) => {
      if (entry.kind !== 'batch') return;
      const topic = world.catalog.topicOfGroup.get(group);
      for (const { batch: id } of recordsOf(entry.payload)) {
        const batch = world.history.batches.get(id);
        this.check(batch !== undefined, `batch ${id} is in the log of group ${group}, and nobody sent it`);
        this.check(batch.state !== 'refused', `batch ${id} was refused and is in the log of group ${group}`);
        const isThere = topic?.name === batch.topic && topic.groups[batch.partition] === group;
        this.check(
          isThere && (batch.topicId === null || batch.topicId === topic.topicId),
          `batch ${id} was sent to ${batch.topic} ${batch.topicId ?? ''}/${batch.partition} and is in ${topic?.name} ${topic?.topicId}, group ${group}`,
        );
      }
    });
  }

  override atEnd(): void {
    for (const { records } of this.world.committed.groups.values()) {
      for (const { batch } of records)
        this.check(this.world.history.batches.get(batch)?.state !== 'refused', `batch ${batch} was refused and is in the log`); // prettier-ignore
    }
  }
}
