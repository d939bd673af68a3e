/** Who shall read what: from the members' subscriptions and the topics as the catalog has them. */
import { assert } from '../../model/assert.ts';
import type { Assignment } from './assignment.ts';
import { nothing, sameAssignment } from './assignment.ts';
import { assign } from './assignors.ts';
import type { GroupView, MemberState } from './group.ts';
import type { GroupTopics, TopicShape } from './group-topics.ts';
import type { AssignorName, MemberTarget } from './records.ts';

type Members = ReadonlyMap<string, MemberState>;

/**
 * The topics that members subscribe to and that exist, ascending by name. A catalog that lags behind the one that the
 * group was last computed from (a broker that has just become coordinator) is believed only for new topics.
 */
export function subscribedTopics(group: GroupView, members: Members, topics: GroupTopics): readonly TopicShape[] {
  const names = [...new Set([...members.values()].flatMap((member) => member.topics))].sort();
  const lags = topics.revision < group.catalogRevision;
  const shapes: TopicShape[] = [];
  for (const name of names) {
    const known = lags ? group.topics.get(name) : undefined;
    const found = known ?? topics.find(group.tenant, name);
    if (found !== null) shapes.push({ topic: name, topicId: found.topicId, partitionCount: found.partitionCount });
  }
  return shapes;
}

export function sameTopics(known: ReadonlyMap<string, TopicShape>, topics: readonly TopicShape[]): boolean {
  if (known.size !== topics.length) return false;
  return topics.every((shape) => {
    const before = known.get(shape.topic);
    return before?.topicId === shape.topicId && before.partitionCount === shape.partitionCount;
  });
}

/** The members whose target is another one now. */
export function changedTargets(
  assignor: AssignorName,
  members: Members,
  topics: readonly TopicShape[],
  racks: Pick<GroupTopics, 'racksOf'>,
): MemberTarget[] {
  const subscribers = [...members.values()].map(({ memberId, topics, target, rack }) => ({
    memberId,
    topics,
    previous: target,
    rack,
  }));
  const shares = assign(assignor, subscribers, topics, racks);
  const changed: MemberTarget[] = [];
  for (const member of members.values()) {
    const target = shares.get(member.memberId) ?? nothing;
    if (!sameAssignment(target, member.target)) changed.push({ memberId: member.memberId, target });
  }
  return changed.sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
}

/** Invariant group-4 (B7): the targets cover every partition of every topic with a subscriber exactly once, and no other. */
export function assertTargetCovers(group: GroupView): void {
  const missing = new Map<string, Set<number>>();
  for (const { topicId, partitionCount } of group.topics.values()) {
    if (group.members.size > 0) missing.set(topicId, new Set(Array.from({ length: partitionCount }, (_, i) => i)));
  }
  for (const { target } of group.members.values()) takeAll(missing, target);
  for (const [topicId, left] of missing) {
    assert(left.size === 0, 'group-4: targets cover every partition', `${topicId}: ${left.size} left`);
  }
}

function takeAll(missing: Map<string, Set<number>>, target: Assignment): void {
  for (const [topicId, partitions] of target) {
    for (const partition of partitions) {
      assert(
        missing.get(topicId)?.delete(partition) === true,
        'group-4: targets do not overlap',
        `${topicId} ${partition}`,
      );
    }
  }
}
