/**
 * A broker that takes any request (design D15): what belongs elsewhere is handed to the broker that leads there, once, and
 * everything else is done by the broker here.
 */
import type {
  AppendReceipt,
  AppendRequest,
  BrokerApi,
  BrokerReport,
  CommitAnswer,
  CommitOffsets,
  CommittedOffset,
  DeleteRecords,
  FetchAnswer,
  FetchCursor,
  FetchPartitionRequest,
  FetchRequest,
  FoundOffset,
  Heartbeat,
  HeartbeatAnswer,
  JoinGroup,
  GroupPage,
  GroupReport,
  GroupSummary,
  LeaveGroup,
  Membership,
  OffsetQuery,
  PartitionInfo,
  PartitionRef,
  RequestContext,
  ResolveAnswer,
  ResolveRequest,
} from '../broker/requests.ts';
import { must } from '../model/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { BrokerError, ErrorCode, LeaderHint, Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import type { BrokerId } from '../model/ids.ts';
import { millisPlus, toBrokerId, toOffset } from '../model/ids.ts';
import type { Explanation } from '../broker/explain.ts';
import { stall } from '../broker/explain.ts';
import { fromDescribeBrokerResponse } from './broker-report.ts';
import { toDeleteRecordsRequest } from './delete-records.ts';
import { fromExplainResponse, toExplainRequest } from './explain.ts';
import {
  fromCommittedOffset,
  fromCommittedPartition,
  fromDescribeGroupResponse,
  fromFoundOffset,
  fromGroupSummary,
  fromHeartbeatResponse,
  fromJoinGroupResponse,
  fromPartitionDescription,
  fromResolveAppendResponse,
} from './forward-answers.ts';
import { AppendForwarder, isElsewhere } from './forward-appends.ts';
import type { ForwardedMethod } from './forward-calls.ts';
import { forwardCall } from './forward-calls.ts';
import type { ForwardLimits } from './forward-limits.ts';
import { defaultForwardLimits } from './forward-limits.ts';
import { forwardedMethods } from './forward-methods.ts';
import type { ForwardPeers, Routes } from './forward-port.ts';
import { byBroker, fetchFrom, fetchFromMany, ForwardedCursor } from './forward-reads.ts';
import type { ForwardReadsDeps } from './forward-reads.ts';
import {
  toCommitRequest,
  toFetchCommittedRequest,
  toHeartbeatRequest,
  toJoinGroupRequest,
  toLeaveGroupRequest,
  toListOffsetsRequest,
  toResolveAppendRequest,
} from './forward-requests.ts';
import { merged, untold } from './topic-views.ts';
import type { OtherView } from './topic-views.ts';

export interface ForwardingOptions {
  readonly broker: BrokerApi;
  readonly routes: Routes;
  readonly peers: ForwardPeers;
  readonly clock: Clock;
  readonly limits?: ForwardLimits;
}

/** The part of the contract that is about partitions, groups and single brokers; the catalog finds its own leader. */
type Forwarded = Pick<
  BrokerApi,
  | 'append'
  | 'resolveAppend'
  | 'fetch'
  | 'openCursor'
  | 'listOffsets'
  | 'deleteRecords'
  | 'explain'
  | 'joinGroup'
  | 'heartbeat'
  | 'leaveGroup'
  | 'listGroups'
  | 'describeGroup'
  | 'deleteGroup'
  | 'commitOffsets'
  | 'fetchCommitted'
  | 'describeBroker'
  | 'describeTopic'
>;

