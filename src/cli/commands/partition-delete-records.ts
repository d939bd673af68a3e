import type { Command } from 'commander';
import type { Admin, TopicPartition } from '../../../clients/typescript/src/index.ts';
import { CommandError, usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { wholeNumber } from '../option-values.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { facts } from '../output-table.ts';
import { partitionArgument } from '../partition-argument.ts';
import { note } from '../standard-output.ts';

interface Options {
  readonly before?: number;
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly output: Format;
}

export function addPartitionDeleteRecords(partition: Command): void {
  partition
    .command('delete-records')
    .description('delete the oldest records of a partition')
    .addArgument(partitionArgument())
    .option('--before <offset>', 'the first offset that stays', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option('--all', 'delete everything that is committed')
    .option('--yes', 'really do it; there is no question and no way back')
    .option('--dry-run', 'only show what would be deleted')
    .addOption(formatOption())
    .action(deleteRecords);
}

async function deleteRecords(at: TopicPartition, options: Options, command: Command): Promise<void> {
  const { before, all, yes = false, dryRun = false, output } = options;
  if ((before === undefined) === (all !== true)) throw usageError('Pass either --before or --all.');
  const { topic, partition } = at;
  if (!yes && !dryRun)
    throw usageError(`This would delete records of ${topic}/${partition}. Pass --yes to do it, --dry-run to look.`);
  await withClient(command, async ({ admin }) => {
    const logStart = dryRun
      ? await wouldStart(admin, at, before ?? null)
      : await admin.deleteRecords(at, before === undefined ? {} : { before });
    await printOne(output, { logStartOffset: int64(logStart) }, (layout) => facts([['log start', logStart]], layout));
    if (dryRun) note('Nothing was changed.');
  });
}

/** The first offset that would stay: nothing below the log start comes back, nothing above the high watermark goes. */
async function wouldStart(admin: Admin, { topic, partition }: TopicPartition, before: number | null): Promise<number> {
  const [start, end] = await Promise.all(
    (['earliest', 'latest'] as const).map(async (at) => {
      const [found] = await admin.listOffsets([{ topic, partition, at }]);
      return found?.offset ?? 0;
    }),
  );
  const wanted = before ?? end ?? 0;
  if (wanted <= (end ?? 0)) return Math.max(start ?? 0, wanted);
  const text = `${topic}/${partition} is committed up to ${end ?? 0}: --before ${wanted} would be refused.`;
  throw new CommandError(exitCodes.usage, text);
}
