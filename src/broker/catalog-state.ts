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
 * - catalog-9: an incarnation changes in place only where the old disk was given up before; else the broker is removed first.
 * - catalog-12: the active version never falls, and no topic loses a partition.
 * - catalog-10: the revision of a placement rises by one, and what it has reached never falls or passes it.
 */
import { assert, must } from '../model/assert.ts';
import type { BrokerId, GroupNumber, Millis, ProducerEpoch, ProducerId, ReplicaId } from '../model/ids.ts';
import { toGroupNumber, toMillis, toProducerEpoch, toProducerId, toReplicaId } from '../model/ids.ts';
import type { StateChange, StatePair } from '../model/raft-state.ts';
import type {
  BrokerEntry,
  CatalogCommand,
  LeavingPlace,
  PartitionPlace,
  Placement,
  ReplicaPlace,
  TopicEntry,
} from './catalog-commands.ts';
import { readBroker, withDuty, readReplica, readTopic } from './catalog-commands.ts';
import type { JsonFields } from './json-fields.ts';
import { decodeJson, encodeJson } from './json-fields.ts';

/**
 * Raised epochs that are remembered; beyond it the lowest producer ids can not be raised any more (catalog-6 holds). Part
 * of what replay means, so it is the same on every broker and not a setting.
 */
const raisedEpochsMaxDefault = 100_000;

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

/** A disk by its broker and its own UUID. */
export type ReplicaDisk = Pick<ReplicaPlace, 'brokerId' | 'incarnation'>;

export class CatalogState {
  readonly #raisedEpochsMax: number;
  #head: CatalogHead | null = null;
  readonly #brokers = new Map<BrokerId, BrokerEntry>();
  readonly #topics = new Map<string, TopicEntry>();
  /** By tenant, then by name. */
  readonly #names = new Map<number, Map<string, string>>();
  /** Which topic a group belongs to, by group (catalog-5). */
  readonly #topicIds = new Map<GroupNumber, string>();
  /** Where the replicas of existing groups are, those of the catalog itself included. */
  readonly #disksByReplica = new Map<ReplicaId, ReplicaDisk>();
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
  get topics(): ReadonlyMap<string, TopicEntry> {
    return this.#topics;
  }

  get tombstones(): ReadonlyMap<GroupNumber, Tombstone> {
    return this.#tombstones;
  }

  /** Epochs above 0, by producer id. */
  get raisedEpochs(): ReadonlyMap<ProducerId, ProducerEpoch> {
    return this.#raisedEpochs;
  }

