import type { Command } from 'commander';
import { withClient } from '../connection.ts';
import { formatOption, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import type { Layout } from '../output-table.ts';
import { partitionTable, topicFacts, topicJson } from '../topic-output.ts';

export function addTopicDescribe(topic: Command): void {
  topic
    .command('describe <topic>')
    .description('show a topic and where the log of each partition starts and ends')
    .addOption(formatOption())
    .action(describe);
}

async function describe(name: string, options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const topic = await admin.describeTopic(name);
    const asTable = (layout: Layout): string =>
      `${topicFacts(topic, layout)}\n${partitionTable(topic.partitions, layout)}`;
    await printOne(options.output, topicJson(topic), asTable);
  });
}
