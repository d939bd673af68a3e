import type { Command } from 'commander';
import { BrokerError } from '../../../clients/typescript/src/errors.ts';
import { withClient } from '../connection.ts';
import { wholeNumber } from '../option-values.ts';
import { formatOption, printOne } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { note } from '../standard-output.ts';
import { addTopicFlags, topicChange } from '../topic-options.ts';
import type { TopicFlags } from '../topic-options.ts';
import { topicFacts, topicJson } from '../topic-output.ts';

interface Options extends TopicFlags {
  readonly partitions: number;
  readonly replicationFactor?: number;
  readonly ifNotExists?: boolean;
  readonly output: Format;
}

export function addTopicCreate(topic: Command): void {
  const command = topic
    .command('create <topic>')
    .description('create a topic')
    .option('-p, --partitions <count>', 'how many partitions, up to 1000', wholeNumber(1, 1_000), 1)
    .option('-r, --replication-factor <count>', 'replicas of each (default: 3, or all brokers)', wholeNumber(1, 7));
  addTopicFlags(command)
    .option('--if-not-exists', 'succeed if the topic is there already')
    .addOption(formatOption())
    .action(create);
}

async function create(name: string, options: Options, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const { partitions, replicationFactor } = options;
    try {
      const factor = replicationFactor === undefined ? {} : { replicationFactor };
      const topic = { name, partitions, ...factor, config: topicChange(options) };
      const created = await admin.createTopic(topic);
      for (const warning of created.warnings) note(`Warning: ${warning}.`);
      await printOne(options.output, topicJson(created), (layout) => topicFacts(created, layout));
    } catch (error) {
      if (options.ifNotExists !== true || !BrokerError.is(error, 'TOPIC_ALREADY_EXISTS')) throw error;
      note(`Topic "${name}" exists already; nothing was changed.`);
      const existing = await admin.describeTopic(name);
      await printOne(options.output, topicJson(existing), (layout) => topicFacts(existing, layout));
    }
  });
}
