import type { Command } from 'commander';
import type { BrokerDescription, ClusterDescription } from '../../../clients/typescript/src/index.ts';
import { withClient } from '../connection.ts';
import { formatOption, int64, printOne } from '../output-format.ts';
import type { Format, Json } from '../output-format.ts';
import { facts, table } from '../output-table.ts';
import type { Column } from '../output-table.ts';

export function addClusterInfo(cluster: Command): void {
  cluster.command('info').description('show the cluster and its brokers').addOption(formatOption()).action(info);
}

async function info(options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const cluster = await admin.describeCluster();
    await printOne(options.output, clusterJson(cluster), () => clusterTable(cluster));
  });
}

const clusterJson = (cluster: ClusterDescription): Json => ({
  clusterId: cluster.clusterId,
  brokers: cluster.brokers.map(
    ({ brokerId, address, rack, incarnation, version, healthy, unhealthyReason, healthUnknown, ...ordered }) => {
      const { duty, replicaCount, replaceable, formatVersion } = ordered;
      const told = { brokerId, address, rack, incarnation, version, healthy, unhealthyReason, healthUnknown };
      return { ...told, duty, replicaCount, replaceable, formatVersion };
    },
  ),
  catalogLeader: cluster.catalogLeader,
  catalogRevision: int64(cluster.catalogRevision),
  activeVersion: cluster.activeVersion,
  topicCount: cluster.topicCount,
  partitionCount: cluster.partitionCount,
});

const brokerColumns: readonly Column<BrokerDescription>[] = [
  { title: 'id', align: 'right', cell: ({ brokerId }) => brokerId },
  { title: 'address', cell: ({ address }) => address },
  { title: 'rack', cell: ({ rack }) => rack },
  { title: 'incarnation', cell: ({ incarnation }) => incarnation },
  { title: 'version', cell: ({ version }) => version },
  { title: 'duty', cell: ({ duty, replaceable }) => (replaceable ? 'awaits another disk' : duty) },
  { title: 'replicas', align: 'right', cell: ({ replicaCount }) => replicaCount },
  { title: 'health', cell: ({ healthy, unhealthyReason }) => (healthy ? 'healthy' : unhealthyReason) },
];

const clusterTable = (cluster: ClusterDescription): string =>
  `${facts([
    ['cluster', cluster.clusterId],
    ['topics', cluster.topicCount],
    ['partitions', cluster.partitionCount],
    ['catalog leader', cluster.catalogLeader ?? 'none now'],
    ['catalog revision', cluster.catalogRevision],
  ])}\n${table(brokerColumns, cluster.brokers)}`;
