import { Argument } from 'commander';
import type { Command } from 'commander';
import { withClient } from '../connection.ts';
import { printImpact } from '../impact-output.ts';
import { wholeNumber } from '../option-values.ts';
import { formatOption } from '../output-format.ts';
import type { Format } from '../output-format.ts';

interface Options {
  readonly dryRun?: boolean;
  readonly output: Format;
}

export function addTopicGrowth(topic: Command): void {
  change(topic, 'add-partitions', 'give a topic more partitions', 1_000).action(addPartitions);
  change(topic, 'set-replicas', 'change how many replicas partitions have', 7).action(setReplicas);
}

const change = (topic: Command, name: string, description: string, max: number): Command =>
  topic
    .command(name)
    .description(description)
    .argument('<topic>')
    .addArgument(new Argument('<n>', 'how many in all').argParser(wholeNumber(1, max)))
    .option('--dry-run', 'only say what would happen')
    .addOption(formatOption());

async function addPartitions(
  name: string,
  count: number,
  { dryRun = false, output }: Options,
  command: Command,
): Promise<void> {
  await withClient(command, async ({ admin }) => {
    await printImpact(output, await admin.addPartitions(name, count, { dryRun }));
  });
}

async function setReplicas(
  name: string,
  factor: number,
  { dryRun = false, output }: Options,
  command: Command,
): Promise<void> {
  await withClient(command, async ({ admin }) => {
    await printImpact(output, await admin.changeReplicationFactor(name, factor, { dryRun }));
  });
}
