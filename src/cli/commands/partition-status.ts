import type { Command } from 'commander';
import type { PartitionDescription, TopicPartition } from '../../../clients/typescript/src/index.ts';
import { CommandError } from '../command-error.ts';
import { withClient } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { facts } from '../output-table.ts';
import type { Layout } from '../output-table.ts';
import { partitionArgument } from '../partition-argument.ts';

export function addPartitionStatus(partition: Command): void {
  partition
    .command('status')
    .description('show who has a partition, who leads it and who is in sync')
    .addArgument(partitionArgument())
    .addOption(formatOption())
    .action(status);
}

async function status(at: TopicPartition, { output }: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const topic = await admin.describeTopic(at.topic);
    const found = topic.partitions.find(({ partition }) => partition === at.partition);
    if (found === undefined) {
      const text = `Topic "${at.topic}" has the partitions 0 to ${topic.partitionCount - 1}, not ${at.partition}.`;
      throw new CommandError(exitCodes.notFound, text);
    }
    await printOne(output, statusJson(at, found), (layout) => statusText(at, found, layout));
  });
}

/** The first replica is the preferred leader. */
const preferredOf = ({ replicas }: PartitionDescription): number | null => replicas[0] ?? null;

const statusJson = ({ topic }: TopicPartition, found: PartitionDescription): Json => ({
  topic,
  partition: found.partition,
  leader: found.leader,
  leaderEpoch: found.leaderEpoch,
  preferredLeader: preferredOf(found),
  replicas: found.replicas,
  inSyncReplicas: found.inSyncReplicas,
  logStartOffset: int64(found.logStartOffset),
  highWatermark: int64(found.highWatermark),
});

function statusText({ topic, partition }: TopicPartition, found: PartitionDescription, layout: Layout): string {
  const { leader, leaderEpoch, inSyncReplicas, logStartOffset, highWatermark } = found;
  return facts(
    [
      ['partition', `${topic}/${partition}`],
      ['leader', leader === null ? 'none now' : `${leader}, epoch ${leaderEpoch ?? '?'}`],
      ['preferred leader', preferredOf(found) ?? '?'],
      ['replicas', found.replicas.join(',')],
      ['in sync', inSyncReplicas?.join(',') ?? '?'],
      ['log start', logStartOffset ?? '?'],
      ['high watermark', highWatermark ?? '?'],
    ],
    layout,
  );
}
