/** Topics from wish to disk and back: creates and deletes them through the catalog, and runs what is placed here. */
import { must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { LeaderHint, Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { BrokerId, GroupNumber, Millis } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import { randomUuid } from '../model/random.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { RaftGroup } from '../raft/group.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import type { Catalog } from './catalog.ts';
import type { CatalogCommand, PartitionPlace, TopicEntry } from './catalog-commands.ts';
import type { CatalogLink } from './catalog-link.ts';
import { decideAlterTopic } from './catalog-decisions.ts';
import type { AlterWish, CatalogRequest } from './catalog-requests.ts';
import { answerBy } from './deadline.ts';
import type { GroupPartitions } from './group-partitions.ts';
import type { BrokerLimits } from './limits.ts';
import { inSyncReplicas } from './in-sync.ts';
import type { LocalGroups, Startable } from './local-groups.ts';
import type { BrokerObserver } from './observer.ts';
import type { PartitionDeps } from './partition.ts';
import { Partition } from './partition.ts';
import type { Locate } from './replica-place.ts';
import { leaderHintOf } from './replica-place.ts';
import type { BrokerAddress, PartitionInfo, TopicInfo } from './requests.ts';
import { retry } from './retry.ts';
import type { TopicConfigChange } from './topic-config.ts';
import type { HostedTopic } from './topic-directory.ts';
import { TopicDirectory, unknownPartition, unknownTopic } from './topic-directory.ts';

/** How long one attempt to tell the catalog what the broker did may take. */
const reportMsMax = 10_000;

interface TopicsDeps {
  readonly identity: BrokerIdentity;
  readonly catalog: Catalog;
  readonly link: CatalogLink;
  readonly localGroups: LocalGroups;
  readonly partitions: PartitionDeps;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: BrokerLimits;
  readonly observer: BrokerObserver;
  /** The store failed or a bug showed: the process must end. */
  readonly onFault: (error: unknown) => void;
}

export interface DescribedTopic {
  readonly topic: TopicInfo;
  readonly partitions: readonly PartitionInfo[];
  /** Of the brokers that the partitions name, by id. */
  readonly brokers: readonly BrokerAddress[];
}

export class Topics {
  readonly directory = new TopicDirectory();
  readonly #deps: TopicsDeps;
  #groups: GroupPartitions | null = null;
  /** What makes the disk follow the catalog, by topic id: the newest of each, which begins after those before it. */
  readonly #follows = new Map<string, Promise<void>>();
  /** What goes on behind the answers; ends before the broker does. */
  readonly #background = new Set<Promise<void>>();

  constructor(deps: TopicsDeps) {
    this.#deps = deps;
  }

  /** Names every topic of the catalog, and from now on follows its changes. Nothing runs yet. */
  load(): void {
    const { catalog } = this.#deps;
    for (const topic of catalog.state.topics.values()) this.directory.add(this.#host(topic, []));
    catalog.onApplied((command) => {
      this.#follow(command);
    });
    catalog.onReplaced(() => {
      this.#followAll();
    });
  }

  /**
   * Starts everything that is placed here; groups of one serve when it resolves, others may still elect. Finishes removals that a crash interrupted.
   */
  async start(groups: GroupPartitions): Promise<void> {
    this.#groups = groups;
    const { state } = this.#deps.catalog;
    const deleted = [...state.tombstones.values()].filter((one) => this.#deps.localGroups.replicaHere(one.replicas));
    if (deleted.length > 0) this.#behind(this.#remove(deleted.map((one) => one.group)));
    const topicIds = [...this.directory.topics.keys()];
    const followed = topicIds.map((topicId) => this.#followPlaces(topicId));
    for (const work of followed) this.#behind(work);
    // what is on disk starts without the catalog; what is to be made waits for its leader
    await Promise.all(topicIds.map((topicId) => this.#startOpened(topicId)));
    const usable = Promise.all([...this.directory.topics.keys()].map((topicId) => this.#usable(topicId)));
    const deadlineMs = millisPlus(this.#deps.clock.monotonicMs(), this.#deps.limits.servingMsMax);
    await answerBy(this.#deps.clock, deadlineMs, usable, () => null);
  }

  async create(
    wish: {
      readonly tenant: number;
      readonly name: string;
      readonly partitions: number;
      readonly replicationFactor: number | null;
      readonly config: TopicConfigChange;
    },
    deadlineMs: Millis,
  ): Promise<Result<DescribedTopic>> {
    const { link, clock, random } = this.#deps;
    const asked = { ...wish, topicId: randomUuid(random), internal: false, nowMs: clock.wallMs() };
    const done = await link.submit({ kind: 'create-topic', topic: asked }, deadlineMs);
    if (done.kind === 'refused') return done;
    const late = (): boolean => false;
    if (!(await answerBy(clock, deadlineMs, this.#usable(asked.topicId), late))) {
      return refuse('REQUEST_TIMED_OUT', `topic "${wish.name}" exists, but its partitions are not ready yet`);
    }
    const topic = this.directory.topics.get(asked.topicId);
    return topic === undefined ? unknownTopic(wish.name) : ok(this.#describe(topic));
  }

  /** Answers when this broker sees the change; the leaders of the partitions act upon it soon. */
  async alter(wish: AlterWish, dryRun: boolean, deadlineMs: Millis): Promise<Result<DescribedTopic>> {
    const { link } = this.#deps;
    if (dryRun) return (await link.barrier(deadlineMs)) ?? this.#previewAlter(wish);
    const done = await link.submit({ kind: 'alter-topic', ...wish }, deadlineMs);
    return done.kind === 'refused' ? done : this.describe(wish.tenant, wish.name);
  }

  #previewAlter(wish: AlterWish): Result<DescribedTopic> {
    const decided = decideAlterTopic(this.#deps.catalog.state, wish);
    if (decided.kind === 'refused') return decided;
    const described = this.describe(wish.tenant, wish.name);
    const config = decided.value?.config;
    if (described.kind === 'refused' || config === undefined) return described;
    return ok({ ...described.value, topic: { ...described.value.topic, config } });
  }

  /** True: the partitions that are placed here serve, or the time is over. */
  async whenUsable(tenant: number, name: string, deadlineMs: Millis): Promise<boolean> {
    const topicId = this.directory.named(tenant, name)?.entry.topicId;
    if (topicId === undefined) return false;
    return answerBy(this.#deps.clock, deadlineMs, this.#usable(topicId), () => false);
  }

  /** Answers when nobody can reach the topic any more; its data goes behind the answer. */
  async delete(
    wish: { readonly tenant: number; readonly name: string; readonly topicId: string | null },
    deadlineMs: Millis,
  ): Promise<Result<null>> {
    const done = await this.#deps.link.submit({ kind: 'delete-topic', ...wish }, deadlineMs);
    return done.kind === 'refused' ? done : ok(null);
  }

  /** Says where the replicas of a partition shall be, the preferred leader first; its leader brings them there. */
  async move(
    wish: { readonly tenant: number; readonly name: string; readonly partition: number },
    brokers: readonly BrokerId[],
    deadlineMs: Millis,
  ): Promise<Result<null>> {
    const topic = this.directory.named(wish.tenant, wish.name);
    const place = topic?.entry.partitions[wish.partition];
    if (topic === null) return unknownTopic(wish.name);
    if (place === undefined) return unknownPartition(topic, wish.partition);
    const done = await this.#deps.link.submit({ kind: 'set-replicas', group: place.group, brokers }, deadlineMs);
    return done.kind === 'refused' ? done : ok(null);
  }

  describe(tenant: number, name: string): Result<DescribedTopic> {
    const topic = this.directory.named(tenant, name);
    return topic === null ? unknownTopic(name) : ok(this.#describe(topic));
  }

  /** By name, after `after`, at most `limit`. */
  list(
    tenant: number,
    page: { readonly includeInternal: boolean; readonly limit: number; readonly after: string },
  ): { readonly topics: readonly TopicInfo[]; readonly more: boolean } {
    const names = [...this.directory.topics.values()]
      .filter(({ entry }) => entry.tenant === tenant && entry.name > page.after)
      .filter(({ entry }) => page.includeInternal || !entry.internal)
      .sort((a, b) => (a.entry.name < b.entry.name ? -1 : 1));
    return { topics: names.slice(0, page.limit).map(toInfo), more: names.length > page.limit };
  }

  /** Where the leader of a partition of an internal topic is; null: unknown. */
  leaderHint(topic: string, partition: number, role: RoleState): LeaderHint | null {
    const place = this.directory.named(0, topic)?.entry.partitions[partition];
    const leader = place === undefined || role.leader === null ? null : this.#locate(role.leader);
    return leader === null ? null : leaderHintOf(leader, role.term);
  }

  /** Resolves when nothing goes on behind the answers any more. */
  async settle(): Promise<void> {
    while (this.#background.size > 0) await Promise.allSettled([...this.#background]);
  }

  /** @param known partitions that are here already: they stay as long as the replica does */
  #host(entry: TopicEntry, known: HostedTopic['partitions']): HostedTopic {
    const { tenant, name, topicId, internal } = entry;
    const summary = { tenant, name, topicId, partitionCount: entry.partitions.length, internal };
    const partitions = entry.partitions.map((place, partition) =>
      this.#partition(entry, place, known[partition] ?? null),
    );
    return { entry, summary, partitions };
  }

  #partition(entry: TopicEntry, place: PartitionPlace, known: Partition | null): Partition | null {
    const { localGroups, partitions } = this.#deps;
    const here = localGroups.replicaHere([...place.replicas, ...place.leaving]);
    if (entry.groupKind !== 'data' || here === null) return null;
    return known ?? new Partition(place.group, entry.name, this.#locate, partitions);
  }

  readonly #locate: Locate = (replicaId) => {
    const { state } = this.#deps.catalog;
    const brokerId = state.brokerOf(replicaId);
    const broker = brokerId === null ? undefined : state.brokers.get(brokerId);
    return broker === undefined ? null : { brokerId: broker.brokerId, address: broker.address, rack: broker.rack };
  };

  /** Called within apply: only what needs no waiting happens at once. */
  #follow(command: CatalogCommand): void {
    switch (command.kind) {
      case 'create-topic': {
        const topic = this.#host(command.topic, []);
        this.directory.add(topic);
        this.#deps.observer.topicCreated(topic.entry.name, topic.entry.topicId, topic.partitions.length);
        this.#behind(this.#followPlaces(topic.entry.topicId));
        return;
      }
      case 'delete-topic': {
        const topic = must(this.directory.remove(command.topicId), 'what the catalog deletes was in the directory');
        for (const partition of topic.partitions) partition?.end(unknownTopic(topic.entry.name));
        this.#deps.observer.topicDeleted(topic.entry.name, topic.entry.topicId);
        this.#behind(this.#remove(this.#here(topic.entry)));
        return;
      }
      case 'alter-topic':
        this.#refreshTopic(command.topicId);
        return;
      case 'replicas-opened':
      case 'removal-done':
        this.#refresh(command.groups);
        return;
      case 'place-replicas': {
        const groups = command.placements.map((placement) => placement.group);
        const topics = command.factors.map((factor) => factor.topicId);
        for (const topicId of this.#refresh(groups, topics)) this.#behind(this.#followPlaces(topicId));
        return;
      }
      case 'add-partitions':
        for (const topicId of this.#refresh([], [command.topicId])) this.#behind(this.#followPlaces(topicId));
        return;
      case 'set-replicas':
      case 'placement-reached':
        for (const topicId of this.#refresh([command.group])) this.#behind(this.#followPlaces(topicId));
        return;
      case 'remove-broker':
        this.#refresh(
          [...this.directory.topics.values()].flatMap(({ entry }) => entry.partitions.map((one) => one.group)),
        );
        return;
      case 'found':
      case 'put-broker':
      case 'set-duty':
      case 'replace-broker':
      case 'raise-active-version':
      case 'reserve-producer-ids':
      case 'raise-producer-epoch':
        return;
    }
  }

  /** The catalog was replaced by a newer one: whatever lies between the two happens now. */
  #followAll(): void {
    const { state } = this.#deps.catalog;
    for (const topicId of [...this.directory.topics.keys()]) {
      if (!state.topics.has(topicId)) this.#follow({ kind: 'delete-topic', topicId });
    }
    // some were created and deleted without this broker ever knowing
    const buried = [...state.tombstones.values()].filter(
      (one) => this.#deps.localGroups.replicaHere(one.replicas) !== null,
    );
    this.#behind(this.#remove(buried.map((one) => one.group)));
    for (const topic of state.topics.values()) {
      if (!this.directory.topics.has(topic.topicId)) this.#follow({ kind: 'create-topic', topic });
      else {
        this.#refresh([], [topic.topicId]);
        this.#behind(this.#followPlaces(topic.topicId));
      }
    }
  }

  /** Groups of a topic that have, or may have, a replica here. */
  #here({ partitions }: TopicEntry): readonly GroupNumber[] {
    const { localGroups } = this.#deps;
    const here = partitions.filter((place) => localGroups.replicaHere([...place.replicas, ...place.leaving]) !== null);
    return here.map((place) => place.group);
  }

  /** Takes over where the catalog places these topics, and those of these groups; gives back which topics they are. */
  #refresh(groups: readonly GroupNumber[], topics: readonly string[] = []): ReadonlySet<string> {
    const { state } = this.#deps.catalog;
    const ofGroups = groups.map((group) => state.topicOf(group)?.topicId).filter((id) => id !== undefined);
    const topicIds = new Set([...topics, ...ofGroups]);
    for (const topicId of topicIds) this.#refreshTopic(topicId);
    return topicIds;
  }

  #refreshTopic(topicId: string): void {
    const before = must(this.directory.topics.get(topicId), 'the directory follows the catalog');
    const entry = must(this.#deps.catalog.state.topics.get(topicId), 'a topic of the catalog');
    const after = this.#host(entry, before.partitions);
    for (const [at, partition] of before.partitions.entries()) {
      if (after.partitions[at] !== partition) partition?.end(movedAway);
    }
    this.directory.replace(after);
  }

  /** Makes the disk follow where the topic is placed, after what is under way for it. */
  #followPlaces(topicId: string): Promise<void> {
    const before = this.#follows.get(topicId) ?? Promise.resolve();
    const next = before.then(() => this.#reconcile(topicId));
    this.#follows.set(topicId, next);
    const forget = (): void => {
      if (this.#follows.get(topicId) === next) this.#follows.delete(topicId);
    };
    next.then(forget, forget);
    return next;
  }

  async #reconcile(topicId: string): Promise<void> {
    const { link, localGroups } = this.#deps;
    const gone = this.#entry(topicId, (entry) => localGroups.dispensable(entry));
    for (const partition of this.directory.topics.get(topicId)?.partitions ?? []) {
      if (partition !== null && gone.includes(partition.group)) partition.end(movedAway);
    }
    await this.#remove(gone);
    if (this.#entry(topicId, (entry) => localGroups.unopened(entry)).length > 0) await this.#open(topicId);
    const isAbsent = this.#entry(topicId, (entry) => localGroups.absent(entry)).length > 0;
    if (isAbsent && !link.isCurrent(Infinity)) await this.#seesNewest();
    await this.#startOpened(topicId);
  }

  /** Makes what was never here, and tells the catalog before it takes part (local-2). */
  async #open(topicId: string): Promise<void> {
    const { link, localGroups, identity } = this.#deps;
    if (!link.isCurrent(Infinity) && !(await this.#seesNewest())) return;
    const topic = this.directory.topics.get(topicId)?.entry;
    if (topic === undefined) return;
    const places = localGroups.unopened(topic);
    await localGroups.create(places, topic.groupKind);
    const groups = places.map((place) => place.group).filter((group) => localGroups.has(group));
    const { brokerId, incarnation } = identity;
    if (groups.length > 0) await this.#report({ kind: 'replicas-opened', brokerId, incarnation, groups });
  }

  /** True once this process has passed a barrier, so has seen the newest catalog (local-2); false: it is closed before. */
  async #seesNewest(): Promise<boolean> {
    const { catalog, link, clock } = this.#deps;
    const barrier = async (): Promise<Result<null>> => (await link.barrier(this.#reportDeadline())) ?? ok(null);
    return (await retry(barrier, { clock, catalog })).kind === 'ok';
  }

  async #startOpened(topicId: string): Promise<void> {
    const topic = this.directory.topics.get(topicId);
    if (topic === undefined) return;
    const { groupKind } = topic.entry;
    await this.#deps.localGroups.start(topic.entry, (partition) => {
      // looked at when it is its turn: the topic may be gone by then
      const hosted = this.directory.topics.get(topicId);
      return hosted === undefined ? null : this.#startable(hosted, groupKind, partition);
    });
  }

  #entry<T>(topicId: string, look: (entry: TopicEntry) => readonly T[]): readonly T[] {
    const topic = this.directory.topics.get(topicId);
    return topic === undefined ? [] : look(topic.entry);
  }

  #startable(topic: HostedTopic, kind: TopicEntry['groupKind'], partition: number): Startable | null {
    if (kind === 'commands') {
      const groups = must(this.#groups, 'groups are started after their service');
      return { machine: groups.machine(partition), opened: (raft: RaftGroup) => groups.opened(partition, raft) }; // prettier-ignore
    }
    const here = topic.partitions[partition] ?? null;
    return here === null ? null : { machine: here, opened: (raft) => here.opened(raft) }; // prettier-ignore
  }

  /** True: every partition of the topic that is placed here serves, or says why it never will. */
  async #usable(topicId: string): Promise<boolean> {
    await this.#follows.get(topicId);
    const partitions = this.directory.topics.get(topicId)?.partitions ?? [];
    await Promise.all(partitions.filter((partition) => partition !== null).map((one) => one.whenReady()));
    return true;
  }

  /** The data first, then the report: a tombstone stays until what it names is gone (design D5). */
  async #remove(groups: readonly GroupNumber[]): Promise<void> {
    if (groups.length === 0) return;
    const { localGroups, identity } = this.#deps;
    await localGroups.remove(groups);
    const { brokerId, incarnation } = identity;
    await this.#report({ kind: 'removal-done', brokerId, incarnation, groups });
  }

  /** Tells the catalog until it has heard, or the broker stops: after a restart it tells again. */
  async #report(request: CatalogRequest): Promise<void> {
    const { catalog, link, clock } = this.#deps;
    await retry(() => link.submit(request, this.#reportDeadline()), { clock, catalog });
  }

  #reportDeadline(): Millis {
    return millisPlus(this.#deps.clock.monotonicMs(), reportMsMax);
  }

  #behind(work: Promise<void>): void {
    const watched = work.catch(this.#deps.onFault).finally(() => this.#background.delete(watched));
    this.#background.add(watched);
  }

  #describe(topic: HostedTopic): DescribedTopic {
    const partitions = topic.entry.partitions.map((place, partition) => this.#describePartition(place, partition));
    return { topic: toInfo(topic), partitions, brokers: this.#addresses(partitions) };
  }

  #addresses(partitions: readonly PartitionInfo[]): readonly BrokerAddress[] {
    const { brokers } = this.#deps.catalog.state;
    const named = new Set(partitions.flatMap(({ leader, replicas }) => (leader === null ? replicas : [leader, ...replicas]))); // prettier-ignore
    return [...brokers.values()]
      .filter(({ brokerId }) => named.has(brokerId))
      .map(({ brokerId, address }) => ({ brokerId, address }))
      .sort((a, b) => a.brokerId - b.brokerId);
  }

  #describePartition(place: PartitionPlace, partition: number): PartitionInfo {
    const replicas = place.replicas.map((replica) => replica.brokerId);
    const raft = this.#deps.localGroups.running(place.group);
    if (raft === null || raft.quarantine !== null) return { partition, replicas, ...unknownMarks };
    const { leader: leaderReplica, term } = raft.role;
    const leader = place.replicas.find((replica) => replica.replicaId === leaderReplica)?.brokerId ?? null;
    const leaderEpoch = leader === null ? null : term;
    const ids = inSyncReplicas(raft, this.#deps.clock.monotonicMs(), this.#deps.limits);
    const inSync = place.replicas.flatMap(({ replicaId, brokerId }) => (ids.includes(replicaId) ? [brokerId] : []));
    const marks = { logStart: raft.log.logStart, highWatermark: raft.highWatermark };
    return { partition, replicas, leader, leaderEpoch, ...marks, inSync };
  }
}

const movedAway: Refused = refuse(
  'NOT_LEADER_OR_FOLLOWER',
  'the replica that this broker had was moved away; ask the leader',
);

const unknownMarks = { leader: null, leaderEpoch: null, logStart: null, highWatermark: null, inSync: [] };

const toInfo = ({ entry }: HostedTopic): TopicInfo => ({
  name: entry.name,
  topicId: entry.topicId,
  partitionCount: entry.partitions.length,
  replicationFactor: entry.replicationFactor,
  internal: entry.internal,
  createdAtMs: entry.createdAtMs,
  config: entry.config,
});
