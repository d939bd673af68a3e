/** The calls of ClusterService that change the cluster: form checks and conversion; what they mean is the catalog's. */
import type { ClusterServiceService } from '../gen/sluice/v1/cluster.ts';
import type { Impact as WireImpact } from '../gen/sluice/v1/impact.ts';
import type { ClusterOperation, Impact, OperationReport } from '../broker/cluster-operation.ts';
import type { BrokerApi, RequestContext } from '../broker/requests.ts';
import type { Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import type { BrokerId } from '../model/ids.ts';
import { toBrokerId } from '../model/ids.ts';
import type { CallDesk } from './call-desk.ts';
import { FieldChecks, toInt32, toInt32OrAbsent, toInt64, toInt64OrAbsent } from './convert.ts';
import type { HandlersOf } from './service.ts';
import { errorDetail } from './status.ts';

const brokerIdRange = { from: 0, through: 2 ** 31 - 1 };
/** Partitions that one call moves. */
const movesMax = 1_000;
/** Broker ids of one partition. */
const replicasMax = 7;

export const toImpact = (impact: Impact): WireImpact => ({
  bytesToMove: toInt64OrAbsent(impact.bytesToMove),
  partitionsOfUnknownSize: toInt32(impact.partitionsOfUnknownSize),
  replicasToMove: toInt32(impact.replicasToMove),
  partitionsAffected: toInt32(impact.partitionsAffected),
  leadersToMove: toInt32OrAbsent(impact.leadersToMove),
  partitionsAtRisk: impact.partitionsAtRisk.map(({ topic, partition, reason }) => ({ topic, partition, reason })),
  partitionsAtRiskCount: toInt32(impact.partitionsAtRiskCount),
  refusals: impact.refusals.map(errorDetail),
  warnings: [...impact.warnings],
});

type Report = OperationReport & { readonly catalogRevision: number };
type Reply = { readonly impact: WireImpact; readonly catalogRevision: bigint };

interface Asked {
  readonly dryRun: boolean;
}

/** Checks, has it carried out, and adds to the reply what is special to the call. */
async function carryOut<More extends object>(
  broker: BrokerApi,
  request: Asked,
  context: RequestContext,
  read: (checks: FieldChecks) => ClusterOperation,
  more: (report: Report) => More,
): Promise<Result<Reply & More>> {
  const checks = new FieldChecks();
  const checked = checks.finish(read(checks));
  // what was complained of first is told: reading goes on with placeholders that are never used
  if (checked.kind === 'refused') return checked;
  const done = await broker.operate(checked.value, request.dryRun, context);
  if (done.kind === 'refused') return done;
  const { impact, catalogRevision } = done.value;
  return ok({ impact: toImpact(impact), catalogRevision: toInt64(catalogRevision), ...more(done.value) });
}

const brokerOf = (checks: FieldChecks, id: number): BrokerId =>
  toBrokerId(checks.integer('broker_id', id, brokerIdRange));

const nothingMore = (): object => ({});

type Operations = Omit<HandlersOf<typeof ClusterServiceService>, 'describeCluster' | 'describeBroker' | 'explain'>;

export function operationHandlers(desk: CallDesk, broker: () => BrokerApi): Operations {
  return {
    drainBroker: desk.unary((request, context) => {
      const read = (checks: FieldChecks): ClusterOperation => {
        return { kind: 'drain-broker', brokerId: brokerOf(checks, request.brokerId) };
      };
      return carryOut(broker(), request, context, read, nothingMore);
    }),
    undrainBroker: desk.unary((request, context) => {
      const read = (checks: FieldChecks): ClusterOperation => {
        return { kind: 'undrain-broker', brokerId: brokerOf(checks, request.brokerId) };
      };
      return carryOut(broker(), request, context, read, nothingMore);
    }),
    decommissionBroker: desk.unary((request, context) => {
      const read = (checks: FieldChecks): ClusterOperation => {
        return { kind: 'decommission-broker', brokerId: brokerOf(checks, request.brokerId) };
      };
      return carryOut(broker(), request, context, read, ({ replicasLeft, removed }) => {
        return { replicasLeft: toInt32(replicasLeft ?? 0), removed };
      });
    }),
    replaceBroker: desk.unary((request, context) => {
      const read = (checks: FieldChecks): ClusterOperation => {
        const incarnation = checks.topicId('incarnation', request.incarnation);
        return { kind: 'replace-broker', brokerId: brokerOf(checks, request.brokerId), incarnation };
      };
      return carryOut(broker(), request, context, read, ({ incarnation }) => ({ incarnation: incarnation ?? '' }));
    }),
    moveReplicas: desk.unary((request, context) => {
      const read = (checks: FieldChecks): ClusterOperation => {
        const { moves, supersede } = request;
        if (moves.length === 0 || moves.length > movesMax)
          checks.complain('moves', `must be 1 to ${movesMax} partitions`, String(moves.length));
        const wished = moves.map(({ topic, partition, brokerIds }, at) => {
          checks.within('moves', at);
          if (brokerIds.length === 0 || brokerIds.length > replicasMax)
            checks.complain('broker_ids', `must be 1 to ${replicasMax} brokers`, String(brokerIds.length));
          return {
            tenant: context.tenant,
            topic: checks.topic('topic', topic),
            partition: checks.partition('partition', partition),
            brokers: brokerIds.map((id) => toBrokerId(checks.integer('broker_ids', id, brokerIdRange))),
          };
        });
        checks.within(null);
        return { kind: 'move-replicas', moves: wished, supersede };
      };
      return carryOut(broker(), request, context, read, nothingMore);
    }),
    transferLeadership: desk.unary((request, context) => {
      const read = (checks: FieldChecks): ClusterOperation => ({
        kind: 'transfer-leadership',
        tenant: context.tenant,
        topic: checks.topic('topic', request.topic),
        partition: checks.partition('partition', request.partition),
        brokerId: brokerOf(checks, request.brokerId),
      });
      return carryOut(broker(), request, context, read, nothingMore);
    }),
    finalizeUpgrade: desk.unary((request, context) => {
      const read = (): ClusterOperation => ({ kind: 'finalize-upgrade' });
      return carryOut(broker(), request, context, read, ({ activeVersion }) => {
        return { activeVersion: toInt32(activeVersion ?? 0) };
      });
    }),
  };
}
