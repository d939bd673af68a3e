/** Operations on a live cluster: what they do, or would do, as the cluster tells it. */
import type { CallOptions } from './brokers.ts';
import { fromDetail } from './decode-error.ts';
import { BrokerError } from './errors.ts';
import type { Impact as WireImpact } from './gen/sluice/v1/impact.ts';
import { toNumberOrNull } from './int64.ts';

export interface OperationOptions extends CallOptions {
  /** Only tells what would happen, and why it would be refused. Default false. */
  readonly dryRun?: boolean;
}

/** A partition that has less redundancy than it should have, now or afterwards. */
export interface PartitionAtRisk {
  readonly topic: string;
  readonly partition: number;
  /** One sentence. */
  readonly reason: string;
}

/** What an operation does, or would do. */
export interface Impact {
  /** Payload bytes that are copied, of the partitions whose size is known; null: there are some, and no size is known. */
  readonly bytesToMove: number | null;
  readonly partitionsOfUnknownSize: number;
  readonly replicasToMove: number;
  readonly partitionsAffected: number;
  /** Null: not known. */
  readonly leadersToMove: number | null;
  /** The first 100. */
  readonly partitionsAtRisk: readonly PartitionAtRisk[];
  readonly partitionsAtRiskCount: number;
  /** Of a dry run: why it would be refused; empty: it would be done. */
  readonly refusals: readonly BrokerError[];
  /** One sentence each. */
  readonly warnings: readonly string[];
}

export interface Decommissioning {
  readonly impact: Impact;
  /** Replicas that are not gone from it yet. */
  readonly replicasLeft: number;
  /** It is not part of the cluster (any more). */
  readonly removed: boolean;
}

/** Where the replicas of one partition shall be. */
export interface ReplicaMove {
  readonly topic: string;
  /** From 0. */
  readonly partition: number;
  /** The preferred leader first; as many as the partition has replicas. */
  readonly brokerIds: readonly number[];
}

export function impactOf(wire: WireImpact | undefined): Impact {
  if (wire === undefined) throw new BrokerError('INTERNAL', 'The broker answered without the impact.');
  return {
    bytesToMove: toNumberOrNull(wire.bytesToMove),
    partitionsOfUnknownSize: wire.partitionsOfUnknownSize,
    replicasToMove: wire.replicasToMove,
    partitionsAffected: wire.partitionsAffected,
    leadersToMove: wire.leadersToMove ?? null,
    partitionsAtRisk: wire.partitionsAtRisk.map(({ topic, partition, reason }) => ({ topic, partition, reason })),
    partitionsAtRiskCount: wire.partitionsAtRiskCount,
    refusals: wire.refusals.map((detail) => fromDetail(detail, {})),
    warnings: wire.warnings,
  };
}
