/**
 * What is stored of the groups beside the log, so that loading restores exactly what replay built.
 *
 *     group    1 tenant(4) group-id 0                       version assignor created-revision epoch catalog-revision
 *                                                           shapes empty-since
 *     member   2 tenant(4) group-id 0 member-id             version nonce-hash profile since-epoch away epoch
 *                                                           previous-epoch target assigned revoking
 *     offset   3 tenant(4) group-id 0 topic-id 0 partition(4)
 *                                                           version topic offset leader-epoch metadata commit-time
 *                                                           stamp-epoch stamp-sequence catalog-revision
 *     history  4 tenant(4) group-id 0                       version rebalances
 *
 * Integers in keys are big-endian. Groups sort before their parts, so a group is there when they come.
 */
import { assert, InvariantViolation } from '../../model/assert.ts';
import { putInt32, uint32At } from '../../model/big-endian.ts';
import { toMemberEpoch, toMillis, toOffset, toTerm } from '../../model/ids.ts';
import type { StateChange, StatePair } from '../../model/raft-state.ts';
import { ByteReader, decoded } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import type { CommittedOffset } from './committed-offsets.ts';
import type { MemberState } from './group.ts';
import { Group } from './group.ts';
import type { TopicShape } from './group-topics.ts';
import type { Groups } from './groups.ts';
import {
  named,
  readAssignment,
  readProfile,
  readShapes,
  writeAssignment,
  writeProfile,
  writeShapes,
} from './record-codec.ts';
import type { Rebalance } from './rebalance-history.ts';
import { rebalanceReasons } from './rebalance-history.ts';
import type { GroupRef } from './records.ts';
import { assignorNames } from './records.ts';

const valueVersion = 1;
const keyKinds = { group: 1, member: 2, offset: 3, history: 4 } as const;

/** The parts of one group that an entry touched; gives their new stored form. */
export class TouchedKeys {
  private readonly group: GroupRef;
  private header = false;
  private history = false;
  private readonly members = new Set<string>();
  private readonly offsets = new Map<string, Set<number>>();

  constructor(group: GroupRef) {
    this.group = group;
  }

  touchGroup(): void {
    this.header = true;
  }

  touchHistory(): void {
    this.history = true;
  }

  touchMember(memberId: string): void {
    this.members.add(memberId);
  }

  touchOffset(topicId: string, partition: number): void {
    const partitions = this.offsets.get(topicId) ?? new Set();
    this.offsets.set(topicId, partitions.add(partition));
  }

  /** One change for each touched key: its value now, or its deletion. */
  changes(groups: Groups): readonly StateChange[] {
    const group = groups.find(this.group);
    const changes: StateChange[] = [];
    if (this.header) changes.push(changed(groupKey(this.group), group === null ? null : groupValue(group)));
    for (const memberId of this.members) {
      const member = group?.members.get(memberId) ?? null;
      changes.push(changed(memberKey(this.group, memberId), member === null ? null : memberValue(member)));
    }
    for (const [topicId, partitions] of this.offsets) {
      const topic = group?.offsets.topics.get(topicId);
      for (const partition of partitions) {
        const committed = topic?.partitions.get(partition);
        const value = topic === undefined || committed === undefined ? null : offsetValue(topic.topic, committed);
        changes.push(changed(offsetKey(this.group, topicId, partition), value));
      }
    }
    if (this.history) changes.push(changed(historyKey(this.group), group === null ? null : historyValue(group)));
    return changes;
  }
}

const changed = (key: Uint8Array, value: Uint8Array | null): StateChange =>
  value === null ? { kind: 'delete', key } : { kind: 'put', key, value };

/** Puts one stored key back into the tables. Keys come in ascending order. */
export function restore(groups: Groups, pair: StatePair): void {
  const { kind, group, rest } = parseKey(pair.key);
  const reader = new ByteReader(pair.value);
  const version = reader.byte();
  assert(version === valueVersion, 'group-6: stored forms decode completely', `value version ${version}`);
  if (kind === keyKinds.group) groups.add(readGroup(group, reader));
  else {
    const known = groups.must(group);
    groups.update(known, () => {
      if (kind === keyKinds.member) known.setMember(readMember(decoded(rest), reader));
      else if (kind === keyKinds.offset) readOffset(known, rest, reader);
      else known.history = reader.list(() => readRebalance(reader));
    });
  }
  reader.end();
}

const groupKey = (group: GroupRef): Uint8Array => keyOf(keyKinds.group, group).take();
const historyKey = (group: GroupRef): Uint8Array => keyOf(keyKinds.history, group).take();
const memberKey = (group: GroupRef, memberId: string): Uint8Array =>
  keyOf(keyKinds.member, group).bareText(memberId).take();
const offsetKey = (group: GroupRef, topicId: string, partition: number): Uint8Array =>
  keyOf(keyKinds.offset, group).bareText(topicId).byte(0).raw(uint32(partition)).take();

