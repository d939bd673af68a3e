/**
 * What the catalog knows: brokers, topics with their placement, deleted topics whose data is still there, and producer
 * identities. Pure; changes only by `replay` of committed commands, here and at start-up alike, and says which state keys
 * changed. What may be commanded is decided in catalog-decisions.ts.
 *
 * Invariants:
 * - catalog-2: the revision rises by one with each change of brokers, topics or placement and never falls.
 * - catalog-3: group numbers and replica ids are never given twice: each new one is at or above the next free one.
 * - catalog-4: the name of a topic is unique within its tenant, its id at all times.
 * - catalog-5: a group belongs to one topic or to one tombstone.
 * - catalog-6: producer ids are never given twice, and the epoch of one only rises.
 * - catalog-7: the cluster is founded once, before anything else.
 */
import { assert, must } from '../model/assert.ts';
import type { BrokerId, GroupNumber, Millis, ProducerEpoch, ProducerId, ReplicaId } from '../model/ids.ts';
import { toGroupNumber, toMillis, toProducerEpoch, toProducerId, toReplicaId } from '../model/ids.ts';
import type { StateChange, StatePair } from '../model/raft-state.ts';
import type { BrokerEntry, CatalogCommand, ReplicaPlace, TopicEntry } from './catalog-commands.ts';
import { readBroker, readReplica, readTopic } from './catalog-commands.ts';
import type { JsonFields } from './json-fields.ts';
import { decodeJson, encodeJson } from './json-fields.ts';

/**
 * Raised epochs that are remembered; beyond it the lowest producer ids can not be raised any more (catalog-6 holds). Part
 * of what replay means, so it is the same on every broker and not a setting.
 */
const raisedEpochsMaxDefault = 100_000;

/** A topic and whether all of its replicas were on disk once. */
export interface TopicRecord {
  readonly topic: TopicEntry;
  readonly opened: boolean;
}

/** A deleted group and the replicas whose brokers have not yet removed it (design D5). */
export interface Tombstone {
  readonly group: GroupNumber;
  readonly replicas: readonly ReplicaPlace[];
}

/** The counters and names that stand beside the tables. */
export interface CatalogHead {
  readonly clusterId: string;
  readonly createdAtMs: Millis;
  readonly activeVersion: number;
  readonly producerKey: string;
  readonly revision: number;
  readonly nextGroup: GroupNumber;
  readonly nextReplicaId: ReplicaId;
  readonly nextProducerId: ProducerId;
  /** Producer ids below it without a raised epoch are never raised: their epoch was forgotten. */
  readonly raisableFrom: ProducerId;
}

export class CatalogState {
  readonly #raisedEpochsMax: number;
  #head: CatalogHead | null = null;
  readonly #brokers = new Map<BrokerId, BrokerEntry>();
  readonly #topics = new Map<string, TopicRecord>();
  /** By tenant, then by name. */
  readonly #names = new Map<number, Map<string, string>>();
  readonly #tombstones = new Map<GroupNumber, Tombstone>();
  readonly #raisedEpochs = new Map<ProducerId, ProducerEpoch>();

  /** @param raisedEpochsMax for tests only */
  constructor(raisedEpochsMax: number = raisedEpochsMaxDefault) {
    this.#raisedEpochsMax = raisedEpochsMax;
  }

  /** Null until the cluster is founded. */
  get head(): CatalogHead | null {
    return this.#head;
  }

  get revision(): number {
    return this.#head?.revision ?? 0;
  }

  get brokers(): ReadonlyMap<BrokerId, BrokerEntry> {
    return this.#brokers;
  }

  /** By topic id. */
  get topics(): ReadonlyMap<string, TopicRecord> {
    return this.#topics;
  }

  get tombstones(): ReadonlyMap<GroupNumber, Tombstone> {
    return this.#tombstones;
  }

  /** Epochs above 0, by producer id. */
  get raisedEpochs(): ReadonlyMap<ProducerId, ProducerEpoch> {
    return this.#raisedEpochs;
  }

