import type { Command } from 'commander';
import type { Explanation, Stall, TopicPartition } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { facts, table } from '../output-table.ts';
import type { Column } from '../output-table.ts';
import { partitionArgument } from '../partition-argument.ts';

export function addWhy(program: Command): void {
  program
    .command('why')
    .description('say why a partition, or what is sent to it or read from it, waits')
    .addArgument(partitionArgument())
    .addOption(formatOption())
    .action(why);
}

async function why(at: TopicPartition, options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const explained = await admin.explain(at);
    await printOne(options.output, explanationJson(explained), () => explanationText(at, explained));
  });
}

const explanationJson = (explained: Explanation): Json => ({
  topicId: explained.topicId,
  answeredBy: explained.answeredBy,
  leader: explained.leader,
  leaderEpoch: explained.leaderEpoch,
  logStartOffset: int64(explained.logStartOffset),
  highWatermark: int64(explained.highWatermark),
  endOffset: int64(explained.endOffset),
  stalls: explained.stalls.map(({ done, total, missingBrokers, ...stall }) => ({
    ...stall,
    missingBrokers: [...missingBrokers],
    done: int64(done),
    total: int64(total),
  })),
});

const columns: readonly Column<Stall>[] = [
  { title: 'reason', cell: ({ reason }) => reason },
  { title: 'waits', cell: blocked },
  { title: 'missing', cell: ({ missingBrokers }) => (missingBrokers.length === 0 ? null : missingBrokers.join(',')) },
  { title: 'done', align: 'right', cell: ({ done, total }) => (done === null ? null : `${done} of ${total ?? '?'}`) },
  { title: 'why', cell: ({ message }) => message },
];

function blocked({ blocksProduce, blocksFetch }: Stall): string {
  if (blocksProduce) return blocksFetch ? 'produce, fetch' : 'produce';
  return blocksFetch ? 'fetch' : 'nothing';
}

const explanationText = ({ topic, partition }: TopicPartition, explained: Explanation): string =>
  [
    facts([
      ['partition', `${topic}/${partition}`],
      ['seen by broker', explained.answeredBy],
      [
        'leader',
        explained.leader === null ? 'none is known' : `${explained.leader}, epoch ${explained.leaderEpoch ?? '?'}`,
      ],
      ['log start', explained.logStartOffset ?? '?'],
      ['high watermark', explained.highWatermark ?? '?'],
      ['appended up to', explained.endOffset ?? '?'],
    ]),
    table(columns, explained.stalls),
  ].join('\n');
