import type { Command } from 'commander';
import type { Admin, BrokerReport } from '../../../clients/typescript/src/index.ts';
import { BrokerError } from '../../../clients/typescript/src/errors.ts';
import { withClient } from '../connection.ts';
import { formatOption, int64, printList } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { table } from '../output-table.ts';
import type { Column } from '../output-table.ts';

/** A broker's data directory; null: it did not answer. */
interface Row {
  readonly brokerId: number;
  readonly report: BrokerReport | null;
}

export function addClusterDisks(cluster: Command): void {
  cluster
    .command('logdirs')
    .description('show the disk under the data directory of each broker')
    .addOption(formatOption())
    .action(logdirs);
}

async function logdirs({ output }: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const { brokers } = await admin.describeCluster();
    const rows = await Promise.all(brokers.map(({ brokerId }) => rowOf(admin, brokerId)));
    await printList(output, rows.map(rowJson), (layout) => table(columns, rows, layout));
  });
}

async function rowOf(admin: Admin, brokerId: number): Promise<Row> {
  try {
    return { brokerId, report: await admin.describeBroker(brokerId) };
  } catch (error) {
    if (BrokerError.is(error)) return { brokerId, report: null };
    throw error;
  }
}

const rowJson = ({ brokerId, report }: Row): Json => {
  const disk = report?.disk ?? null;
  return {
    brokerId,
    answered: report !== null,
    incarnation: report?.broker.incarnation ?? null,
    level: disk?.level ?? null,
    freeBytes: int64(disk?.freeBytes ?? null),
    softReserveBytes: int64(disk?.softReserveBytes ?? null),
    hardReserveBytes: int64(disk?.hardReserveBytes ?? null),
    replicas: report === null ? null : { ...report.replicas },
  };
};

const mebibytes = (bytes: number | undefined): string | null =>
  bytes === undefined ? null : `${(bytes / 2 ** 20).toFixed(1)} MiB`;

const columns: readonly Column<Row>[] = [
  { title: 'broker', align: 'right', cell: ({ brokerId }) => brokerId },
  { title: 'level', cell: ({ report }) => report?.disk?.level ?? (report === null ? 'no answer' : null) },
  { title: 'free', align: 'right', cell: ({ report }) => mebibytes(report?.disk?.freeBytes) },
  { title: 'soft reserve', align: 'right', cell: ({ report }) => mebibytes(report?.disk?.softReserveBytes) },
  { title: 'hard reserve', align: 'right', cell: ({ report }) => mebibytes(report?.disk?.hardReserveBytes) },
  { title: 'leads', align: 'right', cell: ({ report }) => report?.replicas.leaders ?? null },
  { title: 'follows', align: 'right', cell: ({ report }) => report?.replicas.followers ?? null },
  { title: 'set apart', align: 'right', cell: ({ report }) => report?.replicas.quarantined ?? null },
  { title: 'incarnation', wide: true, cell: ({ report }) => report?.broker.incarnation ?? null },
];
