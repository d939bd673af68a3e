/** Topics, offsets and the cluster, one call each. */
import { backoffMs, pause } from './backoff.ts';
import type { BrokerDescription, BrokerReport } from './broker-report.ts';
import { brokerDescription, brokerReport } from './broker-report.ts';
import type { Brokers, CallOptions } from './brokers.ts';
import { fromDetail } from './decode-error.ts';
import { explanationOf } from './explanation.ts';
import type { Explanation } from './explanation.ts';
import { BrokerError } from './errors.ts';
import type { CommittedOffset as WireCommitted } from './gen/sluice/v1/group.ts';
import type { FoundOffset as WireFound, OffsetQuery as WireQuery } from './gen/sluice/v1/log.ts';
import type { TopicDescription as WireTopic } from './gen/sluice/v1/topic.ts';
import { toInt64, toNumber, toNumberOrNull } from './int64.ts';
import { methods } from './methods.ts';
import type { Decommissioning, Impact, OperationOptions, ReplicaMove } from './operations.ts';
import { impactOf } from './operations.ts';
import type { TopicConfig, TopicConfigChange } from './topic-config.ts';
import { fromWireConfig, resetKeys, toWireConfig } from './topic-config.ts';

export interface NewTopic {
  /** 1 to 249 characters of [A-Za-z0-9._-], not beginning with "__". */
  readonly name: string;
  /** Range 1 to 1,000. Default 1. */
  readonly partitions?: number;
  /** Range 1 to 7. Default: 3, or as many as there are brokers if there are fewer. */
  readonly replicationFactor?: number;
  /** What it keeps; what is not named has its default. */
  readonly config?: TopicConfigChange;
}

export interface AlterTopicOptions extends CallOptions {
  /** Only if the name still belongs to this topic. */
  readonly topicId?: string;
  /** Only tell what the topic would be. */
  readonly dryRun?: boolean;
}

export interface TopicSummary {
  readonly name: string;
  /** UUID; a topic that is created again gets another. */
  readonly topicId: string;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  /** True for topics that Sluice keeps for itself. */
  readonly internal: boolean;
  /** Milliseconds since 1970. */
  readonly createdAtMs: number;
  /** What it keeps. */
  readonly config: TopicConfig;
}

export interface PartitionDescription {
  readonly partition: number;
  /** Broker id; null: no leader now, or nobody who knows could be asked. */
  readonly leader: number | null;
  readonly leaderEpoch: number | null;
  /** Broker ids. */
  readonly replicas: readonly number[];
  /** Broker ids of the replicas that have what is committed, as the leader sees them; null: not known. */
  readonly inSyncReplicas: readonly number[] | null;
  /** First offset that can be read; null: not known. */
  readonly logStartOffset: number | null;
  /** End of what is committed; null: not known. */
  readonly highWatermark: number | null;
}

export interface TopicDescription extends TopicSummary {
  readonly partitions: readonly PartitionDescription[];
}

export interface CreatedTopic extends TopicDescription {
  /** What was done and is probably not what was meant, one sentence each: an even replication factor. */
  readonly warnings: readonly string[];
}

export interface ClusterDescription {
  readonly clusterId: string;
  readonly brokers: readonly BrokerDescription[];
  /** Broker id; null: none now. */
  readonly catalogLeader: number | null;
  readonly catalogRevision: number;
  readonly activeVersion: number;
  readonly topicCount: number;
  readonly partitionCount: number;
}

export interface TopicPartition {
  readonly topic: string;
  /** From 0. */
  readonly partition: number;
}

export interface OffsetQuery extends TopicPartition {
  /**
   * The log start, the high watermark, the first record at or after a time, the first one with the largest timestamp, or where
   * the records of a leader epoch end.
   */
  readonly at:
    'earliest' | 'latest' | 'max-timestamp' | { readonly timestampMs: number } | { readonly endOfEpoch: number };
  /** Refused with FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH if the leader's is another. Default: not checked. */
  readonly currentLeaderEpoch?: number;
}

