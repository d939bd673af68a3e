import type { Command } from 'commander';
import { usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { formatOption, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { addRetentionFlags, retentionChange } from '../retention-options.ts';
import type { RetentionFlags } from '../retention-options.ts';
import { note } from '../standard-output.ts';
import { topicFacts, topicJson } from '../topic-output.ts';

interface Options extends RetentionFlags {
  readonly dryRun?: boolean;
  readonly output: Format;
}

export function addTopicAlter(topic: Command): void {
  addRetentionFlags(topic.command('alter <topic>').description('change what a topic keeps'))
    .option('--dry-run', 'only show what the topic would be')
    .addOption(formatOption())
    .action(alter);
}

async function alter(name: string, options: Options, command: Command): Promise<void> {
  const change = retentionChange(options);
  if (Object.keys(change).length === 0) {
    throw usageError('Nothing to change: pass --retention, --retention-bytes or --retention-records.');
  }
  const { dryRun = false } = options;
  await withClient(command, async ({ admin }) => {
    const altered = await admin.alterTopic(name, change, { dryRun });
    if (dryRun) note(`Nothing was changed; topic "${name}" would be:`);
    await printOne(options.output, topicJson(altered), () => topicFacts(altered));
  });
}
