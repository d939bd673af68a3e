/**
 * What operators ask of the cluster, and what is told about it. Every operation is decided where the catalog leads
 * (operation-desk.ts); as JSON between brokers.
 */
import { InvariantViolation } from '../model/assert.ts';
import type { BrokerError, Result } from '../model/errors.ts';
import { ok } from '../model/errors.ts';
import type { BrokerId, LogIndex } from '../model/ids.ts';
import { toBrokerId, toLogIndex } from '../model/ids.ts';
import { readError } from './catalog-requests.ts';
import type { JsonFields } from './json-fields.ts';
import { decodeJson, encodeJson } from './json-fields.ts';

/** A topic as the caller names it; `topicId` null: by name alone. */
export interface TopicRef {
  readonly tenant: number;
  readonly name: string;
  readonly topicId: string | null;
}

/** Where the replicas of one partition shall be, the preferred leader first. */
export interface ReplicaMove {
  readonly tenant: number;
  readonly topic: string;
  readonly partition: number;
  readonly brokers: readonly BrokerId[];
}

export type ClusterOperation =
  | { readonly kind: 'drain-broker' | 'undrain-broker' | 'decommission-broker'; readonly brokerId: BrokerId }
  /** @property incarnation of the disk that is given up; null: the one that the broker has */
  | { readonly kind: 'replace-broker'; readonly brokerId: BrokerId; readonly incarnation: string | null }
  /** @property supersede a move that is under way is replaced and not waited for */
  | { readonly kind: 'move-replicas'; readonly moves: readonly ReplicaMove[]; readonly supersede: boolean }
  | {
      readonly kind: 'transfer-leadership';
      readonly tenant: number;
      readonly topic: string;
      readonly partition: number;
      readonly brokerId: BrokerId;
    }
  /** @property partitions that the topic shall have afterwards */
  | { readonly kind: 'add-partitions'; readonly topic: TopicRef; readonly partitions: number }
  | { readonly kind: 'change-replication-factor'; readonly topic: TopicRef; readonly replicationFactor: number }
  | { readonly kind: 'finalize-upgrade' };

/** A partition that has less redundancy than it should have, now or afterwards. */
export interface PartitionAtRisk {
  readonly topic: string;
  readonly partition: number;
  readonly reason: string;
}

/** What an operation does, or would do. */
export interface Impact {
  /** Payload bytes to copy, of the partitions whose size is known; null: there are some, and no size is known. */
  readonly bytesToMove: number | null;
  readonly partitionsOfUnknownSize: number;
  readonly replicasToMove: number;
  readonly partitionsAffected: number;
  /** Null: not known. */
  readonly leadersToMove: number | null;
  /** The first `partitionsAtRiskTold`. */
  readonly partitionsAtRisk: readonly PartitionAtRisk[];
  readonly partitionsAtRiskCount: number;
  /** Only of a dry run; else the first of them is the refusal of the call. */
  readonly refusals: readonly BrokerError[];
  readonly warnings: readonly string[];
}

/** Partitions at risk that an impact names; more are counted only. */
export const partitionsAtRiskTold = 100;

export interface OperationReport {
  readonly impact: Impact;
  /** Whoever has applied the catalog's log through this index sees the effect. */
  readonly index: LogIndex;
  /** Of a decommissioning: replicas that are not gone from the broker yet. Else null. */
  readonly replicasLeft: number | null;
  /** Of a decommissioning: it is not part of the cluster (any more). */
  readonly removed: boolean;
  /** Of a replacement: the disk that is given up. Else null. */
  readonly incarnation: string | null;
  /** Of a finalization: the version in force afterwards. Else null. */
  readonly activeVersion: number | null;
}

export interface OperationCall {
  readonly operation: ClusterOperation;
  readonly dryRun: boolean;
}

export const encodeOperationCall = (call: OperationCall): Uint8Array => encodeJson(call);

/** @throws InvariantViolation for what `encodeOperationCall` of a version that is known here did not make */
export function decodeOperationCall(bytes: Uint8Array): OperationCall {
  const fields = decodeJson(bytes, 'operation call');
  return { operation: fields.object('operation', readOperation), dryRun: fields.flag('dryRun') };
}

function readOperation(fields: JsonFields): ClusterOperation {
  const kind = fields.text('kind');
  switch (kind) {
    case 'drain-broker':
    case 'undrain-broker':
    case 'decommission-broker':
      return { kind, brokerId: toBrokerId(fields.number('brokerId')) };
    case 'replace-broker':
      return { kind, brokerId: toBrokerId(fields.number('brokerId')), incarnation: fields.textOrNull('incarnation') };
    case 'move-replicas':
      return { kind, moves: fields.list('moves', readMove), supersede: fields.flag('supersede') };
    case 'transfer-leadership': {
      const { tenant, topic, partition } = readPartition(fields);
      return { kind, tenant, topic, partition, brokerId: toBrokerId(fields.number('brokerId')) };
    }
    case 'add-partitions':
      return { kind, topic: fields.object('topic', readTopicRef), partitions: fields.number('partitions') };
    case 'change-replication-factor': {
      const replicationFactor = fields.number('replicationFactor');
      return { kind, topic: fields.object('topic', readTopicRef), replicationFactor };
    }
    case 'finalize-upgrade':
      return { kind };
    default:
      throw new InvariantViolation('operation-1: every operation is known', kind);
  }
}

const readPartition = (fields: JsonFields): Omit<ReplicaMove, 'brokers'> => ({
  tenant: fields.number('tenant'),
  topic: fields.text('topic'),
  partition: fields.number('partition'),
});

const readMove = (fields: JsonFields): ReplicaMove => ({
  ...readPartition(fields),
  brokers: fields.numbers('brokers').map(toBrokerId),
});

const readTopicRef = (fields: JsonFields): TopicRef => ({
  tenant: fields.number('tenant'),
  name: fields.text('name'),
  topicId: fields.textOrNull('topicId'),
});

export const encodeReport = (report: Result<OperationReport>): Uint8Array =>
  encodeJson(report.kind === 'ok' ? { kind: 'ok', report: report.value } : report);

/** @throws InvariantViolation for what `encodeReport` of a version that is known here did not make */
export function decodeReport(bytes: Uint8Array): Result<OperationReport> {
  const fields = decodeJson(bytes, 'operation report');
  if (fields.text('kind') === 'refused') return { kind: 'refused', error: fields.object('error', readError) };
  return ok(
    fields.object('report', (report) => ({
      impact: report.object('impact', readImpact),
      index: toLogIndex(report.number('index')),
      replicasLeft: report.numberOrNull('replicasLeft'),
      removed: report.flag('removed'),
      incarnation: report.textOrNull('incarnation'),
      activeVersion: report.numberOrNull('activeVersion'),
    })),
  );
}

const readImpact = (fields: JsonFields): Impact => ({
  bytesToMove: fields.numberOrNull('bytesToMove'),
  partitionsOfUnknownSize: fields.number('partitionsOfUnknownSize'),
  replicasToMove: fields.number('replicasToMove'),
  partitionsAffected: fields.number('partitionsAffected'),
  leadersToMove: fields.numberOrNull('leadersToMove'),
  partitionsAtRisk: fields.list('partitionsAtRisk', (one) => ({
    topic: one.text('topic'),
    partition: one.number('partition'),
    reason: one.text('reason'),
  })),
  partitionsAtRiskCount: fields.number('partitionsAtRiskCount'),
  refusals: fields.list('refusals', readError),
  warnings: fields.names('warnings'),
});
