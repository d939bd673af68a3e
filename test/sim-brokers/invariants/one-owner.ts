import type { Entry } from '../../../src/model/entry.ts';
import type { Assignment } from '../../../src/broker/group/assignment.ts';
import { decodeEntry } from '../../../src/broker/group/record-codec.ts';
import type { GroupEntry, GroupRecord } from '../../../src/broker/group/records.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { BrokerWorld } from '../broker-world.ts';

interface Member {
  epoch: number;
  topics: readonly string[];
  assigned: Assignment;
  /** What it may read and commit: what it is assigned, and what it was told to give up and has not. */
  holds: ReadonlySet<string>;
  target: Assignment;
}

interface Group {
  epoch: number;
  readonly members: Map<string, Member>;
}

const placesOf = (...assignments: readonly Assignment[]): ReadonlySet<string> =>
  new Set(assignments.flatMap((one) => [...one].flatMap(([id, list]) => list.map((number) => `${id}/${number}`))));

/**
 * inv-B7: as the committed log of `__groups` has it, a partition is held by one member at most, whoever has to give it up
 * until he said that he did; an epoch is given once; a target gives every partition that somebody subscribed to, to one of
 * those; and who commits holds the partition, at his newest epoch (P108, P109). Reliability 2.0; the TLA+ of KIP-848. Judged
 * by the records alone: the production's own replay is not asked.
 */
export class OneOwner extends BrokerInvariant {
  readonly id = 'inv-B7';
  readonly #groups = new Map<string, Group>();

  constructor(world: BrokerWorld) {
    super(world);
    world.committed.onCommitted.push((group, entry) => {
      const isGroups = world.catalog.topicOfGroup.get(group)?.internal === true;
      if (isGroups && entry.kind === 'command') this.#take(entry);
    });
  }

  #take({ payload }: Entry): void {
    const entry = decodeEntry(payload);
    const known = this.#groups.get(entry.groupId) ?? { epoch: 0, members: new Map<string, Member>() };
    const { guard } = entry;
    if (guard !== null && known.members.get(guard.memberId)?.epoch !== guard.epoch) return;
    this.#groups.set(entry.groupId, known);
    for (const record of entry.records) this.#record(known, entry, record);
    const held = new Map<string, string>();
    for (const [memberId, { holds }] of known.members) {
      for (const place of holds) {
        this.check(!held.has(place), `${place} of ${entry.groupId} is held by ${held.get(place)} and by ${memberId}`);
        held.set(place, memberId);
      }
    }
  }

  #record(group: Group, { groupId }: GroupEntry, record: GroupRecord): void {
    switch (record.kind) {
      case 'member-joined':
      case 'member-resumed': {
        const { memberId, epoch, profile } = record;
        const before = group.members.get(memberId);
        this.check(
          (before === undefined) === (record.kind === 'member-joined'),
          `${memberId} ${record.kind} in ${groupId}`,
        );
        this.#raise(group, epoch);
        // its older holder is fenced, so what that one was told to give up is given up
        const { assigned, target } = before ?? { assigned: new Map(), target: new Map() };
        group.members.set(memberId, { assigned, target, holds: placesOf(assigned), epoch, topics: profile.topics });
        return;
      }
      case 'member-away': {
        const member = group.members.get(record.memberId);
        this.check(member !== undefined, `${record.memberId} goes from ${groupId}, and is no member`);
        this.#raise(group, record.epoch);
        // nobody reads any more
        group.members.set(record.memberId, { ...member, holds: placesOf(member.assigned), epoch: record.epoch });
        return;
      }
      case 'member-left':
        group.members.delete(record.memberId);
        return;
      case 'member-assigned': {
        const member = group.members.get(record.memberId);
        this.check(member !== undefined, `${record.memberId} is assigned partitions of ${groupId}, and is no member`);
        if (record.epoch !== member.epoch) this.#raise(group, record.epoch);
        member.epoch = record.epoch;
        member.assigned = record.assigned;
        const holds = placesOf(record.assigned, record.revoking);
        this.#checkReleased(
          record.memberId,
          [...member.holds].filter((place) => !holds.has(place)),
        );
        member.holds = holds;
        return;
      }
      case 'target-changed': {
        for (const { memberId, target } of record.targets) {
          const member = group.members.get(memberId);
          this.check(member !== undefined, `${memberId} has a target in ${groupId}, and is no member`);
          member.target = target;
        }
        this.#checkTarget(group, groupId, record);
        return;
      }
      case 'offsets-committed': {
        if (record.memberId === null) return;
        const member = group.members.get(record.memberId);
        this.check(member?.epoch === record.stamp.memberEpoch, `${record.memberId} commits at epoch ${record.stamp.memberEpoch}, its own is ${member?.epoch}`); // prettier-ignore
        for (const { topicId, partition } of record.offsets)
          this.check(member.holds.has(`${topicId}/${partition}`), `${record.memberId} commits ${topicId}/${partition}, which it does not hold`); // prettier-ignore
        return;
      }
      case 'group-deleted':
        this.#groups.delete(groupId);
        return;
      case 'group-created':
      case 'assignor-chosen':
      case 'offsets-removed':
    }
  }

  /** Who gave something up has stopped to read it before, and said so (P108). */
  #checkReleased(memberId: string, places: readonly string[]): void {
    const client = this.world.members.find((one) => one.memberId === memberId);
    const read = placesOf(new Map(client?.owned.map(({ topicId, partitions }) => [topicId, partitions])));
    const early = places.find((place) => read.has(place));
    this.check(early === undefined, `${early} is taken from ${client?.name}, ${memberId}, which still reads it`);
  }

  #checkTarget(group: Group, groupId: string, { topics }: Extract<GroupRecord, { kind: 'target-changed' }>): void {
    const given = new Map<string, number>();
    for (const { target } of group.members.values())
      for (const place of placesOf(target)) given.set(place, (given.get(place) ?? 0) + 1);
    for (const { topic, topicId, partitionCount } of topics) {
      if (![...group.members.values()].some((member) => member.topics.includes(topic))) continue;
      for (let partition = 0; partition < partitionCount; partition++) {
        const times = given.get(`${topicId}/${partition}`) ?? 0;
        this.check(times === 1, `the target of ${groupId} gives ${topic}/${partition} to ${times} members`);
      }
    }
  }

  #raise(group: Group, epoch: number): void {
    this.check(epoch > group.epoch, `epoch ${epoch} is given after ${group.epoch}`);
    group.epoch = epoch;
  }
}
