/**
 * The stored form of a GroupEntry, the payload of a `command` entry of `__groups`.
 *
 *     version (1 byte) tenant group-id guard records
 *     guard    0, or 1 member-id epoch
 *     records  count, then each: kind (1 byte) fields in the order below
 *
 * Kind numbers are never reused. An unknown version or kind halts the partition (design D7).
 */
import { assert, InvariantViolation } from '../../model/assert.ts';
import { toMemberEpoch, toOffset, toTerm } from '../../model/ids.ts';
import type { Assignment } from './assignment.ts';
import { assignmentOf } from './assignment.ts';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import type { TopicShape } from './group-topics.ts';
import type { GroupEntry, GroupRecord, MemberProfile, OffsetInRecord } from './records.ts';
import { assignorNames, leaveReasons, removalReasons } from './records.ts';

const entryVersion = 1;

const kindNumbers = {
  'group-created': 1,
  'member-joined': 2,
  'member-resumed': 3,
  'member-left': 4,
  'target-changed': 5,
  'member-assigned': 6,
  'offsets-committed': 7,
  'offsets-removed': 8,
  'group-deleted': 9,
  'member-away': 10,
  'assignor-chosen': 11,
} as const satisfies Record<GroupRecord['kind'], number>;

export function encodeEntry(entry: GroupEntry): Uint8Array {
  const writer = new ByteWriter().byte(entryVersion).int(entry.tenant).text(entry.groupId);
  if (entry.guard === null) writer.byte(0);
  else writer.byte(1).text(entry.guard.memberId).int(entry.guard.epoch);
  return writer.list(entry.records, (record) => writeRecord(writer, record)).take();
}

export function decodeEntry(bytes: Uint8Array): GroupEntry {
  const reader = new ByteReader(bytes);
  const version = reader.byte();
  assert(version === entryVersion, 'group-6: stored forms decode completely', `entry version ${version}`);
  const tenant = reader.int();
  const groupId = reader.text();
  const guard = reader.byte() === 0 ? null : { memberId: reader.text(), epoch: toMemberEpoch(reader.int()) };
  const records = reader.list(() => readRecord(reader));
  reader.end();
  return { tenant, groupId, guard, records };
}

function writeRecord(writer: ByteWriter, record: GroupRecord): void {
  writer.byte(kindNumbers[record.kind]);
  switch (record.kind) {
    case 'group-created':
      writer.byte(assignorNames.indexOf(record.assignor)).int(record.catalogRevision);
      return;
    case 'assignor-chosen':
      writer.byte(assignorNames.indexOf(record.assignor));
      return;
    case 'member-joined':
    case 'member-resumed':
      writeProfile(writer.text(record.memberId).text(record.nonceHash), record.profile);
      writer.int(record.epoch);
      return;
    case 'member-away':
      writer.text(record.memberId).int(record.epoch);
      return;
    case 'member-left':
      writer.text(record.memberId).byte(leaveReasons.indexOf(record.reason));
      return;
    case 'target-changed':
      writer.int(record.catalogRevision);
      writeShapes(writer, record.topics);
      writer.list(record.targets, (target) => writeAssignment(writer.text(target.memberId), target.target));
      return;
    case 'member-assigned':
      writer.text(record.memberId).int(record.epoch);
      writeAssignment(writer, record.assigned);
      writeAssignment(writer, record.revoking);
      return;
    case 'offsets-committed':
      writeCommitted(writer, record);
      return;
    case 'offsets-removed':
      writer.byte(removalReasons.indexOf(record.reason)).text(record.topicId);
      writer.list(record.partitions, (partition) => writer.int(partition));
      return;
    case 'group-deleted':
      return;
  }
}

function readRecord(reader: ByteReader): GroupRecord {
  const kind = reader.byte();
  switch (kind) {
    case kindNumbers['group-created']:
      return {
        kind: 'group-created',
        assignor: named(assignorNames, reader.byte()),
        catalogRevision: reader.int(),
      };
    case kindNumbers['assignor-chosen']:
      return { kind: 'assignor-chosen', assignor: named(assignorNames, reader.byte()) };
    case kindNumbers['member-joined']:
    case kindNumbers['member-resumed']:
      return {
        kind: kind === kindNumbers['member-joined'] ? 'member-joined' : 'member-resumed',
        memberId: reader.text(),
        nonceHash: reader.text(),
        profile: readProfile(reader),
        epoch: toMemberEpoch(reader.int()),
      };
    case kindNumbers['member-away']:
      return { kind: 'member-away', memberId: reader.text(), epoch: toMemberEpoch(reader.int()) };
    case kindNumbers['member-left']:
      return { kind: 'member-left', memberId: reader.text(), reason: named(leaveReasons, reader.byte()) };
    case kindNumbers['target-changed']:
      return {
        kind: 'target-changed',
        catalogRevision: reader.int(),
        topics: readShapes(reader),
        targets: reader.list(() => ({ memberId: reader.text(), target: readAssignment(reader) })),
      };
    case kindNumbers['member-assigned']:
      return {
        kind: 'member-assigned',
        memberId: reader.text(),
        epoch: toMemberEpoch(reader.int()),
        assigned: readAssignment(reader),
        revoking: readAssignment(reader),
      };
    case kindNumbers['offsets-committed']:
      return readCommitted(reader);
    case kindNumbers['offsets-removed']:
      return {
        kind: 'offsets-removed',
        reason: named(removalReasons, reader.byte()),
        topicId: reader.text(),
        partitions: reader.list(() => reader.int()),
      };
    case kindNumbers['group-deleted']:
      return { kind: 'group-deleted' };
    default:
      throw new InvariantViolation('group-6: stored forms decode completely', `record kind ${kind}`);
  }
}

