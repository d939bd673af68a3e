/** What may be commanded: from the catalog's state and a wish to a command or a refusal. Pure; changes nothing. */
import type { BrokerId, GroupNumber, ProducerEpoch, ProducerId, ReplicaId } from '../model/ids.ts';
import { toGroupNumber, toProducerEpoch, toReplicaId } from '../model/ids.ts';
import { must } from '../model/assert.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import { replicasMax } from '../raft/core/configuration.ts';
import type {
  BrokerDuty,
  BrokerEntry,
  CatalogCommand,
  PartitionPlace,
  ReplicaPlace,
  TopicEntry,
} from './catalog-commands.ts';
import { withDuty } from './catalog-commands.ts';
import type { AlterWish, CatalogRequest, JoinWish, TopicWish } from './catalog-requests.ts';
import type { CatalogHead, CatalogState } from './catalog-state.ts';
import type { TopicRef } from './cluster-operation.ts';
import type { BrokerLimits } from './limits.ts';
import { extendReplicas, PlacementLoad, placeReplicas } from './placement.ts';
import { ReplicaAssigner, sameReplicas } from './replica-assignment.ts';
import { changedConfig, refuseInsync, sameConfig, topicConfigDefault, topicConfigKeepAll } from './topic-config.ts';

/** Name of the topic whose partitions hold the state of consumer groups. */
export const groupsTopic = '__groups';

const nameCharsMax = 249;
const replicationFactorMax = 7;
const replicationFactorDefault = 3;
const producerEpochMax = 32_767;

/** What decisions take into account beside the catalog's state. */
export interface DecisionContext {
  readonly limits: BrokerLimits;
  /** Brokers that were not heard of for long. */
  readonly dead: ReadonlySet<BrokerId>;
  /** Brokers that are heard of now, or may be: the disk of none of them is given to another. */
  readonly heard: ReadonlySet<BrokerId>;
}

/** From a request to the command that carries it out; null: there is nothing to do. */
export function decide(
  state: CatalogState,
  request: CatalogRequest,
  context: DecisionContext,
): Result<CatalogCommand | null> {
  switch (request.kind) {
    case 'create-topic':
      return decideCreateTopic(state, request.topic, context);
    case 'alter-topic':
      return decideAlterTopic(state, request);
    case 'delete-topic':
      return decideDeleteTopic(state, request);
    case 'join':
      return decideJoin(state, request.broker, context);
    case 'remove-broker':
      return decideRemoveBroker(state, request.brokerId);
    case 'replicas-opened':
      return ok(state.head === null ? null : request);
    case 'removal-done':
      return ok(state.head === null ? null : request);
    case 'set-replicas':
      return decideSetReplicas(state, request.group, request.brokers);
    case 'placement-reached':
      return ok(decideReached(state, request.group, request.revision));
    case 'reserve-producer-ids':
      return decideReservation(state, request.count);
    case 'raise-epoch':
      return decideRaise(state, request.producerId, request.producerEpoch);
  }
}

export function decideCreateTopic(
  state: CatalogState,
  wish: TopicWish,
  context: DecisionContext,
): Result<CatalogCommand> {
  const head = state.head;
  if (head === null) return notFounded;
  const { limits } = context;
  const brokers = placeable(state);
  const factor = wish.replicationFactor ?? Math.min(replicationFactorDefault, brokers.length);
  const refusal =
    refuseName(wish.name, wish.internal) ??
    refusePartitionCount(wish.partitions, limits) ??
    refuseReplicationFactor(factor, brokers.length) ??
    refuseTaken(state, wish) ??
    (wish.internal ? null : refuseTooMany(state, 1, wish.partitions, limits));
  if (refusal !== null) return refusal;
  const config = changedConfig(wish.internal ? topicConfigKeepAll : topicConfigDefault, wish.config);
  if (config.kind === 'refused') return config;
  const tooMany = refuseInsync(config.value, factor);
  if (tooMany !== null) return tooMany;
  const { tenant, name, topicId, internal } = wish;
  const partitions = placePartitions(state, head, { brokers, count: wish.partitions, factor, dead: context.dead });
  const groupKind = internal ? 'commands' : 'data';
  const fixed = { tenant, name, topicId, internal, groupKind } as const;
  const topic = { ...fixed, replicationFactor: factor, createdAtMs: wish.nowMs, config: config.value, partitions };
  return ok({ kind: 'create-topic', topic });
}

