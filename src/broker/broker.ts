/**
 * The broker as api/ sees it: every call is let in here (phase, access), finds its topic and partition, and is handed to
 * the part that does the work. Nothing is decided here that a part could decide.
 *
 * Life: `start` brings up the catalog, then everything that the catalog places on this disk; `handOver` gives its
 * leaderships to others while it goes on serving; `close` refuses what is new, lets appends in flight end, answers
 * everybody who waits, and stops the groups.
 */
import { must } from '../model/assert.ts';
import type { Compression } from '../model/compression.ts';
import type { Clock } from '../model/clock.ts';
import type { LeaderHint, Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { BrokerId, GroupNumber, Offset, ReplicaId } from '../model/ids.ts';
import { millisPlus, toMillis } from '../model/ids.ts';
import { partitionForKey } from '../model/partitioner.ts';
import { recordCountOf } from '../model/record-batch.ts';
import type { Random } from '../model/random.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { RaftGroup, RaftHost } from '../raft/group.ts';
import type { PeerClocks } from '../raft/peer-clocks.ts';
import type { Access, Operation } from './access.ts';
import { openAccess } from './access.ts';
import { AppendBudget } from './append-budget.ts';
import type { BrokerFacts } from './broker-facts.ts';
import { noFacts } from './broker-facts.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import { reportOf } from './broker-report.ts';
import type { BrokerSample } from './broker-sample.ts';
import { sampleBroker } from './broker-sample.ts';
import { Catalog } from './catalog.ts';
import type { PartitionPlace } from './catalog-commands.ts';
import type { DecisionContext } from './catalog-decisions.ts';
import { groupsTopic } from './catalog-decisions.ts';
import { CatalogKeeper } from './catalog-keeper.ts';
import { CatalogLink } from './catalog-link.ts';
import type { CatalogState } from './catalog-state.ts';
import type { ClusterMembership } from './cluster-membership.ts';
import { alone } from './cluster-membership.ts';
import type { ClusterOperation, OperationReport } from './cluster-operation.ts';
import { answerBy } from './deadline.ts';
import { Departures } from './departures.ts';
import { DrainKeeper } from './drain-keeper.ts';
import type { DiskGate } from './disk-gate.ts';
import { liveVoters } from './durability.ts';
import type { Explanation, ReplicaView } from './explain.ts';
import { explain, stall } from './explain.ts';
import { FetchWaiters } from './fetch-waiters.ts';
import { OpenCursor } from './fetch-cursor.ts';
import { Fetcher, tooManyWaiters } from './fetcher.ts';
import { formatVersionMax } from './format-version.ts';
import { enterCluster } from './founding.ts';
import type { GroupEvent } from './group/group-event.ts';
import { GroupService } from './group-service.ts';
import type { GroupSettings } from './group-settings.ts';
import { handOver } from './handover.ts';
import type { BrokerLimits } from './limits.ts';
import { defaultBrokerLimits } from './limits.ts';
import { LocalGroups } from './local-groups.ts';
import type { BrokerObserver } from './observer.ts';
import { silentBrokerObserver } from './observer.ts';
import { lookUpOffset } from './offset-lookup.ts';
import { OperationDesk, replicasOn } from './operation-desk.ts';
import type { OperationContext } from './operation-plan.ts';
import type { Appended } from './partition.ts';
import { PlacementKeeper } from './placement-keeper.ts';
import { ProducerIdentities } from './producer-identities.ts';
import type { KnownPeer } from './peer-book.ts';
import { RemoteLag } from './remote-lag.ts';
import { ReplicaFacts } from './replica-facts.ts';
import type {
  AlterTopic,
  AppendReceipt,
  AppendRequest,
  BrokerApi,
  BrokerInfo,
  BrokerReport,
  ClusterInfo,
  CommitAnswer,
  CommitOffsets,
  CommittedOffset,
  DeleteRecords,
  FetchAnswer,
  FetchCursor,
  FetchedPartition,
  FetchPartitionRequest,
  FetchRequest,
  FoundOffset,
  Heartbeat,
  HeartbeatAnswer,
  GroupPage,
  GroupReport,
  JoinGroup,
  LeaveGroup,
  MemberRef,
  MembershipListener,
  Membership,
  OffsetQuery,
  PartitionRef,
  ProducerGrant,
  RequestContext,
  ResolveAnswer,
  ResolveRequest,
  TopicInfo,
} from './requests.ts';
import { RequestRoutes } from './request-routes.ts';
import { RetentionKeeper } from './retention-keeper.ts';
import type { HostedTopic, Located } from './topic-directory.ts';
import { unknownTopic } from './topic-directory.ts';
import { noConfigChange } from './topic-config.ts';
import type { DescribedTopic } from './topics.ts';
import { Topics } from './topics.ts';

export interface BrokerOptions {
  readonly identity: BrokerIdentity;
  readonly host: RaftHost;
  readonly clock: Clock;
  /** The system's own: ids and the key of secrets come from it. */
  readonly random: Random;
  readonly compression: Compression;
  readonly disk: DiskGate;
  /** The store failed or a bug showed behind an answer: the process must end. */
  readonly onFault: (error: unknown) => void;
  readonly limits?: Partial<BrokerLimits>;
  readonly access?: Access;
  readonly observer?: BrokerObserver;
  readonly groupSettings?: GroupSettings;
  /** Default: nothing is measured. */
  readonly facts?: BrokerFacts;
  /** Whether the wall clock can be trusted, as other brokers' clocks say (D23). Default: it always is. */
  readonly clocks?: Pick<PeerClocks, 'agrees'>;
  /** Default: it founds a cluster by itself. */
  readonly cluster?: ClusterMembership;
}

type Phase = 'starting' | 'running' | 'closing';

/**
 * For calls that must answer at once: news of the catalog are good for this long, milliseconds. Who is told to try again
 * comes back in time to be answered from the news that were asked for then.
 */
const currentMsMax = 200;

/** How long the leader of the catalog is asked which brokers it hears of, milliseconds. */
const healthMsMax = 1_000;
/** What is left of a call's time for its own answer, milliseconds. */
const answerMsMin = 100;

/** Tenants come later (design D21); until then everybody is in this one. */
const onlyTenant = 0;

export class Broker implements BrokerApi {
  /** Which broker a request is for. */
  readonly routes: RequestRoutes;
  readonly #options: BrokerOptions;
  readonly #limits: BrokerLimits;
  readonly #access: Access;
  readonly #observer: BrokerObserver;
  readonly #budget: AppendBudget;
  readonly #cluster: ClusterMembership;
  readonly #catalog: Catalog;
  readonly #link: CatalogLink;
  readonly #keeper: CatalogKeeper;
  readonly #departures: Departures;
  readonly #drain: DrainKeeper;
  readonly #placements: PlacementKeeper;
  readonly #retention: RetentionKeeper;
  readonly #localGroups: LocalGroups;
  readonly #operations: OperationDesk;
  readonly #topics: Topics;
  readonly #fetchWaiters: FetchWaiters;
  readonly #fetcher: Fetcher;
  readonly #producers: ProducerIdentities;
  readonly #remoteLag: RemoteLag;
  readonly #cursors = new Set<OpenCursor>();
  #groups: GroupService | null = null;
  /** Null until it was started. */
  #caughtUp: Promise<void> | null = null;
  #phase: Phase = 'starting';
  /** Where the next records without a key go. */
  #turn = 0;

  constructor(options: BrokerOptions) {
    const { host, identity, clock, random, disk, onFault } = options;
    const limits = { ...defaultBrokerLimits, ...options.limits };
    const observer = options.observer ?? silentBrokerObserver;
    this.#options = options;
    this.#limits = limits;
    this.#access = options.access ?? openAccess;
    this.#observer = observer;
    this.#budget = new AppendBudget(limits.appendBytesInFlightMax);
    const cluster = options.cluster ?? alone(identity);
    const { rpc, directory, founders, processOf } = cluster;
    const catalog = new Catalog({ host, clock, limits, onFault });
    directory.follow((replica) => catalog.state.diskOf(replica));
    const context = (): DecisionContext => this.#keeper.context;
    const quiet = (): ReadonlySet<BrokerId> | null => this.#keeper.quiet;
    const link = new CatalogLink({ identity, catalog, clock, limits, rpc, directory, quiet, context });
    const { clusterId, brokerId, formatVersion = formatVersionMax } = identity;
    const failed = (why: string): void => {
      onFault(new Error(`the catalog can not be prepared: ${why}`));
    };
    this.#cluster = cluster;
    this.#catalog = catalog;
    this.#link = link;
    this.#keeper = new CatalogKeeper({
      clusterId,
      brokerId,
      formatVersion,
      founders,
      catalog,
      clock,
      random,
      limits,
      failed,
    });
    const isNewest = (): boolean => link.isCurrent(Infinity);
    this.#localGroups = new LocalGroups({ host, identity, clock, limits, observer, isNewest });
    const changed = (group: GroupNumber): void => {
      this.#retention.changed(group);
    };
    const partitions = { clock, limits, budget: this.#budget, disk, observer, rack: identity.rack, changed };
    const running = { catalog, link, localGroups: this.#localGroups, partitions };
    const { departureMs } = limits;
    const state = (): CatalogState => catalog.state;
    const facts = new ReplicaFacts({ clusterId, brokerId, state, localGroups: this.#localGroups, rpc });
    this.#remoteLag = new RemoteLag({ clusterId, localGroups: this.#localGroups, clock, rpc });
    const leader = (): BrokerId | null => link.leader;
    const orders = (): OperationContext | null => this.#keeper.operationContext;
    const asked = { clusterId, brokerId, catalog, leader, context: orders, facts, clock, limits, rpc };
    this.#operations = new OperationDesk(asked);
    const leaving = { state, departureMs, processOf };
    const departures = new Departures({ clusterId, brokerId, clock, rpc, ...leaving });
    this.#departures = departures;
    this.#placements = new PlacementKeeper({ ...running, departures, clock, limits });
    const clockAgrees = (): boolean => options.clocks?.agrees(catalog.state.brokers.size > 1) ?? true;
    this.#retention = new RetentionKeeper({ ...running, clock, limits, observer, clockAgrees, onFault });
    this.#drain = new DrainKeeper({
      ...{ brokerId, catalog, clock, intervalMs: limits.upkeepIntervalMs },
      leads: () => this.#running().some((raft) => raft.role.role === 'leader'),
      handOver: () => this.#handLeadershipsOver(),
    });
    this.#topics = new Topics({ ...running, identity, clock, random, limits, observer, onFault });
    this.routes = new RequestRoutes({
      brokerId: identity.brokerId,
      state: () => catalog.state,
      directory: this.#topics.directory,
      localGroups: this.#localGroups,
      coordinatorPartition: (group) => this.#groups?.partitionOf(group) ?? null,
    });
    this.#fetchWaiters = new FetchWaiters(clock, observer, limits.fetchWaitersMax);
    this.#fetcher = new Fetcher(clock, this.#topics.directory, this.#fetchWaiters, observer);
    this.#producers = new ProducerIdentities(catalog, link, clock, limits);
  }

  /** Resolves when everything placed here runs. Rejects with BrokerStartError, or a fault of the store. */
  async start(): Promise<void> {
    const { identity, clock, random, groupSettings: settings, onFault } = this.#options;
    const { catalogReplica, catalogVoters: voters, seeds } = this.#cluster;
    const catalog = this.#catalog;
    const limits = this.#limits;
    await catalog.start({ replicaId: catalogReplica, voters });
    const waiting = (why: string): void => this.#observer.waitsForCatalog(why);
    const entering = { catalog, link: this.#link, identity, catalogReplica, seeds, clock, limits, onFault, waiting };
    const { caughtUp } = await enterCluster(entering);
    this.#caughtUp = caughtUp;
    catalog.started();
    await this.#localGroups.recover(this.#catalog.state);
    this.#topics.load();
    const { directory } = this.#topics;
    const partitionCount = directory.find(onlyTenant, groupsTopic)?.partitionCount ?? this.#limits.groupsPartitions;
    const catalogRevision = (): number => this.#catalog.state.revision;
    const placeOf = (topicId: string, partition: number): PartitionPlace | undefined =>
      this.#catalog.state.topics.get(topicId)?.partitions[partition];
    const places = {
      createdAt: (topicId: string, partition: number): number => placeOf(topicId, partition)?.createdAt ?? 0,
      racksOf: (topicId: string, partition: number): readonly string[] =>
        (placeOf(topicId, partition)?.replicas ?? []).flatMap(
          (replica) => this.#catalog.state.brokers.get(replica.brokerId)?.rack ?? [],
        ),
    };
    const leaderHint = (partition: number, role: RoleState): LeaderHint | null =>
      this.#topics.leaderHint(groupsTopic, partition, role);
    const elsewhere = (partition: number): LeaderHint | null => this.routes.coordinatorHint(partition);
    const observe = (event: GroupEvent): void => this.#observer.groupChanged(event);
    const { brokerId } = identity;
    const group = {
      clock,
      random,
      topics: directory,
      catalogRevision,
      places,
      partitionCount,
      leaderHint,
      elsewhere,
      brokerId,
      observe,
    };
    this.#groups = new GroupService(settings === undefined ? group : { ...group, settings });
    await this.#topics.start(this.#groups);
    this.#placements.start();
    this.#retention.start();
    this.#drain.start();
    if (this.#phase === 'starting') this.#phase = 'running';
  }

  /**
   * After `start`: resolves with true once everything is applied here that the catalog had committed when this broker
   * reached it, and its brokers know where this one is; with false if it is closed before. Who is not there yet serves what
   * it holds, but should not be sent anybody. A failure is reported as a fault.
   */
  async whenCurrent(): Promise<boolean> {
    await must(this.#caughtUp, 'a broker that was started is on its way to the catalog');
    return this.#phase === 'running';
  }

  /**
   * Before `close`, where others could lead what is led here, the catalog too: resolves when they do, or the time for it
   * is over. Requests are served all along; what arrives after its leadership left hears who leads.
   */
  async handOver(): Promise<void> {
    void this.#departures.announce();
    await this.#handLeadershipsOver();
  }

  #handLeadershipsOver(): Promise<void> {
    const { clock } = this.#options;
    const { directory } = this.#cluster;
    const groups = (): readonly RaftGroup[] => this.#running();
    const leadsNothing = (broker: BrokerId): boolean =>
      this.#departures.isDeparting(broker) || this.#catalog.state.brokers.get(broker)?.duty !== undefined;
    return handOver({ groups, leadsNothing, directory, clock, limits: this.#limits });
  }

  /** Every group that runs here, the catalog's too. */
  #running(): readonly RaftGroup[] {
    const { group } = this.#catalog;
    return [...(group === null ? [] : [group]), ...this.#localGroups.all.values()];
  }

  /** Every append in flight is answered on its own, at the latest when the groups stop. */
  async close(): Promise<void> {
    this.#phase = 'closing';
    this.#fetchWaiters.close();
    for (const cursor of this.#cursors) cursor.shutDown();
    this.#groups?.close();
    const ended = Promise.all([this.#budget.whenEmpty(), this.#topics.settle()]);
    const { clock, host } = this.#options;
    await answerBy(clock, millisPlus(clock.monotonicMs(), this.#limits.drainMsMax), ended, () => null);
    this.#catalog.close();
    await this.#localGroups.close();
    await host.close();
    await Promise.all([this.#topics.settle(), this.#keeper.close(), this.#placements.close()]);
    await Promise.all([this.#retention.close(), this.#drain.close()]);
  }

  /** What the catalog says of another broker; null: it does not know it. */
  peerOf(brokerId: BrokerId): KnownPeer | null {
    return this.#catalog.state.brokers.get(brokerId) ?? null;
  }

  /** What metrics show of the state that it holds. `pause` lets others have the event loop. */
  sample(pause: () => Promise<void>): Promise<BrokerSample> {
    const { clock } = this.#options;
    const { appendBytesInFlightMax, fetchWaitersMax } = this.#limits;
    const limitUse = [
      { limit: 'appendBytesInFlightMax', used: this.#budget.bytesInFlight, max: appendBytesInFlightMax },
      { limit: 'fetchWaitersMax', used: this.#fetchWaiters.count, max: fetchWaitersMax },
    ];
    return sampleBroker({
      ...{ state: this.#catalog.state, catalog: this.#catalog.group, quiet: this.#keeper.quiet },
      ...{ localGroups: this.#localGroups, coordinators: this.#groups, limits: this.#limits },
      askLags: (questions) => this.#remoteLag.ask(questions),
      ...{ limitUse, nowMs: clock.monotonicMs(), wallMs: clock.wallMs(), pause },
    });
  }

  append(request: AppendRequest, context: RequestContext): Promise<Result<AppendReceipt>> {
    const located = this.#locate('produce', request, context);
    if (located.kind === 'refused') return this.#confirmed(located, context, () => this.#learned(request, context));
    this.#access.account(context, 'in', request.batch.length);
    const { partition, topic } = located.value;
    const { acks, expectedEndOffset = null, everyReplica = false } = request;
    const { config, replicationFactor } = topic.entry;
    const insyncMin = config['min.insync.replicas'] ?? 0;
    const replicasMin = everyReplica ? replicationFactor : 0;
    const createTimes = {
      beforeMsMax: config['message.timestamp.before.max.ms'],
      afterMsMax: config['message.timestamp.after.max.ms'],
    };
    const terms = { acks, insyncMin, replicasMin, expectedEndOffset, createTimes };
    const appended = partition.append(request.batch, terms, context);
    return appended.then((result) => this.#receipt(result, located.value, request.partition));
  }

  choosePartition(topic: string, key: Uint8Array | null): Result<number> {
    const found = this.#topics.directory.named(onlyTenant, topic);
    if (found === null) return this.#told(this.#notRunning() ?? this.#atOnce(unknownTopic(topic)));
    const { partitionCount } = found.summary;
    return ok(key === null ? this.#turn++ % partitionCount : partitionForKey(key, partitionCount));
  }

  async initProducer(
    previous: Parameters<BrokerApi['initProducer']>[0],
    context: RequestContext,
  ): Promise<Result<ProducerGrant>> {
    const refused = this.#refuse('init-producer', '', context);
    return refused ?? this.#told(await this.#producers.grant(previous, context.deadlineMs));
  }

  async resolveAppend(request: ResolveRequest, context: RequestContext): Promise<Result<ResolveAnswer>> {
    const { producer, secret, count, ageMs } = request;
    const locate = (): Result<Located> => this.#locate('resolve-append', request, context);
    const first = locate();
    const located = first.kind === 'refused' ? await this.#confirmed(first, context, locate) : first;
    if (located.kind === 'refused') return located;
    const shown = { producerId: producer.id, producerEpoch: producer.epoch, secret };
    const refused = this.#producers.refuseSecret(shown);
    if (refused !== null) return this.#told(refused);
    const { topic, partition } = located.value;
    const resolved = await partition.resolve({ producer, count, ageMs }, context.deadlineMs);
    if (resolved.kind === 'refused') return this.#told(resolved);
    const where = resolved.value.outcome === 'committed' ? resolved.value : { baseOffset: null, appendTimeMs: null };
    const { baseOffset, appendTimeMs } = where;
    const { outcome, leaderEpoch } = resolved.value;
    const { topicId } = topic.entry;
    const answer = { topicId, partition: request.partition, outcome, baseOffset, appendTimeMs, leaderEpoch };
    return this.#withRevision(ok(answer));
  }

  async fetch(request: FetchRequest, context: RequestContext): Promise<Result<FetchAnswer>> {
    const refused = this.#refuseReading(request.partitions, context);
    if (refused !== null) return refused;
    const unknown = request.partitions.some((partition) =>
      isUnknown(this.#topics.directory.locate(context.tenant, partition)),
    );
    const behind = unknown ? await this.#link.barrier(context.deadlineMs) : null;
    const fetched = await this.#fetcher.fetch(request, context);
    if ('kind' in fetched) return this.#told(fetched);
    const partitions = behind === null ? fetched : fetched.map((one) => withoutDenial(one, behind));
    this.#countFetched(partitions, context);
    return ok({ partitions, catalogRevision: this.#catalog.state.revision });
  }

  openCursor(partitions: readonly FetchPartitionRequest[], context: RequestContext): Result<FetchCursor> {
    const refused = this.#refuseReading(partitions, context);
    if (refused !== null) return refused;
    if (!this.#fetchWaiters.reserve(partitions.length)) return this.#told(tooManyWaiters(this.#fetchWaiters.count));
    const targets = partitions.map((request) => ({ request, place: this.#findAtOnce(request, context) }));
    const cursor = new OpenCursor(targets, context.signal, {
      waiters: this.#fetchWaiters,
      catalogRevision: () => this.#catalog.state.revision,
      answered: (fetched) => {
        this.#countFetched(fetched, context);
      },
      closed: (closed) => this.#cursors.delete(closed),
    });
    this.#cursors.add(cursor);
    return ok(cursor);
  }

  async listOffsets(queries: readonly OffsetQuery[], context: RequestContext): Promise<Result<readonly FoundOffset[]>> {
    const refused = this.#notRunning();
    if (refused !== null) return this.#told(refused);
    const found: FoundOffset[] = [];
    for (const query of queries) found.push(await this.#lookUp(query, context));
    return ok(found);
  }

  async deleteRecords(
    request: DeleteRecords,
    context: RequestContext,
  ): Promise<Result<{ readonly topicId: string; readonly logStart: Offset; readonly catalogRevision: number }>> {
    const locate = (): Result<Located> => this.#locate('delete-records', request, context);
    const first = locate();
    const located = first.kind === 'refused' ? await this.#confirmed(first, context, locate) : first;
    if (located.kind === 'refused') return located;
    const { topic, partition } = located.value;
    const moved = await partition.deleteRecords(request.before, context.deadlineMs);
    if (moved.kind === 'refused') return this.#told(moved);
    return this.#withRevision(ok({ topicId: topic.entry.topicId, logStart: moved.value }));
  }

  /** Answers in every phase: it is how an operator learns what is wrong. */
  async explain(ref: PartitionRef, context: RequestContext): Promise<Result<Explanation>> {
    const denied = this.#access.authorize(context, 'explain', ref.topic);
    if (denied !== null) return this.#told(denied);
    const find = (): Result<HostedTopic> => this.#topics.directory.topicOf(context.tenant, ref);
    const first = find();
    const found = first.kind === 'refused' ? await this.#confirmed(first, context, find) : first;
    if (found.kind === 'refused') return found;
    return ok(this.#explanation(found.value, ref.partition));
  }

  #explanation(topic: HostedTopic, number: number): Explanation {
    const { identity, clock, disk, facts = noFacts } = this.#options;
    const place = must(topic.entry.partitions[number], 'the partition was looked for');
    const raft = this.#localGroups.running(place.group);
    const brokerOf = (replica: ReplicaId): BrokerId | null => this.#catalog.state.brokerOf(replica);
    const nowMs = clock.monotonicMs();
    const limits = this.#limits;
    const hears = (broker: BrokerId): boolean =>
      broker === identity.brokerId || (facts.peer(broker)?.heardAgoMs ?? Infinity) <= limits.inSyncHeardMs;
    const stalls = explain(
      {
        replica: raft === null ? null : replicaView(raft),
        insyncMin: topic.entry.config['min.insync.replicas'] ?? 0,
        live: raft === null ? 0 : liveVoters(raft, nowMs, limits),
        inFlight: { bytes: this.#budget.bytesInFlight, bytesMax: limits.appendBytesInFlightMax },
        diskAdmits: disk.admit(0),
        ...{ nowMs, brokerOf, hears },
      },
      limits,
    );
    const here = this.#localGroups.replicaHere([...place.replicas, ...place.leaving]) !== null;
    const starting =
      this.#phase === 'running' ? [] : [stall('broker-not-running', `the broker is ${this.#phase}`, 'both')];
    const elsewhere = stall(
      'leader-unreachable',
      'this broker has no replica of the partition; ask its leader',
      'both',
    );
    const leading = raft?.role.leader ?? null;
    const leader = leading === null ? null : brokerOf(leading);
    return {
      topicId: topic.entry.topicId,
      answeredBy: identity.brokerId,
      leader: leader === null || raft === null ? null : { brokerId: leader, term: raft.role.term },
      marks:
        raft === null || raft.quarantine !== null
          ? null
          : { logStart: raft.log.logStart, highWatermark: raft.highWatermark, endOffset: raft.log.endOffset },
      stalls: [...starting, ...(raft === null && !here ? [elsewhere] : stalls)],
    };
  }

  async createTopic(
    topic: Parameters<BrokerApi['createTopic']>[0],
    context: RequestContext,
  ): Promise<Result<DescribedTopic & { readonly catalogRevision: number }>> {
    const refused = this.#refuse('create-topic', topic.name, context);
    if (refused !== null) return refused;
    const { config = noConfigChange } = topic;
    const created = await this.#topics.create({ ...topic, config, tenant: context.tenant }, context.deadlineMs);
    return this.#withRevision(created);
  }

  async alterTopic(
    change: AlterTopic,
    context: RequestContext,
  ): Promise<Result<DescribedTopic & { readonly catalogRevision: number }>> {
    const refused = this.#refuse('alter-topic', change.name, context);
    if (refused !== null) return refused;
    const { dryRun, ...wish } = change;
    return this.#withRevision(
      await this.#topics.alter({ ...wish, tenant: context.tenant }, dryRun, context.deadlineMs),
    );
  }

  async deleteTopic(
    topic: { readonly name: string; readonly topicId: string | null },
    context: RequestContext,
  ): Promise<Result<{ readonly catalogRevision: number }>> {
    const refused = this.#refuse('delete-topic', topic.name, context);
    if (refused !== null) return refused;
    const deleted = await this.#topics.delete({ ...topic, tenant: context.tenant }, context.deadlineMs);
    return this.#withRevision(deleted.kind === 'ok' ? ok({}) : deleted);
  }

  /** Says where the replicas of a partition shall be, the preferred leader first; answers before they are there. */
  async moveReplicas(
    move: { readonly topic: string; readonly partition: number; readonly brokers: readonly BrokerId[] },
    context: RequestContext,
  ): Promise<Result<{ readonly catalogRevision: number }>> {
    const refused = this.#refuse('move-replicas', move.topic, context);
    if (refused !== null) return refused;
    const wish = { tenant: context.tenant, name: move.topic, partition: move.partition };
    const moved = await this.#topics.move(wish, move.brokers, context.deadlineMs);
    return this.#withRevision(moved.kind === 'ok' ? ok({}) : moved);
  }

  describeTopic(
    name: string,
    context: RequestContext,
  ): Promise<Result<DescribedTopic & { readonly catalogRevision: number }>> {
    const refused = this.#refuse('describe-topic', name, context);
    if (refused !== null) return Promise.resolve(refused);
    const describe = (): Result<DescribedTopic> => this.#topics.describe(context.tenant, name);
    const described = describe();
    if (described.kind === 'ok') return Promise.resolve(this.#withRevision(described));
    return this.#confirmed(described, context, describe).then((again) => this.#withRevision(again));
  }

  listTopics(
    page: { readonly includeInternal: boolean; readonly limit: number; readonly after: string },
    context: RequestContext,
  ): Promise<
    Result<{ readonly topics: readonly TopicInfo[]; readonly more: boolean; readonly catalogRevision: number }>
  > {
    const refused = this.#refuse('list-topics', '', context);
    return Promise.resolve(refused ?? this.#withRevision(ok(this.#topics.list(context.tenant, page))));
  }

  /** What operators ask of the cluster; a dry run changes nothing. */
  async operate(
    operation: ClusterOperation,
    dryRun: boolean,
    context: RequestContext,
  ): Promise<Result<OperationReport & { readonly catalogRevision: number }>> {
    const refused = this.#refuse('operate', resourceOf(operation), context);
    if (refused !== null) return refused;
    const done = await this.#operations.carryOut(operation, dryRun, context.deadlineMs);
    if (done.kind === 'ok' && operation.kind === 'add-partitions' && !dryRun) {
      const { tenant, name } = operation.topic;
      if (!(await this.#topics.whenUsable(tenant, name, context.deadlineMs))) return this.#told(notReady(name));
    }
    return this.#withRevision(done);
  }

  /** Answers in every phase: it is how an operator learns what is wrong. */
  async describeCluster(context: RequestContext): Promise<Result<ClusterInfo>> {
    const denied = this.#access.authorize(context, 'describe-cluster', '');
    if (denied !== null) return this.#told(denied);
    const { clock } = this.#options;
    const soonMs = Math.min(context.deadlineMs - answerMsMin, clock.monotonicMs() + healthMsMax);
    const quiet = await this.#link.quiet(toMillis(Math.max(clock.monotonicMs(), soonMs)));
    const { state } = this.#catalog;
    const own = [...state.topics.values()].filter((topic) => !topic.internal);
    const { identity } = this.#options;
    return ok({
      clusterId: identity.clusterId,
      brokers: this.#brokers(quiet.kind === 'ok' ? new Set(quiet.value) : null),
      catalogLeader: this.#link.leader,
      catalogRevision: state.revision,
      activeVersion: state.head?.activeVersion ?? 0,
      topicCount: own.length,
      partitionCount: own.reduce((sum, topic) => sum + topic.partitions.length, 0),
    });
  }

  /** Answers in every phase. A broker speaks for itself only; who asks for another one was handed on to it. */
  describeBroker(brokerId: BrokerId | null, context: RequestContext): Promise<Result<BrokerReport>> {
    const { identity, facts = noFacts } = this.#options;
    const denied = this.#access.authorize(context, 'describe-broker', '');
    if (denied !== null) return Promise.resolve(this.#told(denied));
    if (brokerId !== null && brokerId !== identity.brokerId) {
      const what = `there is no broker ${brokerId} in this cluster, as far as broker ${identity.brokerId} knows`;
      return Promise.resolve(this.#told(refuse('INVALID_REQUEST', what)));
    }
    const { state, group: catalog } = this.#catalog;
    const report = { state, catalog, localGroups: this.#localGroups, facts };
    return Promise.resolve(ok(reportOf(this.#self(), report)));
  }

  joinGroup(request: JoinGroup, context: RequestContext): Promise<Result<Membership>> {
    return this.#inGroup(request.group, context, (groups) => groups.joinGroup(request, context));
  }

  heartbeat(request: Heartbeat, context: RequestContext): Promise<Result<HeartbeatAnswer>> {
    return this.#inGroup(request.group, context, (groups) => groups.heartbeat(request, context));
  }

  watchMember(request: MemberRef, listener: MembershipListener, context: RequestContext): Result<() => void> {
    const refused = this.#refuse('consume-in-group', request.group, context);
    if (refused !== null || this.#groups === null) return refused ?? this.#notYet();
    return this.#told(this.#groups.watchMember(request, listener, context));
  }

  listGroups(page: Parameters<BrokerApi['listGroups']>[0], context: RequestContext): Promise<Result<GroupPage>> {
    return this.#inGroup('', context, (groups) => Promise.resolve(groups.listGroups(page, context)));
  }

  describeGroup(group: string, context: RequestContext): Promise<Result<GroupReport>> {
    return this.#inGroup(group, context, (groups) => Promise.resolve(groups.describeGroup(group, context)));
  }

  deleteGroup(group: string, context: RequestContext): Promise<Result<null>> {
    return this.#inGroup(group, context, (groups) => groups.deleteGroup(group, context));
  }

  leaveGroup(request: LeaveGroup, context: RequestContext): Promise<Result<null>> {
    return this.#inGroup(request.group, context, (groups) => groups.leaveGroup(request, context));
  }

  commitOffsets(request: CommitOffsets, context: RequestContext): Promise<Result<CommitAnswer>> {
    return this.#inGroup(request.group, context, (groups) => groups.commitOffsets(request, context));
  }

  fetchCommitted(
    request: Parameters<BrokerApi['fetchCommitted']>[0],
    context: RequestContext,
  ): Promise<Result<readonly CommittedOffset[]>> {
    return this.#inGroup(request.group, context, (groups) => groups.fetchCommitted(request, context));
  }

  // ---- letting in ----

  /** Null: this broker works. */
  #notRunning(): Refused | null {
    switch (this.#phase) {
      case 'running':
        return null;
      case 'starting':
        return refuse('LEADER_NOT_AVAILABLE', 'the broker is starting; try again', {
          retryAfterMs: this.#limits.retryAfterMs,
        });
      case 'closing':
        return refuse('BROKER_SHUTTING_DOWN', 'the broker is shutting down; ask another one');
    }
  }

  #refuse(operation: Operation, resource: string, context: RequestContext): Refused | null {
    const refused = this.#notRunning() ?? this.#access.authorize(context, operation, resource);
    return refused === null ? null : this.#told(refused);
  }

  #refuseReading(partitions: readonly FetchPartitionRequest[], context: RequestContext): Refused | null {
    const refused = this.#notRunning();
    if (refused !== null) return this.#told(refused);
    for (const topic of new Set(partitions.map((partition) => partition.topic))) {
      const denied = this.#refuse('fetch', topic, context);
      if (denied !== null) return denied;
    }
    return null;
  }

  #locate(operation: Operation, ref: PartitionRef, context: RequestContext): Result<Located> {
    const refused = this.#refuse(operation, ref.topic, context);
    if (refused !== null) return refused;
    return this.#topics.directory.locate(context.tenant, ref);
  }

  /**
   * Who does not know the newest catalog can not say that something does not exist (design D17): looks again behind a
   * barrier before it says so.
   */
  async #confirmed<T>(refused: Refused, context: RequestContext, again: () => Result<T>): Promise<Result<T>> {
    if (!isUnknown(refused)) return this.#told(refused);
    const behind = await this.#link.barrier(context.deadlineMs);
    return behind === null ? again() : this.#told(behind);
  }

  /**
   * A batch whose topic was not known when it came: later ones for the same partition may have overtaken it, so it is not
   * appended now, and its sender sends it again.
   */
  #learned(request: AppendRequest, context: RequestContext): Refused {
    const located = this.#topics.directory.locate(context.tenant, request);
    if (located.kind === 'refused') return this.#told(located);
    const { retryAfterMs } = this.#limits;
    return this.#told(
      refuse('LEADER_NOT_AVAILABLE', 'this broker has just heard of the topic; try again', { retryAfterMs }),
    );
  }

  /** For answers that can not wait for a barrier: until one that began lately was passed, the caller is to ask again. */
  #atOnce(refused: Refused): Refused {
    if (!isUnknown(refused) || this.#link.isCurrent(currentMsMax)) return refused;
    const { clock } = this.#options;
    void this.#link.barrier(millisPlus(clock.monotonicMs(), this.#limits.catalogNewsMsMax));
    const { retryAfterMs } = this.#limits;
    return refuse('LEADER_NOT_AVAILABLE', 'this broker asks the catalog for news; try again', { retryAfterMs });
  }

  #findAtOnce(ref: FetchPartitionRequest, context: RequestContext): Result<Located> {
    const located = this.#topics.directory.locate(context.tenant, ref);
    return located.kind === 'refused' ? this.#atOnce(located) : located;
  }

  async #inGroup<T>(
    group: string,
    context: RequestContext,
    call: (groups: GroupService) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const refused = this.#refuse('consume-in-group', group, context);
    if (refused !== null || this.#groups === null) return refused ?? this.#notYet();
    return this.#told(await call(this.#groups));
  }

  // ---- answering ----

  #notYet(): Refused {
    return this.#told(refuse('COORDINATOR_LOAD_IN_PROGRESS', 'the coordinator is being loaded; try again'));
  }

  #told<R extends Result<unknown>>(result: R): R {
    if (result.kind === 'refused') this.#observer.refused(result.error);
    return result;
  }

  #withRevision<T extends object>(result: Result<T>): Result<T & { readonly catalogRevision: number }> {
    if (result.kind === 'refused') return this.#told(result);
    return ok({ ...result.value, catalogRevision: this.#catalog.state.revision });
  }

  #receipt(result: Result<Appended>, { topic, partition }: Located, number: number): Result<AppendReceipt> {
    if (result.kind === 'refused') return this.#told(result);
    const { topicId } = topic.entry;
    const logStart = partition.logStart;
    const { revision: catalogRevision } = this.#catalog.state;
    return ok({ ...result.value, topicId, partition: number, leader: null, logStart, catalogRevision });
  }

  async #lookUp(query: OffsetQuery, context: RequestContext): Promise<FoundOffset> {
    const { topic, topicId, partition } = query;
    const locate = (): Result<Located> => this.#locate('list-offsets', query, context);
    const first = locate();
    const located = first.kind === 'refused' ? await this.#confirmed(first, context, locate) : first;
    const nothing = { offset: null, timestampMs: null, leaderEpoch: null };
    if (located.kind === 'refused')
      return { topic, topicId: topicId ?? '', partition, error: located.error, ...nothing };
    const where = { topic, topicId: located.value.topic.entry.topicId, partition };
    const limits = { decompressedBytesMax: this.#limits.lookupBytesMax };
    const { compression } = this.#options;
    const found = await lookUpOffset(located.value.partition, query, compression, limits);
    if (found.kind === 'refused') return { ...where, error: this.#told(found).error, ...nothing };
    return { ...where, error: null, ...found.value, leaderEpoch: located.value.partition.role?.term ?? null };
  }

  #countFetched(partitions: readonly FetchedPartition[], context: RequestContext): void {
    let total = 0;
    for (const { error, batches, topic } of partitions) {
      if (error !== null) this.#observer.refused(error);
      if (batches.length === 0) continue;
      let [records, bytes] = [0, 0];
      for (const batch of batches) {
        records += recordCountOf(batch);
        bytes += batch.length;
      }
      total += bytes;
      this.#observer.fetched(topic, records, bytes);
    }
    if (total > 0) this.#access.account(context, 'out', total);
  }

  /** Of itself it knows that it answers, and whether it was set apart as a whole. */
  #self(): BrokerInfo {
    const { brokerId, address, incarnation, version, rack, formatVersion = formatVersionMax } = this.#options.identity;
    const unhealthyReason = this.#catalog.group?.quarantine ?? '';
    const health = { healthy: unhealthyReason === '', unhealthyReason, healthUnknown: false };
    return { brokerId, address, incarnation, version, rack, ...health, ...this.#ordered(brokerId), formatVersion };
  }

  /** What is ordered for a broker, as the catalog has it. */
  #ordered(brokerId: BrokerId): Pick<BrokerInfo, 'duty' | 'replaceable' | 'formatVersion' | 'replicaCount'> {
    const { state } = this.#catalog;
    const { duty = null, replaceable = false, formatVersion = 1 } = state.brokers.get(brokerId) ?? {};
    return { duty, replaceable, formatVersion, replicaCount: replicasOn(state, brokerId) };
  }

  /** @param quiet null: not known */
  #brokers(quiet: ReadonlySet<BrokerId> | null): readonly BrokerInfo[] {
    const brokers = [...this.#catalog.state.brokers.values()].sort((a, b) => a.brokerId - b.brokerId);
    return brokers.map(({ brokerId, address, incarnation, version, rack, joined }) => {
      // of itself it knows that it answers
      const healthUnknown = quiet === null && brokerId !== this.#options.identity.brokerId;
      const isSilent = quiet?.has(brokerId) === true;
      const unhealthyReason = isSilent ? silent : healthUnknown ? notKnown : joined ? '' : joining;
      const health = { healthy: unhealthyReason === '', unhealthyReason, healthUnknown };
      return { brokerId, address, incarnation, version, rack, ...health, ...this.#ordered(brokerId) };
    });
  }
}

const replicaView = (raft: RaftGroup): ReplicaView => ({
  role: raft.role,
  configuration: raft.membership.configuration,
  followers: raft.followers,
  commitIndex: raft.commitIndex,
  appliedIndex: raft.appliedIndex,
  lastIndex: raft.log.lastIndex,
  firstIndex: raft.log.firstIndex,
  holders: raft.holders(raft.log.lastIndex).length,
  quarantine: raft.quarantine,
});

const notReady = (name: string): Refused =>
  refuse('REQUEST_TIMED_OUT', `topic "${name}" has the partitions, but they are not ready yet`);

const silent = 'the leader of the catalog does not hear of it';
const notKnown = 'not known: the leader of the catalog can not be asked';
const joining = 'it is joining the cluster';

/** The topic that an operation is about; empty for the cluster. */
function resourceOf(operation: ClusterOperation): string {
  switch (operation.kind) {
    case 'add-partitions':
    case 'change-replication-factor':
      return operation.topic.name;
    case 'transfer-leadership':
      return operation.topic;
    case 'move-replicas':
    case 'drain-broker':
    case 'undrain-broker':
    case 'decommission-broker':
    case 'replace-broker':
    case 'finalize-upgrade':
      return '';
  }
}

/** It is said that something does not exist, or not any more. */
function isUnknown(result: Result<unknown>): result is Refused {
  if (result.kind === 'ok') return false;
  const { code } = result.error;
  return code === 'UNKNOWN_TOPIC_OR_PARTITION' || code === 'UNKNOWN_TOPIC_ID' || code === 'INCONSISTENT_TOPIC_ID';
}

/** What could not be confirmed is not denied. */
function withoutDenial(fetched: FetchedPartition, behind: Refused): FetchedPartition {
  const denied = fetched.error !== null && isUnknown({ kind: 'refused', error: fetched.error });
  return denied ? { ...fetched, error: behind.error } : fetched;
}
