/**
 * What brokers ask the catalog's leader for, on its own broker or from another one (design D15): wishes, from which the
 * leader's decision makes commands. As JSON between brokers.
 */
import { InvariantViolation } from '../model/assert.ts';
import type { BrokerError, ErrorCode, LeaderHint, Result } from '../model/errors.ts';
import { errorTraits, ok } from '../model/errors.ts';
import type { BrokerId, GroupNumber, LogIndex, Millis, ProducerEpoch, ProducerId, ReplicaId } from '../model/ids.ts';
import {
  toBrokerId,
  toGroupNumber,
  toLogIndex,
  toMillis,
  toProducerEpoch,
  toProducerId,
  toReplicaId,
  toTerm,
} from '../model/ids.ts';
import type { CatalogCommand } from './catalog-commands.ts';
import { decodeCommand, encodeCommand, readDiskGroups } from './catalog-commands.ts';
import type { JsonFields } from './json-fields.ts';
import { decodeJson, encodeJson } from './json-fields.ts';
import type { TopicConfigChange } from './topic-config.ts';
import { noConfigChange, readTopicConfigChange } from './topic-config.ts';

export interface TopicWish {
  readonly tenant: number;
  readonly name: string;
  /** Chosen by the caller: decisions take no chance. */
  readonly topicId: string;
  readonly partitions: number;
  /** Null: 3, or as many as there are brokers if there are fewer. */
  readonly replicationFactor: number | null;
  readonly internal: boolean;
  readonly nowMs: Millis;
  /** What differs from the default. */
  readonly config: TopicConfigChange;
}

/** How a topic shall be configured from now on. */
export interface AlterWish {
  readonly tenant: number;
  readonly name: string;
  /** Null: by name alone. */
  readonly topicId: string | null;
  readonly config: TopicConfigChange;
}

/** A broker introduces itself: to be let in, to say that its catalog replica is on its disk, or that it moved. */
export interface JoinWish {
  readonly brokerId: BrokerId;
  readonly incarnation: string;
  readonly address: string;
  readonly peerAddress: string | null;
  readonly rack: string | null;
  readonly version: string;
  /** Newest format that its software writes and reads. */
  readonly formatVersion: number;
  /** Its replica of the catalog, as its disk has it; null: the disk has none. */
  readonly catalogReplica: ReplicaId | null;
}

export type CatalogRequest =
  | { readonly kind: 'create-topic'; readonly topic: TopicWish }
  | ({ readonly kind: 'alter-topic' } & AlterWish)
  | { readonly kind: 'delete-topic'; readonly tenant: number; readonly name: string; readonly topicId: string | null }
  | { readonly kind: 'join'; readonly broker: JoinWish }
  | { readonly kind: 'remove-broker'; readonly brokerId: BrokerId }
  | {
      readonly kind: 'replicas-opened' | 'removal-done';
      readonly brokerId: BrokerId;
      readonly incarnation: string;
      readonly groups: readonly GroupNumber[];
    }
  /** @property brokers the preferred leader first */
  | { readonly kind: 'set-replicas'; readonly group: GroupNumber; readonly brokers: readonly BrokerId[] }
  | { readonly kind: 'placement-reached'; readonly group: GroupNumber; readonly revision: number }
  | { readonly kind: 'reserve-producer-ids'; readonly count: number }
  /** The secret was checked by who asks. */
  | { readonly kind: 'raise-epoch'; readonly producerId: ProducerId; readonly producerEpoch: ProducerEpoch };

/** A request that was carried out. */
export interface Executed {
  /** Null: there was nothing to do. */
  readonly command: CatalogCommand | null;
  /** Whoever has applied the catalog's log through this index sees the effect. */
  readonly index: LogIndex;
}

/** A request under way to the leader. */
export interface Forwarded {
  /** How many more brokers may pass it on: 0 for the one that must decide. */
  readonly hops: number;
  readonly request: CatalogRequest;
}

export const encodeForwarded = (forwarded: Forwarded): Uint8Array => encodeJson(forwarded);

/** @throws InvariantViolation for what `encodeForwarded` of a version that is known here did not make */
export function decodeForwarded(bytes: Uint8Array): Forwarded {
  const fields = decodeJson(bytes, 'request');
  return { hops: fields.number('hops'), request: fields.object('request', readRequest) };
}