type CommittedRecord = Extract<GroupRecord, { kind: 'offsets-committed' }>;

function writeCommitted(writer: ByteWriter, record: CommittedRecord): void {
  if (record.memberId === null) writer.byte(0);
  else writer.byte(1).text(record.memberId);
  writer.int(record.stamp.memberEpoch).int(record.stamp.sequence).int(record.catalogRevision);
  writer.list(topicRuns(record.offsets), (run) => {
    const first = run[0];
    writer.text(first?.topic ?? '').text(first?.topicId ?? '');
    writer.list(run, (committed) => {
      writer.int(committed.partition).int(committed.offset).nullableInt(committed.leaderEpoch).text(committed.metadata);
    });
  });
}

/** Neighbours of the same topic, so that its name and id are written once. */
function topicRuns(offsets: readonly OffsetInRecord[]): OffsetInRecord[][] {
  const runs: OffsetInRecord[][] = [];
  for (const committed of offsets) {
    const run = runs.at(-1);
    if (run?.[0]?.topicId === committed.topicId) run.push(committed);
    else runs.push([committed]);
  }
  return runs;
}

function readCommitted(reader: ByteReader): CommittedRecord {
  const memberId = reader.byte() === 0 ? null : reader.text();
  const stamp = { memberEpoch: reader.int(), sequence: reader.int() };
  const catalogRevision = reader.int();
  const runs = reader.list(() => {
    const topic = reader.text();
    const topicId = reader.text();
    return reader.list((): OffsetInRecord => {
      const partition = reader.int();
      const offset = toOffset(reader.int());
      const leaderEpoch = reader.nullableInt();
      const term = leaderEpoch === null ? null : toTerm(leaderEpoch);
      return { topic, topicId, partition, offset, leaderEpoch: term, metadata: reader.text() };
    });
  });
  return { kind: 'offsets-committed', memberId, stamp, catalogRevision, offsets: runs.flat() };
}

export function writeProfile(writer: ByteWriter, { clientId, topics, instanceId, rack }: MemberProfile): void {
  writeTexts(writer.text(clientId), topics);
  writeNullableText(writer, instanceId);
  writeNullableText(writer, rack);
}

export const readProfile = (reader: ByteReader): MemberProfile => ({
  clientId: reader.text(),
  topics: readTexts(reader),
  instanceId: readNullableText(reader),
  rack: readNullableText(reader),
});

function writeNullableText(writer: ByteWriter, text: string | null): void {
  if (text === null) writer.byte(0);
  else writer.byte(1).text(text);
}

const readNullableText = (reader: ByteReader): string | null => (reader.byte() === 0 ? null : reader.text());

function writeTexts(writer: ByteWriter, texts: readonly string[]): void {
  writer.list(texts, (text) => writer.text(text));
}

const readTexts = (reader: ByteReader): readonly string[] => reader.list(() => reader.text());

export function writeShapes(writer: ByteWriter, shapes: readonly TopicShape[]): void {
  writer.list(shapes, (shape) => writer.text(shape.topic).text(shape.topicId).int(shape.partitionCount));
}

export const readShapes = (reader: ByteReader): readonly TopicShape[] =>
  reader.list(() => ({ topic: reader.text(), topicId: reader.text(), partitionCount: reader.int() }));

/** Partitions as distances from their predecessors: about a byte each. */
export function writeAssignment(writer: ByteWriter, assignment: Assignment): void {
  writer.list([...assignment], ([topicId, partitions]) => {
    let previous = 0;
    writer.text(topicId).list(partitions, (partition) => {
      writer.int(partition - previous);
      previous = partition;
    });
  });
}

export function readAssignment(reader: ByteReader): Assignment {
  const lists = reader.list((): readonly [string, readonly number[]] => {
    let previous = 0;
    return [reader.text(), reader.list(() => (previous += reader.int()))];
  });
  return assignmentOf(lists);
}

/** The name with this number. */
export function named<T extends string>(names: readonly T[], number: number): T {
  const name = names[number];
  if (name === undefined) throw new InvariantViolation('group-6: stored forms decode completely', `name ${number}`);
  return name;
}
