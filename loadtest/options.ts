/** The command line of `npm run loadtest`. */
import { parseArgs } from 'node:util';
import type { ProfileName, ScriptName } from './plans/names.ts';
import { profileNames, scriptNames } from './plans/names.ts';
import type { AcksName, NumberSetting } from './plans/settings.ts';
import {
  acksNames,
  brokerList,
  callBytesMax,
  isAcks,
  isProfile,
  numberSettings,
  numberWithin,
} from './plans/settings.ts';

export interface RunOptions {
  readonly kind: 'run';
  /** In this order. */
  readonly scripts: readonly ScriptName[];
  readonly profile: ProfileName;
  /** Null: three brokers of its own. */
  readonly brokers: readonly string[] | null;
  readonly acks: AcksName;
  readonly partitions: number;
  readonly records: number;
  readonly valueBytes: number;
  readonly keepTopic: boolean;
  /** Folder of the summaries. */
  readonly out: string;
  /** Where k6 writes its series while it runs, Prometheus' remote write; null: nowhere. */
  readonly prometheus: string | null;
}

export type ParsedOptions =
  RunOptions | { readonly kind: 'help' } | { readonly kind: 'wrong'; readonly message: string };

const outDefault = '.cache/loadtest';
const { partitions, records, valueBytes } = numberSettings;

export const usage = `npm run loadtest -- <script> [options]

  <script>                    ${scriptNames.join(', ')}, or all
  --profile <name>            ${profileNames.join(', ')} (default: smoke)
  --brokers <host:port,...>   a cluster that runs already (default: three brokers of its own)
  --acks <name>               ${acksNames.join(' or ')} (default: all)
  --partitions <n>            ${partitions.min} to ${partitions.max} (default: ${partitions.default})
  --records <n>               in each produce call, ${records.min} to ${records.max} (default: ${records.default})
  --value-bytes <n>           of each record, ${valueBytes.min} to ${valueBytes.max} (default: ${valueBytes.default})
  --keep-topic                leaves the topic of the run in the cluster
  --out <folder>              for the summaries, JSON and Markdown (default: ${outDefault})
  --prometheus <url>          k6 writes its series there while it runs (remote write)
`;

const wrong = (message: string): ParsedOptions => ({ kind: 'wrong', message });

export function parseOptions(args: readonly string[]): ParsedOptions {
  const parsed = parsedArgs(args);
  if (typeof parsed === 'string') return wrong(parsed);
  const { values, positionals } = parsed;
  if (values.help) return { kind: 'help' };
  const scripts = scriptsOf(positionals);
  if (typeof scripts === 'string') return wrong(scripts);
  const { profile, acks } = values;
  if (!isProfile(profile)) return wrong(`--profile is ${list(profileNames)}, not "${profile}".`);
  if (!isAcks(acks)) return wrong(`--acks is ${list(acksNames)}, not "${acks}".`);
  const brokers = values.brokers === undefined ? null : brokerList(values.brokers);
  if (values.brokers !== undefined && brokers === null)
    return wrong(`--brokers is host:port, several with commas between them, not "${values.brokers}".`);
  const sizes = sizesOf(values);
  if (typeof sizes === 'string') return wrong(sizes);
  const prometheus = values.prometheus ?? null;
  if (prometheus !== null && !isHttp(prometheus)) return wrong(`--prometheus is an http URL, not "${prometheus}".`);
  const { 'keep-topic': keepTopic, out } = values;
  if (keepTopic && brokers === null) return wrong('--keep-topic needs --brokers: brokers of its own end with the run.');
  return { kind: 'run', scripts, profile, brokers, acks, ...sizes, keepTopic, out, prometheus };
}

function parsedArgs(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        profile: { type: 'string', default: 'smoke' },
        brokers: { type: 'string' },
        acks: { type: 'string', default: 'all' },
        partitions: { type: 'string', default: String(partitions.default) },
        records: { type: 'string', default: String(records.default) },
        'value-bytes': { type: 'string', default: String(valueBytes.default) },
        'keep-topic': { type: 'boolean', default: false },
        out: { type: 'string', default: outDefault },
        prometheus: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function scriptsOf(positionals: readonly string[]): readonly ScriptName[] | string {
  const [name, more] = positionals;
  if (name === undefined) return `Which script? ${list([...scriptNames, 'all'])}.`;
  if (more !== undefined) return `One script at a time, or all: "${more}" is one too many.`;
  if (name === 'all') return scriptNames;
  const found = scriptNames.find((each) => each === name);
  return found === undefined ? `There is no script "${name}": there are ${list([...scriptNames, 'all'])}.` : [found];
}

interface Sizes {
  readonly partitions: number;
  readonly records: number;
  readonly valueBytes: number;
}

function sizesOf(values: Readonly<Record<'partitions' | 'records' | 'value-bytes', string>>): Sizes | string {
  const all = [
    ['--partitions', values.partitions, partitions],
    ['--records', values.records, records],
    ['--value-bytes', values['value-bytes'], valueBytes],
  ] as const satisfies readonly (readonly [string, string, NumberSetting])[];
  for (const [flag, text, setting] of all) {
    if (numberWithin(text, setting) === null)
      return `${flag} is a number from ${setting.min} to ${setting.max}, not "${text}".`;
  }
  const sizes = {
    partitions: Number(values.partitions),
    records: Number(values.records),
    valueBytes: Number(values['value-bytes']),
  };
  if (sizes.records * sizes.valueBytes > callBytesMax)
    return `--records times --value-bytes is at most ${callBytesMax}: it is one batch.`;
  return sizes;
}

const isHttp = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

/** "a, b or c" */
function list(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}
