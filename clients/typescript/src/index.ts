/** @sluice/client: the client of the Sluice broker. JavaScript and WASM only. */
export { Client } from './client.ts';
export type { ClientOptions } from './client.ts';
export type { CallOptions, Timeouts } from './brokers.ts';
export type { BackoffOptions } from './backoff.ts';
export type { Environment } from './environment.ts';
export { BrokerError, clientErrorCodes } from './errors.ts';
export type { BrokerErrorDetails, ClientErrorCode, ErrorCode, LeaderHint } from './errors.ts';
export { Producer, PartialSendError } from './producer.ts';
export type { SendOptions } from './producer.ts';
export type { BatchOptions, Partitioner, ProducerOptions } from './producer-options.ts';
export type { RecordMeta } from './delivery.ts';
export { Admin } from './admin.ts';
export type { Explanation, Stall, StallReason } from './explanation.ts';
export type { TopicConfig, TopicConfigChange } from './topic-config.ts';
export type {
  BrokerDescription,
  BrokerReport,
  DiskDescription,
  EventLoopDelay,
  PeerDescription,
  QuarantinedReplica,
  ReplicaCounts,
  RuntimeDescription,
} from './broker-report.ts';
export type {
  AlterTopicOptions,
  ClusterDescription,
  CommittedOffset,
  FoundOffset,
  NewTopic,
  OffsetQuery,
  PartitionDescription,
  CreatedTopic,
  TopicDescription,
  TopicPartition,
  TopicSummary,
} from './admin.ts';
export type { Decommissioning, Impact, OperationOptions, PartitionAtRisk, ReplicaMove } from './operations.ts';
export type {
  Groups,
  GroupDetails,
  GroupList,
  GroupMember,
  GroupPhase,
  GroupSummary,
  PartitionLag,
  Rebalance,
} from './groups.ts';
export { serdes, topic } from './serde.ts';
export type { Bytes, Serde, SerdeContext, Topic } from './serde.ts';
export { Consumer } from './consumer.ts';
export type { BatchesOptions, CloseOptions, IterateOptions } from './consumer.ts';
export type {
  DeadLetterOptions,
  Handler,
  HandlerContext,
  HandlerRetryOptions,
  OrderBy,
  RunOptions,
} from './run-options.ts';
export type { ConsumerStatus, HandlerTrouble, PartitionStalled } from './consumer-status.ts';
export type { StatusesMissed, StatusOptions } from './status.ts';
export type { ClientStatus } from './client-status.ts';
export type { CommitTrace, FetchTrace, ProcessTrace, ProduceTrace, RpcTrace } from './tracing.ts';
export type { ConsumerOptions, DecodeErrorAction, FetchOptions } from './consumer-options.ts';
export type { TopicPartitionOffset } from './committer.ts';
export type { OffsetPolicy } from './start-offsets.ts';
export { Reader } from './reader.ts';
export type { ReaderOptions } from './reader.ts';
export { InRecord } from './record.ts';
export type { OutRecord, RecordBatch, RecordFields } from './record.ts';
export { resumeTokenFile } from './resume-token.ts';
export type { ResumeTokenStorage } from './resume-token.ts';
