/** The topics that the catalog names, with what of them runs on this broker: where every request finds its partition. */
import { must } from '../model/assert.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { TopicEntry } from './catalog-commands.ts';
import { otherTopicId } from './catalog-decisions.ts';
import type { Partition } from './partition.ts';
import type { PartitionRef } from './requests.ts';
import type { TopicChange, TopicSummary, TopicView } from './topic-view.ts';

export interface HostedTopic {
  readonly entry: TopicEntry;
  readonly summary: TopicSummary;
  /** By partition number; null: no data partition of this broker. */
  readonly partitions: readonly (Partition | null)[];
}

/** A partition and the topic it belongs to now. */
export interface Located {
  readonly topic: HostedTopic;
  readonly partition: Partition;
}

export class TopicDirectory implements TopicView {
  readonly #byId = new Map<string, HostedTopic>();
  /** By tenant, then by name. */
  readonly #byName = new Map<number, Map<string, HostedTopic>>();
  readonly #listeners = new Set<(change: TopicChange) => void>();

  add(topic: HostedTopic): void {
    const { tenant, name, topicId } = topic.entry;
    this.#byId.set(topicId, topic);
    const names = this.#byName.get(tenant) ?? new Map<string, HostedTopic>();
    this.#byName.set(tenant, names.set(name, topic));
    for (const listener of this.#listeners) listener({ kind: 'created', topic: topic.summary });
  }

  /** The same topic, placed otherwise, or with more partitions. */
  replace(topic: HostedTopic): void {
    const { tenant, name, topicId } = topic.entry;
    const before = must(this.#byId.get(topicId), 'topics-1: only what is there is replaced').summary;
    this.#byId.set(topicId, topic);
    this.#byName.get(tenant)?.set(name, topic);
    if (topic.summary.partitionCount === before.partitionCount) return;
    for (const listener of this.#listeners) listener({ kind: 'grown', topic: topic.summary });
  }

  /** Gives back what was removed; null if it was not there. */
  remove(topicId: string): HostedTopic | null {
    const topic = this.#byId.get(topicId);
    if (topic === undefined) return null;
    this.#byId.delete(topicId);
    this.#byName.get(topic.entry.tenant)?.delete(topic.entry.name);
    for (const listener of this.#listeners) listener({ kind: 'deleted', topic: topic.summary });
    return topic;
  }

  find(tenant: number, name: string): TopicSummary | null {
    return this.#byName.get(tenant)?.get(name)?.summary ?? null;
  }

  findById(topicId: string): TopicSummary | null {
    return this.#byId.get(topicId)?.summary ?? null;
  }

  onChange(listener: (change: TopicChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get topics(): ReadonlyMap<string, HostedTopic> {
    return this.#byId;
  }

  named(tenant: number, name: string): HostedTopic | null {
    return this.#byName.get(tenant)?.get(name) ?? null;
  }

  /** The data partition that a client means; internal topics are none. */
  locate(tenant: number, ref: PartitionRef): Result<Located> {
    const topic = this.topicOf(tenant, ref);
    if (topic.kind === 'refused') return topic;
    if (topic.value.entry.internal) return internalTopic(ref.topic);
    const partition = topic.value.partitions[ref.partition] ?? null;
    return partition === null ? notHere : ok({ topic: topic.value, partition });
  }

  /** The topic that has the partition, wherever its replicas are. */
  topicOf(tenant: number, ref: PartitionRef): Result<HostedTopic> {
    const topic = this.named(tenant, ref.topic);
    if (ref.topicId !== null && topic?.entry.topicId !== ref.topicId) {
      return otherTopicId(ref.topic, ref.topicId, this.#byId.has(ref.topicId));
    }
    if (topic === null) return unknownTopic(ref.topic);
    return topic.partitions[ref.partition] === undefined ? unknownPartition(topic, ref.partition) : ok(topic);
  }
}

export const unknownTopic = (name: string): Refused =>
  refuse('UNKNOWN_TOPIC_OR_PARTITION', `topic "${name}" does not exist; create it first`, { fields: { topic: name } });

const internalTopic = (name: string): Refused =>
  refuse('INVALID_TOPIC', `topic "${name}" is Sluice's own; clients neither read nor write it`);

export const unknownPartition = (topic: HostedTopic, partition: number): Refused =>
  refuse(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `topic "${topic.entry.name}" has partitions 0 to ${topic.partitions.length - 1}, not ${partition}`,
    { fields: { partitionCount: `${topic.partitions.length}`, actual: `${partition}` } },
  );

const notHere: Refused = refuse(
  'NOT_LEADER_OR_FOLLOWER',
  'this broker has no replica of the partition; ask its leader',
);
