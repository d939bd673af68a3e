/** Topics in JSON, with the names of the API, and as tables. */
import type { PartitionDescription, TopicDescription, TopicSummary } from '../../clients/typescript/src/index.ts';
import { int64 } from './output-format.ts';
import type { Json } from './output-format.ts';
import { facts, table } from './output-table.ts';
import type { Column, Layout } from './output-table.ts';

export const summaryJson = (topic: TopicSummary): { readonly [key: string]: Json } => ({
  name: topic.name,
  topicId: topic.topicId,
  partitionCount: topic.partitionCount,
  replicationFactor: topic.replicationFactor,
  internal: topic.internal,
  createdAtMs: int64(topic.createdAtMs),
  config: {
    retentionMs: int64(topic.config.retentionMs),
    retentionBytes: int64(topic.config.retentionBytes),
    retentionRecords: int64(topic.config.retentionRecords),
    minInsyncReplicas: topic.config.minInsyncReplicas,
    timestampBeforeMaxMs: int64(topic.config.timestampBeforeMaxMs),
    timestampAfterMaxMs: int64(topic.config.timestampAfterMaxMs),
  },
});

export const topicJson = (topic: TopicDescription): Json => ({
  ...summaryJson(topic),
  partitions: topic.partitions.map((partition) => ({
    partition: partition.partition,
    leader: partition.leader,
    leaderEpoch: partition.leaderEpoch,
    replicas: partition.replicas,
    inSyncReplicas: partition.inSyncReplicas,
    logStartOffset: int64(partition.logStartOffset),
    highWatermark: int64(partition.highWatermark),
  })),
});

export const timeOf = (millis: number): string => new Date(millis).toISOString();

export const topicFacts = (topic: TopicSummary, layout: Layout): string =>
  facts(
    [
      ['topic', topic.name],
      ['id', topic.topicId],
      ['partitions', topic.partitionCount],
      ['replication factor', topic.replicationFactor],
      ['created', timeOf(topic.createdAtMs)],
      ['retention', retentionOf(topic.config.retentionMs, spanText)],
      ['retention bytes', retentionOf(topic.config.retentionBytes, String)],
      ['retention records', retentionOf(topic.config.retentionRecords, String)],
      ['min in-sync replicas', topic.config.minInsyncReplicas ?? 'majority'],
      ['timestamps before', retentionOf(topic.config.timestampBeforeMaxMs, spanText)],
      ['timestamps after', retentionOf(topic.config.timestampAfterMaxMs, spanText)],
    ],
    layout,
  );

const retentionOf = (limit: number | null, text: (limit: number) => string): string =>
  limit === null ? 'unlimited' : text(limit);

const spanUnits = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** In the largest unit that it is a whole number of. */
function spanText(millis: number): string {
  const [unit, size] = spanUnits.find(([, each]) => millis % each === 0) ?? ['ms', 1];
  return `${millis / size}${unit}`;
}

const summaryColumns: readonly Column<TopicSummary>[] = [
  { title: 'topic', cell: ({ name }) => name },
  { title: 'partitions', align: 'right', cell: ({ partitionCount }) => partitionCount },
  { title: 'replicas', align: 'right', cell: ({ replicationFactor }) => replicationFactor },
  { title: 'created', cell: ({ createdAtMs }) => timeOf(createdAtMs) },
  { title: 'retention', wide: true, cell: ({ config }) => retentionOf(config.retentionMs, spanText) },
  { title: 'id', wide: true, cell: ({ topicId }) => topicId },
];

export const topicTable = (topics: readonly TopicSummary[], layout: Layout): string =>
  table(summaryColumns, topics, layout);

const partitionColumns: readonly Column<PartitionDescription>[] = [
  { title: 'partition', align: 'right', cell: ({ partition }) => partition },
  { title: 'leader', align: 'right', cell: ({ leader }) => leader },
  { title: 'epoch', align: 'right', cell: ({ leaderEpoch }) => leaderEpoch },
  { title: 'replicas', cell: ({ replicas }) => replicas.join(',') },
  { title: 'in sync', cell: ({ inSyncReplicas }) => inSyncReplicas?.join(',') ?? '?' },
  { title: 'log start', align: 'right', cell: ({ logStartOffset }) => logStartOffset },
  { title: 'high watermark', align: 'right', cell: ({ highWatermark }) => highWatermark },
];

export const partitionTable = (partitions: readonly PartitionDescription[], layout: Layout): string =>
  table(partitionColumns, partitions, layout);
