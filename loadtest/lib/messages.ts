/**
 * The messages of `sluice.v1` that the scripts use, in protobuf's JSON form, which is what k6 speaks: int64 come as strings,
 * bytes are base64, what is optional and absent does not come at all.
 */

export interface PartitionDescription {
  readonly partition: number;
  readonly leader?: number;
}

export interface TopicDescription {
  readonly name: string;
  readonly partitions: readonly PartitionDescription[];
}

export interface BrokerAddress {
  readonly brokerId: number;
  readonly address: string;
}

export interface LeaderHint {
  readonly address: string;
}

export interface RecordIn {
  readonly key?: string;
  readonly value: string;
  readonly timestampMs: string;
}

export interface RecordOut {
  readonly timestampMs?: string;
  readonly offset?: string;
}

export interface ErrorDetail {
  readonly code: string;
  readonly retriable: boolean;
  readonly indeterminate: boolean;
  readonly message: string;
  readonly leaderHint?: LeaderHint;
}

export interface FetchedPartition {
  readonly partition: number;
  readonly error?: ErrorDetail;
  readonly highWatermark?: string;
  readonly records?: { readonly records: readonly RecordOut[] };
  readonly recordBatches?: string;
  readonly nextOffset?: string;
}

export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export interface MemberDescription {
  readonly memberId: string;
  readonly assigned: readonly TopicPartitions[];
  readonly revoking: readonly TopicPartitions[];
}

interface ProduceTarget {
  readonly topic: string;
  readonly partition: number;
  readonly acks: 'ACKS_ALL' | 'ACKS_LEADER';
}

interface OwnMember {
  readonly group: string;
  readonly memberId: string;
  readonly memberEpoch: number;
}

/** Unary calls by name. */
export interface Calls {
  CreateTopic: {
    request: { readonly name: string; readonly partitions: number; readonly replicationFactor: number };
    reply: { readonly topic: TopicDescription | null };
  };
  DescribeTopic: {
    request: { readonly name: string };
    reply: { readonly topic: TopicDescription | null; readonly brokers: readonly BrokerAddress[] };
  };
  DeleteTopic: { request: { readonly name: string }; reply: object };
  Produce: {
    request: ProduceTarget &
      ({ readonly records: { readonly records: readonly RecordIn[] } } | { readonly recordBatch: string });
    reply: { readonly leader?: LeaderHint; readonly committed: boolean };
  };
  Fetch: {
    request: {
      readonly partitions: readonly {
        readonly topic: string;
        readonly partition: number;
        readonly fetchOffset: string;
        readonly maxBytes: number;
      }[];
      readonly maxWaitMs: number;
      readonly format: 'FETCH_FORMAT_RECORDS' | 'FETCH_FORMAT_RECORD_BATCHES';
    };
    reply: { readonly partitions: readonly FetchedPartition[] };
  };
  ListOffsets: {
    request: {
      readonly queries: readonly { readonly topic: string; readonly partition: number; readonly latest: object }[];
    };
    reply: {
      readonly offsets: readonly {
        readonly partition: number;
        readonly error?: ErrorDetail;
        readonly offset?: string;
      }[];
    };
  };
  JoinGroup: {
    request: {
      readonly group: string;
      readonly topics: readonly string[];
      readonly clientId: string;
      readonly joinId: string;
    };
    reply: {
      readonly memberId: string;
      readonly memberEpoch: number;
      readonly assignment: readonly TopicPartitions[];
      readonly heartbeatIntervalMs: string;
    };
  };
  Heartbeat: {
    request: OwnMember & { readonly owned: readonly TopicPartitions[] };
    reply: {
      readonly memberEpoch: number;
      readonly assignment?: { readonly partitions: readonly TopicPartitions[] };
      readonly heartbeatIntervalMs: string;
    };
  };
  LeaveGroup: { request: OwnMember; reply: object };
  Commit: {
    request: OwnMember & {
      readonly sequence: string;
      readonly offsets: readonly { readonly topic: string; readonly partition: number; readonly offset: string }[];
    };
    reply: { readonly partitions: readonly { readonly partition: number; readonly error?: ErrorDetail }[] };
  };
  FetchCommitted: {
    request: { readonly group: string; readonly partitions: readonly TopicPartitions[] };
    reply: { readonly offsets: readonly { readonly partition: number; readonly offset?: string }[] };
  };
  DescribeGroup: {
    request: { readonly group: string };
    reply: { readonly members: readonly MemberDescription[]; readonly coordinator: number };
  };
}

export type UnaryName = keyof Calls;
