/** TopicService: form checks and conversion; what topics mean is the catalog's. */
import type { TopicServiceService } from '../gen/sluice/v1/topic.ts';
import type {
  AddPartitionsRequest,
  AddPartitionsResponse,
  ChangeReplicationFactorRequest,
  ChangeReplicationFactorResponse,
  AlterTopicRequest,
  AlterTopicResponse,
  CreateTopicRequest,
  CreateTopicResponse,
  DeleteTopicRequest,
  DeleteTopicResponse,
  DescribeTopicRequest,
  DescribeTopicResponse,
  ListTopicsRequest,
  ListTopicsResponse,
  PartitionDescription,
  TopicDescription,
} from '../gen/sluice/v1/topic.ts';
import type { TopicRef } from '../broker/cluster-operation.ts';
import type { BrokerApi, PartitionInfo, RequestContext, TopicInfo } from '../broker/requests.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import type { CallDesk } from './call-desk.ts';
import { FieldChecks, toInt32, toInt32OrAbsent, toInt64, toInt64OrAbsent } from './convert.ts';
import { toImpact } from './operations.ts';
import type { HandlersOf } from './service.ts';
import { settingsOf, toWireConfig } from './topic-config.ts';

const partitionsRange = { from: 1, through: 1_000 };
const replicationRange = { from: 1, through: 7 };
const resetRange = { from: 0, through: 100 };
const pageSizeRange = { from: 1, through: 10_000 };
const pageSizeDefault = 1_000;

async function createTopic(
  broker: BrokerApi,
  request: CreateTopicRequest,
  context: RequestContext,
): Promise<Result<CreateTopicResponse>> {
  const checks = new FieldChecks();
  const name = checks.topic('name', request.name);
  if (name.startsWith('__'))
    checks.complain('name', 'must not begin with "__", which is kept for Sluice', name, 'INVALID_TOPIC');
  const { partitions: count = 1, replicationFactor: factor } = request;
  if (count < partitionsRange.from || count > partitionsRange.through)
    checks.complain('partitions', 'must be from 1 to 1000', String(count), 'INVALID_PARTITIONS');
  if (factor !== undefined && (factor < replicationRange.from || factor > replicationRange.through))
    checks.complain('replication_factor', 'must be from 1 to 7', String(factor), 'INVALID_REPLICATION_FACTOR');
  const config = { set: settingsOf(checks, request.config), reset: [] };
  const checked = checks.finish({ name, partitions: count, replicationFactor: factor ?? null, config });
  if (checked.kind === 'refused') return checked;
  const created = await broker.createTopic(checked.value, context);
  if (created.kind === 'refused') return created;
  const { topic, partitions, catalogRevision } = created.value;
  return ok({
    topic: toTopicDescription(topic, partitions),
    catalogRevision: toInt64(catalogRevision),
    warnings: warningsOf(topic),
  });
}

/** A majority of an even number is as large as that of the next odd one, so it survives no more than one replica less. */
function warningsOf({ replicationFactor }: TopicInfo): string[] {
  if (replicationFactor % 2 === 1) return [];
  const lost = replicationFactor / 2 - 1;
  const survives = `replication factor ${replicationFactor} survives the loss of ${lost} ${lost === 1 ? 'broker' : 'brokers'}`;
  return [`${survives}, no more than ${replicationFactor - 1} does: choose an odd one`];
}

async function alterTopic(
  broker: BrokerApi,
  request: AlterTopicRequest,
  context: RequestContext,
): Promise<Result<AlterTopicResponse>> {
  const checks = new FieldChecks();
  checks.count('reset', request.reset, resetRange);
  const checked = checks.finish({
    name: checks.topic('name', request.name),
    topicId: checks.topicId('topic_id', request.topicId),
    config: { set: settingsOf(checks, request.config), reset: request.reset },
    dryRun: request.dryRun,
  });
  if (checked.kind === 'refused') return checked;
  const altered = await broker.alterTopic(checked.value, context);
  if (altered.kind === 'refused') return altered;
  const { topic, partitions, catalogRevision } = altered.value;
  return ok({ topic: toTopicDescription(topic, partitions), catalogRevision: toInt64(catalogRevision) });
}

async function deleteTopic(
  broker: BrokerApi,
  request: DeleteTopicRequest,
  context: RequestContext,
): Promise<Result<DeleteTopicResponse>> {
  const checks = new FieldChecks();
  const checked = checks.finish({
    name: checks.topic('name', request.name),
    topicId: checks.topicId('topic_id', request.topicId),
  });
  if (checked.kind === 'refused') return checked;
  const deleted = await broker.deleteTopic(checked.value, context);
  if (deleted.kind === 'refused') return deleted;
  return ok({ catalogRevision: toInt64(deleted.value.catalogRevision) });
}

export async function describeTopic(
  broker: BrokerApi,
  request: DescribeTopicRequest,
  context: RequestContext,
): Promise<Result<DescribeTopicResponse>> {
  const checks = new FieldChecks();
  const name = checks.finish(checks.topic('name', request.name));
  if (name.kind === 'refused') return name;
  const described = await broker.describeTopic(name.value, context);
  if (described.kind === 'refused') return described;
  const { topic, partitions, brokers, catalogRevision } = described.value;
  return ok({
    topic: toTopicDescription(topic, partitions),
    catalogRevision: toInt64(catalogRevision),
    brokers: brokers.map(({ brokerId, address }) => ({ brokerId: toInt32(brokerId), address })),
  });
}

