import { Option } from 'commander';
import type { Command } from 'commander';
import type { PartitionDescription } from '../../../clients/typescript/src/index.ts';
import { describeTopics } from '../all-topics.ts';
import { withClient } from '../connection.ts';
import { wholeNumber } from '../option-values.ts';
import { int64, listFormatOption, printNamed } from '../output-format.ts';
import type { Json, ListFormat } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';

interface Options {
  readonly leaderless?: boolean;
  readonly underReplicated?: boolean;
  readonly broker?: number;
  readonly internal?: boolean;
  readonly output: ListFormat;
}

type Row = PartitionDescription & { readonly topic: string };

export function addClusterPartitions(cluster: Command): void {
  cluster
    .command('partitions')
    .description('list the partitions of all topics with their replicas')
    .option('--leaderless', 'only those that nobody leads')
    .option('--under-replicated', 'only those with replicas that are not in sync')
    .addOption(new Option('--broker <id>', 'only those with a replica there').argParser(wholeNumber(0, 2 ** 31 - 1)))
    .option('--internal', "also those of Sluice's own topics")
    .addOption(listFormatOption())
    .action(list);
}

async function list(options: Options, command: Command): Promise<void> {
  const { leaderless = false, underReplicated = false, broker, internal = false, output } = options;
  await withClient(command, async ({ admin }) => {
    const topics = await describeTopics(admin, { includeInternal: internal });
    const rows = topics
      .flatMap(({ name, partitions }) => partitions.map((each): Row => ({ topic: name, ...each })))
      .filter(({ leader }) => !leaderless || leader === null)
      .filter((row) => !underReplicated || isUnderReplicated(row))
      .filter(({ replicas }) => broker === undefined || replicas.includes(broker));
    const named = rows.map((row) => ({ name: `${row.topic}/${row.partition}`, json: rowJson(row) }));
    await printNamed(output, named, (layout) => table(columns, rows, layout));
  });
}

/** Also if nobody says how many are in sync. */
const isUnderReplicated = ({ replicas, inSyncReplicas }: Row): boolean =>
  (inSyncReplicas?.length ?? 0) < replicas.length;

const rowJson = (row: Row): Json => ({
  topic: row.topic,
  partition: row.partition,
  leader: row.leader,
  leaderEpoch: row.leaderEpoch,
  replicas: row.replicas,
  inSyncReplicas: row.inSyncReplicas,
  logStartOffset: int64(row.logStartOffset),
  highWatermark: int64(row.highWatermark),
});

const columns: readonly Column<Row>[] = [
  { title: 'topic', cell: ({ topic }) => topic },
  { title: 'partition', align: 'right', cell: ({ partition }) => partition },
  { title: 'leader', align: 'right', cell: ({ leader }) => leader },
  { title: 'epoch', wide: true, align: 'right', cell: ({ leaderEpoch }) => leaderEpoch },
  { title: 'replicas', cell: ({ replicas }) => replicas.join(',') },
  { title: 'in sync', cell: ({ inSyncReplicas }) => inSyncReplicas?.join(',') ?? '?' },
  { title: 'log start', wide: true, align: 'right', cell: ({ logStartOffset }) => logStartOffset },
  { title: 'high watermark', align: 'right', cell: ({ highWatermark }) => highWatermark },
];
