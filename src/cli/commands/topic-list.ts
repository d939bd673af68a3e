import type { Command } from 'commander';
import { withClient } from '../connection.ts';
import { listFormatOption, printNamed } from '../output-format.ts';
import type { ListFormat } from '../output-format.ts';
import { summaryJson, topicTable } from '../topic-output.ts';

interface Options {
  readonly internal?: boolean;
  readonly output: ListFormat;
}

export function addTopicList(topic: Command): void {
  topic
    .command('list')
    .alias('ls')
    .description('list topics')
    .option('--internal', 'also those that Sluice keeps for itself')
    .addOption(listFormatOption())
    .action(list);
}

async function list(options: Options, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const topics = await admin.listTopics({ includeInternal: options.internal ?? false });
    const named = topics.map((each) => ({ name: each.name, json: summaryJson(each) }));
    await printNamed(options.output, named, (layout) => topicTable(topics, layout));
  });
}
