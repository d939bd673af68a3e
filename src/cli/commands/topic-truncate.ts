import type { Command } from 'commander';
import type { Admin, PartitionDescription } from '../../../clients/typescript/src/index.ts';
import { CommandError, usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { brokerErrorLine } from '../failure-line.ts';
import { BrokerError } from '../../../clients/typescript/src/errors.ts';
import { formatOption, int64, printList } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';
import { note } from '../standard-output.ts';

interface Options {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly output: Format;
}

interface Row {
  readonly partition: number;
  /** Where it began. */
  readonly from: number | null;
  /** Where it begins now, or would. */
  readonly to: number | null;
}

export function addTopicTruncate(topic: Command): void {
  topic
    .command('truncate <topic>')
    .description('delete every record that is committed; the topic stays, and its offsets go on')
    .option('--yes', 'really do it; there is no question and no way back')
    .option('--dry-run', 'only show what would be deleted')
    .addOption(formatOption())
    .action(truncate);
}

async function truncate(
  name: string,
  { yes = false, dryRun = false, output }: Options,
  command: Command,
): Promise<void> {
  if (!yes && !dryRun)
    throw usageError(`This would delete every record of topic "${name}". Pass --yes to do it, --dry-run to look.`);
  await withClient(command, async ({ admin }) => {
    const { topicId, partitions } = await admin.describeTopic(name);
    const rows: Row[] = [];
    for (const partition of partitions)
      rows.push(dryRun ? planned(partition) : await truncated(admin, name, topicId, partition, rows.length));
    await printList(
      output,
      rows.map((row) => rowJson(name, row)),
      (layout) => table(columns, rows, layout),
    );
    if (dryRun) note('Nothing was changed.');
  });
}

const planned = ({ partition, logStartOffset, highWatermark }: PartitionDescription): Row => ({
  partition,
  from: logStartOffset,
  to: highWatermark,
});

/** By its id: a topic that somebody creates under the same name in this moment is not meant. */
async function truncated(
  admin: Admin,
  topic: string,
  topicId: string,
  { partition, logStartOffset: from }: PartitionDescription,
  doneBefore: number,
): Promise<Row> {
  try {
    return { partition, from, to: await admin.deleteRecords({ topic, partition }, { topicId }) };
  } catch (error) {
    if (!BrokerError.is(error) || doneBefore === 0) throw error;
    const text = `${brokerErrorLine(error, '')} Before that: ${doneBefore} partitions of topic "${topic}" were truncated.`;
    throw new CommandError(exitCodes.partial, text, error);
  }
}

const rowJson = (topic: string, { partition, from, to }: Row): Json => ({
  topic,
  partition,
  from: int64(from),
  to: int64(to),
});

const columns: readonly Column<Row>[] = [
  { title: 'partition', align: 'right', cell: ({ partition }) => partition },
  { title: 'log start before', align: 'right', cell: ({ from }) => from },
  { title: 'log start', align: 'right', cell: ({ to }) => to },
  {
    title: 'records deleted',
    align: 'right',
    cell: ({ from, to }) => (from === null || to === null ? null : to - from),
  },
];
