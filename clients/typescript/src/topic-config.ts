/** The configuration of a topic, and how it travels. */
import type { RetentionLimit, TopicConfig as WireConfig } from './gen/sluice/v1/topic.ts';
import { toInt64, toNumber } from './int64.ts';

/** What a topic keeps; a record goes as soon as one of the limits lets it go. Null: no limit. */
export interface TopicConfig {
  /** Milliseconds since the record was appended. Range 1 to 2^53-1, default 7 days. */
  readonly retentionMs: number | null;
  /** Bytes of encoded batches in each partition. Range 1 to 2^53-1, default no limit. */
  readonly retentionBytes: number | null;
  /** Records in each partition. Range 1 to 2^53-1, default no limit. */
  readonly retentionRecords: number | null;
}

/** What shall be otherwise: a value, null for no limit, 'default' for the default. */
export type TopicConfigChange = { readonly [Key in keyof TopicConfig]?: TopicConfig[Key] | 'default' };

const wireKeys = {
  retentionMs: 'retention.ms',
  retentionBytes: 'retention.bytes',
  retentionRecords: 'retention.records',
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
});

/** A broker that does not tell knows no limits. */
export const fromWireConfig = (config: WireConfig | undefined): TopicConfig => ({
  retentionMs: fromWireLimit(config?.retentionMs),
  retentionBytes: fromWireLimit(config?.retentionBytes),
  retentionRecords: fromWireLimit(config?.retentionRecords),
});

function toWireLimit(limit: number | 'default' | null | undefined, what: string): RetentionLimit | undefined {
  if (limit === undefined || limit === 'default') return undefined;
  if (limit === null) return { limit: { $case: 'none', value: {} } };
  return { limit: { $case: 'atLeast', value: toInt64(limit, what) } };
}

const fromWireLimit = (wire: RetentionLimit | undefined): number | null =>
  wire?.limit?.$case === 'atLeast' ? toNumber(wire.limit.value) : null;