function readRequest(fields: JsonFields): CatalogRequest {
  const kind = fields.text('kind');
  switch (kind) {
    case 'create-topic':
      return { kind, topic: fields.object('topic', readTopicWish) };
    case 'alter-topic':
      return {
        kind,
        tenant: fields.number('tenant'),
        name: fields.text('name'),
        topicId: fields.textOrNull('topicId'),
        config: fields.object('config', readTopicConfigChange),
      };
    case 'delete-topic':
      return {
        kind,
        tenant: fields.number('tenant'),
        name: fields.text('name'),
        topicId: fields.textOrNull('topicId'),
      };
    case 'join':
      return { kind, broker: fields.object('broker', readJoinWish) };
    case 'remove-broker':
      return { kind, brokerId: toBrokerId(fields.number('brokerId')) };
    case 'replicas-opened':
    case 'removal-done':
      return { kind, ...readDiskGroups(fields) };
    case 'set-replicas':
      return {
        kind,
        group: toGroupNumber(fields.number('group')),
        brokers: fields.numbers('brokers').map(toBrokerId),
      };
    case 'placement-reached':
      return { kind, group: toGroupNumber(fields.number('group')), revision: fields.number('revision') };
    case 'reserve-producer-ids':
      return { kind, count: fields.number('count') };
    case 'raise-epoch':
      return {
        kind,
        producerId: toProducerId(fields.number('producerId')),
        producerEpoch: toProducerEpoch(fields.number('producerEpoch')),
      };
    default:
      throw new InvariantViolation('request-1: every request is known', kind);
  }
}

const readTopicWish = (fields: JsonFields): TopicWish => ({
  tenant: fields.number('tenant'),
  name: fields.text('name'),
  topicId: fields.text('topicId'),
  partitions: fields.number('partitions'),
  replicationFactor: fields.numberOrNull('replicationFactor'),
  internal: fields.flag('internal'),
  nowMs: toMillis(fields.number('nowMs')),
  config: fields.has('config') ? fields.object('config', readTopicConfigChange) : noConfigChange,
});

const readJoinWish = (fields: JsonFields): JoinWish => {
  const replica = fields.numberOrNull('catalogReplica');
  return {
    brokerId: toBrokerId(fields.number('brokerId')),
    incarnation: fields.text('incarnation'),
    address: fields.text('address'),
    peerAddress: fields.textOrNull('peerAddress'),
    rack: fields.textOrNull('rack'),
    version: fields.text('version'),
    formatVersion: fields.has('formatVersion') ? fields.number('formatVersion') : 1,
    catalogReplica: replica === null ? null : toReplicaId(replica),
  };
};

/** The answer to a request. */
export function encodeOutcome(outcome: Result<Executed>): Uint8Array {
  if (outcome.kind === 'refused') return encodeJson(outcome);
  const { command, index } = outcome.value;
  const text = command === null ? null : Buffer.from(encodeCommand(command)).toString('base64');
  return encodeJson({ kind: 'ok', command: text, index });
}

/** @throws InvariantViolation for what `encodeOutcome` of a version that is known here did not make */
export function decodeOutcome(bytes: Uint8Array): Result<Executed> {
  const fields = decodeJson(bytes, 'outcome');
  if (fields.text('kind') === 'refused') return { kind: 'refused', error: fields.object('error', readError) };
  const text = fields.textOrNull('command');
  const command = text === null ? null : decodeCommand(Buffer.from(text, 'base64'));
  return ok({ command, index: toLogIndex(fields.number('index')) });
}

/** The catalog's index that must be applied to see everything that was committed when it was asked for. */
export const encodeReadIndex = (index: Result<LogIndex>): Uint8Array =>
  encodeJson(index.kind === 'ok' ? { kind: 'ok', index: index.value } : index);

/** @throws InvariantViolation for what `encodeReadIndex` of a version that is known here did not make */
export function decodeReadIndex(bytes: Uint8Array): Result<LogIndex> {
  const fields = decodeJson(bytes, 'read index');
  if (fields.text('kind') === 'refused') return { kind: 'refused', error: fields.object('error', readError) };
  return ok(toLogIndex(fields.number('index')));
}

/** Brokers that the catalog's leader does not hear of. */
export const encodeQuiet = (quiet: Result<readonly BrokerId[]>): Uint8Array =>
  encodeJson(quiet.kind === 'ok' ? { kind: 'ok', quiet: quiet.value } : quiet);

/** @throws InvariantViolation for what `encodeQuiet` of a version that is known here did not make */
export function decodeQuiet(bytes: Uint8Array): Result<readonly BrokerId[]> {
  const fields = decodeJson(bytes, 'quiet brokers');
  if (fields.text('kind') === 'refused') return { kind: 'refused', error: fields.object('error', readError) };
  return ok(fields.numbers('quiet').map(toBrokerId));
}

export function readError(fields: JsonFields): BrokerError {
  const code = fields.text('code');
  const error = { code: isCode(code) ? code : 'INTERNAL', message: fields.text('message') } as const;
  return {
    ...error,
    ...(fields.has('retryAfterMs') ? { retryAfterMs: fields.number('retryAfterMs') } : {}),
    ...(fields.has('leaderHint') ? { leaderHint: fields.object('leaderHint', readHint) } : {}),
    ...(fields.has('fields') ? { fields: fields.object('fields', (texts) => texts.texts()) } : {}),
  };
}

const isCode = (code: string): code is ErrorCode => Object.hasOwn(errorTraits, code);

const readHint = (fields: JsonFields): LeaderHint => ({
  brokerId: toBrokerId(fields.number('brokerId')),
  address: fields.text('address'),
  leaderEpoch: toTerm(fields.number('leaderEpoch')),
});