  topicNamed(tenant: number, name: string): TopicEntry | null {
    const topicId = this.#names.get(tenant)?.get(name);
    return topicId === undefined ? null : (this.#topics.get(topicId) ?? null);
  }

  /** The topic that a group belongs to; null: it is the catalog, or deleted, or was never there. */
  topicOf(group: GroupNumber): TopicEntry | null {
    return this.#topics.get(this.#topicIds.get(group) ?? '') ?? null;
  }

  /** Null: no topic has the group (any more). */
  placeOf(group: GroupNumber): PartitionPlace | null {
    return this.topicOf(group)?.partitions.find((place) => place.group === group) ?? null;
  }

  /** The broker that a replica of a group that exists is on; null: nobody knows the replica. */
  brokerOf(replica: ReplicaId): BrokerId | null {
    return this.diskOf(replica)?.brokerId ?? null;
  }

  /** The disk that it is bound to; null: nobody knows the replica. */
  diskOf(replica: ReplicaId): ReplicaDisk | null {
    return this.#disksByReplica.get(replica) ?? null;
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
        this.#putTopic(readTopic(fields));
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
        return this.#changeBroker(command.broker);
      case 'remove-broker':
        return this.#removeBroker(command.brokerId);
      case 'create-topic':
        return this.#createTopic(command.topic);
      case 'alter-topic':
        return this.#alterTopic(command);
      case 'replicas-opened':
        return this.#markOpened(command);
      case 'set-replicas':
        return this.#placeReplicas([command], []);
      case 'place-replicas':
        return this.#placeReplicas(command.placements, command.factors);
      case 'add-partitions':
        return this.#addPartitions(command);
      case 'set-duty':
        return this.#setDuty(command);
      case 'replace-broker':
        return this.#giveUpDisk(command);
      case 'raise-active-version':
        return [this.#raiseActiveVersion(command.activeVersion)];
      case 'placement-reached':
        return this.#markReached(command.group, command.revision);
      case 'delete-topic':
        return this.#deleteTopic(command.topicId);
      case 'removal-done':
        return this.#removalDone(command);
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
      nextReplicaId: toReplicaId(
        nextFree(
          1,
          command.founders.map((broker) => broker.catalogReplica),
        ),
      ),
      nextProducerId: toProducerId(1),
      raisableFrom: toProducerId(0),
    };
    for (const broker of command.founders) this.#putBroker(broker);
    return [putHead(this.#head), ...command.founders.map(putBroker)];
  }

  #changeBroker(broker: BrokerEntry): readonly StateChange[] {
    const head = this.#founded();
    const known = this.#brokers.get(broker.brokerId);
    const { incarnation, catalogReplica } = broker;
    const same = known?.incarnation === incarnation && known.catalogReplica === catalogReplica;
    const takesPlace = known?.replaceable === true && known.incarnation !== incarnation;
    const allowed = known === undefined || same || takesPlace;
    assert(allowed, 'catalog-9: a disk is replaced only where the old one was given up', `broker ${broker.brokerId}`);
    const nextReplicaId = toReplicaId(nextFree(head.nextReplicaId, same ? [] : [catalogReplica]));
    if (takesPlace) this.#disksByReplica.delete(known.catalogReplica);
    this.#putBroker(broker);
    const forgotten = takesPlace ? this.#forgetDisk(known) : [];
    return [putBroker(broker), ...forgotten, this.#raiseRevision({ nextReplicaId })];
  }

  #setDuty({ brokerId, duty }: Extract<CatalogCommand, { kind: 'set-duty' }>): readonly StateChange[] {
    const known = must(this.#brokers.get(brokerId), `catalog: set-duty of unknown ${brokerId}`);
    const changed = withDuty(known, duty);
    this.#putBroker(changed);
    return [putBroker(changed), this.#raiseRevision({})];
  }

  #giveUpDisk(command: Extract<CatalogCommand, { kind: 'replace-broker' }>): readonly StateChange[] {
    const { brokerId, incarnation } = command;
    const known = must(this.#brokers.get(brokerId), `catalog: replace-broker of unknown ${brokerId}`);
    assert(known.incarnation === incarnation, 'catalog-9: the disk that is given up is the one that was meant');
    const changed: BrokerEntry = { ...known, replaceable: true };
    this.#putBroker(changed);
    return [putBroker(changed), this.#raiseRevision({})];
  }

  #raiseActiveVersion(activeVersion: number): StateChange {
    const rises = activeVersion > this.#founded().activeVersion;
    assert(rises, 'catalog-12: the active version never falls', `${activeVersion}`);
    return this.#raiseRevision({ activeVersion });
  }

  /** What was to be removed from its disk is as good as removed: the disk never comes back. */
  #removeBroker(brokerId: BrokerId): readonly StateChange[] {
    const broker = must(this.#brokers.get(brokerId), `catalog: remove-broker of unknown ${brokerId}`);
    this.#brokers.delete(brokerId);
    this.#disksByReplica.delete(broker.catalogReplica);
    return [{ kind: 'delete', key: brokerKey(brokerId) }, ...this.#forgetDisk(broker), this.#raiseRevision({})];
  }

  /** What is left to be removed from a disk that never comes back is done, but for what groups still need to let go. */
  #forgetDisk({ brokerId, incarnation }: BrokerEntry): readonly StateChange[] {
    const isGone = (replica: ReplicaPlace): boolean => isOn(replica, brokerId, incarnation);
    const places = [...this.#topics.values()].flatMap((topic) => topic.partitions);
    const left = places
      .filter(({ leaving, reached }) => leaving.some((one) => isGone(one) && one.leftAt <= reached))
      .map((place) => place.group);
    return this.#removalDone({ brokerId, incarnation, groups: [...left, ...this.#tombstones.keys()] });
  }

  /** Nobody is left who could report that it removed what is on this disk. */
  #isForgotten({ brokerId, incarnation }: ReplicaPlace): boolean {
    return this.#brokers.get(brokerId)?.incarnation !== incarnation;
  }

  #createTopic(command: TopicEntry): readonly StateChange[] {
    const head = this.#founded();
    const topic = { ...command, partitions: command.partitions.map(cameWith(head)) };
    const replicas = topic.partitions.flatMap((partition) => partition.replicas);
    const nextGroup = nextFree(head.nextGroup, topic.partitions.map((partition) => partition.group)); // prettier-ignore
    const nextReplica = nextFree(head.nextReplicaId, replicas.map((replica) => replica.replicaId)); // prettier-ignore
    this.#putTopic(topic);
    return [
      putTopic(topic),
      this.#raiseRevision({ nextGroup: toGroupNumber(nextGroup), nextReplicaId: toReplicaId(nextReplica) }),
    ];
  }

  #alterTopic({ topicId, config }: Extract<CatalogCommand, { kind: 'alter-topic' }>): readonly StateChange[] {
    const topic = { ...must(this.#topics.get(topicId), `catalog: alter-topic of unknown ${topicId}`), config };
    this.#topics.set(topicId, topic);
    return [putTopic(topic), this.#raiseRevision({})];
  }

  #putTopic(topic: TopicEntry): void {
    const { tenant, name, topicId } = topic;
    const names = this.#names.get(tenant) ?? new Map<string, string>();
    assert(!names.has(name), 'catalog-4: the name of a topic is unique', name);
    assert(!this.#topics.has(topicId), 'catalog-4: the id of a topic is unique', topicId);
    this.#names.set(tenant, names.set(name, topicId));
    this.#topics.set(topicId, topic);
    for (const place of topic.partitions) this.#index(topicId, place);
  }

  #index(topicId: string, { group, replicas, leaving }: PartitionPlace): void {
    this.#topicIds.set(group, topicId);
    for (const replica of [...replicas, ...leaving]) this.#disksByReplica.set(replica.replicaId, replica);
  }

  /** Changes the places of some groups; groups that no topic has (any more) are left out. */
  #changePlaces(groups: readonly GroupNumber[], change: (place: PartitionPlace) => PartitionPlace): StateChange[] {
    const wanted = new Set(groups);
    const topicIds = new Set(groups.map((group) => this.#topicIds.get(group)).filter((id) => id !== undefined));
    return [...topicIds].map((topicId) => {
      const topic = must(this.#topics.get(topicId), 'catalog-5: the topic of a group exists');
      const partitions = topic.partitions.map((place) => (wanted.has(place.group) ? change(place) : place));
      const changed = { ...topic, partitions };
      this.#topics.set(topicId, changed);
      return putTopic(changed);
    });
  }

  #markOpened({ brokerId, incarnation, groups }: DiskGroups): readonly StateChange[] {
    const mark = <T extends ReplicaPlace>(replica: T): T =>
      isOn(replica, brokerId, incarnation) ? { ...replica, opened: true } : replica;
    return this.#changePlaces(groups, (place) => {
      return { ...place, replicas: place.replicas.map(mark), leaving: place.leaving.map(mark) };
    });
  }

  #placeReplicas(
    placements: readonly Placement[],
    factors: Extract<CatalogCommand, { kind: 'place-replicas' }>['factors'],
  ): readonly StateChange[] {
    const head = this.#founded();
    const wanted = new Map(placements.map((one) => [one.group, one]));
    assert(wanted.size === placements.length, 'catalog-10: a command places a group once');
    const added: ReplicaId[] = [];
    for (const { group, revision, replicas } of placements) {
      const place = must(this.placeOf(group), `catalog: replicas of unknown group ${group} are placed`);
      assert(revision === place.revision + 1, 'catalog-10: the revision of a placement rises by one', `group ${group}`);
      const known = new Set([...place.replicas, ...place.leaving].map((one) => one.replicaId));
      added.push(...replicas.map((one) => one.replicaId).filter((id) => !known.has(id)));
    }
    const nextReplicaId = toReplicaId(nextFree(head.nextReplicaId, added));
    for (const { topicId, replicationFactor } of factors) {
      const topic = must(this.#topics.get(topicId), `catalog: replication factor of unknown topic ${topicId}`);
      this.#topics.set(topicId, { ...topic, replicationFactor });
    }
    const changes = this.#changePlaces([...wanted.keys()], (place) =>
      placedAnew(place, must(wanted.get(place.group), 'only these groups are changed')),
    );
    for (const { replicas } of placements) {
      for (const replica of replicas) this.#disksByReplica.set(replica.replicaId, replica);
    }
    return [...changes, this.#raiseRevision({ nextReplicaId })];
  }

  #addPartitions({ topicId, partitions }: Extract<CatalogCommand, { kind: 'add-partitions' }>): readonly StateChange[] {
    const head = this.#founded();
    const topic = must(this.#topics.get(topicId), `catalog: add-partitions to unknown ${topicId}`);
    const replicas = partitions.flatMap((partition) => partition.replicas);
    const nextGroup = nextFree(head.nextGroup, partitions.map((partition) => partition.group)); // prettier-ignore
    const nextReplica = nextFree(head.nextReplicaId, replicas.map((replica) => replica.replicaId)); // prettier-ignore
    const grown = { ...topic, partitions: [...topic.partitions, ...partitions.map(cameWith(head))] };
    this.#topics.set(topicId, grown);
    for (const place of partitions) this.#index(topicId, place);
    return [
      putTopic(grown),
      this.#raiseRevision({ nextGroup: toGroupNumber(nextGroup), nextReplicaId: toReplicaId(nextReplica) }),
    ];
  }

  #markReached(group: GroupNumber, revision: number): readonly StateChange[] {
    return this.#changePlaces([group], (place) => {
      const rises = revision > place.reached && revision <= place.revision;
      assert(rises, 'catalog-10: what a placement has reached rises up to its revision', `group ${group}`);
      const done = (one: LeavingPlace): boolean => one.leftAt <= revision && this.#isForgotten(one);
      for (const { replicaId } of place.leaving.filter(done)) this.#disksByReplica.delete(replicaId);
      return { ...place, reached: revision, leaving: place.leaving.filter((one) => !done(one)) };
    });
  }