/** @param count that the topic shall have afterwards; null: it has as many */
export function decideAddPartitions(
  state: CatalogState,
  wish: TopicRef,
  count: number,
  context: DecisionContext,
): Result<Extract<CatalogCommand, { kind: 'add-partitions' }> | null> {
  const { head } = state;
  if (head === null) return notFounded;
  const found = ownedTopic(state, wish);
  if (found.kind === 'refused') return found;
  const topic = found.value;
  const { limits, dead } = context;
  const more = count - topic.partitions.length;
  if (more < 0) return fewerPartitions(topic, count);
  if (more === 0) return ok(null);
  const brokers = placeable(state);
  const factor = topic.replicationFactor;
  const refusal =
    refusePartitionCount(count, limits) ??
    refuseReplicationFactor(factor, brokers.length) ??
    refuseTooMany(state, 0, more, limits);
  if (refusal !== null) return refusal;
  const partitions = placePartitions(state, head, { brokers, count: more, factor, dead });
  return ok({ kind: 'add-partitions', topicId: topic.topicId, partitions });
}

function fewerPartitions({ name, partitions }: TopicEntry, count: number): Refused {
  const what = `topic "${name}" has ${partitions.length} partitions and can not have ${count}: partitions are only added`;
  return refuse('INVALID_PARTITIONS', what, { fields: { actual: `${partitions.length}`, wanted: `${count}` } });
}

/** The topic that is meant: the name belongs to it, and so does the id if there is one. */
export function findTopic(state: CatalogState, { tenant, name, topicId }: TopicRef): Result<TopicEntry> {
  const topic = state.topicNamed(tenant, name);
  if (topicId !== null && topic?.topicId !== topicId) return otherTopicId(name, topicId, state.topics.has(topicId));
  if (topic !== null) return ok(topic);
  return refuse('UNKNOWN_TOPIC_OR_PARTITION', `topic "${name}" does not exist`, { fields: { topic: name } });
}

export function decideDeleteTopic(
  state: CatalogState,
  wish: TopicRef,
): Result<Extract<CatalogCommand, { kind: 'delete-topic' }>> {
  const topic = ownedTopic(state, wish);
  return topic.kind === 'refused' ? topic : ok({ kind: 'delete-topic', topicId: topic.value.topicId });
}

/** Null: it is configured like that. */
export function decideAlterTopic(
  state: CatalogState,
  wish: AlterWish,
): Result<Extract<CatalogCommand, { kind: 'alter-topic' }> | null> {
  const topic = ownedTopic(state, wish);
  if (topic.kind === 'refused') return topic;
  const { topicId, config: before, replicationFactor } = topic.value;
  const config = changedConfig(before, wish.config);
  if (config.kind === 'refused') return config;
  const refused = refuseInsync(config.value, replicationFactor);
  if (refused !== null) return refused;
  return ok(sameConfig(before, config.value) ? null : { kind: 'alter-topic', topicId, config: config.value });
}

