/** ClusterService. */
import type {
  ClusterServiceService,
  DescribeBrokerRequest,
  DescribeBrokerResponse,
  DescribeClusterResponse,
} from '../gen/sluice/v1/cluster.ts';
import type { BrokerApi, RequestContext } from '../broker/requests.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import { toBrokerDescription } from './broker-description.ts';
import { toDescribeBrokerResponse } from './broker-report.ts';
import type { CallDesk } from './call-desk.ts';
import { FieldChecks, toInt32, toInt32OrAbsent, toInt64 } from './convert.ts';
import { explain } from './explain.ts';
import { operationHandlers } from './operations.ts';
import type { HandlersOf } from './service.ts';

async function describeCluster(broker: BrokerApi, context: RequestContext): Promise<Result<DescribeClusterResponse>> {
  const described = await broker.describeCluster(context);
  if (described.kind === 'refused') return described;
  const cluster = described.value;
  return ok({
    clusterId: cluster.clusterId,
    brokers: cluster.brokers.map(toBrokerDescription),
    catalogLeader: toInt32OrAbsent(cluster.catalogLeader),
    catalogRevision: toInt64(cluster.catalogRevision),
    activeVersion: toInt32(cluster.activeVersion),
    topicCount: toInt32(cluster.topicCount),
    partitionCount: toInt32(cluster.partitionCount),
  });
}

export async function describeBroker(
  broker: BrokerApi,
  { brokerId }: DescribeBrokerRequest,
  context: RequestContext,
): Promise<Result<DescribeBrokerResponse>> {
  const checks = new FieldChecks();
  const asked = brokerId === undefined ? null : checks.brokerId('broker_id', brokerId);
  const checked = checks.finish(asked);
  if (checked.kind === 'refused') return checked;
  const described = await broker.describeBroker(asked, context);
  return described.kind === 'refused' ? described : ok(toDescribeBrokerResponse(described.value));
}

/** The methods of ClusterService. */
export function clusterHandlers(desk: CallDesk, broker: () => BrokerApi): HandlersOf<typeof ClusterServiceService> {
  return {
    describeCluster: desk.unary((_request, context) => describeCluster(broker(), context)),
    describeBroker: desk.unary((request, context) => describeBroker(broker(), request, context)),
    explain: desk.unary((request, context) => explain(broker(), request, context)),
    ...operationHandlers(desk, broker),
  };
}
