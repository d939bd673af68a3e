/**
 * The two ways to share partitions. Both are functions of their arguments alone: members and topics in ascending order
 * give the same shares everywhere.
 */
import { assert, must } from '../../model/assert.ts';
import type { Assignment } from './assignment.ts';
import { assignmentOf } from './assignment.ts';
import type { GroupTopics, TopicShape } from './group-topics.ts';
import type { AssignorName } from './records.ts';

export interface Subscriber {
  readonly memberId: string;
  readonly topics: readonly string[];
  /** Its share so far. */
  readonly previous: Assignment;
  /** Where it runs; null: not told. */
  readonly rack: string | null;
}

type Racks = Pick<GroupTopics, 'racksOf'>;
type Assignor = (subscribers: readonly Subscriber[], topics: readonly TopicShape[], racks: Racks) => Shares;
/** Partitions by member id and topic id. */
type Shares = Map<string, Map<string, number[]>>;

/** Gives every partition of every topic that somebody subscribes to, to exactly one subscriber. Default: no racks are known. */
export function assign(
  assignor: AssignorName,
  subscribers: readonly Subscriber[],
  topics: readonly TopicShape[],
  racks: Racks = { racksOf: () => [] },
): ReadonlyMap<string, Assignment> {
  const ordered = [...subscribers].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const shares = assignors[assignor](
    ordered,
    [...topics].sort((a, b) => (a.topicId < b.topicId ? -1 : 1)),
    racks,
  );
  return new Map(ordered.map(({ memberId }) => [memberId, assignmentOf(shares.get(memberId) ?? [])]));
}

const assignors: Record<AssignorName, Assignor> = { uniform, range };

/**
 * Neighbouring partitions together, the same numbers of every topic at the same member: for joins of topics. Topics with the
 * same readers and as many partitions are cut alike; which reader gets which piece is up to their racks, else to their ids.
 */
function range(subscribers: readonly Subscriber[], topics: readonly TopicShape[], racks: Racks): Shares {
  const shares = noShares(subscribers);
  const alike = new Map<string, { readonly takers: readonly Subscriber[]; readonly shapes: TopicShape[] }>();
  for (const shape of topics) {
    const takers = subscribers.filter((subscriber) => subscriber.topics.includes(shape.topic));
    const key = [shape.partitionCount, ...takers.map(({ memberId }) => memberId)].join(' ');
    const known = alike.get(key);
    if (known === undefined) alike.set(key, { takers, shapes: [shape] });
    else known.shapes.push(shape);
  }
  for (const { takers, shapes } of alike.values()) {
    const pieces = piecesOf(shapes[0]?.partitionCount ?? 0, takers.length);
    inNearestPlaces(takers, pieces, shapes, racks).forEach(({ memberId }, i) => {
      const piece = pieces[i] ?? [];
      if (piece.length > 0) for (const { topicId } of shapes) shares.get(memberId)?.set(topicId, [...piece]);
    });
  }
  return shares;
}

/** Partitions 0 to `count` - 1 in `pieceCount` runs, whose lengths differ by at most one. */
const piecesOf = (count: number, pieceCount: number): readonly (readonly number[])[] =>
  Array.from({ length: pieceCount }, (_, i) => {
    const from = Math.floor((i * count) / pieceCount);
    const until = Math.floor(((i + 1) * count) / pieceCount);
    return Array.from({ length: until - from }, (__, k) => from + k);
  });

/** The takers in the order of the pieces: for each piece in turn the one that is left with most of its replicas in its rack. */
function inNearestPlaces(
  takers: readonly Subscriber[],
  pieces: readonly (readonly number[])[],
  shapes: readonly TopicShape[],
  racks: Racks,
): readonly Subscriber[] {
  if (takers.every(({ rack }) => rack === null)) return takers;
  const left = [...takers];
  return pieces.map((piece) => {
    const near = new Map<string | null, number>();
    for (const { topicId } of shapes)
      for (const partition of piece)
        for (const rack of new Set(racks.racksOf(topicId, partition))) near.set(rack, (near.get(rack) ?? 0) + 1);
    let best = 0;
    left.forEach(({ rack }, i) => {
      if ((near.get(rack) ?? 0) > (near.get(left[best]?.rack ?? null) ?? 0)) best = i;
    });
    return must(left.splice(best, 1)[0], 'there are as many takers as pieces');
  });
}