  topicNamed(tenant: number, name: string): TopicRecord | null {
    const topicId = this.#names.get(tenant)?.get(name);
    return topicId === undefined ? null : (this.#topics.get(topicId) ?? null);
  }

  /** Takes in one state key at start-up. Keys come in any order. */
  load(pair: StatePair): void {
    const key = keyText(pair.key);
    const fields = decodeJson(pair.value, key);
    switch (key.split('/', 1)[0]) {
      case 'head':
        this.#head = readHead(fields);
        return;
      case 'broker':
        this.#putBroker(readBroker(fields));
        return;
      case 'topic':
        this.#putTopic({ topic: fields.object('topic', readTopic), opened: fields.flag('opened') });
        return;
      case 'tombstone':
        this.#putTombstone(readTombstone(fields));
        return;
      case 'epoch':
        this.#raisedEpochs.set(toProducerId(fields.number('id')), toProducerEpoch(fields.number('epoch')));
        return;
      default:
        assert(false, 'catalog-1: every state key is known', key);
    }
  }

  /** Applies a committed command; returns the state keys that it changed. */
  replay(command: CatalogCommand): readonly StateChange[] {
    switch (command.kind) {
      case 'found':
        return this.#found(command);
      case 'put-broker':
        this.#putBroker(command.broker);
        return [putBroker(command.broker), this.#raiseRevision({})];
      case 'create-topic':
        return this.#createTopic(command.topic);
      case 'topic-opened':
        return this.#markOpened(command.topicId);
      case 'delete-topic':
        return this.#deleteTopic(command.topicId);
      case 'removal-done':
        return command.groups.flatMap((group) => this.#removalDone(group, command.brokerId));
      case 'reserve-producer-ids':
        return [this.#reserveProducerIds(command.from, command.count)];
      case 'raise-producer-epoch':
        return this.#raiseEpoch(command.producerId, command.producerEpoch);
    }
  }

  #found(command: Extract<CatalogCommand, { kind: 'found' }>): readonly StateChange[] {
    assert(this.#head === null, 'catalog-7: founded once');
    this.#head = {
      clusterId: command.clusterId,
      createdAtMs: command.createdAtMs,
      activeVersion: command.activeVersion,
      producerKey: command.producerKey,
      revision: 1,
      nextGroup: toGroupNumber(1),
      nextReplicaId: command.nextReplicaId,
      nextProducerId: toProducerId(1),
      raisableFrom: toProducerId(0),
    };
    return [putHead(this.#head)];
  }

  #createTopic(topic: TopicEntry): readonly StateChange[] {
    const head = this.#founded();
    const replicas = topic.partitions.flatMap((partition) => partition.replicas);
    const nextGroup = nextFree(head.nextGroup, topic.partitions.map((partition) => partition.group)); // prettier-ignore
    const nextReplica = nextFree(head.nextReplicaId, replicas.map((replica) => replica.replicaId)); // prettier-ignore
    const record = { topic, opened: false };
    this.#putTopic(record);
    return [
      putTopic(record),
      this.#raiseRevision({ nextGroup: toGroupNumber(nextGroup), nextReplicaId: toReplicaId(nextReplica) }),
    ];
  }

  #putTopic(record: TopicRecord): void {
    const { tenant, name, topicId } = record.topic;
    const names = this.#names.get(tenant) ?? new Map<string, string>();
    assert(!names.has(name), 'catalog-4: the name of a topic is unique', name);
    assert(!this.#topics.has(topicId), 'catalog-4: the id of a topic is unique', topicId);
    this.#names.set(tenant, names.set(name, topicId));
    this.#topics.set(topicId, record);
  }

  #markOpened(topicId: string): readonly StateChange[] {
    const known = this.#topics.get(topicId);
    // Deleted while it was being opened: there is nothing left to mark.
    if (known === undefined) return [];
    const record = { topic: known.topic, opened: true };
    this.#topics.set(topicId, record);
    return [putTopic(record)];
  }

  #deleteTopic(topicId: string): readonly StateChange[] {
    const { topic } = must(this.#topics.get(topicId), `catalog: delete-topic of unknown ${topicId}`);
    this.#topics.delete(topicId);
    this.#names.get(topic.tenant)?.delete(topic.name);
    const tombstones = topic.partitions.map(({ group, replicas }) => ({ group, replicas }));
    for (const tombstone of tombstones) this.#putTombstone(tombstone);
    return [{ kind: 'delete', key: topicKey(topicId) }, ...tombstones.map(putTombstone), this.#raiseRevision({})];
  }

  #putTombstone(tombstone: Tombstone): void {
    assert(!this.#tombstones.has(tombstone.group), 'catalog-5: one tombstone a group', `group ${tombstone.group}`);
    this.#tombstones.set(tombstone.group, tombstone);
  }

  #removalDone(group: GroupNumber, brokerId: BrokerId): readonly StateChange[] {
    const known = this.#tombstones.get(group);
    // Reported twice: a broker that restarts reports what it finds already gone.
    if (known === undefined) return [];
    const replicas = known.replicas.filter((replica) => replica.brokerId !== brokerId);
    this.#tombstones.delete(group);
    if (replicas.length === 0) return [{ kind: 'delete', key: tombstoneKey(group) }];
    const left = { group, replicas };
    this.#tombstones.set(group, left);
    return [putTombstone(left)];
  }

  #reserveProducerIds(from: ProducerId, count: number): StateChange {
    const head = this.#founded();
    assert(from === head.nextProducerId, 'catalog-6: producer ids are never given twice', `${from}`);
    assert(count > 0, 'catalog-6: a block of producer ids is not empty', `${count}`);
    return this.#putHead({ ...head, nextProducerId: toProducerId(from + count) });
  }

  #raiseEpoch(producerId: ProducerId, epoch: ProducerEpoch): readonly StateChange[] {
    const known = this.#raisedEpochs.get(producerId) ?? 0;
    assert(epoch > known, 'catalog-6: the epoch of a producer only rises', `${producerId}: ${known} to ${epoch}`);
    this.#raisedEpochs.set(producerId, epoch);
    return [putEpoch(producerId, epoch), ...this.#forgetEpochs()];
  }

  /** Forgets the lowest tenth of the ids when there are too many, and remembers that they can not be raised again. */
  #forgetEpochs(): readonly StateChange[] {
    if (this.#raisedEpochs.size <= this.#raisedEpochsMax) return [];
    const ids = [...this.#raisedEpochs.keys()].sort((a, b) => a - b);
    const forgotten = ids.slice(0, Math.ceil(this.#raisedEpochsMax / 10));
    for (const id of forgotten) this.#raisedEpochs.delete(id);
    const raisableFrom = toProducerId(must(forgotten.at(-1), 'a tenth of many is not nothing') + 1);
    const deletions = forgotten.map((id): StateChange => ({ kind: 'delete', key: epochKey(id) }));
    return [...deletions, this.#putHead({ ...this.#founded(), raisableFrom })];
  }

  #putBroker(broker: BrokerEntry): void {
    this.#brokers.set(broker.brokerId, broker);
  }

  #raiseRevision(change: Partial<CatalogHead>): StateChange {
    const head = this.#founded();
    return this.#putHead({ ...head, ...change, revision: head.revision + 1 });
  }

  #putHead(head: CatalogHead): StateChange {
    assert(head.revision >= this.revision, 'catalog-2: the revision never falls', `${head.revision}`);
    this.#head = head;
    return putHead(head);
  }

  #founded(): CatalogHead {
    assert(this.#head !== null, 'catalog-7: founded before anything else');
    return this.#head;
  }
}

/** The id after the largest of `given`, all of which must be at or above `next` and distinct (catalog-3). */
function nextFree(next: number, given: readonly number[]): number {
  let free = next;
  for (const id of given) {
    assert(id >= free, 'catalog-3: numbers are never given twice', `${id} below ${free}`);
    free = id + 1;
  }
  return free;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const keyText = (key: Uint8Array): string => decoder.decode(key);
const topicKey = (topicId: string): Uint8Array => encoder.encode(`topic/${topicId}`);
const tombstoneKey = (group: GroupNumber): Uint8Array => encoder.encode(`tombstone/${group}`);
const epochKey = (id: ProducerId): Uint8Array => encoder.encode(`epoch/${id}`);

const put = (key: Uint8Array, value: object): StateChange => ({ kind: 'put', key, value: encodeJson(value) });
const putHead = (head: CatalogHead): StateChange => put(encoder.encode('head'), head);
const putBroker = (broker: BrokerEntry): StateChange => put(encoder.encode(`broker/${broker.brokerId}`), broker);
const putTopic = (record: TopicRecord): StateChange => put(topicKey(record.topic.topicId), record);
const putTombstone = (tombstone: Tombstone): StateChange => put(tombstoneKey(tombstone.group), tombstone);
const putEpoch = (id: ProducerId, epoch: ProducerEpoch): StateChange => put(epochKey(id), { id, epoch });

const readHead = (fields: JsonFields): CatalogHead => ({
  clusterId: fields.text('clusterId'),
  createdAtMs: toMillis(fields.number('createdAtMs')),
  activeVersion: fields.number('activeVersion'),
  producerKey: fields.text('producerKey'),
  revision: fields.number('revision'),
  nextGroup: toGroupNumber(fields.number('nextGroup')),
  nextReplicaId: toReplicaId(fields.number('nextReplicaId')),
  nextProducerId: toProducerId(fields.number('nextProducerId')),
  raisableFrom: toProducerId(fields.number('raisableFrom')),
});

const readTombstone = (fields: JsonFields): Tombstone => ({
  group: toGroupNumber(fields.number('group')),
  replicas: fields.list('replicas', readReplica),
});
