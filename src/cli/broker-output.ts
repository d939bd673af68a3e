/** The brokers of a cluster, as its catalog knows them: JSON with the names of the API, and a table. */
import type { BrokerDescription } from '../../clients/typescript/src/index.ts';
import type { Json } from './output-format.ts';
import { table } from './output-table.ts';
import type { Column, Layout } from './output-table.ts';

export const brokerJson = (broker: BrokerDescription): Json => ({
  brokerId: broker.brokerId,
  address: broker.address,
  rack: broker.rack,
  incarnation: broker.incarnation,
  version: broker.version,
  healthy: broker.healthy,
  unhealthyReason: broker.unhealthyReason,
  healthUnknown: broker.healthUnknown,
  duty: broker.duty,
  replicaCount: broker.replicaCount,
  replaceable: broker.replaceable,
  formatVersion: broker.formatVersion,
});

const columns: readonly Column<BrokerDescription>[] = [
  { title: 'id', align: 'right', cell: ({ brokerId }) => brokerId },
  { title: 'address', cell: ({ address }) => address },
  { title: 'rack', cell: ({ rack }) => rack },
  { title: 'incarnation', wide: true, cell: ({ incarnation }) => incarnation },
  { title: 'version', cell: ({ version }) => version },
  { title: 'format', wide: true, align: 'right', cell: ({ formatVersion }) => formatVersion },
  { title: 'duty', cell: ({ duty, replaceable }) => (replaceable ? 'awaits another disk' : duty) },
  { title: 'replicas', align: 'right', cell: ({ replicaCount }) => replicaCount },
  { title: 'health', cell: ({ healthy, unhealthyReason }) => (healthy ? 'healthy' : unhealthyReason) },
];

export const brokerTable = (brokers: readonly BrokerDescription[], layout: Layout): string =>
  table(columns, brokers, layout);
