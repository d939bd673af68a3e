import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { TopicPartition } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { printImpact } from '../impact-output.ts';
import { wholeNumber } from '../option-values.ts';
import { formatOption } from '../output-format.ts';
import type { Format } from '../output-format.ts';
import { partitionArgument } from '../partition-argument.ts';

const brokerId = wholeNumber(0, 2 ** 31 - 1);

interface Options {
  readonly dryRun?: boolean;
  readonly output: Format;
}

export function addPartitionOperations(partition: Command): void {
  operation(partition, 'move', 'place the replicas of a partition on other brokers')
    .requiredOption('--to <id,...>', 'brokers, the preferred leader first', brokerIds)
    .option('--supersede', 'take the place of a move that is under way')
    .action(move);
  operation(partition, 'transfer-leader', 'have another replica lead a partition')
    .requiredOption('--to <id>', 'the broker that shall lead', brokerId)
    .action(transfer);
}

const operation = (partition: Command, name: string, description: string): Command =>
  partition
    .command(name)
    .description(description)
    .addArgument(partitionArgument())
    .option('--dry-run', 'only say what would happen')
    .addOption(formatOption());

function brokerIds(text: string): readonly number[] {
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError('Write broker ids with commas, like 1,2,3.');
  return text.split(',').map(brokerId);
}

async function move(
  { topic, partition }: TopicPartition,
  options: Options & { readonly to: readonly number[]; readonly supersede?: boolean },
  command: Command,
): Promise<void> {
  const { to, dryRun = false, supersede = false, output } = options;
  await withClient(command, async ({ admin }) => {
    const moves = [{ topic, partition, brokerIds: to }];
    await printImpact(output, await admin.moveReplicas(moves, { dryRun, supersede }));
  });
}

async function transfer(
  at: TopicPartition,
  { to, dryRun = false, output }: Options & { readonly to: number },
  command: Command,
): Promise<void> {
  await withClient(command, async ({ admin }) => {
    await printImpact(output, await admin.transferLeadership(at, to, { dryRun }));
  });
}