const keyOf = (kind: number, group: GroupRef): ByteWriter =>
  new ByteWriter().byte(kind).raw(uint32(group.tenant)).bareText(group.groupId).byte(0);

const scratch = new Uint8Array(4);

/** Good until the next call. */
function uint32(value: number): Uint8Array {
  putInt32(scratch, 0, value);
  return scratch;
}

function parseKey(key: Uint8Array): { kind: number; group: GroupRef; rest: Uint8Array } {
  const kind = key[0] ?? 0;
  const end = key.indexOf(0, 5);
  assert(
    end > 5 && kind >= keyKinds.group && kind <= keyKinds.history,
    'group-6: stored forms decode completely',
    'key',
  );
  const group = { tenant: uint32At(key, 1), groupId: decoded(key.subarray(5, end)) };
  return { kind, group, rest: key.subarray(end + 1) };
}

function groupValue(group: Group): Uint8Array {
  const writer = new ByteWriter().byte(valueVersion).byte(assignorNames.indexOf(group.assignor));
  writer.int(group.createdRevision).int(group.epoch).int(group.catalogRevision);
  writeShapes(writer, [...group.topics.values()]);
  return writer.nullableInt(group.emptySinceMs).take();
}

function readGroup(ref: GroupRef, reader: ByteReader): Group {
  const group = new Group(ref, named(assignorNames, reader.byte()), reader.int(), null);
  group.epoch = toMemberEpoch(reader.int());
  group.catalogRevision = reader.int();
  group.topics = shapesByName(readShapes(reader));
  const emptySince = reader.nullableInt();
  group.emptySinceMs = emptySince === null ? null : toMillis(emptySince);
  return group;
}

function historyValue(group: Group): Uint8Array {
  const writer = new ByteWriter().byte(valueVersion);
  writer.list(group.history, ({ atMs, reason, memberId, clientId, epoch, memberCount, membersAffected }) => {
    writer.int(atMs).byte(rebalanceReasons.indexOf(reason));
    if (memberId === null) writer.byte(0);
    else writer.byte(1).text(memberId);
    writer.text(clientId).int(epoch).int(memberCount).int(membersAffected);
  });
  return writer.take();
}

const readRebalance = (reader: ByteReader): Rebalance => ({
  atMs: toMillis(reader.int()),
  reason: named(rebalanceReasons, reader.byte()),
  memberId: reader.byte() === 0 ? null : reader.text(),
  clientId: reader.text(),
  epoch: toMemberEpoch(reader.int()),
  memberCount: reader.int(),
  membersAffected: reader.int(),
});

export const shapesByName = (shapes: readonly TopicShape[]): ReadonlyMap<string, TopicShape> =>
  new Map(shapes.map((shape) => [shape.topic, shape]));

function memberValue(member: MemberState): Uint8Array {
  const writer = new ByteWriter().byte(valueVersion).text(member.nonceHash);
  writeProfile(writer, member);
  writer.int(member.sinceEpoch).byte(member.away ? 1 : 0);
  writer.int(member.epoch).nullableInt(member.previousEpoch);
  for (const part of [member.target, member.assigned, member.revoking]) writeAssignment(writer, part);
  return writer.take();
}

function readMember(memberId: string, reader: ByteReader): MemberState {
  const nonceHash = reader.text();
  const profile = readProfile(reader);
  const sinceEpoch = toMemberEpoch(reader.int());
  const away = reader.byte() === 1;
  const epoch = toMemberEpoch(reader.int());
  const previous = reader.nullableInt();
  return {
    memberId,
    nonceHash,
    ...profile,
    sinceEpoch,
    away,
    epoch,
    previousEpoch: previous === null ? null : toMemberEpoch(previous),
    target: readAssignment(reader),
    assigned: readAssignment(reader),
    revoking: readAssignment(reader),
  };
}

function offsetValue(topic: string, committed: CommittedOffset): Uint8Array {
  const writer = new ByteWriter().byte(valueVersion).text(topic).int(committed.offset);
  writer.nullableInt(committed.leaderEpoch).text(committed.metadata).int(committed.commitTimeMs);
  return writer.int(committed.stamp.memberEpoch).int(committed.stamp.sequence).int(committed.catalogRevision).take();
}

function readOffset(group: Group, rest: Uint8Array, reader: ByteReader): void {
  const end = rest.indexOf(0);
  if (end < 1 || rest.length !== end + 5) {
    throw new InvariantViolation('group-6: stored forms decode completely', 'offset key');
  }
  const topic = reader.text();
  const offset = toOffset(reader.int());
  const leaderEpoch = reader.nullableInt();
  group.offsets.put(topic, decoded(rest.subarray(0, end)), uint32At(rest, end + 1), {
    offset,
    leaderEpoch: leaderEpoch === null ? null : toTerm(leaderEpoch),
    metadata: reader.text(),
    commitTimeMs: toMillis(reader.int()),
    stamp: { memberEpoch: reader.int(), sequence: reader.int() },
    catalogRevision: reader.int(),
  });
}
