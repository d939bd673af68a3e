/** What is wrong with a cluster, each with what to do about it. Pure; `sluice cluster health` shows it. */
import type { BrokerReport, ClusterDescription, TopicDescription } from '../../clients/typescript/src/index.ts';

export type ProblemKind =
  | 'catalog-leaderless'
  | 'broker-unhealthy'
  | 'partition-leaderless'
  | 'partition-under-replicated'
  | 'replicas-quarantined'
  | 'disk-full';

export interface Problem {
  readonly kind: ProblemKind;
  /** One sentence. */
  readonly message: string;
  readonly repair: string;
}

export interface ClusterView {
  readonly cluster: ClusterDescription;
  readonly topics: readonly TopicDescription[];
  /** Of the brokers that answered. */
  readonly reports: readonly BrokerReport[];
}

/** Partitions of one kind that are told; the rest is counted. */
const namedMax = 5;

/** Empty: it is healthy. */
export function problemsOf({ cluster, topics, reports }: ClusterView): readonly Problem[] {
  return [
    ...(cluster.catalogLeader === null ? [catalogLeaderless] : []),
    ...cluster.brokers.filter(({ healthy }) => !healthy).map(unhealthy),
    ...leaderless(topics),
    ...underReplicated(topics),
    ...reports.flatMap(ofReport),
  ];
}

const catalogLeaderless: Problem = {
  kind: 'catalog-leaderless',
  message: 'The catalog has no leader: topics and brokers can not be changed now.',
  repair: 'Start brokers again until a majority runs; if it does, wait some seconds.',
};

const unhealthy = ({ brokerId, unhealthyReason }: ClusterDescription['brokers'][number]): Problem => ({
  kind: 'broker-unhealthy',
  message: `Broker ${brokerId} is not healthy: ${unhealthyReason}.`.replace('..', '.'),
  repair: `Start broker ${brokerId} again. If its disk is gone: "sluice broker replace ${brokerId}".`,
});

function leaderless(topics: readonly TopicDescription[]): Problem[] {
  const some = topics.flatMap(({ name, partitions }) =>
    partitions.filter(({ leader }) => leader === null).map(({ partition }) => `${name}/${partition}`),
  );
  if (some.length === 0) return [];
  return [
    {
      kind: 'partition-leaderless',
      message: `Nobody leads ${listed(some)}: they take and give nothing.`,
      repair: `"sluice why ${some[0] ?? ''}" tells which brokers are missing.`,
    },
  ];
}

function underReplicated(topics: readonly TopicDescription[]): Problem[] {
  const some = topics.flatMap(({ name, partitions }) =>
    partitions
      .filter(({ leader, replicas, inSyncReplicas }) => {
        return leader !== null && inSyncReplicas !== null && inSyncReplicas.length < replicas.length;
      })
      .map(({ partition }) => `${name}/${partition}`),
  );
  if (some.length === 0) return [];
  return [
    {
      kind: 'partition-under-replicated',
      message: `Not all replicas of ${listed(some)} are in sync.`,
      repair: `They catch up by themselves once their brokers run; "sluice why ${some[0] ?? ''}" tells which are behind.`,
    },
  ];
}

function ofReport({ broker, quarantined, disk }: BrokerReport): Problem[] {
  const { brokerId } = broker;
  const problems: Problem[] = [];
  if (quarantined.length > 0) {
    problems.push({
      kind: 'replicas-quarantined',
      message: `Broker ${brokerId} has set ${quarantined.length} replicas apart.`,
      repair: `"sluice broker describe ${brokerId}" tells why; "sluice broker replace ${brokerId}" gives it an empty disk.`,
    });
  }
  if (disk !== null && disk.level !== 'ample') {
    const what = disk.level === 'low' ? 'leaders there refuse new records' : 'replicas there take no more records';
    problems.push({
      kind: 'disk-full',
      message: `The disk of broker ${brokerId} has ${disk.freeBytes} bytes left: ${what}.`,
      repair: 'Keep less with "sluice topic alter --retention", move replicas away, or give it a larger disk.',
    });
  }
  return problems;
}

const listed = (names: readonly string[]): string =>
  names.length <= namedMax
    ? names.join(', ')
    : `${names.slice(0, namedMax).join(', ')} and ${names.length - namedMax} more partitions`;