  #deleteTopic(topicId: string): readonly StateChange[] {
    const topic = must(this.#topics.get(topicId), `catalog: delete-topic of unknown ${topicId}`);
    this.#topics.delete(topicId);
    this.#names.get(topic.tenant)?.delete(topic.name);
    for (const { group, replicas, leaving } of topic.partitions) {
      this.#topicIds.delete(group);
      for (const { replicaId } of [...replicas, ...leaving]) this.#disksByReplica.delete(replicaId);
    }
    const tombstones = topic.partitions
      .map(({ group, replicas, leaving }) => {
        return { group, replicas: [...replicas, ...leaving].filter((one) => !this.#isForgotten(one)) };
      })
      .filter(({ replicas }) => replicas.length > 0);
    for (const tombstone of tombstones) this.#putTombstone(tombstone);
    return [{ kind: 'delete', key: topicKey(topicId) }, ...tombstones.map(putTombstone), this.#raiseRevision({})];
  }

  #putTombstone(tombstone: Tombstone): void {
    assert(!this.#tombstones.has(tombstone.group), 'catalog-5: one tombstone a group', `group ${tombstone.group}`);
    this.#tombstones.set(tombstone.group, tombstone);
  }

  /** What is not there is not missed: a broker that restarts reports what it finds already gone. */
  #removalDone({ brokerId, incarnation, groups }: DiskGroups): readonly StateChange[] {
    const isGone = (replica: ReplicaPlace): boolean => isOn(replica, brokerId, incarnation);
    const moved = groups.filter((group) => this.placeOf(group)?.leaving.some(isGone) === true);
    const changes = this.#changePlaces(moved, (place) => {
      for (const { replicaId } of place.leaving.filter(isGone)) this.#disksByReplica.delete(replicaId);
      return { ...place, leaving: place.leaving.filter((replica) => !isGone(replica)) };
    });
    return [...changes, ...groups.flatMap((group) => this.#buried(group, isGone))];
  }

  #buried(group: GroupNumber, isGone: (replica: ReplicaPlace) => boolean): readonly StateChange[] {
    const known = this.#tombstones.get(group);
    if (known?.replicas.some(isGone) !== true) return [];
    const replicas = known.replicas.filter((replica) => !isGone(replica));
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
    this.#disksByReplica.set(broker.catalogReplica, broker);
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

interface DiskGroups {
  readonly brokerId: BrokerId;
  readonly incarnation: string;
  readonly groups: readonly GroupNumber[];
}

/** A partition with the revision that brings it: the one after the head's. */
const cameWith =
  ({ revision }: CatalogHead) =>
  (place: PartitionPlace): PartitionPlace => ({ ...place, createdAt: revision + 1 });

/** The place with its new replicas; those that are not among them leave. */
function placedAnew(place: PartitionPlace, { revision, replicas }: Placement): PartitionPlace {
  const stays = new Set(replicas.map((one) => one.replicaId));
  const gone = place.replicas.filter((one) => !stays.has(one.replicaId)).map((one) => ({ ...one, leftAt: revision }));
  return {
    ...place,
    revision,
    replicas,
    leaving: [...place.leaving.filter((one) => !stays.has(one.replicaId)), ...gone],
  };
}

const isOn = (replica: ReplicaPlace, brokerId: BrokerId, incarnation: string): boolean =>
  replica.brokerId === brokerId && replica.incarnation === incarnation;

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
const brokerKey = (brokerId: BrokerId): Uint8Array => encoder.encode(`broker/${brokerId}`);
const topicKey = (topicId: string): Uint8Array => encoder.encode(`topic/${topicId}`);
const tombstoneKey = (group: GroupNumber): Uint8Array => encoder.encode(`tombstone/${group}`);
const epochKey = (id: ProducerId): Uint8Array => encoder.encode(`epoch/${id}`);

const put = (key: Uint8Array, value: object): StateChange => ({ kind: 'put', key, value: encodeJson(value) });
const putHead = (head: CatalogHead): StateChange => put(encoder.encode('head'), head);
const putBroker = (broker: BrokerEntry): StateChange => put(brokerKey(broker.brokerId), broker);
const putTopic = (topic: TopicEntry): StateChange => put(topicKey(topic.topicId), topic);
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
