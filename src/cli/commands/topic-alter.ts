import type { Command } from 'commander';
import { usageError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { formatOption, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { addTopicFlags, topicChange } from '../topic-options.ts';
import type { TopicFlags } from '../topic-options.ts';
import { note } from '../standard-output.ts';
import { topicFacts, topicJson } from '../topic-output.ts';

interface Options extends TopicFlags {
  readonly dryRun?: boolean;
  readonly output: Format;
}

export function addTopicAlter(topic: Command): void {
  addTopicFlags(topic.command('alter <topic>').description('change how a topic is configured'))
    .option('--dry-run', 'only show what the topic would be')
    .addOption(formatOption())
    .action(alter);
}

async function alter(name: string, options: Options, command: Command): Promise<void> {
  const change = topicChange(options);
  if (Object.keys(change).length === 0) {
    throw usageError('Nothing to change: pass --retention, --retention-bytes, --retention-records or --min-insync.');
  }
  const { dryRun = false } = options;
  await withClient(command, async ({ admin }) => {
    const altered = await admin.alterTopic(name, change, { dryRun });
    if (dryRun) note(`Nothing was changed; topic "${name}" would be:`);
    await printOne(options.output, topicJson(altered), (layout) => topicFacts(altered, layout));
  });
}
