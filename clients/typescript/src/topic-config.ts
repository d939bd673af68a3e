/** The configuration of a topic, and how it travels. */
import type {
  InsyncReplicas,
  RetentionLimit,
  TimestampLimit,
  TopicConfig as WireConfig,
} from './gen/sluice/v1/topic.ts';
import { toInt64, toNumber } from './int64.ts';

/**
 * What a topic keeps (a record goes as soon as one of the limits lets it go; null: no limit), and how many replicas must
 * have what is acknowledged.
 */
export interface TopicConfig {
  /** Milliseconds since the record was appended. Range 1 to 2^53-1, default 7 days. */
  readonly retentionMs: number | null;
  /** Bytes of encoded batches in each partition. Range 1 to 2^53-1, default no limit. */
  readonly retentionBytes: number | null;
  /** Records in each partition. Range 1 to 2^53-1, default no limit. */
  readonly retentionRecords: number | null;
  /**
   * Replicas, the leader included, that must have a batch durably before `acks: 'all'` is answered, and must be in sync before
   * it is taken. From a majority of the replication factor to all of it; null, the default: a majority.
   */
  readonly minInsyncReplicas: number | null;
  /**
   * Milliseconds that a record's timestamp may lie before the leader's clock; older ones are refused with INVALID_TIMESTAMP.
   * Range 0 to 2^53-1, default any (null).
   */
  readonly timestampBeforeMaxMs: number | null;
  /** The same for timestamps after it. Default 1 hour. */
  readonly timestampAfterMaxMs: number | null;
}

/** What shall be otherwise: a value, null for no limit or a majority, 'default' for the default. */
export type TopicConfigChange = { readonly [Key in keyof TopicConfig]?: TopicConfig[Key] | 'default' };

const wireKeys = {
  retentionMs: 'retention.ms',
  retentionBytes: 'retention.bytes',
  retentionRecords: 'retention.records',
  minInsyncReplicas: 'min.insync.replicas',
  timestampBeforeMaxMs: 'message.timestamp.before.max.ms',
  timestampAfterMaxMs: 'message.timestamp.after.max.ms',
} as const satisfies Record<keyof TopicConfig, string>;

const keys = Object.keys(wireKeys) as readonly (keyof TopicConfig)[];

/** The settings that go back to their default. */
export const resetKeys = (change: TopicConfigChange): string[] =>
  keys.filter((key) => change[key] === 'default').map((key) => wireKeys[key]);

/** The settings that get a value. */
export const toWireConfig = (change: TopicConfigChange): WireConfig => ({
  retentionMs: toWireLimit(change.retentionMs, 'retentionMs'),
  retentionBytes: toWireLimit(change.retentionBytes, 'retentionBytes'),
  retentionRecords: toWireLimit(change.retentionRecords, 'retentionRecords'),
  minInsyncReplicas: toWireInsync(change.minInsyncReplicas),
  messageTimestampBeforeMaxMs: toWireBound(change.timestampBeforeMaxMs, 'timestampBeforeMaxMs'),
  messageTimestampAfterMaxMs: toWireBound(change.timestampAfterMaxMs, 'timestampAfterMaxMs'),
});

/** A broker that does not tell knows no limits. */
export const fromWireConfig = (config: WireConfig | undefined): TopicConfig => ({
  retentionMs: fromWireLimit(config?.retentionMs),
  retentionBytes: fromWireLimit(config?.retentionBytes),
  retentionRecords: fromWireLimit(config?.retentionRecords),
  minInsyncReplicas:
    config?.minInsyncReplicas?.count?.$case === 'atLeast' ? config.minInsyncReplicas.count.value : null,
  timestampBeforeMaxMs: fromWireBound(config?.messageTimestampBeforeMaxMs),
  timestampAfterMaxMs: fromWireBound(config?.messageTimestampAfterMaxMs),
});

function toWireLimit(limit: number | 'default' | null | undefined, what: string): RetentionLimit | undefined {
  if (limit === undefined || limit === 'default') return undefined;
  if (limit === null) return { limit: { $case: 'none', value: {} } };
  return { limit: { $case: 'atLeast', value: toInt64(limit, what) } };
}

function toWireBound(limit: number | 'default' | null | undefined, what: string): TimestampLimit | undefined {
  if (limit === undefined || limit === 'default') return undefined;
  if (limit === null) return { limit: { $case: 'none', value: {} } };
  return { limit: { $case: 'atMost', value: toInt64(limit, what) } };
}

const fromWireBound = (wire: TimestampLimit | undefined): number | null =>
  wire?.limit?.$case === 'atMost' ? toNumber(wire.limit.value) : null;

function toWireInsync(count: number | 'default' | null | undefined): InsyncReplicas | undefined {
  if (count === undefined || count === 'default') return undefined;
  if (count === null) return { count: { $case: 'majority', value: {} } };
  return { count: { $case: 'atLeast', value: count } };
}

const fromWireLimit = (wire: RetentionLimit | undefined): number | null =>
  wire?.limit?.$case === 'atLeast' ? toNumber(wire.limit.value) : null;
