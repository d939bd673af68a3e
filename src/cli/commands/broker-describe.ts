import { Argument } from 'commander';
import type { Command } from 'commander';
import type { BrokerReport, PeerDescription, QuarantinedReplica } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { wholeNumber } from '../option-values.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { facts, table } from '../output-table.ts';
import type { Column, Layout } from '../output-table.ts';

export function addBrokerDescribe(broker: Command): void {
  broker
    .command('describe')
    .alias('status')
    .description('show what a broker holds and how its disk and process are')
    .addArgument(
      new Argument('[id]', 'of the broker; default: the one that answers').argParser(wholeNumber(0, 2 ** 31 - 1)),
    )
    .addOption(formatOption())
    .action(describe);
}

async function describe(
  brokerId: number | undefined,
  options: { readonly output: Format },
  command: Command,
): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const report = await admin.describeBroker(brokerId);
    await printOne(options.output, reportJson(report), (layout) => reportTable(report, layout));
  });
}

function reportJson({ broker, replicas, quarantined, disk, runtime, peers }: BrokerReport): Json {
  const { brokerId, address, rack, incarnation, version, healthy, unhealthyReason } = broker;
  return {
    broker: { brokerId, address, rack, incarnation, version, healthy, unhealthyReason },
    replicas: { ...replicas },
    quarantined: quarantined.map(({ topic, topicId, partition, group, reason, sinceMs }) => {
      return { topic, topicId, partition, group: int64(group), reason, sinceMs: int64(sinceMs) };
    }),
    disk: disk && {
      level: disk.level,
      freeBytes: int64(disk.freeBytes),
      softReserveBytes: int64(disk.softReserveBytes),
      hardReserveBytes: int64(disk.hardReserveBytes),
      ballastWhole: disk.ballastWhole,
    },
    runtime: runtime && {
      pid: runtime.pid,
      nodeVersion: runtime.nodeVersion,
      startedAtMs: int64(runtime.startedAtMs),
      cpuMs: int64(runtime.cpuMs),
      residentBytes: int64(runtime.residentBytes),
      heapUsedBytes: int64(runtime.heapUsedBytes),
      loopDelay: runtime.loopDelay && { ...runtime.loopDelay, spanMs: int64(runtime.loopDelay.spanMs) },
    },
    peers: peers.map(({ brokerId, connected, heardAgoMs, unsentBytes }) => {
      return { brokerId, connected, heardAgoMs: int64(heardAgoMs), unsentBytes: int64(unsentBytes) };
    }),
  };
}

const quarantinedColumns: readonly Column<QuarantinedReplica>[] = [
  { title: 'set apart', cell: ({ topic, group }) => topic ?? (group === 0 ? 'the catalog' : null) },
  { title: 'partition', align: 'right', cell: ({ partition }) => partition },
  { title: 'group', align: 'right', cell: ({ group }) => group },
  { title: 'since', cell: ({ sinceMs }) => new Date(sinceMs).toISOString() },
  { title: 'reason', cell: ({ reason }) => reason },
];

const peerColumns: readonly Column<PeerDescription>[] = [
  { title: 'other broker', align: 'right', cell: ({ brokerId }) => brokerId },
  { title: 'connected', cell: ({ connected }) => (connected ? 'yes' : 'no') },
  { title: 'heard', align: 'right', cell: ({ heardAgoMs }) => (heardAgoMs === null ? null : `${heardAgoMs} ms ago`) },
  { title: 'unsent', align: 'right', cell: ({ unsentBytes }) => mebibytes(unsentBytes) },
];

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function reportTable(report: BrokerReport, layout: Layout): string {
  const { broker, replicas, quarantined, disk, runtime, peers } = report;
  const { leaders, followers, learners } = replicas;
  const lines: (readonly [string, string | number])[] = [
    ['broker', broker.brokerId],
    ['address', broker.address],
    ['version', broker.version],
    ['incarnation', broker.incarnation],
    ['health', broker.healthy ? 'healthy' : broker.unhealthyReason],
    ['replicas', `${leaders} lead, ${followers} follow, ${learners} learn, ${replicas.quarantined} set apart`],
  ];
  if (disk !== null) lines.push(['disk', `${disk.level}, ${mebibytes(disk.freeBytes)} free`]);
  if (runtime !== null) {
    const { pid, nodeVersion, residentBytes, loopDelay } = runtime;
    lines.push(['process', `${pid}, Node ${nodeVersion}, ${mebibytes(residentBytes)}`]);
    if (loopDelay !== null) lines.push(['event loop', `${loopDelay.p99Ms} ms late at p99, ${loopDelay.maxMs} at most`]);
  }
  const parts = [facts(lines, layout)];
  if (quarantined.length > 0) parts.push(table(quarantinedColumns, quarantined, layout));
  if (peers.length > 0) parts.push(table(peerColumns, peers, layout));
  return parts.join('\n');
}
