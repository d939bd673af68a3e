import type { Command } from 'commander';
import type { TopicDescription } from '../../../clients/typescript/src/index.ts';
import { usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { note } from '../standard-output.ts';

interface Options {
  readonly output: Format;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

export function addTopicDelete(topic: Command): void {
  topic
    .command('delete <topic>')
    .alias('rm')
    .description('delete a topic and every record in it')
    .option('--yes', 'really do it; there is no question and no way back')
    .option('--dry-run', 'only say what would be deleted')
    .addOption(formatOption())
    .action(remove);
}

async function remove(name: string, options: Options, command: Command): Promise<void> {
  if (options.yes !== true && options.dryRun !== true) {
    throw usageError(
      `This would delete topic "${name}" and every record in it. Pass --yes to do it, --dry-run to look.`,
    );
  }
  await withClient(command, async ({ admin }) => {
    const topic = await admin.describeTopic(name);
    const { topicId, partitionCount } = topic;
    const records = recordsOf(topic);
    const told = `topic "${name}" (partitions: ${partitionCount}, offsets in use: ${records})`;
    const json = { name, topicId, partitionCount, records: int64(records) };
    if (options.dryRun === true) {
      await printOne(options.output, { ...json, deleted: false }, () => '');
      note(`Would delete ${told}.`);
      return;
    }
    // by its id: a topic that somebody creates under the same name in this moment is not meant
    await admin.deleteTopic(name, { topicId });
    await printOne(options.output, { ...json, deleted: true }, () => '');
    note(`Deleted ${told}.`);
  });
}

const recordsOf = ({ partitions }: TopicDescription): number =>
  partitions.reduce((sum, { logStartOffset, highWatermark }) => sum + (highWatermark ?? 0) - (logStartOffset ?? 0), 0);
