import { Option } from 'commander';
import type { Command } from 'commander';
import type { Admin, FoundOffset, OffsetQuery } from '../../../clients/typescript/src/index.ts';
import { usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { formatOption, int64, printList } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';
import { startingPoint } from '../starting-point.ts';
import type { StartingPoint } from '../starting-point.ts';

interface Options {
  readonly at?: StartingPoint;
  readonly output: Format;
}

/** One partition. */
interface Row {
  readonly partition: number;
  readonly logStartOffset: number | null;
  readonly highWatermark: number | null;
  /** At the time that was asked for; null: none was, or no record is as late. */
  readonly found: FoundOffset | null;
}

export function addTopicOffsets(topic: Command): void {
  topic
    .command('offsets <topic>')
    .description('show where each partition starts and ends, and where a time is')
    .addOption(new Option('--at <time>', 'the first record as late, like @2026-01-31T12:00Z').argParser(startingPoint))
    .addOption(formatOption())
    .action(offsets);
}

async function offsets(name: string, { at, output }: Options, command: Command): Promise<void> {
  if (at !== undefined && at.kind !== 'time') throw usageError('--at takes a time, like @2026-01-31T12:00Z.');
  await withClient(command, async ({ admin }) => {
    const { partitions } = await admin.describeTopic(name);
    const numbers = partitions.map(({ partition }) => partition);
    const [starts, ends, found] = await Promise.all([
      find(admin, name, numbers, 'earliest'),
      find(admin, name, numbers, 'latest'),
      at === undefined ? [] : find(admin, name, numbers, { timestampMs: at.timestampMs }),
    ]);
    const rows = numbers.map((partition, index): Row => ({
      partition,
      logStartOffset: starts[index]?.offset ?? null,
      highWatermark: ends[index]?.offset ?? null,
      found: found[index] ?? null,
    }));
    await printList(
      output,
      rows.map((row) => rowJson(name, row, at !== undefined)),
      (layout) => table(at === undefined ? columns : [...columns, ...timeColumns], rows, layout),
    );
  });
}

const find = (
  admin: Admin,
  topic: string,
  numbers: readonly number[],
  at: OffsetQuery['at'],
): Promise<readonly FoundOffset[]> => admin.listOffsets(numbers.map((partition) => ({ topic, partition, at })));

const rowJson = (topic: string, row: Row, hasTime: boolean): Json => ({
  topic,
  partition: row.partition,
  logStartOffset: int64(row.logStartOffset),
  highWatermark: int64(row.highWatermark),
  ...(hasTime ? { offset: int64(row.found?.offset ?? null), timestampMs: int64(row.found?.timestampMs ?? null) } : {}),
});

const columns: readonly Column<Row>[] = [
  { title: 'partition', align: 'right', cell: ({ partition }) => partition },
  { title: 'log start', align: 'right', cell: ({ logStartOffset }) => logStartOffset },
  { title: 'high watermark', align: 'right', cell: ({ highWatermark }) => highWatermark },
  {
    title: 'records',
    align: 'right',
    cell: ({ logStartOffset, highWatermark }) => (highWatermark ?? 0) - (logStartOffset ?? 0),
  },
];

const timeColumns: readonly Column<Row>[] = [
  { title: 'offset', align: 'right', cell: ({ found }) => found?.offset ?? null },
  { title: 'timestamp', cell: ({ found }) => timeText(found?.timestampMs ?? null) },
];

const timeText = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
