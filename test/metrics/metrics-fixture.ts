/** Metrics with sources that a test sets, and samples of made-up brokers. */
import type { BrokerSample, GroupSample, ReplicaSample } from '../../src/broker/broker-sample.ts';
import type { MetricsOptions } from '../../src/metrics/metrics.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { toBrokerId, toOffset } from '../../src/model/ids.ts';

export const emptySample: BrokerSample = {
  replicas: [],
  quarantined: 0,
  groups: [],
  brokers: 3,
  topics: 1,
  partitions: 1,
  catalogRevision: 7,
  catalogLeader: null,
  limits: [{ limit: 'appendBytesInFlightMax', used: 5, max: 10 }],
};

export const replica = (more: Partial<ReplicaSample> = {}): ReplicaSample => ({
  topic: 'orders',
  partition: 0,
  role: 'follower',
  hasLeader: true,
  highWatermark: toOffset(100),
  logStart: toOffset(10),
  bytes: 4_096,
  led: null,
  ...more,
});

/** A partition led here, of three replicas. */
export const led = (inSync: number, lagEntries: readonly (readonly [number, number])[] = []): ReplicaSample =>
  replica({
    role: 'leader',
    led: {
      replicas: 3,
      inSync,
      quorum: 2,
      lagEntries: new Map(lagEntries.map(([id, entries]) => [toBrokerId(id), entries])),
    },
  });

export const group = (name: string, more: Partial<GroupSample> = {}): GroupSample => ({
  group: name,
  members: 2,
  phase: 'stable',
  lags: [
    { topic: 'orders', partition: 0, records: 5, seconds: 2.5 },
    { topic: 'orders', partition: 1, records: 7, seconds: null },
  ],
  ...more,
});

const disk = {
  level: 'ample',
  freeBytes: 60,
  totalBytes: 100,
  softReserveBytes: 5,
  hardReserveBytes: 2,
  ballastWhole: true,
} as const;

/** Closed by the caller. */
export function metricsOf(sample: BrokerSample | null, more: Partial<MetricsOptions> = {}): Metrics {
  return new Metrics({
    version: '1.2.3',
    brokerId: 4,
    loopDelay: () => ({ p50Ms: 1, p99Ms: 20, maxMs: 30, spanMs: 10_000 }),
    sources: {
      sample: async (pause) => {
        await pause();
        return sample;
      },
      disk: () => disk,
      limits: () => [{ limit: 'callsInFlightMax', used: 1, max: 20_000 }],
      isReady: () => true,
    },
    ...more,
  });
}

/** The text of a page. */
export async function pageOf(metrics: Metrics, path = '/metrics'): Promise<string> {
  return (await metrics.pages.get(path)?.()) ?? '';
}

/** Value of one series of a page, written as in the page: `name{label="value"}`. */
export function valueOf(page: string, series: string): number | null {
  const line = page.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? null : Number(line.slice(series.length + 1));
}
