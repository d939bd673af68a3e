import type { Command } from 'commander';
import type { PartitionLag } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { formatOption, int64, printList } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';
import { note } from '../standard-output.ts';

/** Below this, people are told that a partition is about to lose records: one hour. */
const warnBelowMs = 3_600_000;

export function addGroupLag(group: Command): void {
  group
    .command('lag <group>')
    .description('show how far a group is behind, in records and in time')
    .addOption(formatOption())
    .action(lag);
}

async function lag(name: string, options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ groups }) => {
    await groups.describe(name); // a group that does not exist is not one that has nothing to do
    const lags = await groups.lag(name);
    await printList(options.output, lags.map(lagJson), (layout) => table(columns, lags, layout));
    for (const { topic, partition, losesDataInMs, lostRecords } of lags) {
      if (lostRecords > 0) note(`note: ${topic}/${partition} has lost ${lostRecords} records to retention unread`);
      if (losesDataInMs !== null && losesDataInMs < warnBelowMs)
        note(`note: ${topic}/${partition} will lose data to retention in ${Math.ceil(losesDataInMs / 60_000)} minutes`);
    }
  });
}

const lagJson = (each: PartitionLag): Json => ({
  topic: each.topic,
  partition: each.partition,
  committedOffset: int64(each.committedOffset),
  logStartOffset: int64(each.logStartOffset),
  highWatermark: int64(each.highWatermark),
  lag: int64(each.lag),
  lagMs: int64(each.lagMs),
  lostRecords: int64(each.lostRecords),
  losesDataInMs: int64(each.losesDataInMs),
});

const seconds = (ms: number | null): string | null => (ms === null ? null : (ms / 1_000).toFixed(1));

const columns: readonly Column<PartitionLag>[] = [
  { title: 'topic', cell: ({ topic }) => topic },
  { title: 'partition', align: 'right', cell: ({ partition }) => partition },
  { title: 'committed', align: 'right', cell: ({ committedOffset }) => committedOffset },
  { title: 'high watermark', align: 'right', cell: ({ highWatermark }) => highWatermark },
  { title: 'lag', align: 'right', cell: (each) => each.lag },
  { title: 'lag seconds', align: 'right', cell: ({ lagMs }) => seconds(lagMs) },
  { title: 'loses data in s', align: 'right', cell: ({ losesDataInMs }) => seconds(losesDataInMs) },
];
