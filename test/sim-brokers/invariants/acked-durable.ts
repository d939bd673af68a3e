import type { AppendReceipt, AppendRequest } from '../../../src/broker/requests.ts';
import { readBatchHeader } from '../../../src/model/record-batch.ts';
import { recordsOf } from '../committed-logs.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { SimBroker } from '../sim-broker.ts';

/**
 * inv-B1: what is acknowledged is committed, at its offset, and in the synced image of a quorum of the voters' disks; at the
 * end it is in the log that all replicas share. Reliability 2.0 (AckedDurable); Jepsen's lost-write.
 */
export class AckedDurable extends BrokerInvariant {
  readonly id = 'inv-B1';

  override onReceipt(broker: SimBroker, request: AppendRequest, receipt: AppendReceipt): void {
    if (!receipt.committed || receipt.baseOffset === null) return;
    const group = this.world.catalog.topics.get(receipt.topicId)?.groups[receipt.partition];
    this.check(group !== undefined, `b${broker.number} acknowledged for topic ${receipt.topicId}, which never was`);
    const header = readBatchHeader(request.batch);
    this.check(header.kind === 'ok', 'what was acknowledged is a batch');
    const { records, entries } = this.world.committed.of(group);
    for (const { batch, at } of recordsOf(request.batch)) {
      const there = records[receipt.baseOffset + at];
      const isThere = there?.batch === batch && there.at === at;
      this.check(
        isThere,
        `b${broker.number} acknowledged batch ${batch} at ${receipt.baseOffset} of group ${group}, where it is not`,
      );
    }
    const entry = entries.find((one) => one.count > 0 && one.baseOffset === receipt.baseOffset);
    const raft = broker.groups.get(group);
    if (entry === undefined || raft === undefined || this.world.catalog.state.placeOf(group) === null) return;
    const { voters, outgoing } = raft.membership.configuration;
    for (const half of [voters, outgoing]) {
      const holders = half.filter((voter) => {
        const image = this.world.imageOf(group, voter);
        return image !== null && (entry.index <= image.before.index || image.at(entry.index)?.chain === entry.chain);
      });
      this.check(
        half.length === 0 || holders.length * 2 > half.length,
        `b${broker.number} acknowledged index ${entry.index} of group ${group}, durable on ${holders.join(' ')} of ${half.join(' ')}`,
      );
    }
  }

  override atEnd(): void {
    for (const { batch, topicId, offset } of this.world.history.acks) {
      const group = this.world.catalog.topics.get(topicId)?.groups[batch.partition];
      this.check(group !== undefined, `batch ${batch.id} was acknowledged for a topic that never was`);
      if (offset === null) continue;
      const there = this.world.committed.of(group).records[offset];
      this.check(
        there?.batch === batch.id,
        `batch ${batch.id} was acknowledged at ${offset} of group ${group}, where it is not`,
      );
    }
  }
}
