/** Topics as a test declares them: a TopicView for the broker, a GroupTopics for the coordinator. */
import type { FoundTopic, GroupTopics } from '../../src/broker/group/group-topics.ts';
import type { TopicChange, TopicSummary, TopicView } from '../../src/broker/topic-view.ts';

export class TableTopics implements TopicView, GroupTopics {
  revision = 1;
  readonly #topics = new Map<string, TopicSummary>();
  readonly #listeners = new Set<(change: TopicChange) => void>();
  /** Racks by topic id and partition. */
  readonly racks = new Map<string, readonly string[]>();
  /** Revision that brought a partition, by topic id and partition. */
  readonly #createdAt = new Map<string, number>();
  #created = 0;

  /** Creates a topic, or grows it; answers its id. */
  create(name: string, partitionCount: number, internal = false): string {
    const before = this.find(0, name);
    const topicId = before?.topicId ?? `00000000-0000-4000-8000-${String(++this.#created).padStart(12, '0')}`;
    const topic = { tenant: 0, name, topicId, partitionCount, internal };
    this.#topics.set(name, topic);
    for (let partition = before?.partitionCount ?? 0; partition < partitionCount; partition++)
      this.#createdAt.set(`${topicId} ${partition}`, this.revision + 1);
    this.#changed({ kind: 'created', topic });
    return topicId;
  }

  delete(name: string): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) return;
    this.#topics.delete(name);
    this.#changed({ kind: 'deleted', topic });
  }

  find(tenant: number, name: string): (TopicSummary & FoundTopic) | null {
    return tenant === 0 ? (this.#topics.get(name) ?? null) : null;
  }

  findById(topicId: string): TopicSummary | null {
    return [...this.#topics.values()].find((topic) => topic.topicId === topicId) ?? null;
  }

  exists(topicId: string): boolean {
    return this.findById(topicId) !== null;
  }

  createdAt(topicId: string, partition: number): number {
    return this.#createdAt.get(`${topicId} ${partition}`) ?? 0;
  }

  racksOf(topicId: string, partition: number): readonly string[] {
    return this.racks.get(`${topicId} ${partition}`) ?? [];
  }

  names(): string[] {
    return [...this.#topics.keys()];
  }

  onChange(listener: (change: TopicChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(change: TopicChange): void {
    this.revision += 1;
    for (const listener of this.#listeners) listener(change);
  }
}
