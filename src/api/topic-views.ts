/**
 * What several brokers know of a topic's partitions, made one. Only a leader knows who is in sync, whoever has a replica
 * knows the leader, and a broker without one knows only where the replicas are.
 */
import type { DescribedTopic } from '../broker/topics.ts';
import type { BrokerAddress, PartitionInfo } from '../broker/requests.ts';

/** What a broker that was asked knows. */
export type OtherView = Pick<DescribedTopic, 'partitions' | 'brokers'>;

/** Partitions of which no leader has told yet. */
export const untold = ({ partitions }: Pick<DescribedTopic, 'partitions'>): readonly PartitionInfo[] =>
  partitions.filter(({ inSync }) => inSync.length === 0);

/** `here` with what `there` knows better. Positions in the log stay those of the broker here, where it has a replica. */
export function merged<T extends DescribedTopic>(here: T, there: OtherView): T {
  const theirs = new Map(there.partitions.map((one) => [one.partition, one]));
  const partitions = here.partitions.map((mine) => {
    const other = theirs.get(mine.partition);
    return other === undefined ? mine : mergedPartition(mine, other);
  });
  const brokers = new Map<number, BrokerAddress>([...there.brokers, ...here.brokers].map((one) => [one.brokerId, one]));
  return { ...here, partitions, brokers: [...brokers.values()].sort((a, b) => a.brokerId - b.brokerId) };
}

function mergedPartition(mine: PartitionInfo, other: PartitionInfo): PartitionInfo {
  const { leader, leaderEpoch, inSync } = isNewer(other, mine) ? other : mine;
  return {
    ...mine,
    ...{ leader, leaderEpoch, inSync },
    logStart: mine.logStart ?? other.logStart,
    highWatermark: mine.highWatermark ?? other.highWatermark,
  };
}

/** A later term, or the leader's own word in the same one. */
function isNewer(one: PartitionInfo, than: PartitionInfo): boolean {
  const [epoch, other] = [one.leaderEpoch ?? -1, than.leaderEpoch ?? -1];
  return epoch > other || (epoch === other && one.inSync.length > than.inSync.length);
}
