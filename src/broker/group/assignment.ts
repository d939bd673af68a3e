/**
 * Sets of partitions by topic id.
 *
 * Invariant: canonical. Topics ascend, every list ascends without repetition, no list is empty; so equal sets look equal
 * on every replica.
 */
export type Assignment = ReadonlyMap<string, readonly number[]>;

export const nothing: Assignment = new Map();

/** Makes lists canonical; a topic may come more than once. */
export function assignmentOf(lists: Iterable<readonly [string, Iterable<number>]>): Assignment {
  const sets = new Map<string, Set<number>>();
  for (const [topicId, partitions] of lists) {
    const set = sets.get(topicId) ?? new Set();
    for (const partition of partitions) set.add(partition);
    if (set.size > 0) sets.set(topicId, set);
  }
  const topicIds = [...sets.keys()].sort();
  return new Map(topicIds.map((topicId) => [topicId, [...(sets.get(topicId) ?? [])].sort((a, b) => a - b)]));
}

export const union = (a: Assignment, b: Assignment): Assignment => {
  if (b.size === 0) return a;
  return a.size === 0 ? b : assignmentOf([...a, ...b]);
};

export const minus = (a: Assignment, b: Assignment): Assignment =>
  a.size === 0 || b.size === 0 ? a : filtered(a, (topicId, partition) => !holds(b, topicId, partition));

export const intersection = (a: Assignment, b: Assignment): Assignment =>
  filtered(a, (topicId, partition) => holds(b, topicId, partition));

/** The part of `a` that passes. */
export function filtered(a: Assignment, passes: (topicId: string, partition: number) => boolean): Assignment {
  const kept = new Map<string, readonly number[]>();
  for (const [topicId, partitions] of a) {
    const list = partitions.filter((partition) => passes(topicId, partition));
    if (list.length > 0) kept.set(topicId, list);
  }
  return kept;
}

export function holds(a: Assignment, topicId: string, partition: number): boolean {
  const partitions = a.get(topicId);
  if (partitions === undefined) return false;
  let low = 0;
  let high = partitions.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((partitions[middle] ?? 0) < partition) low = middle + 1;
    else high = middle;
  }
  return partitions[low] === partition;
}

export function sameAssignment(a: Assignment, b: Assignment): boolean {
  if (a.size !== b.size) return false;
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId);
    if (others?.length !== partitions.length) return false;
    if (partitions.some((partition, i) => partition !== others[i])) return false;
  }
  return true;
}

export const isSubset = (a: Assignment, b: Assignment): boolean => minus(a, b).size === 0;
export const isDisjoint = (a: Assignment, b: Assignment): boolean => intersection(a, b).size === 0;

export function partitionTotal(a: Assignment): number {
  let total = 0;
  for (const partitions of a.values()) total += partitions.length;
  return total;
}
