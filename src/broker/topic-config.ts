/**
 * How a topic is configured: the settings, their defaults and ranges, and what a change makes of them. Pure.
 *
 * A topic keeps the values that it was created with or changed to, defaults included: another version with other defaults
 * changes no topic that exists.
 */
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { JsonFields } from './json-fields.ts';

export interface TopicConfig {
  /** Milliseconds since a record was appended for which it is kept at least; null: for ever. */
  readonly 'retention.ms': number | null;
  /**
   * Bytes that each partition keeps at least: of encoded batches, and of what lies between them in the log (some ten bytes
   * for each change of the replicas or of the log's start); null: all.
   */
  readonly 'retention.bytes': number | null;
  /** Records that each partition keeps at least; null: all. */
  readonly 'retention.records': number | null;
  /** Replicas that must have a batch before acks=all is answered, and be in sync before it is taken; null: a majority. */
  readonly 'min.insync.replicas': number | null;
  /** Milliseconds that create times may lie before the leader's clock when a batch comes; null: any. */
  readonly 'message.timestamp.before.max.ms': number | null;
  /** The same for create times after it. */
  readonly 'message.timestamp.after.max.ms': number | null;
}

export type TopicConfigKey = keyof TopicConfig;

/** What shall be otherwise; what is in neither stays as it is. */
export interface TopicConfigChange {
  readonly set: Partial<TopicConfig>;
  /** Back to the default; names of settings, which are checked. */
  readonly reset: readonly string[];
}

export const noConfigChange: TopicConfigChange = { set: {}, reset: [] };

/** What a topic has that is created without a word about it. Kafka's defaults. */
export const topicConfigDefault: TopicConfig = {
  'retention.ms': 7 * 24 * 3_600_000,
  'retention.bytes': null,
  'retention.records': null,
  'min.insync.replicas': null,
  'message.timestamp.before.max.ms': null,
  'message.timestamp.after.max.ms': 3_600_000,
};

/** What a topic has that was created before there was a configuration, and Sluice's own: everything is kept, and taken. */
export const topicConfigKeepAll: TopicConfig = {
  'retention.ms': null,
  'retention.bytes': null,
  'retention.records': null,
  'min.insync.replicas': null,
  'message.timestamp.before.max.ms': null,
  'message.timestamp.after.max.ms': null,
};

export const topicConfigKeys = Object.keys(topicConfigDefault) as readonly TopicConfigKey[];

interface Rule {
  readonly from: number;
  readonly through: number;
  readonly unit: string;
  /** What null is. */
  readonly none: string;
}

const anyTime = { from: 0, through: Number.MAX_SAFE_INTEGER, unit: ' milliseconds', none: 'any time' } as const;
const unlimited = { from: 1, through: Number.MAX_SAFE_INTEGER, none: 'no limit' } as const;

/** What each setting may be, unless it is null. */
const rules: Readonly<Record<TopicConfigKey, Rule>> = {
  'retention.ms': { ...unlimited, unit: ' milliseconds' },
  'retention.bytes': { ...unlimited, unit: ' bytes' },
  'retention.records': { ...unlimited, unit: ' records' },
  // refuseInsync knows how many replicas there are
  'min.insync.replicas': { from: 1, through: 7, unit: ' replicas', none: 'a majority' },
  'message.timestamp.before.max.ms': anyTime,
  'message.timestamp.after.max.ms': anyTime,
};

/** The values that a setting may have, if it has one. */
export const topicConfigRange = (key: TopicConfigKey): Pick<Rule, 'from' | 'through'> => rules[key];

/** The configuration after a change, or which setting is wrong, its value and what it may be. */
export function changedConfig(config: TopicConfig, { set, reset }: TopicConfigChange): Result<TopicConfig> {
  const next: Record<TopicConfigKey, number | null> = { ...config };
  for (const name of reset) {
    const key = topicConfigKeys.find((known) => known === name);
    if (key === undefined) return unknownKey(name);
    if (set[key] !== undefined) return bothWays(key, set[key]);
    next[key] = topicConfigDefault[key];
  }
  for (const key of topicConfigKeys) {
    const value = set[key];
    if (value === undefined) continue;
    if (value !== null && !inRange(key, value)) return outOfRange(key, `${value}`);
    next[key] = value;
  }
  return ok(next);
}

export const sameConfig = (one: TopicConfig, other: TopicConfig): boolean =>
  topicConfigKeys.every((key) => one[key] === other[key]);

/** Entries from before there was a configuration have none. */
export function readTopicConfig(fields: JsonFields): TopicConfig {
  const read = (key: TopicConfigKey): number | null => (fields.has(key) ? fields.numberOrNull(key) : null);
  return {
    'retention.ms': read('retention.ms'),
    'retention.bytes': read('retention.bytes'),
    'retention.records': read('retention.records'),
    'min.insync.replicas': read('min.insync.replicas'),
    'message.timestamp.before.max.ms': read('message.timestamp.before.max.ms'),
    'message.timestamp.after.max.ms': read('message.timestamp.after.max.ms'),
  };
}

export function readTopicConfigChange(fields: JsonFields): TopicConfigChange {
  return {
    set: fields.object('set', (set) => {
      const given = topicConfigKeys.filter((key) => set.has(key));
      return Object.fromEntries(given.map((key) => [key, set.numberOrNull(key)]));
    }),
    reset: fields.names('reset'),
  };
}

const inRange = (key: TopicConfigKey, value: number): boolean =>
  Number.isSafeInteger(value) && value >= rules[key].from && value <= rules[key].through;

/** Null: the topic can have as many replicas in sync as it asks for, and asks for no less than a commit needs (design D13). */
export function refuseInsync(config: TopicConfig, replicationFactor: number): Refused | null {
  const asked = config['min.insync.replicas'];
  const majority = Math.floor(replicationFactor / 2) + 1;
  if (asked === null || (asked >= majority && asked <= replicationFactor)) return null;
  const fields = {
    key: 'min.insync.replicas',
    actual: `${asked}`,
    from: `${majority}`,
    through: `${replicationFactor}`,
  };
  const what = `with replication factor ${replicationFactor} min.insync.replicas must be from ${majority} to ${replicationFactor}, or a majority; it is ${asked}`;
  return refuse('INVALID_CONFIG', what, { fields });
}

/** What a value of the setting may be, for people. */
export const topicConfigRule = (key: TopicConfigKey): string =>
  `must be from ${rules[key].from} to ${rules[key].through}${rules[key].unit}, or ${rules[key].none}`;

export const topicConfigFields = (key: TopicConfigKey, value: string): Readonly<Record<string, string>> => ({
  key,
  actual: value,
  from: `${rules[key].from}`,
  through: `${rules[key].through}`,
});

const outOfRange = (key: TopicConfigKey, value: string): Refused =>
  refuse('INVALID_CONFIG', `${key} ${topicConfigRule(key)}; it is ${value}`, { fields: topicConfigFields(key, value) });

const nameCharsShown = 100;

function unknownKey(name: string): Refused {
  const shown = name.slice(0, nameCharsShown);
  const what = `there is no setting "${shown}" of topics; there are ${topicConfigKeys.join(', ')}`;
  return refuse('INVALID_CONFIG', what, { fields: { key: shown } });
}

const bothWays = (key: TopicConfigKey, value: number | null): Refused =>
  refuse('INVALID_CONFIG', `${key} can not be set and go back to its default in one change`, {
    fields: topicConfigFields(key, `${value ?? rules[key].none}`),
  });
