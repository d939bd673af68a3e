/** The stored form of what there is besides entries: header, hard state, log start, checkpoints, terms, index points. */
import type { Crc32c } from '../model/crc32c.ts';
import type { LogIndex, Millis, Offset } from '../model/ids.ts';
import { toGroupNumber, toLogIndex, toMillis, toOffset, toReplicaId, toTerm } from '../model/ids.ts';
import type { HardState, TermStart } from '../model/raft-state.ts';
import type { StoreEntry } from './store.ts';
import type { StateTag } from './keys.ts';
import { indexOfKey, keyTags } from './keys.ts';
import type { GroupHeader, GroupKind } from './log.ts';
import type { LogPosition } from './log-position.ts';
import { readPosition, writePosition } from './log-position.ts';
import { LogCorruption } from './reader.ts';
import { RecordReader, RecordWriter } from './record-bytes.ts';

/** First byte of every record here. */
const formatVersion = 1;

/** Encodes and decodes; one per process. */
export interface RecordCodec<T> {
  encode(key: Uint8Array, value: T, crc32c: Crc32c): Uint8Array;
  /** @throws LogCorruption */
  decode(stored: StoreEntry, crc32c: Crc32c): T;
}

function codec<T>(
  write: (writer: RecordWriter, value: T) => RecordWriter,
  read: (reader: RecordReader, key: Uint8Array) => T,
): RecordCodec<T> {
  return {
    encode: (key, value, crc32c) => write(new RecordWriter().uint8(formatVersion), value).seal(key, crc32c),
    decode: ({ key, value }, crc32c) => {
      const reader = new RecordReader(key, value, crc32c);
      const version = reader.uint8();
      if (version !== formatVersion) {
        throw new LogCorruption(`a record has format ${version}, this broker knows ${formatVersion}: upgrade it`);
      }
      return read(reader, key);
    },
  };
}

const kindNumbers = { data: 1, commands: 2 } as const satisfies Record<GroupKind, number>;

function groupKind(number: number): GroupKind {
  if (number === kindNumbers.data) return 'data';
  if (number === kindNumbers.commands) return 'commands';
  throw new LogCorruption(`a group is of kind ${number}, unknown here: upgrade this broker`);
}

export const headerCodec = codec<GroupHeader>(
  (writer, header) =>
    writer
      .uint64(header.group)
      .uint8(kindNumbers[header.kind])
      .uint64(header.replicaId)
      .sized(Buffer.from(header.clusterId))
      .sized(header.genesis),
  (reader) => ({
    group: toGroupNumber(reader.uint64()),
    kind: groupKind(reader.uint8()),
    replicaId: toReplicaId(reader.uint64()),
    clusterId: Buffer.from(reader.sized()).toString(),
    genesis: Uint8Array.from(reader.sized()),
  }),
);

export const hardStateCodec = codec<HardState>(
  (writer, state) => writer.uint64(state.term).optionalUint64(state.vote).uint64(state.commit),
  (reader) => {
    const term = toTerm(reader.uint64());
    const vote = reader.optionalUint64();
    return { term, vote: vote === null ? null : toReplicaId(vote), commit: toLogIndex(reader.uint64()) };
  },
);

/** Where a log starts. */
export interface LogStart {
  /** First offset that clients may read. */
  readonly logStart: Offset;
  /** Position before the first entry that is in the log: everything up to it was removed. */
  readonly base: LogPosition;
}

export const logStartCodec = codec<LogStart>(
  (writer, start) => writePosition(writer.uint64(start.logStart), start.base),
  (reader) => ({ logStart: toOffset(reader.uint64()), base: readPosition(reader) }),
);

export const checkpointListCodec = codec<readonly LogPosition[]>(
  (writer, positions) => positions.reduce(writePosition, writer.uint64(positions.length)),
  (reader) => Array.from({ length: reader.uint64() }, () => readPosition(reader)),
);

/** Opaque bytes: the state of a checkpoint, the payload of a configuration. Decoded they are the caller's own copy. */
export const opaqueCodec = codec<Uint8Array>(
  (writer, bytes) => writer.bytes(bytes),
  (reader) => Uint8Array.from(reader.rest()),
);

export const appliedIndexCodec = codec<LogIndex>(
  (writer, index) => writer.uint64(index),
  (reader) => toLogIndex(reader.uint64()),
);

export const stateSpaceCodec = codec<StateTag>(
  (writer, tag) => writer.uint8(tag),
  (reader) => {
    const tag = reader.uint8();
    if (tag === keyTags.state || tag === keyTags.otherState) return tag;
    throw new LogCorruption(`state keys lie under ${tag}, unknown here: upgrade this broker`);
  },
);

export const termStartCodec = codec<TermStart>(
  (writer, start) => writer.uint64(start.term).uint64(start.startOffset),
  (reader, key) => ({
    term: toTerm(reader.uint64()),
    startIndex: indexOfKey(key),
    startOffset: toOffset(reader.uint64()),
  }),
);

/** A point of the sparse offset index. */
export interface OffsetPoint {
  readonly index: LogIndex;
  /** At least the largest timestamp of the entries from the point before up to this one; null: none has one. */
  readonly maxTimestampBeforeMs: Millis | null;
}

export const offsetPointCodec = codec<OffsetPoint>(
  (writer, point) => writer.uint64(point.index).optionalUint64(point.maxTimestampBeforeMs),
  (reader) => {
    const index = toLogIndex(reader.uint64());
    const max = reader.optionalUint64();
    return { index, maxTimestampBeforeMs: max === null ? null : toMillis(max) };
  },
);