/**
 * Sticky and balanced: everybody keeps what it has, what is free goes to the least loaded, and then single partitions
 * move as long as a move makes the loads more even. With equal subscriptions the loads differ by at most one. Of what is
 * given or moved, a member rather gets what has a replica in its rack; nothing moves for that alone.
 */
function uniform(subscribers: readonly Subscriber[], topics: readonly TopicShape[], racks: Racks): Shares {
  const sharing = new Sharing(subscribers, topics, racks);
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
  private readonly racks: Racks;
  /** Where members run, of those that told. */
  private readonly rackOf = new Map<string, string>();

  constructor(subscribers: readonly Subscriber[], topics: readonly TopicShape[], racks: Racks) {
    this.shares = noShares(subscribers);
    this.racks = racks;
    for (const { memberId, rack } of subscribers) if (rack !== null) this.rackOf.set(memberId, rack);
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
    const total = this.topics.reduce((sum, { partitionCount }) => sum + partitionCount, 0);
    const fairShare = Math.ceil(total / this.subscribers.length);
    for (const shape of this.topics) {
      const taken = new Set(this.takersOf(shape).flatMap((memberId) => this.partitionsOf(memberId, shape)));
      const free = Array.from({ length: shape.partitionCount }, (_, n) => n).filter(
        (partition) => !taken.has(partition),
      );
      for (const { partition, near } of this.withNear(free, shape)) {
        const nearest = this.leastLoadedOf(near.filter((memberId) => this.load(memberId) < fairShare));
        this.give(nearest ?? this.leastLoaded(shape), shape, partition);
      }
    }
  }

  /** Partitions with the members that are near them; those with the fewest first, so that no other one takes their places. */
  private withNear(
    partitions: readonly number[],
    shape: TopicShape,
  ): readonly { readonly partition: number; readonly near: readonly string[] }[] {
    if (this.rackOf.size === 0) return partitions.map((partition) => ({ partition, near: [] }));
    const all = partitions.map((partition) => {
      const racks = this.racks.racksOf(shape.topicId, partition);
      const near = this.takersOf(shape).filter((memberId) => racks.includes(this.rackOf.get(memberId) ?? ''));
      return { partition, near };
    });
    return all.sort((a, b) => a.near.length - b.near.length);
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
    const partition = this.takeFrom(from, to, shape);
    this.loads.set(from, this.load(from) - 1);
    this.give(to, shape, partition);
    return true;
  }

  /** Takes a partition from one member for another: rather one that comes nearer, else one that loses nothing by it. */
  private takeFrom(from: string, to: string, shape: TopicShape): number {
    const partitions = this.partitionsOf(from, shape);
    let best = partitions.length - 1;
    if (this.rackOf.size > 0) {
      const gains = partitions.map(
        (each) => Number(this.isNear(to, shape, each)) - Number(this.isNear(from, shape, each)),
      );
      for (let i = best; i >= 0; i--) if ((gains[i] ?? 0) > (gains[best] ?? 0)) best = i;
    }
    return must(partitions.splice(best, 1)[0], 'who gives has something to give');
  }

  private isNear(memberId: string, shape: TopicShape, partition: number): boolean {
    const rack = this.rackOf.get(memberId);
    return rack !== undefined && this.racks.racksOf(shape.topicId, partition).includes(rack);
  }

  private give(memberId: string, shape: TopicShape, partition: number): void {
    const share = this.shares.get(memberId);
    const partitions = share?.get(shape.topicId);
    if (partitions === undefined) share?.set(shape.topicId, [partition]);
    else partitions.push(partition);
    this.loads.set(memberId, this.load(memberId) + 1);
  }

  private leastLoaded(shape: TopicShape): string {
    return must(this.leastLoadedOf(this.takersOf(shape)), 'a topic that is shared has a taker');
  }

  private leastLoadedOf(members: readonly string[]): string | null {
    let least: string | null = null;
    for (const memberId of members) if (least === null || this.load(memberId) < this.load(least)) least = memberId;
    return least;
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
