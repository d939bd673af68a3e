import type { Command } from 'commander';
import type { TopicDescription } from '../../../clients/typescript/src/index.ts';
import { usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { note } from '../standard-output.ts';

interface Options {
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
    if (options.dryRun === true) {
      note(`Would delete topic "${name}" (${sizeOf(topic)}).`);
      return;
    }
    // by its id: a topic that somebody creates under the same name in this moment is not meant
    await admin.deleteTopic(name, { topicId: topic.topicId });
    note(`Deleted topic "${name}" (${sizeOf(topic)}).`);
  });
}

function sizeOf({ partitions }: TopicDescription): string {
  let records = 0;
  for (const { logStartOffset, highWatermark } of partitions) records += (highWatermark ?? 0) - (logStartOffset ?? 0);
  return `partitions: ${partitions.length}, offsets in use: ${records}`;
}