async function listTopics(
  broker: BrokerApi,
  request: ListTopicsRequest,
  context: RequestContext,
): Promise<Result<ListTopicsResponse>> {
  const checks = new FieldChecks();
  const page = checks.finish({
    includeInternal: request.includeInternal,
    limit: checks.integerOr('page_size', request.pageSize, pageSizeRange, pageSizeDefault),
    // the token is the name of the last topic of the page before
    after: request.pageToken === '' ? '' : checks.topic('page_token', request.pageToken),
  });
  if (page.kind === 'refused') return page;
  const listed = await broker.listTopics(page.value, context);
  if (listed.kind === 'refused') return listed;
  const { topics, more, catalogRevision } = listed.value;
  return ok({
    topics: topics.map((topic) => toTopicDescription(topic, [])),
    nextPageToken: more ? (topics.at(-1)?.name ?? '') : '',
    catalogRevision: toInt64(catalogRevision),
  });
}

async function addPartitions(
  broker: BrokerApi,
  request: AddPartitionsRequest,
  context: RequestContext,
): Promise<Result<AddPartitionsResponse>> {
  const checks = new FieldChecks();
  const topic = topicRef(checks, request, context);
  const { partitions } = request;
  if (partitions < partitionsRange.from || partitions > partitionsRange.through)
    checks.complain('partitions', 'must be from 1 to 1000', String(partitions), 'INVALID_PARTITIONS');
  const checked = checks.finish({ kind: 'add-partitions', topic, partitions } as const);
  if (checked.kind === 'refused') return checked;
  const done = await broker.operate(checked.value, request.dryRun, context);
  if (done.kind === 'refused') return done;
  const described = await broker.describeTopic(request.name, context);
  // it was there a moment ago; whoever deleted it meanwhile made the description void, not the growth
  const description =
    described.kind === 'ok' ? toTopicDescription(described.value.topic, described.value.partitions) : undefined;
  const { impact, catalogRevision } = done.value;
  return ok({ impact: toImpact(impact), topic: description, catalogRevision: toInt64(catalogRevision) });
}

async function changeReplicationFactor(
  broker: BrokerApi,
  request: ChangeReplicationFactorRequest,
  context: RequestContext,
): Promise<Result<ChangeReplicationFactorResponse>> {
  const checks = new FieldChecks();
  const topic = topicRef(checks, request, context);
  const { replicationFactor } = request;
  if (replicationFactor < replicationRange.from || replicationFactor > replicationRange.through)
    checks.complain(
      'replication_factor',
      'must be from 1 to 7',
      String(replicationFactor),
      'INVALID_REPLICATION_FACTOR',
    );
  const checked = checks.finish({ kind: 'change-replication-factor', topic, replicationFactor } as const);
  if (checked.kind === 'refused') return checked;
  const done = await broker.operate(checked.value, request.dryRun, context);
  if (done.kind === 'refused') return done;
  return ok({ impact: toImpact(done.value.impact), catalogRevision: toInt64(done.value.catalogRevision) });
}

const topicRef = (
  checks: FieldChecks,
  { name, topicId }: { readonly name: string; readonly topicId?: string | undefined },
  { tenant }: RequestContext,
): TopicRef => ({ tenant, name: checks.topic('name', name), topicId: checks.topicId('topic_id', topicId) });

function toTopicDescription(topic: TopicInfo, partitions: readonly PartitionInfo[]): TopicDescription {
  return {
    name: topic.name,
    topicId: topic.topicId,
    partitions: partitions.map(toPartitionDescription),
    partitionCount: toInt32(topic.partitionCount),
    replicationFactor: toInt32(topic.replicationFactor),
    internal: topic.internal,
    createdAtMs: toInt64(topic.createdAtMs),
    config: toWireConfig(topic.config),
  };
}

function toPartitionDescription(info: PartitionInfo): PartitionDescription {
  return {
    partition: toInt32(info.partition),
    leader: toInt32OrAbsent(info.leader),
    leaderEpoch: toInt32OrAbsent(info.leaderEpoch),
    replicas: info.replicas.map(toInt32),
    logStartOffset: toInt64OrAbsent(info.logStart),
    highWatermark: toInt64OrAbsent(info.highWatermark),
    inSyncReplicas: info.inSync.map(toInt32),
  };
}

/** The methods of TopicService. */
export function topicHandlers(desk: CallDesk, broker: () => BrokerApi): HandlersOf<typeof TopicServiceService> {
  return {
    createTopic: desk.unary((request, context) => createTopic(broker(), request, context)),
    alterTopic: desk.unary((request, context) => alterTopic(broker(), request, context)),
    deleteTopic: desk.unary((request, context) => deleteTopic(broker(), request, context)),
    describeTopic: desk.unary((request, context) => describeTopic(broker(), request, context)),
    listTopics: desk.unary((request, context) => listTopics(broker(), request, context)),
    addPartitions: desk.unary((request, context) => addPartitions(broker(), request, context)),
    changeReplicationFactor: desk.unary((request, context) => changeReplicationFactor(broker(), request, context)),
  };
}
