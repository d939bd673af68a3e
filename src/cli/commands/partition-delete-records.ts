import type { Command } from 'commander';
import type { TopicPartition } from '../../../clients/typescript/src/index.ts';
import { usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { wholeNumber } from '../option-values.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { facts } from '../output-table.ts';
import { partitionArgument } from '../partition-argument.ts';

interface Options {
  readonly before?: number;
  readonly all?: boolean;
  readonly output: Format;
}

export function addPartitionDeleteRecords(partition: Command): void {
  partition
    .command('delete-records')
    .description('delete the oldest records of a partition')
    .addArgument(partitionArgument())
    .option('--before <offset>', 'the first offset that stays', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option('--all', 'delete everything that is committed')
    .addOption(formatOption())
    .action(deleteRecords);
}

async function deleteRecords(at: TopicPartition, { before, all, output }: Options, command: Command): Promise<void> {
  if ((before === undefined) === (all !== true)) throw usageError('Pass either --before or --all.');
  await withClient(command, async ({ admin }) => {
    const logStart = await admin.deleteRecords(at, before === undefined ? {} : { before });
    await printOne(output, { logStartOffset: int64(logStart) }, () => facts([['log start', logStart]]));
  });
}