export interface FoundOffset extends TopicPartition {
  readonly topicId: string;
  /**
   * Null: no record is as late as the time that was asked for, or none has a timestamp, or the leader epoch has not begun.
   */
  readonly offset: number | null;
  /** Of the record there; for a query by time or for the largest timestamp only, else null. */
  readonly timestampMs: number | null;
  readonly leaderEpoch: number | null;
  /** The epoch that ends at the offset, which may be an older one, for a query for the end of one; else null. */
  readonly endedEpoch: number | null;
}

export interface CommittedOffset extends TopicPartition {
  readonly topicId: string;
  /** Offset of the next record to read; null: none was committed. */
  readonly offset: number | null;
  readonly leaderEpoch: number | null;
  readonly metadata: string;
  /** Milliseconds since 1970; null: never. */
  readonly commitTimeMs: number | null;
  /** The partition was made after the group: where nothing was committed it is read from its beginning. */
  readonly newerThanGroup: boolean;
}

const pageSize = 1_000;
/** Partitions in one ListOffsets. */
const queriesMax = 1_000;

/** Use `client.admin`. Every call rejects with a BrokerError. */
export class Admin {
  readonly #brokers: Brokers;

  constructor(brokers: Brokers) {
    this.#brokers = brokers;
  }

  /**
   * Creates a topic; resolves when it can be used. Rejects with TOPIC_ALREADY_EXISTS, INVALID_TOPIC, INVALID_PARTITIONS,
   * INVALID_REPLICATION_FACTOR, INVALID_CONFIG; `indeterminate` if the connection was lost before the answer came.
   */
  async createTopic(topic: NewTopic, options: CallOptions = {}): Promise<CreatedTopic> {
    const { name, partitions, replicationFactor } = topic;
    const request = { name, partitions, replicationFactor, config: toWireConfig(topic.config ?? {}) };
    const answer = await this.#brokers.call(methods.createTopic, request, options);
    return { ...described(answer.topic), warnings: answer.warnings };
  }

  /**
   * Changes the configuration of a topic: what `change` does not name stays as it is. Resolves with the topic as it is from
   * then on. Rejects with UNKNOWN_TOPIC_OR_PARTITION, INVALID_CONFIG.
   */
  async alterTopic(
    name: string,
    change: TopicConfigChange,
    { topicId, dryRun = false, ...options }: AlterTopicOptions = {},
  ): Promise<TopicDescription> {
    const request = { name, topicId, config: toWireConfig(change), reset: resetKeys(change), dryRun };
    const answer = await this.#brokers.call(methods.alterTopic, request, options);
    return described(answer.topic);
  }

  /** Deletes a topic and its records. With `topicId`: only if the name still belongs to it. */
  async deleteTopic(name: string, options: CallOptions & { readonly topicId?: string } = {}): Promise<void> {
    await this.#brokers.call(methods.deleteTopic, { name, topicId: options.topicId }, options);
  }

  /** Rejects with UNKNOWN_TOPIC_OR_PARTITION. */
  async describeTopic(name: string, options: CallOptions = {}): Promise<TopicDescription> {
    const answer = await this.#brokers.describeTopic(name, options);
    return described(answer.topic);
  }

