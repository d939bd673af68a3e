/** Topics from wish to disk and back: creates and deletes them through the catalog, and runs what is placed here. */
import { must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { LeaderHint, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { GroupNumber, Millis } from '../model/ids.ts';
import { millisPlus } from '../model/ids.ts';
import type { Random } from '../model/random.ts';
import { randomUuid } from '../model/random.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { RaftGroup } from '../raft/group.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import type { Catalog } from './catalog.ts';
import type { CatalogCommand, PartitionPlace, TopicEntry } from './catalog-commands.ts';
import { decideCreateTopic, decideDeleteTopic } from './catalog-decisions.ts';
import { answerBy } from './deadline.ts';
import type { GroupPartitions } from './group-partitions.ts';
import type { BrokerLimits } from './limits.ts';
import type { LocalGroups, Startable } from './local-groups.ts';
import type { BrokerObserver } from './observer.ts';
import type { Locate, PartitionDeps } from './partition.ts';
import { Partition } from './partition.ts';
import type { PartitionInfo, TopicInfo } from './requests.ts';
import type { HostedTopic } from './topic-directory.ts';
import { TopicDirectory, unknownTopic } from './topic-directory.ts';

/** How long the broker tries to tell the catalog what it did; after a restart it tells again. */
const reportMsMax = 60_000;

interface TopicsDeps {
  readonly identity: BrokerIdentity;
  readonly catalog: Catalog;
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
}

export class Topics {
  readonly directory = new TopicDirectory();
  readonly #deps: TopicsDeps;
  #groups: GroupPartitions | null = null;
  /** Starts under way, by topic id. */
  readonly #starts = new Map<string, Promise<void>>();
  /** What goes on behind the answers; ends before the broker does. */
  readonly #background = new Set<Promise<void>>();

  constructor(deps: TopicsDeps) {
    this.#deps = deps;
  }

  /** Names every topic of the catalog, and from now on follows its changes. Nothing runs yet. */
  load(): void {
    const { catalog } = this.#deps;
    for (const { topic } of catalog.state.topics.values()) this.directory.add(this.#host(topic));
    catalog.onApplied((command) => {
      this.#follow(command);
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
    await Promise.all([...this.directory.topics.values()].map((topic) => this.#start(topic)));
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
    },
    deadlineMs: Millis,
  ): Promise<Result<DescribedTopic>> {
    const { catalog, clock, random, limits } = this.#deps;
    const asked = { ...wish, topicId: randomUuid(random), internal: false, nowMs: clock.wallMs() };
    const done = await catalog.execute((state) => decideCreateTopic(state, asked, limits), deadlineMs);
    if (done.kind === 'refused') return done;
    const late = (): boolean => false;
    if (!(await answerBy(clock, deadlineMs, this.#usable(asked.topicId), late))) {
      return refuse('REQUEST_TIMED_OUT', `topic "${wish.name}" exists, but its partitions are not ready yet`);
    }
    const topic = this.directory.topics.get(asked.topicId);
    return topic === undefined ? unknownTopic(wish.name) : ok(this.#describe(topic));
  }

  /** Answers when nobody can reach the topic any more; its data goes behind the answer. */
  async delete(
    wish: { readonly tenant: number; readonly name: string; readonly topicId: string | null },
    deadlineMs: Millis,
  ): Promise<Result<null>> {
    const done = await this.#deps.catalog.execute((state) => decideDeleteTopic(state, wish), deadlineMs);
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
    const leader = place === undefined || role.leader === null ? null : this.#locate(place)(role.leader);
    return leader === null ? null : { ...leader, leaderEpoch: role.term };
  }

  /** Resolves when nothing goes on behind the answers any more. */
  async settle(): Promise<void> {
    while (this.#background.size > 0) await Promise.allSettled([...this.#background]);
  }

  #host(entry: TopicEntry): HostedTopic {
    const { tenant, name, topicId, internal } = entry;
    const summary = { tenant, name, topicId, partitionCount: entry.partitions.length, internal };
    const partitions = entry.partitions.map((place) => this.#partition(entry, place));
    return { entry, summary, partitions };
  }

  #partition(entry: TopicEntry, place: PartitionPlace): Partition | null {
    if (entry.groupKind !== 'data' || this.#deps.localGroups.replicaHere(place.replicas) === null) return null;
    return new Partition(place.group, this.#locate(place), this.#deps.partitions);
  }

  #locate(place: PartitionPlace): Locate {
    const { brokers } = this.#deps.catalog.state;
    return (replicaId) => {
      const replica = place.replicas.find((one) => one.replicaId === replicaId);
      const broker = replica === undefined ? undefined : brokers.get(replica.brokerId);
      return broker === undefined ? null : { brokerId: broker.brokerId, address: broker.address };
    };
  }

  /** Called within apply: only what needs no waiting happens at once. */
  #follow(command: CatalogCommand): void {
    if (command.kind === 'create-topic') {
      const topic = this.#host(command.topic);
      this.directory.add(topic);
      this.#deps.observer.topicCreated(topic.entry.name, topic.entry.topicId, topic.partitions.length);
      this.#behind(this.#start(topic));
    }
    if (command.kind === 'delete-topic') {
      const topic = must(this.directory.remove(command.topicId), 'what the catalog deletes was in the directory');
      for (const partition of topic.partitions) partition?.end(unknownTopic(topic.entry.name));
      this.#deps.observer.topicDeleted(topic.entry.name, topic.entry.topicId);
      this.#behind(this.#remove(topic.entry.partitions.map((place) => place.group)));
    }
  }

  #start(topic: HostedTopic): Promise<void> {
    const { topicId } = topic.entry;
    const start = this.#startGroups(topic).finally(() => this.#starts.delete(topicId));
    this.#starts.set(topicId, start);
    return start;
  }

  async #startGroups(topic: HostedTopic): Promise<void> {
    const { catalog, localGroups, clock } = this.#deps;
    const { topicId } = topic.entry;
    const opened = catalog.state.topics.get(topicId)?.opened ?? false;
    await localGroups.start(topic.entry, opened, (partition) => this.#startable(topic, partition));
    if (opened) return;
    const deadlineMs = millisPlus(clock.monotonicMs(), reportMsMax);
    await catalog.execute(
      (state) => ok(state.topics.get(topicId)?.opened === false ? { kind: 'topic-opened', topicId } : null),
      deadlineMs,
    );
  }

  #startable(topic: HostedTopic, partition: number): Startable | null {
    if (topic.entry.groupKind === 'commands') {
      const groups = must(this.#groups, 'groups are started after their service');
      return { machine: groups.machine(partition), opened: (raft: RaftGroup) => groups.opened(partition, raft) }; // prettier-ignore
    }
    const here = topic.partitions[partition] ?? null;
    return here === null ? null : { machine: here, opened: (raft) => here.opened(raft) }; // prettier-ignore
  }

  /** True: every partition of the topic that is placed here serves, or says why it never will. */
  async #usable(topicId: string): Promise<boolean> {
    await this.#starts.get(topicId);
    const partitions = this.directory.topics.get(topicId)?.partitions ?? [];
    await Promise.all(partitions.filter((partition) => partition !== null).map((one) => one.whenServing()));
    return true;
  }

  /** The data first, then the report: a tombstone stays until what it names is gone (design D5). */
  async #remove(groups: readonly GroupNumber[]): Promise<void> {
    const { catalog, localGroups, identity, clock } = this.#deps;
    await localGroups.remove(groups);
    const { brokerId } = identity;
    const deadlineMs = millisPlus(clock.monotonicMs(), reportMsMax);
    await catalog.execute(() => ok({ kind: 'removal-done', brokerId, groups } as const), deadlineMs);
  }

  #behind(work: Promise<void>): void {
    const watched = work.catch(this.#deps.onFault).finally(() => this.#background.delete(watched));
    this.#background.add(watched);
  }

  #describe(topic: HostedTopic): DescribedTopic {
    const partitions = topic.entry.partitions.map((place, partition) => this.#describePartition(place, partition));
    return { topic: toInfo(topic), partitions };
  }

  #describePartition(place: PartitionPlace, partition: number): PartitionInfo {
    const replicas = place.replicas.map((replica) => replica.brokerId);
    const raft = this.#deps.localGroups.running(place.group);
    if (raft === null || raft.quarantine !== null) return { partition, replicas, ...unknownMarks };
    const { leader: leaderReplica, term } = raft.role;
    const leader = place.replicas.find((replica) => replica.replicaId === leaderReplica)?.brokerId ?? null;
    const leaderEpoch = leader === null ? null : term;
    return { partition, replicas, leader, leaderEpoch, logStart: raft.log.logStart, highWatermark: raft.highWatermark };
  }
}

const unknownMarks = { leader: null, leaderEpoch: null, logStart: null, highWatermark: null };

const toInfo = ({ entry }: HostedTopic): TopicInfo => ({
  name: entry.name,
  topicId: entry.topicId,
  partitionCount: entry.partitions.length,
  replicationFactor: entry.replicationFactor,
  internal: entry.internal,
  createdAtMs: entry.createdAtMs,
});
