/**
 * The committed offsets of one group, by topic id: a topic that was deleted and created again starts without any
 * (reliability P118).
 */
import { assert } from '../../model/assert.ts';
import type { Millis, Offset, Term } from '../../model/ids.ts';
import type { CommitStamp } from './records.ts';

export interface CommittedOffset {
  /** Of the next record to read (semantics O1). */
  readonly offset: Offset;
  readonly leaderEpoch: Term | null;
  readonly metadata: string;
  readonly commitTimeMs: Millis;
  /** Which commit this is. Invariant group-3 (B8): only a commit with a higher stamp replaces it. */
  readonly stamp: CommitStamp;
  /** The catalog's revision when the topic was seen: at this or a later one, a missing topic is a deleted topic. */
  readonly catalogRevision: number;
}

export interface TopicOffsets {
  readonly topic: string;
  readonly partitions: ReadonlyMap<number, CommittedOffset>;
}

export interface OffsetsView {
  readonly count: number;
  readonly bytes: number;
  readonly topics: ReadonlyMap<string, TopicOffsets>;
  get(topicId: string, partition: number): CommittedOffset | null;
}

/** True if a commit stamped `a` came after one stamped `b`. */
export const isLater = (a: CommitStamp, b: CommitStamp): boolean =>
  a.memberEpoch > b.memberEpoch || (a.memberEpoch === b.memberEpoch && a.sequence > b.sequence);

export class CommittedOffsets implements OffsetsView {
  readonly topics = new Map<string, { readonly topic: string; readonly partitions: Map<number, CommittedOffset> }>();
  /** Invariant: the number of offsets in `topics`. */
  count = 0;
  /** Invariant: the sum of their estimated costs. */
  bytes = 0;

  get(topicId: string, partition: number): CommittedOffset | null {
    return this.topics.get(topicId)?.partitions.get(partition) ?? null;
  }

  /** Stores a commit; does nothing if a later one is stored (group-3). Answers whether it did. */
  commit(topic: string, topicId: string, partition: number, committed: CommittedOffset): boolean {
    const before = this.get(topicId, partition);
    if (before !== null && !isLater(committed.stamp, before.stamp)) return false;
    this.put(topic, topicId, partition, committed);
    return true;
  }

  /** Stores without asking for the order: for loading, and for a tool while the group has no members. */
  put(topic: string, topicId: string, partition: number, committed: CommittedOffset): void {
    const offsets = this.topics.get(topicId) ?? { topic, partitions: new Map<number, CommittedOffset>() };
    const before = offsets.partitions.get(partition);
    this.count += before === undefined ? 1 : 0;
    this.bytes += offsetCost(committed) - (before === undefined ? 0 : offsetCost(before));
    offsets.partitions.set(partition, committed);
    this.topics.set(topicId, offsets);
  }

  remove(topicId: string, partition: number): void {
    const partitions = this.topics.get(topicId)?.partitions;
    const before = partitions?.get(partition);
    if (partitions === undefined || before === undefined) return;
    partitions.delete(partition);
    if (partitions.size === 0) this.topics.delete(topicId);
    this.count -= 1;
    this.bytes -= offsetCost(before);
    assert(this.count >= 0 && this.bytes >= 0, 'group-8: tables count what they hold');
  }
}

const offsetCost = (committed: CommittedOffset): number => 192 + 2 * committed.metadata.length;
