/** What the coordinator must know of topics: the catalog as this broker has applied it. */
export interface GroupTopics {
  /** Revision of the catalog that the answers are from. */
  readonly revision: number;
  /** The topic that has the name now; null: none. */
  find(tenant: number, name: string): FoundTopic | null;
  /** False: no topic has this id at `revision`. */
  exists(topicId: string): boolean;
  /** Revision of the catalog that brought a partition; 0: it is not known, and not young. */
  createdAt(topicId: string, partition: number): number;
  /** Racks of the brokers that have a replica of it, as far as they are known. */
  racksOf(topicId: string, partition: number): readonly string[];
}

export interface FoundTopic {
  readonly topicId: string;
  readonly partitionCount: number;
  readonly internal: boolean;
}

/** A topic as an assignment was computed from it. */
export interface TopicShape {
  readonly topic: string;
  readonly topicId: string;
  readonly partitionCount: number;
}
