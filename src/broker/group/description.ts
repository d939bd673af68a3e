/** A group as operators see it. */
import type { MemberEpoch, Millis } from '../../model/ids.ts';
import type { Assignment } from './assignment.ts';
import { minus, partitionTotal } from './assignment.ts';
import type { GroupPhase, GroupView, MemberState } from './group.ts';
import type { TopicPartitions } from './membership.ts';
import { phaseOf } from './membership.ts';
import type { Rebalance } from './rebalance-history.ts';
import type { AssignorName } from './records.ts';

/** Semantics K3: at its target, asked to give up, or waiting for what others have yet to give up. */
export type MemberPhase = 'stable' | 'revoking' | 'waiting';

export interface MemberDescription {
  readonly memberId: string;
  readonly clientId: string;
  readonly topics: readonly string[];
  /** Null: it is not a static member. */
  readonly instanceId: string | null;
  /** A static member that has gone and will be back. */
  readonly away: boolean;
  /** Null: not told. */
  readonly rack: string | null;
  readonly epoch: MemberEpoch;
  readonly phase: MemberPhase;
  readonly assigned: readonly TopicPartitions[];
  /** What it was told to give up and has not. */
  readonly revoking: readonly TopicPartitions[];
  /** What it will get once others have given it up. */
  readonly awaited: readonly TopicPartitions[];
}

export interface GroupDescription {
  readonly groupId: string;
  readonly phase: GroupPhase;
  readonly assignor: AssignorName;
  readonly epoch: MemberEpoch;
  readonly emptySinceMs: Millis | null;
  readonly members: readonly MemberDescription[];
  /** Committed offsets that it keeps. */
  readonly offsetCount: number;
  /** The newest last. */
  readonly rebalances: readonly Rebalance[];
}

export function describeGroup(group: GroupView): GroupDescription {
  const names = new Map([...group.topics.values()].map(({ topic, topicId }) => [topicId, topic]));
  const members = [...group.members.values()].map((member) => describeMember(member, names));
  return {
    groupId: group.groupId,
    phase: phaseOf(group),
    assignor: group.assignor,
    epoch: group.epoch,
    emptySinceMs: group.emptySinceMs,
    members: members.sort((a, b) => (a.memberId < b.memberId ? -1 : 1)),
    offsetCount: group.offsets.count,
    rebalances: group.history,
  };
}

function describeMember(member: MemberState, names: ReadonlyMap<string, string>): MemberDescription {
  const { memberId, clientId, topics, instanceId, away, rack, epoch, assigned, revoking, target } = member;
  const awaited = minus(target, assigned);
  const named = (assignment: Assignment): readonly TopicPartitions[] =>
    [...assignment]
      .map(([topicId, partitions]) => ({ topic: names.get(topicId) ?? '', topicId, partitions }))
      .sort((a, b) => (a.topic < b.topic ? -1 : 1));
  const phase = partitionTotal(revoking) > 0 ? 'revoking' : partitionTotal(awaited) > 0 ? 'waiting' : 'stable';
  const parts = { assigned: named(assigned), revoking: named(revoking), awaited: named(awaited) };
  return { memberId, clientId, topics, instanceId, away, rack, epoch, phase, ...parts };
}
