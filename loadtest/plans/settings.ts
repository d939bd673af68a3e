/** What a run can be told beside its profile. The command line and the scripts' environment share names, ranges, defaults. */
import type { ProfileName } from './names.ts';
import { profileNames } from './names.ts';

export const acksNames = ['all', 'leader'] as const;
export type AcksName = (typeof acksNames)[number];

export interface Settings {
  /** Client addresses of the brokers, host:port. At least one. */
  readonly brokers: readonly string[];
  readonly profile: ProfileName;
  readonly acks: AcksName;
  /** Of the topic, range 1 to 100. */
  readonly partitions: number;
  /** Records in each produce call, range 1 to 1,000. */
  readonly records: number;
  /** Of each record, range 1 to 262,144. */
  readonly valueBytes: number;
  /** The topic that the run makes, and the name of its group. */
  readonly topic: string;
  /** Whether the topic stays after the run. */
  readonly keepTopic: boolean;
}

export interface NumberSetting {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

export const numberSettings = {
  partitions: { min: 1, max: 100, default: 12 },
  records: { min: 1, max: 1_000, default: 10 },
  valueBytes: { min: 1, max: 262_144, default: 1_024 },
} as const satisfies Readonly<Record<string, NumberSetting>>;

/** What one produce call may carry: a batch is at most 1 MiB + 64 KiB, and k6 needs it in base64. */
export const callBytesMax = 1_048_576;

/** Names of the environment variables that the scripts read. */
export const variables = {
  brokers: 'SLUICE_BROKERS',
  profile: 'SLUICE_PROFILE',
  acks: 'SLUICE_ACKS',
  partitions: 'SLUICE_PARTITIONS',
  records: 'SLUICE_RECORDS',
  valueBytes: 'SLUICE_VALUE_BYTES',
  topic: 'SLUICE_TOPIC',
  keepTopic: 'SLUICE_KEEP_TOPIC',
  summary: 'SLUICE_SUMMARY',
} as const;

export function isProfile(text: string): text is ProfileName {
  return (profileNames as readonly string[]).includes(text);
}

export function isAcks(text: string): text is AcksName {
  return (acksNames as readonly string[]).includes(text);
}

/** "host:port,host:port" as a list; null: it is none. */
export function brokerList(text: string): readonly string[] | null {
  const all = text.split(',').map((each) => each.trim());
  return all.every(isAddress) ? all : null;
}

function isAddress(text: string): boolean {
  const port = /^(?:[\w.-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})$/.exec(text)?.[1];
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}

/** A whole number within the setting's range; null: it is none. */
export function numberWithin(text: string, { min, max }: NumberSetting): number | null {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  return value >= min && value <= max ? value : null;
}

/** Settings from environment variables, defaults for what is absent. Throws with a sentence about what is wrong. */
export function settingsFrom(environment: Readonly<Record<string, string | undefined>>): Settings {
  const { [variables.profile]: profile = 'smoke', [variables.acks]: acks = 'all' } = environment;
  const { [variables.brokers]: brokersText = '127.0.0.1:9400' } = environment;
  const { [variables.topic]: topic = 'loadtest', [variables.keepTopic]: keep = 'false' } = environment;
  const brokers = brokerList(brokersText);
  if (brokers === null) throw new Error(`${variables.brokers} is "host:port,...", not "${brokersText}".`);
  if (!isProfile(profile)) throw new Error(`${variables.profile} is ${profileNames.join(', ')}, not "${profile}".`);
  if (!isAcks(acks)) throw new Error(`${variables.acks} is ${acksNames.join(' or ')}, not "${acks}".`);
  const number = (name: keyof typeof numberSettings): number => {
    const { [name]: setting } = numberSettings;
    const { [variables[name]]: text = String(setting.default) } = environment;
    const value = numberWithin(text, setting);
    if (value === null) throw new Error(`${variables[name]} is ${setting.min} to ${setting.max}, not "${text}".`);
    return value;
  };
  return {
    brokers,
    profile,
    acks,
    partitions: number('partitions'),
    records: number('records'),
    valueBytes: number('valueBytes'),
    topic,
    keepTopic: keep === 'true',
  };
}

/** The other direction: what settingsFrom reads back. */
export function environmentOf(settings: Settings): Record<string, string> {
  return {
    [variables.brokers]: settings.brokers.join(','),
    [variables.profile]: settings.profile,
    [variables.acks]: settings.acks,
    [variables.partitions]: String(settings.partitions),
    [variables.records]: String(settings.records),
    [variables.valueBytes]: String(settings.valueBytes),
    [variables.topic]: settings.topic,
    [variables.keepTopic]: String(settings.keepTopic),
  };
}
