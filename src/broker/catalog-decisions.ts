/** What may be commanded: from the catalog's state and a wish to a command or a refusal. Pure; changes nothing. */
import type { Millis, ProducerEpoch, ProducerId } from '../model/ids.ts';
import { toGroupNumber, toProducerEpoch, toReplicaId } from '../model/ids.ts';
import { must } from '../model/assert.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { BrokerEntry, CatalogCommand, PartitionPlace, ReplicaPlace } from './catalog-commands.ts';
import type { CatalogHead, CatalogState } from './catalog-state.ts';
import type { BrokerLimits } from './limits.ts';

/** Name of the topic whose partitions hold the state of consumer groups. */
export const groupsTopic = '__groups';

const nameCharsMax = 249;
const replicationFactorMax = 7;
const replicationFactorDefault = 3;
const producerEpochMax = 32_767;

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
}

export function decideCreateTopic(state: CatalogState, wish: TopicWish, limits: BrokerLimits): Result<CatalogCommand> {
  const head = state.head;
  if (head === null) return notFounded;
  const brokers = [...state.brokers.values()];
  const factor = wish.replicationFactor ?? Math.min(replicationFactorDefault, brokers.length);
  const refusal =
    refuseName(wish.name, wish.internal) ??
    refusePartitionCount(wish.partitions, limits) ??
    refuseReplicationFactor(factor, brokers.length) ??
    refuseTaken(state, wish) ??
    refuseTooMany(state, wish, limits);
  if (refusal !== null) return refusal;
  const { tenant, name, topicId, internal } = wish;
  const partitions = placePartitions(head, brokers, wish.partitions, factor);
  const groupKind = internal ? 'commands' : 'data';
  const fixed = { tenant, name, topicId, internal, groupKind } as const;
  const topic = { ...fixed, replicationFactor: factor, createdAtMs: wish.nowMs, partitions };
  return ok({ kind: 'create-topic', topic });
}

export function decideDeleteTopic(
  state: CatalogState,
  wish: { readonly tenant: number; readonly name: string; readonly topicId: string | null },
): Result<Extract<CatalogCommand, { kind: 'delete-topic' }>> {
  const record = state.topicNamed(wish.tenant, wish.name);
  if (record === null) return refuse('UNKNOWN_TOPIC_OR_PARTITION', `topic "${wish.name}" does not exist`);
  if (record.topic.internal) return refuse('INVALID_TOPIC', `topic "${wish.name}" is Sluice's own and stays`);
  const { topicId } = record.topic;
  const asked = wish.topicId;
  if (asked !== null && asked !== topicId) return otherTopicId(wish.name, asked, state.topics.has(asked));
  return ok({ kind: 'delete-topic', topicId });
}

/** What becomes of a producer that shows an identity whose secret was checked. */
export type EpochDecision =
  | { readonly kind: 'raise'; readonly epoch: ProducerEpoch }
  /** The epochs of this id are used up, or were forgotten: it goes on under a new id. */
  | { readonly kind: 'new-identity' }
  | Refused;

/**
 * Every grant is unique, so that two who show the same identity never share sequences. The epoch before the current one
 * is accepted too: the reply that raised it may have been lost. An older one belongs to somebody who was fenced.
 */
export function decideEpoch(state: CatalogState, producerId: ProducerId, epoch: ProducerEpoch): EpochDecision {
  const head = state.head;
  if (head === null) return notFounded;
  if (producerId >= head.nextProducerId) {
    return refuse('UNKNOWN_PRODUCER_ID', `producer id ${producerId} was never given; ask for a new identity`);
  }
  const raised = state.raisedEpochs.get(producerId);
  if (raised === undefined && producerId < head.raisableFrom) return { kind: 'new-identity' };
  const current = raised ?? 0;
  if (epoch !== current && epoch !== current - 1) {
    return refuse(
      'INVALID_PRODUCER_EPOCH',
      `producer ${producerId} is at epoch ${current}, not ${epoch}; it was fenced`,
    );
  }
  return current === producerEpochMax
    ? { kind: 'new-identity' }
    : { kind: 'raise', epoch: toProducerEpoch(current + 1) };
}

