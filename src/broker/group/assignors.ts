/**
 * The two ways to share partitions. Both are functions of their arguments alone: members and topics in ascending order
 * give the same shares everywhere.
 */
import { assert } from '../../model/assert.ts';
import type { Assignment } from './assignment.ts';
import { assignmentOf } from './assignment.ts';
import type { TopicShape } from './group-topics.ts';
import type { AssignorName } from './records.ts';

export interface Subscriber {
  readonly memberId: string;
  readonly topics: readonly string[];
  /** Its share so far. */
  readonly previous: Assignment;
}

type Assignor = (subscribers: readonly Subscriber[], topics: readonly TopicShape[]) => Shares;
/** Partitions by member id and topic id. */
type Shares = Map<string, Map<string, number[]>>;

/** Gives every partition of every topic that somebody subscribes to, to exactly one subscriber. */
export function assign(
  assignor: AssignorName,
  subscribers: readonly Subscriber[],
  topics: readonly TopicShape[],
): ReadonlyMap<string, Assignment> {
  const ordered = [...subscribers].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const shares = assignors[assignor](
    ordered,
    [...topics].sort((a, b) => (a.topicId < b.topicId ? -1 : 1)),
  );
  return new Map(ordered.map(({ memberId }) => [memberId, assignmentOf(shares.get(memberId) ?? [])]));
}

const assignors: Record<AssignorName, Assignor> = { uniform, range };

/** Neighbouring partitions together, the same numbers of every topic at the same member: for joins of topics. */
function range(subscribers: readonly Subscriber[], topics: readonly TopicShape[]): Shares {
  const shares = noShares(subscribers);
  for (const shape of topics) {
    const takers = subscribers.filter((subscriber) => subscriber.topics.includes(shape.topic));
    takers.forEach(({ memberId }, i) => {
      const from = Math.floor((i * shape.partitionCount) / takers.length);
      const until = Math.floor(((i + 1) * shape.partitionCount) / takers.length);
      const partitions = Array.from({ length: until - from }, (_, k) => from + k);
      if (partitions.length > 0) shares.get(memberId)?.set(shape.topicId, partitions);
    });
  }
  return shares;
}

/**
 * Sticky and balanced: everybody keeps what it has, what is free goes to the least loaded, and then single partitions
 * move as long as a move makes the loads more even. With equal subscriptions the loads differ by at most one.
 */
function uniform(subscribers: readonly Subscriber[], topics: readonly TopicShape[]): Shares {
  const sharing = new Sharing(subscribers, topics);
  sharing.keep();
  sharing.deal();
  sharing.level();
  return sharing.shares;
}

class Sharing {
  readonly shares: Shares;
  private readonly subscribers: readonly Subscriber[];
  private readonly topics: readonly TopicShape[];
  private readonly takers = new Map<string, readonly string[]>();
  private readonly loads = new Map<string, number>();

  constructor(subscribers: readonly Subscriber[], topics: readonly TopicShape[]) {
    this.shares = noShares(subscribers);
    this.subscribers = subscribers;
    const takersOf = (shape: TopicShape): string[] =>
      subscribers.filter(({ topics }) => topics.includes(shape.topic)).map(({ memberId }) => memberId);
    for (const shape of topics) this.takers.set(shape.topicId, takersOf(shape));
    for (const { memberId } of subscribers) this.loads.set(memberId, 0);
    // Topics with few takers first: what has little choice is dealt before what can even things out.
    const choice = (shape: TopicShape): number => this.takersOf(shape).length;
    this.topics = topics.filter((shape) => choice(shape) > 0).sort((a, b) => choice(a) - choice(b));
  }

  keep(): void {
    const taken = new Set<string>();
    for (const { memberId, topics, previous } of this.subscribers) {
      for (const shape of this.topics) {
        if (!topics.includes(shape.topic)) continue;
        for (const partition of previous.get(shape.topicId) ?? []) {
          const place = `${shape.topicId} ${partition}`;
          if (partition >= shape.partitionCount || taken.has(place)) continue;
          taken.add(place);
          this.give(memberId, shape, partition);
        }
      }
    }
  }

  deal(): void {
    for (const shape of this.topics) {
      const taken = new Set(this.takersOf(shape).flatMap((memberId) => this.partitionsOf(memberId, shape)));
      for (let partition = 0; partition < shape.partitionCount; partition++) {
        if (!taken.has(partition)) this.give(this.leastLoaded(shape), shape, partition);
      }
    }
  }

  /** Every move makes the sum of squared loads smaller by at least 2, so this ends (group-9). */
  level(): void {
    const squares = [...this.loads.values()].reduce((sum, load) => sum + load * load, 0);
    let movesLeft = Math.floor(squares / 2);
    let moved = true;
    while (moved) {
      moved = false;
      for (const shape of this.topics) {
        while (this.moveOne(shape)) {
          assert(movesLeft > 0, 'group-9: levelling ends');
          movesLeft--;
          moved = true;
        }
      }
    }
  }

  private moveOne(shape: TopicShape): boolean {
    const to = this.leastLoaded(shape);
    let from: string | null = null;
    for (const memberId of this.takersOf(shape)) {
      if (this.partitionsOf(memberId, shape).length === 0) continue;
      if (from === null || this.load(memberId) > this.load(from)) from = memberId;
    }
    if (from === null || this.load(from) - this.load(to) < 2) return false;
    const partition = this.partitionsOf(from, shape).pop();
    if (partition === undefined) return false;
    this.loads.set(from, this.load(from) - 1);
    this.give(to, shape, partition);
    return true;
  }

  private give(memberId: string, shape: TopicShape, partition: number): void {
    const share = this.shares.get(memberId);
    const partitions = share?.get(shape.topicId);
    if (partitions === undefined) share?.set(shape.topicId, [partition]);
    else partitions.push(partition);
    this.loads.set(memberId, this.load(memberId) + 1);
  }

  private leastLoaded(shape: TopicShape): string {
    const takers = this.takersOf(shape);
    return takers.reduce((least, memberId) => (this.load(memberId) < this.load(least) ? memberId : least));
  }

  private takersOf(shape: TopicShape): readonly string[] {
    return this.takers.get(shape.topicId) ?? [];
  }

  private partitionsOf(memberId: string, shape: TopicShape): number[] {
    return this.shares.get(memberId)?.get(shape.topicId) ?? [];
  }

  private load(memberId: string): number {
    return this.loads.get(memberId) ?? 0;
  }
}

const noShares = (subscribers: readonly Subscriber[]): Shares =>
  new Map(subscribers.map(({ memberId }) => [memberId, new Map<string, number[]>()]));