  /** All topics by name, Sluice's own only with `includeInternal`. */
  async listTopics(options: CallOptions & { readonly includeInternal?: boolean } = {}): Promise<TopicSummary[]> {
    const topics: TopicSummary[] = [];
    let pageToken = '';
    do {
      const request = { includeInternal: options.includeInternal ?? false, pageSize, pageToken };
      const page = await this.#brokers.call(methods.listTopics, request, options);
      topics.push(...page.topics.map(summary));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return topics;
  }

  async describeCluster(options: CallOptions = {}): Promise<ClusterDescription> {
    const answer = await this.#brokers.describeCluster(options);
    return {
      clusterId: answer.clusterId,
      brokers: answer.brokers.map(brokerDescription),
      catalogLeader: answer.catalogLeader ?? null,
      catalogRevision: toNumber(answer.catalogRevision),
      activeVersion: answer.activeVersion,
      topicCount: answer.topicCount,
      partitionCount: answer.partitionCount,
    };
  }

  /**
   * How one broker is, by its own account: the one of that id, or without an id whichever answers. Rejects with
   * INVALID_REQUEST (no such broker), LEADER_NOT_AVAILABLE (it can not be reached).
   */
  async describeBroker(brokerId?: number, options: CallOptions = {}): Promise<BrokerReport> {
    return brokerReport(await this.#brokers.call(methods.describeBroker, { brokerId }, options));
  }

  /** A broker gives its leaderships away and gets no more, also across restarts. Rejects with UNSAFE_OPERATION. */
  async drainBroker(brokerId: number, { dryRun = false, ...options }: OperationOptions = {}): Promise<Impact> {
    return impactOf((await this.#brokers.call(methods.drainBroker, { brokerId, dryRun }, options)).impact);
  }

  /** Ends a drain, or a decommissioning that is not complete. */
  async undrainBroker(brokerId: number, { dryRun = false, ...options }: OperationOptions = {}): Promise<Impact> {
    return impactOf((await this.#brokers.call(methods.undrainBroker, { brokerId, dryRun }, options)).impact);
  }

  /** Moves everything away from a broker and removes it; resolves at once. Call it again to see how far it is. */
  async decommissionBroker(
    brokerId: number,
    { dryRun = false, ...options }: OperationOptions = {},
  ): Promise<Decommissioning> {
    const answer = await this.#brokers.call(methods.decommissionBroker, { brokerId, dryRun }, options);
    return { impact: impactOf(answer.impact), replicasLeft: answer.replicasLeft, removed: answer.removed };
  }

  /**
   * Gives up the disk of a dead broker: the next one with its id and an empty disk takes its place. With `incarnation`:
   * only if it is the broker's disk. Rejects with UNSAFE_OPERATION while the broker is heard of.
   */
  async replaceBroker(
    brokerId: number,
    { dryRun = false, incarnation, ...options }: OperationOptions & { readonly incarnation?: string } = {},
  ): Promise<Impact> {
    const request = { brokerId, incarnation, dryRun };
    return impactOf((await this.#brokers.call(methods.replaceBroker, request, options)).impact);
  }

  /**
   * Places replicas on other brokers; resolves when it is decided. With `supersede` it takes the place of a move that is
   * under way, else it rejects with REASSIGNMENT_IN_PROGRESS.
   */
  async moveReplicas(
    moves: readonly ReplicaMove[],
    { dryRun = false, supersede = false, ...options }: OperationOptions & { readonly supersede?: boolean } = {},
  ): Promise<Impact> {
    const wire = moves.map(({ topic, partition, brokerIds }) => ({ topic, partition, brokerIds: [...brokerIds] }));
    const request = { moves: wire, dryRun, supersede };
    return impactOf((await this.#brokers.call(methods.moveReplicas, request, options)).impact);
  }

  /** Makes the broker's replica the preferred leader; resolves when it leads. */
  async transferLeadership(
    { topic, partition }: TopicPartition,
    brokerId: number,
    { dryRun = false, ...options }: OperationOptions = {},
  ): Promise<Impact> {
    const request = { topic, partition, brokerId, dryRun };
    return impactOf((await this.#brokers.call(methods.transferLeadership, request, options)).impact);
  }

  /** Lets all brokers use the newest format. Resolves with the version that is in force, or would be. */
  async finalizeUpgrade({ dryRun = false, ...options }: OperationOptions = {}): Promise<{
    readonly impact: Impact;
    readonly activeVersion: number;
  }> {
    const answer = await this.#brokers.call(methods.finalizeUpgrade, { dryRun }, options);
    return { impact: impactOf(answer.impact), activeVersion: answer.activeVersion };
  }

  /** Gives a topic more partitions: `partitions` in all. Keys may go to others from then on. */
  async addPartitions(
    name: string,
    partitions: number,
    { dryRun = false, topicId, ...options }: OperationOptions & { readonly topicId?: string } = {},
  ): Promise<Impact> {
    const request = { name, topicId, partitions, dryRun };
    return impactOf((await this.#brokers.call(methods.addPartitions, request, options)).impact);
  }

  /** Changes how many replicas each partition has; resolves when it is decided. */
  async changeReplicationFactor(
    name: string,
    replicationFactor: number,
    { dryRun = false, topicId, ...options }: OperationOptions & { readonly topicId?: string } = {},
  ): Promise<Impact> {
    const request = { name, topicId, replicationFactor, dryRun };
    return impactOf((await this.#brokers.call(methods.changeReplicationFactor, request, options)).impact);
  }

  /**
   * Deletes the records of a partition before `before`; without it all that are committed. Resolves with the first offset
   * that can be read from then on. Rejects with OFFSET_OUT_OF_RANGE (above the high watermark).
   */
  async deleteRecords(
    { topic, partition }: TopicPartition,
    { before, topicId, ...options }: CallOptions & { readonly before?: number; readonly topicId?: string } = {},
  ): Promise<number> {
    const beforeOffset = before === undefined ? undefined : toInt64(before, 'before');
    const request = { topic, topicId, partition, beforeOffset };
    return toNumber((await this.#brokers.call(methods.deleteRecords, request, options)).logStartOffset);
  }

  /** Why a partition, or what is sent to it or read from it, waits. */
  async explain({ topic, partition }: TopicPartition, options: CallOptions = {}): Promise<Explanation> {
    return explanationOf(await this.#brokers.call(methods.explain, { topic, partition }, options));
  }

  /**
   * In the order of the queries. A partition that has no leader just now is asked for again, within the time of the call.
   * Rejects with the first partition's error.
   */
  async listOffsets(queries: readonly OffsetQuery[], options: CallOptions = {}): Promise<FoundOffset[]> {
    const { timeouts } = this.#brokers;
    const deadlineMs = this.#nowMs() + (options.timeoutMs ?? timeouts.totalMs);
    const found: FoundOffset[] = [];
    for (let from = 0; from < queries.length; from += queriesMax)
      found.push(...(await this.#find(queries.slice(from, from + queriesMax), deadlineMs, options.signal)));
    return found;
  }

  /** Asks until every partition has answered, or the time is over. */
  async #find(
    queries: readonly OffsetQuery[],
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly FoundOffset[]> {
    const found = new Map<OffsetQuery, FoundOffset>();
    let refusal: BrokerError | null = null;
    for (let attempt = 0; ; attempt++) {
      const open = queries.filter((query) => !found.has(query));
      const options = {
        timeoutMs: Math.max(1, deadlineMs - this.#nowMs()),
        ...(signal === undefined ? {} : { signal }),
      };
      const { offsets } = await this.#brokers
        .call(methods.listOffsets, { queries: open.map(wireQuery) }, options)
        .catch((error: unknown) => {
          // that a partition has no leader says more than that the time for asking again was over
          throw refusal !== null && BrokerError.is(error, 'REQUEST_TIMED_OUT') ? refusal : error;
        });
      const refused: BrokerError[] = [];
      for (const [at, query] of open.entries()) {
        const answer = foundOffset(offsets[at], query);
        if (!(answer instanceof BrokerError)) found.set(query, answer);
        else if (answer.retriable) refused.push(answer);
        else throw answer;
      }
      const [first] = refused;
      if (first === undefined) return queries.flatMap((query) => found.get(query) ?? []);
      refusal = first;
      const { backoff, environment } = this.#brokers;
      const hintMs = Math.max(0, ...refused.map(({ retryAfterMs }) => retryAfterMs ?? 0));
      const waitMs = backoffMs(attempt, backoff, environment, hintMs);
      if (this.#nowMs() + waitMs >= deadlineMs) throw first;
      await pause(waitMs, environment, signal);
    }
  }

  #nowMs(): number {
    return this.#brokers.environment.clock.monotonicMs();
  }

  /** Committed offsets of a group: of `partitions`, or of all that have one. Rejects with GROUP_ID_NOT_FOUND. */
  async fetchCommitted(
    group: string,
    partitions: readonly TopicPartition[] = [],
    options: CallOptions = {},
  ): Promise<CommittedOffset[]> {
    const byTopic = groupByTopic(partitions);
    const request = { group, partitions: byTopic };
    const answer = await this.#brokers.call(methods.fetchCommitted, request, options);
    return answer.offsets.map(committed);
  }
}

/** The wire's form of a list of partitions. */
export function groupByTopic(
  partitions: readonly TopicPartition[],
): { topic: string; topicId: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const known = topics.get(topic);
    if (known === undefined) topics.set(topic, [partition]);
    else known.push(partition);
  }
  return [...topics].map(([topic, numbers]) => ({ topic, topicId: '', partitions: numbers.sort((a, b) => a - b) }));
}

function summary(topic: WireTopic): TopicSummary {
  const { name, topicId, partitionCount, replicationFactor, internal } = topic;
  const facts = { name, topicId, partitionCount, replicationFactor, internal };
  return { ...facts, createdAtMs: toNumber(topic.createdAtMs), config: fromWireConfig(topic.config) };
}

function described(topic: WireTopic | undefined): TopicDescription {
  if (topic === undefined) throw new BrokerError('INTERNAL', 'The broker answered without the topic.');
  const partitions = topic.partitions.map((partition) => ({
    partition: partition.partition,
    leader: partition.leader ?? null,
    leaderEpoch: partition.leaderEpoch ?? null,
    replicas: partition.replicas,
    inSyncReplicas: partition.inSyncReplicas.length === 0 ? null : partition.inSyncReplicas,
    logStartOffset: toNumberOrNull(partition.logStartOffset),
    highWatermark: toNumberOrNull(partition.highWatermark),
  }));
  return { ...summary(topic), partitions };
}

const wireQuery = ({ topic, partition, at, currentLeaderEpoch: leaderEpoch }: OffsetQuery): WireQuery => ({
  topic,
  partition,
  at: wirePosition(at),
  leaderEpoch,
});

function wirePosition(at: OffsetQuery['at']): WireQuery['at'] {
  if (at === 'earliest') return { $case: 'earliest', value: {} };
  if (at === 'latest') return { $case: 'latest', value: {} };
  if (at === 'max-timestamp') return { $case: 'maxTimestamp', value: {} };
  if ('endOfEpoch' in at) return { $case: 'endOfLeaderEpoch', value: at.endOfEpoch };
  return { $case: 'timestampMs', value: toInt64(at.timestampMs, 'timestampMs') };
}

function foundOffset(found: WireFound | undefined, query: OffsetQuery): FoundOffset | BrokerError {
  if (found === undefined) return new BrokerError('INTERNAL', 'The broker answered fewer queries than were asked.');
  const { topic, partition } = query;
  const { topicId, error } = found;
  if (error !== undefined) return fromDetail(error, { topic, partition }, { indeterminate: false });
  const timestampMs = toNumberOrNull(found.timestampMs);
  return {
    topic,
    topicId,
    partition,
    offset: toNumberOrNull(found.offset),
    timestampMs,
    leaderEpoch: found.leaderEpoch ?? null,
    endedEpoch: found.endedEpoch ?? null,
  };
}

const committed = (wire: WireCommitted): CommittedOffset => ({
  topic: wire.topic,
  topicId: wire.topicId,
  partition: wire.partition,
  offset: toNumberOrNull(wire.offset),
  leaderEpoch: wire.leaderEpoch ?? null,
  metadata: wire.metadata,
  commitTimeMs: toNumberOrNull(wire.commitTimeMs),
  newerThanGroup: wire.newerThanGroup,
});
