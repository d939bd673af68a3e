import type { Command } from 'commander';
import type { ClusterDescription } from '../../../clients/typescript/src/index.ts';
import { brokerJson, brokerTable } from '../broker-output.ts';
import { withClient } from '../connection.ts';
import { formatOption, int64, listFormatOption, printNamed, printOne } from '../output-format.ts';
import type { Format, Json, ListFormat } from '../output-format.ts';
import { facts } from '../output-table.ts';
import type { Layout } from '../output-table.ts';

export function addClusterInfo(cluster: Command): void {
  cluster.command('info').description('show the cluster and its brokers').addOption(formatOption()).action(info);
}

/** The same list under two nouns: people look for it under either. */
export function addBrokerList(noun: Command, name: 'list' | 'members'): void {
  const command = noun
    .command(name)
    .description('list the brokers: where they are, and how')
    .addOption(listFormatOption());
  if (name === 'list') command.alias('ls');
  command.action(list);
}

async function info(options: { readonly output: Format }, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const cluster = await admin.describeCluster();
    await printOne(options.output, clusterJson(cluster), (layout) => clusterTable(cluster, layout));
  });
}

async function list({ output }: { readonly output: ListFormat }, command: Command): Promise<void> {
  await withClient(command, async ({ admin }) => {
    const { brokers } = await admin.describeCluster();
    const named = brokers.map((broker) => ({ name: broker.brokerId, json: brokerJson(broker) }));
    await printNamed(output, named, (layout) => brokerTable(brokers, layout));
  });
}

const clusterJson = (cluster: ClusterDescription): Json => ({
  clusterId: cluster.clusterId,
  brokers: cluster.brokers.map(brokerJson),
  catalogLeader: cluster.catalogLeader,
  catalogRevision: int64(cluster.catalogRevision),
  activeVersion: cluster.activeVersion,
  topicCount: cluster.topicCount,
  partitionCount: cluster.partitionCount,
});

function clusterTable(cluster: ClusterDescription, layout: Layout): string {
  const told = facts(
    [
      ['cluster', cluster.clusterId],
      ['topics', cluster.topicCount],
      ['partitions', cluster.partitionCount],
      ['catalog leader', cluster.catalogLeader ?? 'none now'],
      ['catalog revision', cluster.catalogRevision],
    ],
    layout,
  );
  return `${told}\n${brokerTable(cluster.brokers, layout)}`;
}
