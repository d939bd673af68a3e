/** The flags that say how a topic is configured, for the commands that create and change topics. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { TopicConfigChange } from '../../clients/typescript/src/index.ts';
import { parseBytes, parseSpanMs } from '../runtime/quantity.ts';

/** Not null for no limit: commander takes null for a flag without a value. */
type Limit = number | 'unlimited' | 'default';

export interface TopicFlags {
  readonly retention?: Limit;
  readonly retentionBytes?: Limit;
  readonly retentionRecords?: Limit;
  readonly minInsync?: number | 'majority' | 'default';
  readonly timestampBefore?: Limit;
  readonly timestampAfter?: Limit;
}

const limit =
  (parse: (text: string) => number | null, like: string) =>
  (text: string): Limit => {
    if (text === 'default' || text === 'unlimited') return text;
    const value = parse(text);
    if (value !== null && value >= 1) return value;
    throw new InvalidArgumentError(`Write ${like}, "unlimited" or "default".`);
  };

const spanOf = limit(
  (text) => (/[a-z]$/.test(text) ? parseSpanMs(text) : null),
  'a time with its unit, like 12h or 7d',
);
const bytesOf = limit(parseBytes, 'a size, like 500MB or 10GiB');
const recordsOf = limit((text) => (/^\d+$/.test(text) ? parseBytes(text) : null), 'a whole number from 1 on');

const replicasMax = 7;

function insyncOf(text: string): number | 'majority' | 'default' {
  if (text === 'majority' || text === 'default') return text;
  const count = /^\d$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= replicasMax) return count;
  throw new InvalidArgumentError(`Write a whole number from 1 to ${replicasMax}, "majority" or "default".`);
}

/** Adds the flags; what none of them names has its default, or stays as it is. */
export const addTopicFlags = (command: Command): Command =>
  command
    .option('--retention <time>', 'how long records are kept (7d)', spanOf)
    .option('--retention-bytes <size>', 'how much each partition keeps (unlimited)', bytesOf)
    .option('--retention-records <count>', 'how many records it keeps (unlimited)', recordsOf)
    .option('--min-insync <count>', 'replicas that must have what is acknowledged (majority)', insyncOf)
    .option('--timestamp-before <time>', 'how far timestamps may lie before the clock (unlimited)', spanOf)
    .option('--timestamp-after <time>', 'how far they may lie after it (1h)', spanOf);

/** What the flags ask for; empty: nothing. */
export const topicChange = (flags: TopicFlags): TopicConfigChange => ({
  ...(flags.retention === undefined ? {} : { retentionMs: meant(flags.retention) }),
  ...(flags.retentionBytes === undefined ? {} : { retentionBytes: meant(flags.retentionBytes) }),
  ...(flags.retentionRecords === undefined ? {} : { retentionRecords: meant(flags.retentionRecords) }),
  ...(flags.minInsync === undefined ? {} : { minInsyncReplicas: meant(flags.minInsync) }),
  ...(flags.timestampBefore === undefined ? {} : { timestampBeforeMaxMs: meant(flags.timestampBefore) }),
  ...(flags.timestampAfter === undefined ? {} : { timestampAfterMaxMs: meant(flags.timestampAfter) }),
});

const meant = (given: Limit | 'majority'): number | null | 'default' =>
  given === 'unlimited' || given === 'majority' ? null : given;
