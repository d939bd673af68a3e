/** What the client must know of a topic before it can produce or read: its UUID and how many partitions it has. */
import type { Brokers, CallOptions } from './brokers.ts';
import { BrokerError } from './errors.ts';

export interface TopicMetadata {
  readonly name: string;
  readonly topicId: string;
  /** At least 1. */
  readonly partitionCount: number;
  /** When it was learnt; monotonic milliseconds. */
  readonly learntMs: number;
}

/** Codes that say that what was known of a topic is not true any more. */
export const topicChanged: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
]);

export async function loadTopic(brokers: Brokers, name: string, options: CallOptions = {}): Promise<TopicMetadata> {
  const { topic } = await brokers.describeTopic(name, options);
  if (topic === undefined || topic.partitionCount < 1)
    throw new BrokerError('INTERNAL', `The broker described topic "${name}" without its partitions.`, { topic: name });
  const learntMs = brokers.environment.clock.monotonicMs();
  return { name, topicId: topic.topicId, partitionCount: topic.partitionCount, learntMs };
}

/**
 * Finds out who leads the partitions of topics, so that they are asked directly. Never rejects: whoever is asked instead
 * passes requests on.
 */
export async function learnLeaders(brokers: Brokers, topics: Iterable<string>, options: CallOptions): Promise<void> {
  await Promise.allSettled([...new Set(topics)].map((topic) => brokers.describeTopic(topic, options)));
}
