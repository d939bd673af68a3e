/** The gate between what travels from broker to broker (sluice/internal/v1/peer.proto) and Raft's own messages. */
import { entryFormatVersion, entryKindNumbers } from '../model/entry.ts';
import type { Entry, EntryKind } from '../model/entry.ts';
import type { GroupNumber, LogIndex, Millis, Offset, ReplicaId, Term } from '../model/ids.ts';
import { toGroupNumber, toLogIndex, toMillis, toOffset, toReplicaId, toTerm } from '../model/ids.ts';
import type * as wire from '../gen/sluice/internal/v1/peer.ts';
import { SnapshotResult } from '../gen/sluice/internal/v1/peer.ts';
import { decodeConfiguration, emptyConfiguration, encodeConfiguration } from './core/configuration.ts';
import type { Message, SnapshotReply } from './core/messages.ts';
import type { SnapshotMeta } from './core/snapshot.ts';
import { FieldError, numberOf, present } from './grpc-fields.ts';
import type { NewerEntry } from './transport.ts';

export const groupOf = (value: bigint): GroupNumber => toGroupNumber(numberOf(value, 2 ** 48 - 1));
export const replicaOf = (value: bigint): ReplicaId => toReplicaId(numberOf(value));
export const termOf = (value: bigint): Term => toTerm(numberOf(value));
const indexOf = (value: bigint): LogIndex => toLogIndex(numberOf(value));
const offsetOf = (value: bigint): Offset => toOffset(numberOf(value));

const millisOf = (value: bigint | undefined): Millis | null => (value === undefined ? null : toMillis(numberOf(value)));
const toWireMillis = (value: Millis | null): bigint | undefined => (value === null ? undefined : BigInt(value));

type WireBody = NonNullable<wire.GroupMessage['body']>;

export function toWireMessage(group: GroupNumber, message: Message): wire.GroupMessage {
  return {
    group: BigInt(group),
    from: BigInt(message.from),
    to: BigInt(message.to),
    term: BigInt(message.term),
    body: toWireBody(message),
  };
}

function toWireBody(message: Message): WireBody {
  switch (message.kind) {
    case 'vote-request': {
      const { pre, transfer } = message;
      const [lastIndex, lastTerm] = [BigInt(message.lastIndex), BigInt(message.lastTerm)];
      const configuration = encodeConfiguration(message.configuration);
      return { $case: 'voteRequest', value: { pre, lastIndex, lastTerm, transfer, configuration } };
    }
    case 'vote-reply':
      return { $case: 'voteReply', value: { pre: message.pre, granted: message.granted } };
    case 'append-request':
      return { $case: 'appendRequest', value: toWireAppend(message) };
    case 'append-reply':
      return { $case: 'appendReply', value: toWireAppendReply(message) };
    case 'heartbeat-request':
      return { $case: 'heartbeatRequest', value: { commit: BigInt(message.commit), round: BigInt(message.round) } };
    case 'heartbeat-reply':
      return { $case: 'heartbeatReply', value: { round: BigInt(message.round), verified: BigInt(message.verified) } };
    case 'snapshot-chunk': {
      const { bytes, last } = message;
      const [meta, position] = [toWireMeta(message.meta), BigInt(message.position)];
      return { $case: 'snapshotChunk', value: { meta, position, bytes, last } };
    }
    case 'snapshot-reply': {
      const { snapshotId } = message;
      const [result, position] = [snapshotResults[message.result], BigInt(message.position)];
      return { $case: 'snapshotReply', value: { snapshotId, result, position } };
    }
    case 'timeout-now':
      return { $case: 'timeoutNow', value: {} };
  }
}

/** Entries that only a newer version can read: whose group they are for (design D7). Caught where the frame is read. */
export class NewerEntryError extends FieldError {
  readonly newer: NewerEntry;

  constructor(newer: NewerEntry) {
    super(newer.what);
    this.newer = newer;
  }
}

/**
 * @throws FieldError, or InvariantViolation for bytes that are no configuration: the sender made no such message
 * @throws NewerEntryError a newer version made it
 */
export function fromWireMessage(message: wire.GroupMessage): {
  readonly group: GroupNumber;
  readonly message: Message;
} {
  const addressed = { from: replicaOf(message.from), to: replicaOf(message.to), term: termOf(message.term) };
  const group = groupOf(message.group);
  const body = present(message.body, 'body');
  const what = body.$case === 'appendRequest' ? newerThanThis(body.value.entries) : null;
  if (what !== null) throw new NewerEntryError({ group, ...addressed, what });
  return { group, message: fromWireBody(addressed, body) };
}

