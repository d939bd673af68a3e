/** The configuration of a topic between the contract and the model. */
import type { RetentionLimit, TopicConfig as WireConfig } from '../gen/sluice/v1/topic.ts';
import type { TopicConfig, TopicConfigKey } from '../broker/topic-config.ts';
import { topicConfigFields, topicConfigRange, topicConfigRule } from '../broker/topic-config.ts';
import type { FieldChecks } from './convert.ts';
import { toInt64 } from './convert.ts';

/** The settings that a request names; absent: none. */
export function settingsOf(checks: FieldChecks, config: WireConfig | undefined): Partial<TopicConfig> {
  if (config === undefined) return {};
  return {
    ...settingOf(checks, 'retention.ms', config.retentionMs),
    ...settingOf(checks, 'retention.bytes', config.retentionBytes),
    ...settingOf(checks, 'retention.records', config.retentionRecords),
  };
}

function settingOf(
  checks: FieldChecks,
  key: TopicConfigKey,
  wire: RetentionLimit | undefined,
): Partial<Record<TopicConfigKey, number | null>> {
  if (wire === undefined) return {};
  const { limit } = wire;
  if (limit?.$case === 'none') return { [key]: null };
  const { from, through } = topicConfigRange;
  if (limit !== undefined && limit.value >= BigInt(from) && limit.value <= BigInt(through))
    return { [key]: Number(limit.value) };
  const actual = limit === undefined ? 'neither' : String(limit.value);
  checks.complain(key, topicConfigRule(key), actual, 'INVALID_CONFIG', topicConfigFields(key, actual));
  return {};
}

/** Every setting, as descriptions have it. */
export const toWireConfig = (config: TopicConfig): WireConfig => ({
  retentionMs: toWireLimit(config['retention.ms']),
  retentionBytes: toWireLimit(config['retention.bytes']),
  retentionRecords: toWireLimit(config['retention.records']),
});

const toWireLimit = (limit: number | null): RetentionLimit => ({
  limit: limit === null ? { $case: 'none', value: {} } : { $case: 'atLeast', value: toInt64(limit) },
});