/** `broker` with what belongs elsewhere handed on. */
export function forwardingBroker(options: ForwardingOptions): BrokerApi {
  const { broker } = options;
  const forwarding = new Forwarding(options);
  const forwarded: Forwarded = {
    append: (request, context) => forwarding.append(request, context),
    resolveAppend: (request, context) => forwarding.resolveAppend(request, context),
    fetch: (request, context) => forwarding.fetch(request, context),
    openCursor: (partitions, context) => forwarding.openCursor(partitions, context),
    listOffsets: (queries, context) => forwarding.listOffsets(queries, context),
    deleteRecords: (request, context) => forwarding.deleteRecords(request, context),
    explain: (ref, context) => forwarding.explain(ref, context),
    joinGroup: (request, context) => forwarding.joinGroup(request, context),
    heartbeat: (request, context) => forwarding.heartbeat(request, context),
    leaveGroup: (request, context) => forwarding.leaveGroup(request, context),
    listGroups: (page, context) => forwarding.listGroups(page, context),
    describeGroup: (group, context) => forwarding.describeGroup(group, context),
    deleteGroup: (group, context) => forwarding.deleteGroup(group, context),
    commitOffsets: (request, context) => forwarding.commitOffsets(request, context),
    fetchCommitted: (request, context) => forwarding.fetchCommitted(request, context),
    describeBroker: (brokerId, context) => forwarding.describeBroker(brokerId, context),
    describeTopic: (name, context) => forwarding.describeTopic(name, context),
  };
  return {
    ...forwarded,
    choosePartition: (topic, key) => broker.choosePartition(topic, key),
    initProducer: (previous, context) => broker.initProducer(previous, context),
    createTopic: (topic, context) => broker.createTopic(topic, context),
    alterTopic: (change, context) => broker.alterTopic(change, context),
    deleteTopic: (topic, context) => broker.deleteTopic(topic, context),
    listTopics: (page, context) => broker.listTopics(page, context),
    describeCluster: (context) => broker.describeCluster(context),
    operate: (operation, dryRun, context) => broker.operate(operation, dryRun, context),
    watchMember: (request, listener, context) => broker.watchMember(request, listener, context),
  };
}

/** Whoever has a replica, then the leader that it names. */
const describeRoundsMax = 2;

class Forwarding implements Forwarded {
  readonly #broker: BrokerApi;
  readonly #routes: Routes;
  readonly #deps: ForwardReadsDeps;
  readonly #appends: AppendForwarder;

  constructor({ broker, routes, peers, clock, limits = defaultForwardLimits }: ForwardingOptions) {
    this.#broker = broker;
    this.#routes = routes;
    const learned = (tenant: number, ref: PartitionRef, hint: LeaderHint): void => {
      routes.learnLeader(tenant, ref, hint);
    };
    const missed = (tenant: number, ref: PartitionRef, asked: BrokerId): void => {
      routes.missed(tenant, ref, asked);
    };
    const told = (tenant: number, ref: PartitionRef, asked: BrokerId, error: BrokerError): void => {
      if (error.leaderHint !== undefined) learned(tenant, ref, error.leaderHint);
      else if (isElsewhere(error)) missed(tenant, ref, asked);
    };
    this.#deps = { peers, clock, limits, told };
    const addressOf = (broker: BrokerId): string | null => routes.addressOf(broker);
    this.#appends = new AppendForwarder({ peers, clock, limits, addressOf, learned, missed });
  }

  append(request: AppendRequest, context: RequestContext): Promise<Result<AppendReceipt>> {
    const route = (): BrokerId | null => this.#routes.leaderOf(context.tenant, request);
    return this.#appends.take(request, context, route) ?? this.#appendHere(request, context, route);
  }