type Addressed = Pick<Message, 'from' | 'to' | 'term'>;

function fromWireBody(addressed: Addressed, body: WireBody): Message {
  switch (body.$case) {
    case 'voteRequest': {
      const { pre, transfer, lastIndex, lastTerm, configuration } = body.value;
      return {
        ...addressed,
        kind: 'vote-request',
        pre,
        transfer,
        lastIndex: indexOf(lastIndex),
        lastTerm: termOf(lastTerm),
        configuration: configuration === undefined ? emptyConfiguration : decodeConfiguration(configuration),
      };
    }
    case 'voteReply':
      return { ...addressed, kind: 'vote-reply', pre: body.value.pre, granted: body.value.granted };
    case 'appendRequest':
      return fromWireAppend(addressed, body.value);
    case 'appendReply':
      return fromWireAppendReply(addressed, body.value);
    case 'heartbeatRequest': {
      const { commit, round } = body.value;
      return { ...addressed, kind: 'heartbeat-request', commit: indexOf(commit), round: numberOf(round) };
    }
    case 'heartbeatReply': {
      const { round, verified } = body.value;
      return { ...addressed, kind: 'heartbeat-reply', round: numberOf(round), verified: indexOf(verified) };
    }
    case 'snapshotChunk': {
      const { bytes, last } = body.value;
      const [meta, position] = [fromWireMeta(present(body.value.meta, 'meta')), numberOf(body.value.position)];
      return { ...addressed, kind: 'snapshot-chunk', meta, position, bytes, last };
    }
    case 'snapshotReply': {
      const { snapshotId } = body.value;
      const result = snapshotResultOf(body.value.result);
      return { ...addressed, kind: 'snapshot-reply', snapshotId, result, position: numberOf(body.value.position) };
    }
    case 'timeoutNow':
      return { ...addressed, kind: 'timeout-now' };
  }
}

type MessageOf<Kind extends Message['kind']> = Extract<Message, { readonly kind: Kind }>;

/** The cold way, for tests; `AppendFrame` writes the same bytes. */
function toWireAppend(message: MessageOf<'append-request'>): wire.AppendRequest {
  return {
    prevIndex: BigInt(message.prevIndex),
    prevTerm: BigInt(message.prevTerm),
    prevEndOffset: BigInt(message.prevEndOffset),
    prevChain: message.prevChain ?? undefined,
    sequence: BigInt(message.sequence),
    commit: BigInt(message.commit),
    entries: message.entries.map(toWireEntry),
  };
}

function fromWireAppend(addressed: Addressed, value: wire.AppendRequest): Message {
  return {
    ...addressed,
    kind: 'append-request',
    prevIndex: indexOf(value.prevIndex),
    prevTerm: termOf(value.prevTerm),
    prevEndOffset: offsetOf(value.prevEndOffset),
    prevChain: value.prevChain ?? null,
    sequence: numberOf(value.sequence),
    commit: indexOf(value.commit),
    entries: value.entries.map(fromWireEntry),
  };
}

function toWireEntry(entry: Entry): wire.Entry {
  return {
    formatVersion: entryFormatVersion,
    kind: entryKindNumbers[entry.kind],
    term: BigInt(entry.term),
    index: BigInt(entry.index),
    baseOffset: BigInt(entry.baseOffset),
    count: entry.count,
    appendTimeMs: BigInt(entry.appendTimeMs),
    maxTimestampMs: toWireMillis(entry.maxTimestampMs),
    payloadCrc: entry.payloadCrc,
    chain: entry.chain,
    payload: entry.payload,
  };
}

const kindOfNumber: ReadonlyMap<number, EntryKind> = new Map(
  (Object.keys(entryKindNumbers) as EntryKind[]).map((kind) => [entryKindNumbers[kind], kind]),
);

/** A kind or form that this version does not know is of a newer one: nothing of the message is taken (design D7). */
function newerThanThis(entries: readonly wire.Entry[]): string | null {
  for (const { index, kind, formatVersion } of entries) {
    if (formatVersion !== entryFormatVersion)
      return `entry ${index} of the leader has format ${formatVersion}, unknown here: upgrade this broker`;
    if (!kindOfNumber.has(kind))
      return `entry ${index} of the leader is of kind ${kind}, unknown here: upgrade this broker`;
  }
  return null;
}

