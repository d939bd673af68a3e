/** What other parts of the broker may know of topics: the catalog as this broker has applied it, read-only. */

/** A topic as others see it. `topicId` changes when a name is deleted and created again. */
export interface TopicSummary {
  readonly tenant: number;
  readonly name: string;
  readonly topicId: string;
  /** Partitions 0 to partitionCount - 1 exist. Only grows. */
  readonly partitionCount: number;
  /** One of Sluice's own: clients read and write it through RPCs of its own only. */
  readonly internal: boolean;
}

export type TopicChange =
  | { readonly kind: 'created'; readonly topic: TopicSummary }
  /** It has more partitions. */
  | { readonly kind: 'grown'; readonly topic: TopicSummary }
  | { readonly kind: 'deleted'; readonly topic: TopicSummary };

export interface TopicView {
  /** Null: no topic has this name now. */
  find(tenant: number, name: string): TopicSummary | null;
  /** Null: no topic has this id (any more). */
  findById(topicId: string): TopicSummary | null;
  /** Calls `listener` synchronously after each change was applied; gives back how to end that. */
  onChange(listener: (change: TopicChange) => void): () => void;
}