/** Null: a good name for a topic. */
export function refuseName(name: string, internal: boolean): Refused | null {
  if (!/^[A-Za-z0-9._-]+$/.test(name) || name.length > nameCharsMax || name === '.' || name === '..') {
    const rule = `1 to ${nameCharsMax} characters of [A-Za-z0-9._-], and neither "." nor ".."`;
    return refuse('INVALID_TOPIC', `the name of a topic has ${rule}`, {
      fields: { name: name.slice(0, nameCharsMax) },
    });
  }
  if (name.startsWith('__') !== internal) {
    return refuse('INVALID_TOPIC', `names that begin with "__" are reserved for Sluice's own topics: "${name}"`);
  }
  return null;
}

/** The name does not belong to the topic id that was asked for: that topic is gone, or has another name. */
export function otherTopicId(name: string, asked: string, askedExists: boolean): Refused {
  return askedExists
    ? refuse('INCONSISTENT_TOPIC_ID', `topic "${name}" does not have id ${asked}; another topic has it`)
    : refuse('UNKNOWN_TOPIC_ID', `topic "${name}" does not have id ${asked} (any more): it was deleted`);
}

const notFounded: Refused = refuse('LEADER_NOT_AVAILABLE', 'the cluster is being founded; try again');

function refusePartitionCount(count: number, limits: BrokerLimits): Refused | null {
  const max = limits.partitionsPerTopicMax;
  if (Number.isInteger(count) && count >= 1 && count <= max) return null;
  return refuse('INVALID_PARTITIONS', `a topic has 1 to ${max} partitions, not ${count}`, {
    fields: { limit: `${max}`, actual: `${count}` },
  });
}

function refuseReplicationFactor(factor: number, brokerCount: number): Refused | null {
  const fields = { replicationFactor: `${factor}`, brokers: `${brokerCount}` };
  if (!Number.isInteger(factor) || factor < 1 || factor > replicationFactorMax) {
    const rule = `a replication factor ranges from 1 to ${replicationFactorMax}, not ${factor}`;
    return refuse('INVALID_REPLICATION_FACTOR', rule, { fields });
  }
  if (factor <= brokerCount) return null;
  const what = `replication factor ${factor} needs as many brokers, but the cluster has ${brokerCount}`;
  return refuse('INVALID_REPLICATION_FACTOR', what, { fields });
}

function refuseTaken(state: CatalogState, wish: TopicWish): Refused | null {
  const taken = state.topicNamed(wish.tenant, wish.name);
  if (taken === null) return null;
  const { topicId } = taken.topic;
  return refuse('TOPIC_ALREADY_EXISTS', `topic "${wish.name}" exists`, { fields: { topicId } });
}

function refuseTooMany(state: CatalogState, wish: TopicWish, limits: BrokerLimits): Refused | null {
  if (wish.internal) return null;
  const own = [...state.topics.values()].filter((record) => !record.topic.internal);
  if (own.length >= limits.topicsMax) return limitReached('topics', limits.topicsMax, own.length);
  const partitions = own.reduce((sum, record) => sum + record.topic.partitions.length, wish.partitions);
  return partitions > limits.partitionsMax ? limitReached('partitions', limits.partitionsMax, partitions) : null;
}

const limitReached = (what: string, limit: number, actual: number): Refused =>
  refuse('LIMIT_REACHED', `the cluster may have ${limit} ${what}; delete some or raise the limit`, {
    fields: { limit: `${limit}`, actual: `${actual}` },
  });

/** Spreads replicas over the brokers in turn, going on where the last topic ended, so that leaders spread too. */
function placePartitions(
  head: CatalogHead,
  brokers: readonly BrokerEntry[],
  count: number,
  factor: number,
): readonly PartitionPlace[] {
  return Array.from({ length: count }, (_, partition) => {
    const group = toGroupNumber(head.nextGroup + partition);
    const replicas = Array.from({ length: factor }, (_, at): ReplicaPlace => {
      const broker = must(brokers[(group + at) % brokers.length], 'there are as many brokers as replicas');
      const replicaId = toReplicaId(head.nextReplicaId + partition * factor + at);
      return { replicaId, brokerId: broker.brokerId, incarnation: broker.incarnation };
    });
    return { group, replicas };
  });
}