/** The topic that is meant, which clients may change or delete. */
function ownedTopic(state: CatalogState, { tenant, name, topicId: asked }: TopicRef): Result<TopicEntry> {
  const topic = state.topicNamed(tenant, name);
  if (topic === null) return refuse('UNKNOWN_TOPIC_OR_PARTITION', `topic "${name}" does not exist`);
  if (topic.internal) return refuse('INVALID_TOPIC', `topic "${name}" is Sluice's own and stays as it is`);
  if (asked !== null && asked !== topic.topicId) return otherTopicId(name, asked, state.topics.has(asked));
  return ok(topic);
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

export const notFounded: Refused = refuse('LEADER_NOT_AVAILABLE', 'the cluster is being founded; try again');

function refusePartitionCount(count: number, limits: BrokerLimits): Refused | null {
  const max = limits.partitionsPerTopicMax;
  if (Number.isInteger(count) && count >= 1 && count <= max) return null;
  return refuse('INVALID_PARTITIONS', `a topic has 1 to ${max} partitions, not ${count}`, {
    fields: { limit: `${max}`, actual: `${count}` },
  });
}

export function refuseReplicationFactor(factor: number, brokerCount: number): Refused | null {
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
  const { topicId } = taken;
  return refuse('TOPIC_ALREADY_EXISTS', `topic "${wish.name}" exists`, { fields: { topicId } });
}

function refuseTooMany(state: CatalogState, topics: number, more: number, limits: BrokerLimits): Refused | null {
  const own = [...state.topics.values()].filter((topic) => !topic.internal);
  if (own.length + topics > limits.topicsMax) return limitReached('topics', limits.topicsMax, own.length);
  const partitions = own.reduce((sum, topic) => sum + topic.partitions.length, more);
  return partitions > limits.partitionsMax ? limitReached('partitions', limits.partitionsMax, partitions) : null;
}

const limitReached = (what: string, limit: number, actual: number): Refused =>
  refuse('LIMIT_REACHED', `the cluster may have ${limit} ${what}; delete some or raise the limit`, {
    fields: { limit: `${limit}`, actual: `${actual}` },
  });

/** Brokers that new replicas may be placed on; one that is drained only where there is nobody else, and never first. */
const placeable = (state: CatalogState): readonly BrokerEntry[] =>
  [...state.brokers.values()].filter((broker) => broker.joined && broker.duty !== 'decommissioning');

/** Whom placement passes over as long as there is somebody else. */
export const avoided = (state: CatalogState, dead: ReadonlySet<BrokerId>): ReadonlySet<BrokerId> =>
  new Set([...dead, ...[...state.brokers.values()].filter((one) => one.duty !== undefined).map((one) => one.brokerId)]);

interface PlacementWish {
  readonly brokers: readonly BrokerEntry[];
  readonly count: number;
  readonly factor: number;
  readonly dead: ReadonlySet<BrokerId>;
}

/** Places for `count` more partitions, with the next free numbers. */
function placePartitions(state: CatalogState, head: CatalogHead, wish: PlacementWish): readonly PartitionPlace[] {
  const { brokers, count, factor } = wish;
  const dead = avoided(state, wish.dead);
  const load = new PlacementLoad([...state.topics.values()].flatMap((topic) => topic.partitions));
  return Array.from({ length: count }, (_, partition) => {
    const group = toGroupNumber(head.nextGroup + partition);
    const placed = placeReplicas(brokers, factor, load, dead, group);
    const replicas = placed.map((brokerId, at) => {
      return placeOn(state, brokerId, toReplicaId(head.nextReplicaId + partition * factor + at));
    });
    const genesis = replicas.map((replica) => replica.replicaId);
    return { group, revision: 0, reached: 0, genesis, replicas, leaving: [] };
  });
}

/** A replica that is yet to be made, bound to the disk that the broker has now. */
function placeOn(state: CatalogState, brokerId: BrokerId, replicaId: ReplicaId): ReplicaPlace {
  const { incarnation } = must(state.brokers.get(brokerId), 'replicas are placed on brokers that are known');
  return { replicaId, brokerId, incarnation, opened: false };
}

/**
 * Lets a broker in, in two steps (design D4): it gets the id of its catalog replica, makes that replica on its disk, and
 * comes back to say so; only then does it take part. A broker whose disk lost the replica is not given it again, since an
 * empty one would pass for what it had voted and acknowledged (P61).
 */
function decideJoin(state: CatalogState, wish: JoinWish, context: DecisionContext): Result<CatalogCommand | null> {
  const head = state.head;
  if (head === null) return notFounded;
  if (wish.formatVersion < head.activeVersion) return tooOld(wish, head.activeVersion);
  const known = state.brokers.get(wish.brokerId);
  if (known === undefined) {
    if (state.brokers.size >= brokersMax) return limitReached('brokers', brokersMax, state.brokers.size);
    return letIn(wish, head, null);
  }
  const { incarnation } = wish;
  if (known.incarnation !== incarnation) {
    if (known.replaceable !== true) return idInUse(known, incarnation);
    return context.heard.has(wish.brokerId) ? stillHeard(wish, context) : letIn(wish, head, known.duty ?? null);
  }
  if (wish.catalogReplica === null && known.joined) return lostReplica(wish.brokerId);
  if (wish.catalogReplica !== null && wish.catalogReplica !== known.catalogReplica) return strangeReplica(wish);
  const joined = wish.catalogReplica !== null;
  // the disk that was given up is back before another one came: it is the broker's again
  const broker = entryOf(wish, known.catalogReplica, joined, known.duty ?? null);
  // who was not let in yet needs the command: it holds the id
  return ok(known.joined && sameBroker(known, broker) ? null : { kind: 'put-broker', broker });
}

/** With an empty disk, which gets a replica of the catalog. */
function letIn(wish: JoinWish, head: CatalogHead, duty: BrokerDuty | null): Result<CatalogCommand> {
  if (wish.catalogReplica !== null) return strangeReplica(wish);
  return ok({ kind: 'put-broker', broker: entryOf(wish, head.nextReplicaId, false, duty) });
}

function entryOf(wish: JoinWish, catalogReplica: ReplicaId, joined: boolean, duty: BrokerDuty | null): BrokerEntry {
  const { brokerId, incarnation, address, peerAddress, rack, version, formatVersion } = wish;
  const told = { brokerId, incarnation, address, peerAddress, rack, version, formatVersion };
  return withDuty({ ...told, catalogReplica, joined }, duty);
}

function tooOld({ brokerId, formatVersion, version }: JoinWish, activeVersion: number): Refused {
  const what = `the cluster uses format ${activeVersion}, and broker ${brokerId} (version ${version}) knows up to ${formatVersion}`;
  return refuse('INVALID_CONFIG', `${what}; install a newer version of Sluice`, {
    fields: { brokerId: `${brokerId}` },
  });
}

/** A configuration of the catalog's group names every broker. */
const brokersMax = replicasMax;

const sameBroker = (one: BrokerEntry, other: BrokerEntry): boolean =>
  one.address === other.address &&
  one.peerAddress === other.peerAddress &&
  one.rack === other.rack &&
  one.version === other.version &&
  (one.formatVersion ?? 1) === (other.formatVersion ?? 1) &&
  one.joined === other.joined &&
  one.replaceable === other.replaceable;

function idInUse({ brokerId, incarnation }: BrokerEntry, other: string): Refused {
  const what = `broker ${brokerId} is known with disk ${incarnation}, not ${other}`;
  const todo = 'start it on its own data directory, take another broker.id, or have the broker replaced';
  return refuse('INVALID_CONFIG', `${what}; ${todo}`, { fields: { brokerId: `${brokerId}`, incarnation } });
}

const stillHeard = ({ brokerId }: JoinWish, { limits }: DecisionContext): Refused =>
  refuse('LEADER_NOT_AVAILABLE', `broker ${brokerId} may still run on the disk that was given up; try again`, {
    retryAfterMs: limits.brokerQuietMs,
  });

const lostReplica = (brokerId: BrokerId): Refused =>
  refuse('INVALID_CONFIG', `the disk of broker ${brokerId} has lost its replica of the catalog; replace the broker`, {
    fields: { brokerId: `${brokerId}` },
  });

const strangeReplica = ({ brokerId }: JoinWish): Refused =>
  refuse(
    'INVALID_CONFIG',
    `the disk of broker ${brokerId} holds a replica of the catalog that this cluster never gave it, or took back; start it on an empty data directory`,
    { fields: { brokerId: `${brokerId}` } },
  );

/** Only a broker without replicas, in the catalog's own group too once its leader has seen to that (catalog-keeper.ts). */
function decideRemoveBroker(state: CatalogState, brokerId: BrokerId): Result<CatalogCommand | null> {
  if (!state.brokers.has(brokerId)) return ok(null);
  const places = [...state.topics.values()].flatMap((topic) => topic.partitions);
  const held = places.filter(({ replicas, leaving, reached }) => {
    const needed = [...replicas, ...leaving.filter((replica) => reached < replica.leftAt)];
    return needed.some((replica) => replica.brokerId === brokerId);
  });
  if (held.length === 0 && state.brokers.size > 1) return ok({ kind: 'remove-broker', brokerId });
  const what = `broker ${brokerId} holds replicas of ${held.length} partitions; move them away first`;
  return refuse('INVALID_REQUEST', what, { fields: { partitions: `${held.length}` } });
}

/** Replicas on brokers that had one keep it; what is new gets an id of its own. */
function decideSetReplicas(
  state: CatalogState,
  group: GroupNumber,
  brokers: readonly BrokerId[],
): Result<CatalogCommand | null> {
  const head = state.head;
  const place = state.placeOf(group);
  if (head === null || place === null) return refuse('UNKNOWN_TOPIC_OR_PARTITION', `no topic has group ${group}`);
  const refusal = refuseReplicas(state, brokers);
  if (refusal !== null) return refusal;
  const placed = new ReplicaAssigner(state).assign(place, brokers);
  if (placed.kind === 'refused') return placed;
  const { revision, replicas } = placed.value;
  return ok(sameReplicas(replicas, place.replicas) ? null : { kind: 'set-replicas', group, revision, replicas });
}

function refuseReplicas(state: CatalogState, brokers: readonly BrokerId[]): Refused | null {
  const refusal = refuseReplicationFactor(brokers.length, state.brokers.size);
  if (refusal !== null) return refusal;
  if (new Set(brokers).size < brokers.length)
    return refuse('INVALID_REQUEST', 'a broker holds one replica of a partition');
  const unknown = brokers.find((brokerId) => state.brokers.get(brokerId)?.joined !== true);
  return unknown === undefined ? null : refuse('INVALID_REQUEST', `broker ${unknown} is not part of the cluster`);
}

/**
 * The next partition of Sluice's own topics that has fewer replicas than it shall have, now that there are more brokers;
 * null: none. One and three, never two: the loss of either would stop it.
 */
export function decideInternalGrowth(
  state: CatalogState,
  dead: ReadonlySet<BrokerId>,
): Extract<CatalogRequest, { kind: 'set-replicas' }> | null {
  const joined = [...state.brokers.values()].filter((broker) => broker.joined);
  const avoid = avoided(state, dead);
  if (joined.filter(({ brokerId }) => !avoid.has(brokerId)).length < replicationFactorDefault) return null;
  const topics = [...state.topics.values()];
  const small = topics
    .filter((topic) => topic.internal)
    .flatMap((topic) => topic.partitions)
    .find((place) => place.replicas.length < replicationFactorDefault && place.reached === place.revision);
  if (small === undefined) return null;
  const load = new PlacementLoad(topics.flatMap((topic) => topic.partitions));
  const present = small.replicas.map((replica) => replica.brokerId);
  const brokers = extendReplicas(present, joined, replicationFactorDefault, load, avoid);
  return { kind: 'set-replicas', group: small.group, brokers };
}

/** Reports may come late and twice. */
function decideReached(state: CatalogState, group: GroupNumber, revision: number): CatalogCommand | null {
  const place = state.placeOf(group);
  if (place === null || revision <= place.reached || revision > place.revision) return null;
  return { kind: 'placement-reached', group, revision };
}

function decideReservation(state: CatalogState, count: number): Result<CatalogCommand> {
  if (state.head === null) return notFounded;
  return ok({ kind: 'reserve-producer-ids', from: state.head.nextProducerId, count });
}

function decideRaise(state: CatalogState, producerId: ProducerId, shown: ProducerEpoch): Result<CatalogCommand | null> {
  const decision = decideEpoch(state, producerId, shown);
  if (decision.kind !== 'raise') return decision.kind === 'refused' ? decision : ok(null);
  return ok({ kind: 'raise-producer-epoch', producerId, producerEpoch: decision.epoch });
}
