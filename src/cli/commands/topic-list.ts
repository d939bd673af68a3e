import type { Command } from 'commander';
import { withClient } from '../connection.ts';
import { formatOption, printList } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { summaryJson, topicTable } from '../topic-output.ts';

interface Options {
  readonly internal?: boolean;
  readonly output: Format;
}

export function addTopicList(topic: Command): void {
  topic
    .command('list')
    .alias('ls')
    .description('list topics')
    .option('--internal', 'also those that Sluice keeps for itself')
    .addOption(formatOption())
    .action(list);
}

async function list(options: Options, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const topics = await admin.listTopics({ includeInternal: options.internal ?? false });
    await printList(options.output, topics.map(summaryJson), () => topicTable(topics));
  });
}
