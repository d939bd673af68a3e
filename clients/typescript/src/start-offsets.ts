/** Where a group member begins to read a partition. */
import type { Admin, OffsetQuery, TopicPartition } from './admin.ts';
import type { CallOptions } from './brokers.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import { partitionKey } from './fetcher.ts';

/** What to do where there is no offset to go on from; `error` leaves it to the application. */
export type OffsetPolicy = 'earliest' | 'latest' | 'error';

/**
 * Committed offsets by partition key; the policy decides where none was committed, and only there: an error on the way is
 * an error, never a reason to begin elsewhere. Partitions that were made after the group are read from their beginning,
 * whatever the policy: nobody can have chosen to leave out what is in them (semantics O5). Rejects with NO_COMMITTED_OFFSET
 * if the policy says so.
 */
export async function startOffsets(
  admin: Admin,
  group: string,
  partitions: readonly TopicPartition[],
  policy: OffsetPolicy,
  options: CallOptions,
): Promise<ReadonlyMap<string, number>> {
  const { offsets, young } = await committedOffsets(admin, group, partitions, options);
  if (young.length > 0) for (const found of await offsetsAt(admin, young, 'earliest', options)) offsets.set(...found);
  const missing = partitions.filter(({ topic, partition }) => !offsets.has(partitionKey(topic, partition)));
  const [first] = missing;
  if (first === undefined) return offsets;
  if (policy === 'error') {
    const text = `Group "${group}" has no committed offset for ${first.topic}/${first.partition}; set onNoOffset to 'earliest' or 'latest' to begin there.`;
    throw new BrokerError('NO_COMMITTED_OFFSET', text, { topic: first.topic, partition: first.partition });
  }
  for (const found of await offsetsAt(admin, missing, policy, options)) offsets.set(...found);
  return offsets;
}

/** The first or the next offset of partitions, by partition key. */
export async function offsetsAt(
  admin: Admin,
  partitions: readonly TopicPartition[],
  at: OffsetQuery['at'],
  options: CallOptions,
): Promise<[key: string, offset: number][]> {
  const queries = partitions.map(({ topic, partition }) => ({ topic, partition, at }));
  const found = await admin.listOffsets(queries, options);
  return found.flatMap(({ topic, partition, offset }) =>
    offset === null ? [] : [[partitionKey(topic, partition), offset] as [string, number]],
  );
}

async function committedOffsets(
  admin: Admin,
  group: string,
  partitions: readonly TopicPartition[],
  options: CallOptions,
): Promise<{ readonly offsets: Map<string, number>; readonly young: readonly TopicPartition[] }> {
  const offsets = new Map<string, number>();
  const young: TopicPartition[] = [];
  try {
    for (const { topic, partition, offset, newerThanGroup } of await admin.fetchCommitted(group, partitions, options))
      if (offset !== null) offsets.set(partitionKey(topic, partition), offset);
      else if (newerThanGroup) young.push({ topic, partition });
  } catch (error) {
    if (asBrokerError(error).code !== 'GROUP_ID_NOT_FOUND') throw error; // a group that is not known committed nothing
  }
  return { offsets, young };
}