  /**
   * What waited here for a leader, and did not become one's here, goes to it: in the order of the calls, since what is
   * refused is refused in their order, and before anything else arrives. It was not appended, so this is the first time
   * that it is handed on.
   */
  async #appendHere(
    request: AppendRequest,
    context: RequestContext,
    route: () => BrokerId | null,
  ): Promise<Result<AppendReceipt>> {
    const answer = await this.#broker.append(request, context);
    if (answer.kind === 'ok' || answer.error.code !== 'NOT_LEADER_OR_FOLLOWER') return answer;
    return this.#appends.take(request, context, route) ?? answer;
  }

  async resolveAppend(request: ResolveRequest, context: RequestContext): Promise<Result<ResolveAnswer>> {
    const to = this.#routes.leaderOf(context.tenant, request);
    if (to === null) return this.#broker.resolveAppend(request, context);
    const leftMs = context.deadlineMs - this.#deps.clock.monotonicMs();
    const wire = toResolveAppendRequest(request, leftMs);
    const answer = await forwardCall(this.#deps, to, forwardedMethods.resolveAppend, wire, context);
    if (answer.kind === 'ok') return ok(fromResolveAppendResponse(answer.value));
    this.#deps.told(context.tenant, request, to, answer.error);
    return answer;
  }

  async deleteRecords(request: DeleteRecords, context: RequestContext): ReturnType<BrokerApi['deleteRecords']> {
    const to = this.#routes.leaderOf(context.tenant, request);
    if (to === null) return this.#broker.deleteRecords(request, context);
    const wire = toDeleteRecordsRequest(request, context.deadlineMs - this.#deps.clock.monotonicMs());
    const answer = await forwardCall(this.#deps, to, forwardedMethods.deleteRecords, wire, context);
    if (answer.kind === 'refused') {
      this.#deps.told(context.tenant, request, to, answer.error);
      return answer;
    }
    const { topicId, logStartOffset, catalogRevision } = answer.value;
    const logStart = toOffset(Number(logStartOffset));
    return ok({ topicId, logStart, catalogRevision: Number(catalogRevision) });
  }

  /** The leader's view; where it can not be had, that of the broker here, and why. */
  async explain(ref: PartitionRef, context: RequestContext): Promise<Result<Explanation>> {
    const to = this.#routes.leaderOf(context.tenant, ref);
    if (to === null) return this.#broker.explain(ref, context);
    const soonMs = millisPlus(this.#deps.clock.monotonicMs(), this.#deps.limits.describeMsMax);
    const limited = { ...context, deadlineMs: soonMs < context.deadlineMs ? soonMs : context.deadlineMs };
    const answer = await forwardCall(this.#deps, to, forwardedMethods.explain, toExplainRequest(ref), limited);
    if (answer.kind === 'ok') return ok(fromExplainResponse(answer.value));
    this.#deps.told(context.tenant, ref, to, answer.error);
    const here = await this.#broker.explain(ref, context);
    if (here.kind === 'refused') return here;
    const unreachable = stall('leader-unreachable', answer.error.message, 'both', [to]);
    const others = here.value.stalls.filter(
      ({ reason }) => reason !== 'at-high-watermark' && reason !== unreachable.reason,
    );
    return ok({ ...here.value, stalls: [unreachable, ...others] });
  }

  fetch(request: FetchRequest, context: RequestContext): Promise<Result<FetchAnswer>> {
    const groups = byBroker(request.partitions, (each) => this.#routes.readerOf(context.tenant, each));
    const ask = async (to: BrokerId | null, part: FetchRequest): Promise<Result<FetchAnswer>> =>
      to === null ? this.#broker.fetch(part, context) : ok(await fetchFrom(this.#deps, to, part, context));
    const [only, ...others] = groups.keys();
    if (only === undefined || others.length > 0) return fetchFromMany(request, groups, ask);
    return ask(only, request);
  }

  openCursor(partitions: readonly FetchPartitionRequest[], context: RequestContext): Result<FetchCursor> {
    const groups = byBroker(partitions, (each) => this.#routes.readerOf(context.tenant, each));
    const here = groups.get(null) ?? [];
    const remotes = new Map([...groups].flatMap(([to, each]) => (to === null ? [] : [[to, each] as const])));
    if (remotes.size === 0) return this.#broker.openCursor(partitions, context);
    if (here.length === 0) return ok(new ForwardedCursor(null, remotes, context, this.#deps));
    const local = this.#broker.openCursor(here, context);
    return local.kind === 'refused' ? local : ok(new ForwardedCursor(local.value, remotes, context, this.#deps));
  }

  async listOffsets(queries: readonly OffsetQuery[], context: RequestContext): Promise<Result<readonly FoundOffset[]>> {
    const groups = byBroker(queries, (each) => this.#routes.leaderOf(context.tenant, each));
    const found = new Map<OffsetQuery, FoundOffset>();
    for (const [to, part] of groups) {
      const answer = to === null ? await this.#broker.listOffsets(part, context) : await this.#find(to, part, context);
      if (answer.kind === 'refused') return answer;
      part.forEach((query, at) => {
        found.set(query, must(answer.value[at], 'each query is answered'));
      });
    }
    return ok(queries.map((query) => must(found.get(query), 'each query is answered')));
  }

  /** What went wrong with the way there becomes the answer to each query. */
  async #find(
    to: BrokerId,
    queries: readonly OffsetQuery[],
    context: RequestContext,
  ): Promise<Result<readonly FoundOffset[]>> {
    const wire = toListOffsetsRequest(queries);
    const answer = await forwardCall(this.#deps, to, forwardedMethods.listOffsets, wire, context);
    const found =
      answer.kind === 'ok'
        ? answer.value.offsets.map(fromFoundOffset)
        : queries.map((query) => notFound(query, answer.error));
    queries.forEach((query, at) => {
      const error = found[at]?.error ?? null;
      if (error !== null) this.#deps.told(context.tenant, query, to, error);
    });
    return ok(found);
  }

  joinGroup(request: JoinGroup, context: RequestContext): Promise<Result<Membership>> {
    return this.#inGroup(
      request,
      context,
      forwardedMethods.joinGroup,
      toJoinGroupRequest,
      fromJoinGroupResponse,
      (broker) => broker.joinGroup(request, context),
    );
  }

  heartbeat(request: Heartbeat, context: RequestContext): Promise<Result<HeartbeatAnswer>> {
    return this.#inGroup(
      request,
      context,
      forwardedMethods.heartbeat,
      toHeartbeatRequest,
      fromHeartbeatResponse,
      (broker) => broker.heartbeat(request, context),
    );
  }

  /** Every broker tells of the groups that it coordinates; who is silent is named. */
  async listGroups(page: Parameters<BrokerApi['listGroups']>[0], context: RequestContext): Promise<Result<GroupPage>> {
    const here = await this.#broker.listGroups(page, context);
    if (here.kind === 'refused') return here;
    const soonMs = millisPlus(this.#deps.clock.monotonicMs(), this.#deps.limits.describeMsMax);
    const limited = { ...context, deadlineMs: soonMs < context.deadlineMs ? soonMs : context.deadlineMs };
    const wire = { pageSize: page.limit, pageToken: page.after };
    const pages = await Promise.all(
      this.#routes.otherBrokers().map(async (to): Promise<GroupPage> => {
        const answer = await forwardCall(this.#deps, to, forwardedMethods.listGroups, wire, limited);
        if (answer.kind === 'refused') return { groups: [], more: false, silent: [to] };
        const { groups, nextPageToken } = answer.value;
        return { groups: groups.map(fromGroupSummary), more: nextPageToken !== '', silent: [] };
      }),
    );
    return ok(mergedGroups([here.value, ...pages], page.limit));
  }

  describeGroup(group: string, context: RequestContext): Promise<Result<GroupReport>> {
    return this.#inGroup(
      { group },
      context,
      forwardedMethods.describeGroup,
      (request) => request,
      fromDescribeGroupResponse,
      (broker) => broker.describeGroup(group, context),
    );
  }

  deleteGroup(group: string, context: RequestContext): Promise<Result<null>> {
    return this.#inGroup(
      { group },
      context,
      forwardedMethods.deleteGroup,
      (request) => request,
      () => null,
      (broker) => broker.deleteGroup(group, context),
    );
  }

  leaveGroup(request: LeaveGroup, context: RequestContext): Promise<Result<null>> {
    return this.#inGroup(
      request,
      context,
      forwardedMethods.leaveGroup,
      toLeaveGroupRequest,
      () => null,
      (broker) => broker.leaveGroup(request, context),
    );
  }

  commitOffsets(request: CommitOffsets, context: RequestContext): Promise<Result<CommitAnswer>> {
    return this.#inGroup(
      request,
      context,
      forwardedMethods.commit,
      toCommitRequest,
      ({ partitions }) => partitions.map(fromCommittedPartition),
      (broker) => broker.commitOffsets(request, context),
    );
  }

  fetchCommitted(
    request: Parameters<BrokerApi['fetchCommitted']>[0],
    context: RequestContext,
  ): Promise<Result<readonly CommittedOffset[]>> {
    return this.#inGroup(
      request,
      context,
      forwardedMethods.fetchCommitted,
      toFetchCommittedRequest,
      ({ offsets }) => offsets.map(fromCommittedOffset),
      (broker) => broker.fetchCommitted(request, context),
    );
  }

  /**
   * What the broker here knows, and of partitions that are led elsewhere what their leaders know. Where no replica is here
   * the first who is asked may only know the leader, who is asked then. Who can not be asked in time leaves it unknown.
   */
  async describeTopic(name: string, context: RequestContext): ReturnType<BrokerApi['describeTopic']> {
    const here = await this.#broker.describeTopic(name, context);
    if (here.kind === 'refused') return here;
    let known = here.value;
    const soonMs = millisPlus(this.#deps.clock.monotonicMs(), this.#deps.limits.describeMsMax);
    const limited = { ...context, deadlineMs: soonMs < context.deadlineMs ? soonMs : context.deadlineMs };
    const asked = new Set<BrokerId>();
    for (let round = 0; round < describeRoundsMax; round++) {
      const { topicId } = known.topic;
      const groups = byBroker(untold(known), ({ leader, partition }) => {
        return leader ?? this.#routes.leaderOf(context.tenant, { topic: name, topicId, partition });
      });
      const toAsk = [...groups].flatMap(([to, each]) => (to === null || asked.has(to) ? [] : [[to, each] as const]));
      for (const [to] of toAsk) asked.add(to);
      const views = await Promise.all(toAsk.map(([to, each]) => this.#viewOf(to, { name, topicId }, each, limited)));
      for (const view of views) if (view !== null) known = merged(known, view);
    }
    return ok(known);
  }

  /** Null: it can not be asked, or it knows another topic by this name. */
  async #viewOf(
    to: BrokerId,
    { name, topicId }: { readonly name: string; readonly topicId: string },
    partitions: readonly PartitionInfo[],
    context: RequestContext,
  ): Promise<OtherView | null> {
    const answer = await forwardCall(this.#deps, to, forwardedMethods.describeTopic, { name }, context);
    if (answer.kind === 'ok') {
      const { topic, brokers } = answer.value;
      if (topic?.topicId !== topicId) return null;
      const addresses = brokers.map(({ brokerId, address }) => ({ brokerId: toBrokerId(brokerId), address }));
      return { partitions: topic.partitions.map(fromPartitionDescription), brokers: addresses };
    }
    for (const { partition } of partitions)
      this.#deps.told(context.tenant, { topic: name, topicId, partition }, to, answer.error);
    return null;
  }

  /** Each broker speaks for itself. */
  async describeBroker(brokerId: BrokerId | null, context: RequestContext): Promise<Result<BrokerReport>> {
    const to = brokerId === null ? null : this.#routes.brokerOf(brokerId);
    if (to === null) return this.#broker.describeBroker(brokerId, context);
    const answer = await forwardCall(this.#deps, to, forwardedMethods.describeBroker, { brokerId: to }, context);
    return answer.kind === 'ok' ? ok(fromDescribeBrokerResponse(answer.value)) : answer;
  }

  async #inGroup<Request extends { readonly group: string }, WireRequest, WireResponse, Answer>(
    request: Request,
    context: RequestContext,
    method: ForwardedMethod<WireRequest, WireResponse>,
    toWire: (request: Request) => WireRequest,
    fromWire: (response: WireResponse) => Answer,
    here: (broker: BrokerApi) => Promise<Result<Answer>>,
  ): Promise<Result<Answer>> {
    const to = this.#routes.coordinatorOf(request.group);
    if (to === null) return here(this.#broker);
    const answer = await forwardCall(this.#deps, to, method, toWire(request), context);
    if (answer.kind === 'ok') return ok(fromWire(answer.value));
    const { leaderHint, code } = answer.error;
    if (leaderHint !== undefined) this.#routes.learnCoordinator(request.group, leaderHint);
    else if (isElsewhere(answer.error) || coordinatesNot.has(code)) this.#routes.missedCoordinator(request.group, to);
    return answer;
  }
}

/** Another replica may know more of who coordinates the group. */
const coordinatesNot: ReadonlySet<ErrorCode> = new Set(['COORDINATOR_LOAD_IN_PROGRESS', 'REQUEST_TIMED_OUT']);

/** By name; a group that moves between brokers just then may be told of by two, and counts once. */
function mergedGroups(pages: readonly GroupPage[], limit: number): GroupPage {
  const byName = new Map<string, GroupSummary>();
  for (const { groups } of pages) for (const group of groups) byName.set(group.group, group);
  const all = [...byName.values()].sort((a, b) => (a.group < b.group ? -1 : 1));
  const more = all.length > limit || pages.some((page) => page.more);
  return { groups: all.slice(0, limit), more, silent: pages.flatMap(({ silent }) => silent) };
}

function notFound(query: OffsetQuery, error: BrokerError): FoundOffset {
  const hidden = { offset: null, timestampMs: null, leaderEpoch: null };
  return { topic: query.topic, topicId: query.topicId ?? '', partition: query.partition, error, ...hidden };
}
