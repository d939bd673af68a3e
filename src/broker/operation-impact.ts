/** From a plan, and what brokers tell of their replicas, to what an operation does. Pure. */
import type { BrokerId, GroupNumber } from '../model/ids.ts';
import type { Impact } from './cluster-operation.ts';
import { partitionsAtRiskTold } from './cluster-operation.ts';
import type { OperationPlan } from './operation-plan.ts';
import type { ReplicaFact } from './replica-facts.ts';

/** @param facts of each replica that could be asked about */
export function impactOf(plan: OperationPlan, facts: readonly ReplicaFact[], dryRun: boolean): Impact {
  const sizes = new Map<GroupNumber, number>();
  const leaders = new Map<GroupNumber, BrokerId>();
  for (const { group, brokerId, bytes, leads } of facts) {
    if (leads) leaders.set(group, brokerId);
    // what the leader has is what is copied; of others the largest is the best that is known
    if (leads) sizes.set(group, bytes);
    else if (!leaders.has(group)) sizes.set(group, Math.max(bytes, sizes.get(group) ?? 0));
  }
  const known = plan.copies.map((group) => sizes.get(group)).filter((bytes) => bytes !== undefined);
  const unknown = new Set(plan.copies.filter((group) => !sizes.has(group))).size;
  const moving = [...plan.leadLeaves].filter(([group, from]) => {
    const leader = leaders.get(group);
    return leader !== undefined && from.has(leader);
  });
  const allLed = [...plan.leadLeaves.keys()].every((group) => leaders.has(group));
  return {
    bytesToMove: known.length === 0 && unknown > 0 ? null : known.reduce((sum, bytes) => sum + bytes, 0),
    partitionsOfUnknownSize: unknown,
    replicasToMove: plan.copies.length,
    partitionsAffected: plan.affected.length,
    leadersToMove: allLed ? moving.length : null,
    partitionsAtRisk: plan.atRisk.slice(0, partitionsAtRiskTold),
    partitionsAtRiskCount: plan.atRisk.length,
    refusals: dryRun ? plan.refusals.map((refused) => refused.error) : [],
    warnings: plan.warnings,
  };
}
