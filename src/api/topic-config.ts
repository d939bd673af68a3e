/** The configuration of a topic between the contract and the model. */
import type {
  InsyncReplicas,
  RetentionLimit,
  TimestampLimit,
  TopicConfig as WireConfig,
} from '../gen/sluice/v1/topic.ts';
import type { TopicConfig, TopicConfigKey } from '../broker/topic-config.ts';
import { topicConfigFields, topicConfigRange, topicConfigRule } from '../broker/topic-config.ts';
import type { FieldChecks } from './convert.ts';
import { toInt32, toInt64 } from './convert.ts';

/** The settings that a request names; absent: none. */
export function settingsOf(checks: FieldChecks, config: WireConfig | undefined): Partial<TopicConfig> {
  if (config === undefined) return {};
  return {
    ...settingOf(checks, 'retention.ms', config.retentionMs),
    ...settingOf(checks, 'retention.bytes', config.retentionBytes),
    ...settingOf(checks, 'retention.records', config.retentionRecords),
    ...insyncOf(checks, config.minInsyncReplicas),
    ...settingOf(checks, 'message.timestamp.before.max.ms', config.messageTimestampBeforeMaxMs),
    ...settingOf(checks, 'message.timestamp.after.max.ms', config.messageTimestampAfterMaxMs),
  };
}

function insyncOf(checks: FieldChecks, wire: InsyncReplicas | undefined): Partial<TopicConfig> {
  if (wire === undefined) return {};
  const { count } = wire;
  if (count === undefined) return settingOf(checks, 'min.insync.replicas', { limit: undefined });
  const limit = count.$case === 'majority' ? null : count.value;
  return valueOf(checks, 'min.insync.replicas', limit, String(limit));
}

function settingOf(
  checks: FieldChecks,
  key: TopicConfigKey,
  wire: RetentionLimit | TimestampLimit | undefined,
): Partial<Record<TopicConfigKey, number | null>> {
  if (wire === undefined) return {};
  const { limit } = wire;
  if (limit === undefined) return valueOf(checks, key, NaN, 'neither');
  if (limit.$case === 'none') return { [key]: null };
  // a value beyond 2^53 must not be rounded into the range
  const isSafe = BigInt.asIntN(54, limit.value) === limit.value;
  return valueOf(checks, key, isSafe ? Number(limit.value) : NaN, String(limit.value));
}

function valueOf(
  checks: FieldChecks,
  key: TopicConfigKey,
  value: number | null,
  actual: string,
): Partial<Record<TopicConfigKey, number | null>> {
  const { from, through } = topicConfigRange(key);
  if (value === null || (value >= from && value <= through)) return { [key]: value };
  checks.complain(key, topicConfigRule(key), actual, 'INVALID_CONFIG', topicConfigFields(key, actual));
  return {};
}

/** Every setting, as descriptions have it. */
export const toWireConfig = (config: TopicConfig): WireConfig => ({
  retentionMs: toWireLimit(config['retention.ms']),
  retentionBytes: toWireLimit(config['retention.bytes']),
  retentionRecords: toWireLimit(config['retention.records']),
  minInsyncReplicas: toWireInsync(config['min.insync.replicas']),
  messageTimestampBeforeMaxMs: toWireBound(config['message.timestamp.before.max.ms']),
  messageTimestampAfterMaxMs: toWireBound(config['message.timestamp.after.max.ms']),
});

const toWireBound = (limit: number | null): TimestampLimit => ({
  limit: limit === null ? { $case: 'none', value: {} } : { $case: 'atMost', value: toInt64(limit) },
});

const toWireInsync = (count: number | null): InsyncReplicas => ({
  count: count === null ? { $case: 'majority', value: {} } : { $case: 'atLeast', value: toInt32(count) },
});

const toWireLimit = (limit: number | null): RetentionLimit => ({
  limit: limit === null ? { $case: 'none', value: {} } : { $case: 'atLeast', value: toInt64(limit) },
});
