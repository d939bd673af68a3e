import { readFile } from 'node:fs/promises';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { Admin, OffsetQuery, TopicPartition } from '../../../clients/typescript/src/index.ts';
import { CommandError, usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { collected } from '../option-values.ts';
import { formatOption, int64, printList } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';
import { note } from '../standard-output.ts';
import type { StartingPoint } from '../starting-point.ts';
import { startingPoint } from '../starting-point.ts';

interface Options {
  readonly to?: StartingPoint;
  readonly shift?: number;
  readonly file?: string;
  readonly topic?: readonly string[];
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly output: Format;
}

/** One offset before and after. */
interface Reset extends TopicPartition {
  /** Null: nothing was committed. */
  readonly from: number | null;
  readonly to: number;
}

export function addGroupReset(group: Command): void {
  group
    .command('reset <group>')
    .description('set what a group without members has committed')
    .option('--to <where>', 'earliest, latest, an offset, -10, @2026-01-31T12:00Z', startingPoint)
    .option('--shift <n>', 'so many records on (or back: -100)', whole)
    .option('--file <path>', 'lines of "topic partition offset"')
    .option('--topic <name>', 'only this topic, also a new one (repeatable)', collected)
    .option('--yes', 'really do it')
    .option('--dry-run', 'only show what would be set')
    .addOption(formatOption())
    .action(reset);
}

function whole(text: string): number {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(value) && value !== 0) return value;
  throw new InvalidArgumentError('Write a whole number other than 0, like 100 or -100.');
}

async function reset(name: string, options: Options, command: Command): Promise<void> {
  const ways = [options.to, options.shift, options.file].filter((way) => way !== undefined);
  if (ways.length !== 1) throw usageError('Say where to: one of --to, --shift or --file.');
  if (options.yes !== true && options.dryRun !== true)
    throw usageError(`This would change what group "${name}" has committed. Pass --yes to do it, --dry-run to look.`);
  await withClient(command, async ({ admin, groups }) => {
    const plan = await planOf(admin, name, options);
    if (plan.length === 0)
      throw new CommandError(exitCodes.notFound, `Group "${name}" has committed nothing there; name a --topic.`);
    if (options.dryRun !== true) await groups.commit(name, plan.map(toCommit));
    await printList(options.output, plan.map(resetJson), (layout) => table(columns, plan, layout));
    if (options.dryRun === true) note('Nothing was changed.');
  });
}

const toCommit = ({ topic, partition, to }: Reset): TopicPartition & { readonly offset: number } => ({
  topic,
  partition,
  offset: to,
});

/** What would be set, within what each partition holds. */
async function planOf(admin: Admin, group: string, options: Options): Promise<Reset[]> {
  const committed = await admin.fetchCommitted(group);
  const before = new Map(committed.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]));
  const fromFile = options.file === undefined ? null : parseOffsets(await readFile(options.file, 'utf8'));
  const places = fromFile ?? (await placesOf(admin, committed, options.topic ?? []));
  const [starts, ends] = await Promise.all([offsetsAt(admin, places, 'earliest'), offsetsAt(admin, places, 'latest')]);
  const times =
    options.to?.kind === 'time' ? await offsetsAt(admin, places, { timestampMs: options.to.timestampMs }) : [];
  return places.flatMap((place, at): Reset[] => {
    const { topic, partition } = place;
    const from = before.get(`${topic}/${partition}`) ?? null;
    const start = starts[at] ?? 0;
    const end = ends[at] ?? 0;
    const wanted = wantedOffset(options, { from, start, end, time: times[at] ?? null, listed: place.offset ?? null });
    return wanted === null ? [] : [{ topic, partition, from, to: Math.min(end, Math.max(start, wanted)) }];
  });
}

interface Facts {
  readonly from: number | null;
  readonly start: number;
  readonly end: number;
  /** Null: no record is as late. */
  readonly time: number | null;
  readonly listed: number | null;
}

/** Null: there is nothing to shift. */
function wantedOffset({ to, shift }: Options, { from, start, end, time, listed }: Facts): number | null {
  if (listed !== null) return listed;
  if (shift !== undefined) return from === null ? null : from + shift;
  switch (to?.kind) {
    case 'earliest':
      return start;
    case 'latest':
    case undefined:
      return end;
    case 'offset':
      return to.offset;
    case 'last':
      return end - to.count;
    case 'time':
      return time ?? end;
  }
}

type Place = TopicPartition & { readonly offset?: number };

async function placesOf(
  admin: Admin,
  committed: readonly TopicPartition[],
  topics: readonly string[],
): Promise<Place[]> {
  if (topics.length === 0) return committed.map(({ topic, partition }) => ({ topic, partition }));
  const described = await Promise.all(topics.map((topic) => admin.describeTopic(topic)));
  return described.flatMap(({ name: topic, partitions }) => partitions.map(({ partition }) => ({ topic, partition })));
}

function parseOffsets(text: string): Place[] {
  return text.split('\n').flatMap((line, at): Place[] => {
    if (line.trim() === '' || line.startsWith('#')) return [];
    const [, topic = '', partition, offset] = /^(\S+)\s+(\d{1,9})\s+(\d{1,15})\s*$/.exec(line) ?? [];
    if (topic === '')
      throw usageError(`Line ${at + 1} of the file is not "topic partition offset": ${line.slice(0, 80)}`);
    return [{ topic, partition: Number(partition), offset: Number(offset) }];
  });
}

async function offsetsAt(
  admin: Admin,
  places: readonly TopicPartition[],
  at: OffsetQuery['at'],
): Promise<readonly (number | null)[]> {
  const found = await admin.listOffsets(places.map(({ topic, partition }) => ({ topic, partition, at })));
  return found.map(({ offset }) => offset);
}

const resetJson = ({ topic, partition, from, to }: Reset): Json => ({
  topic,
  partition,
  from: int64(from),
  to: int64(to),
});

const columns: readonly Column<Reset>[] = [
  { title: 'topic', cell: ({ topic }) => topic },
  { title: 'partition', align: 'right', cell: ({ partition }) => partition },
  { title: 'from', align: 'right', cell: ({ from }) => from },
  { title: 'to', align: 'right', cell: ({ to }) => to },
];
