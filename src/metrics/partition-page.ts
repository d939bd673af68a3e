/**
 * `/metrics/partitions`: a line for every partition and metric, thousands of them, so it has a path and a scrape interval
 * of its own. Written here and not kept in a registry: the values are there already, and writing can take turns.
 */
import type { BrokerSample, ReplicaSample } from '../broker/broker-sample.ts';
import type { Pause } from './exposition.ts';
import { escapeLabel } from './exposition.ts';

/** A metric of the page. */
export interface PartitionMetric {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Values of one replica with the labels behind `topic` and `partition`; null: it has none. */
  readonly of: (replica: ReplicaSample) => readonly (readonly [labels: string, value: number])[];
}

const one = (value: number | null | undefined): readonly (readonly [string, number])[] =>
  value === null || value === undefined ? [] : [['', value]];

const place = ['topic', 'partition'] as const;

export const partitionMetrics: readonly PartitionMetric[] = [
  {
    name: 'sluice_partition_high_watermark',
    help: 'End offset of what is committed and applied on this replica.',
    labels: place,
    of: ({ highWatermark }) => one(highWatermark),
  },
  {
    name: 'sluice_partition_log_start_offset',
    help: 'First offset that can be read on this replica.',
    labels: place,
    of: ({ logStart }) => one(logStart),
  },
  {
    name: 'sluice_partition_log_bytes',
    help: 'Payload bytes of the log of this replica.',
    labels: place,
    of: ({ bytes }) => one(bytes),
  },
  {
    name: 'sluice_partition_leader',
    help: '1 where this replica leads and serves, else 0.',
    labels: place,
    of: ({ role, hasLeader }) => one(role === 'leader' && hasLeader ? 1 : 0),
  },
  {
    name: 'sluice_partition_replicas',
    help: 'Replicas that the partition shall have; told by its leader.',
    labels: place,
    of: ({ led }) => one(led?.replicas),
  },
  {
    name: 'sluice_partition_in_sync_replicas',
    help: 'Voting replicas that are in sync; told by the leader.',
    labels: place,
    of: ({ led }) => one(led?.inSync),
  },
  {
    name: 'sluice_partition_follower_lag_entries',
    help: 'Entries that the replica on another broker lacks; told by the leader.',
    labels: [...place, 'follower'],
    of: ({ led }) => [...(led?.lagEntries ?? [])].map(([broker, entries]) => [`,follower="${broker}"`, entries]),
  },
];

export const omittedMetric = {
  name: 'sluice_partition_replicas_omitted',
  help: 'Replicas on this broker that this page leaves out because there are too many.',
};

/** Replicas of which one turn writes the lines of one metric. */
const perTurnMax = 250;

/** @param replicasMax replicas beyond it are left out, and counted */
export async function partitionPage(sample: BrokerSample, replicasMax: number, pause: Pause): Promise<string> {
  const replicas = sample.replicas.slice(0, replicasMax);
  const places = replicas.map(({ topic, partition }) => `topic="${escapeLabel(topic)}",partition="${partition}"`);
  const parts: string[] = [];
  for (const { name, help, of } of partitionMetrics) {
    parts.push(head(name, help));
    for (let from = 0; from < replicas.length; from += perTurnMax) {
      const lines = replicas
        .slice(from, from + perTurnMax)
        .flatMap((replica, at) =>
          of(replica).map(([more, value]) => line(name, `${places[from + at] ?? ''}${more}`, value)),
        );
      parts.push(lines.join(''));
      await pause();
    }
  }
  const { name, help } = omittedMetric;
  parts.push(head(name, help), `${name} ${Math.max(0, sample.replicas.length - replicasMax)}\n`);
  return parts.join('');
}

const head = (name: string, help: string): string => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n`;
const line = (name: string, labels: string, value: number): string => `${name}{${labels}} ${value}\n`;