function fromWireEntry(entry: wire.Entry): Entry {
  return {
    kind: present(kindOfNumber.get(entry.kind), `entry kind ${entry.kind}`),
    term: termOf(entry.term),
    index: indexOf(entry.index),
    baseOffset: offsetOf(entry.baseOffset),
    count: entry.count,
    appendTimeMs: toMillis(numberOf(entry.appendTimeMs)),
    maxTimestampMs: millisOf(entry.maxTimestampMs),
    payloadCrc: entry.payloadCrc,
    chain: entry.chain,
    payload: entry.payload,
  };
}

function toWireAppendReply({ prevIndex, sequence, result }: MessageOf<'append-reply'>): wire.AppendReply {
  return {
    prevIndex: BigInt(prevIndex),
    sequence: BigInt(sequence),
    result:
      result.kind === 'accepted'
        ? { $case: 'durableIndex', value: BigInt(result.durableIndex) }
        : {
            $case: 'mismatch',
            value: { hintIndex: BigInt(result.hintIndex), hintTerm: BigInt(result.hintTerm) },
          },
  };
}

function fromWireAppendReply(addressed: Addressed, value: wire.AppendReply): Message {
  const result = present(value.result, 'result');
  return {
    ...addressed,
    kind: 'append-reply',
    prevIndex: indexOf(value.prevIndex),
    sequence: numberOf(value.sequence),
    result:
      result.$case === 'durableIndex'
        ? { kind: 'accepted', durableIndex: indexOf(result.value) }
        : {
            kind: 'mismatch',
            hintIndex: indexOf(result.value.hintIndex),
            hintTerm: termOf(result.value.hintTerm),
          },
  };
}

function toWireMeta(meta: SnapshotMeta): wire.SnapshotMeta {
  return {
    id: meta.id,
    lastIndex: BigInt(meta.lastIndex),
    lastTerm: BigInt(meta.lastTerm),
    endOffset: BigInt(meta.endOffset),
    chain: meta.chain,
    configuration: encodeConfiguration(meta.configuration),
    terms: meta.terms.map(({ term, startIndex, startOffset }) => ({
      term: BigInt(term),
      startIndex: BigInt(startIndex),
      startOffset: BigInt(startOffset),
    })),
    byteLength: BigInt(meta.byteLength),
    appendTimeMs: BigInt(meta.appendTimeMs),
    maxTimestampMs: toWireMillis(meta.maxTimestampMs),
    payloadBytes: BigInt(meta.payloadBytes),
    logStart: BigInt(meta.logStart),
    checksum: meta.checksum,
  };
}

function fromWireMeta(meta: wire.SnapshotMeta): SnapshotMeta {
  return {
    id: meta.id,
    lastIndex: indexOf(meta.lastIndex),
    lastTerm: termOf(meta.lastTerm),
    endOffset: offsetOf(meta.endOffset),
    chain: meta.chain,
    configuration: decodeConfiguration(meta.configuration),
    terms: meta.terms.map(({ term, startIndex, startOffset }) => ({
      term: termOf(term),
      startIndex: indexOf(startIndex),
      startOffset: offsetOf(startOffset),
    })),
    byteLength: numberOf(meta.byteLength),
    appendTimeMs: toMillis(numberOf(meta.appendTimeMs)),
    maxTimestampMs: millisOf(meta.maxTimestampMs),
    payloadBytes: numberOf(meta.payloadBytes),
    logStart: offsetOf(meta.logStart),
    checksum: meta.checksum,
  };
}

const snapshotResults = {
  next: SnapshotResult.SNAPSHOT_RESULT_NEXT,
  installed: SnapshotResult.SNAPSHOT_RESULT_INSTALLED,
  refused: SnapshotResult.SNAPSHOT_RESULT_REFUSED,
} as const satisfies Record<SnapshotReply['result'], wire.SnapshotResult>;

function snapshotResultOf(value: wire.SnapshotResult): SnapshotReply['result'] {
  const names = Object.keys(snapshotResults) as SnapshotReply['result'][];
  return present(
    names.find((name) => snapshotResults[name] === value),
    'result',
  );
}
