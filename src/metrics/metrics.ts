/**
 * All metrics of a broker: what the layers report to (`observers`), what is asked when somebody scrapes (`Sources`), and
 * the pages. Nothing is done per record: one observation a request, batch, group commit or change of role.
 *
 * The number of series is bounded: labels are methods, codes, reasons and other closed sets, brokers of the cluster, and
 * topics and groups up to a number.
 */
import { performance } from 'node:perf_hooks';
import { Registry } from 'prom-client';
import type { ApiObserver } from '../api/observer.ts';
import type { BrokerSample } from '../broker/broker-sample.ts';
import type { LoopDelay } from '../broker/broker-facts.ts';
import type { StoreObserver } from '../log/observer.ts';
import { apiMetrics, phaseSeconds } from './api-metrics.ts';
import type { CountedBrokerEvents } from './broker-metrics.ts';
import { brokerMetrics } from './broker-metrics.ts';
import type { Pause } from './exposition.ts';
import { exposition, pauseTurn } from './exposition.ts';
import type { Page } from './http-server.ts';
import { partitionPage } from './partition-page.ts';
import { processMetrics } from './process-metrics.ts';
import type { RaftMetrics } from './raft-metrics.ts';
import { raftMetrics } from './raft-metrics.ts';
import { RecentSyncs } from './recent-syncs.ts';
import type { GaugeSources } from './source-metrics.ts';
import { sourceMetrics } from './source-metrics.ts';
import type { ShowState } from './state-metrics.ts';
import { stateMetrics } from './state-metrics.ts';
import { storeMetrics } from './store-metrics.ts';

export interface MetricsLimits {
  /** Topics that get series of their own on /metrics; the others count as one. */
  readonly topicSeriesMax: number;
  /** The same for consumer groups. */
  readonly groupSeriesMax: number;
  /** Replicas on /metrics/partitions. */
  readonly partitionReplicasMax: number;
}

export const metricsLimitsDefault: MetricsLimits = {
  topicSeriesMax: 200,
  groupSeriesMax: 200,
  partitionReplicasMax: 20_000,
};

/** What is asked when somebody scrapes. */
export interface Sources extends GaugeSources {
  /** Null: the broker does not run yet. */
  readonly sample: (pause: Pause) => Promise<BrokerSample | null>;
}

export interface MetricsOptions {
  readonly version: string;
  readonly brokerId: number;
  readonly loopDelay: () => LoopDelay | null;
  readonly sources: Sources;
  readonly limits?: Partial<MetricsLimits>;
  readonly pause?: Pause;
}

const nowSeconds = (): number => performance.now() / 1_000;

export class Metrics {
  readonly registry = new Registry();
  readonly api: ApiObserver;
  readonly store: StoreObserver;
  readonly raft: RaftMetrics['raft'];
  readonly peers: RaftMetrics['peers'];
  readonly broker: CountedBrokerEvents;
  readonly #options: MetricsOptions;
  readonly #limits: MetricsLimits;
  readonly #pause: Pause;
  readonly #showState: ShowState;
  readonly #endProcess: () => void;
  #sample: BrokerSample | null = null;

  constructor(options: MetricsOptions) {
    const { registry } = this;
    const { version, brokerId, loopDelay } = options;
    this.#options = options;
    this.#pause = options.pause ?? pauseTurn;
    this.#limits = { ...metricsLimitsDefault, ...options.limits };
    const { topicSeriesMax, groupSeriesMax } = this.#limits;
    const phases = phaseSeconds(registry);
    this.api = apiMetrics(registry, nowSeconds, phases);
    const { raft, peers, forget } = raftMetrics(registry);
    this.raft = raft;
    this.peers = peers;
    const syncs = new RecentSyncs();
    const groupRemoved = forget;
    this.broker = brokerMetrics({ registry, moment: nowSeconds, phases, syncs, topicSeriesMax, groupRemoved });
    this.store = storeMetrics(registry, nowSeconds, syncs);
    this.#showState = stateMetrics(registry, groupSeriesMax);
    sourceMetrics(registry, {
      ...options.sources,
      limits: () => [...options.sources.limits(), ...(this.#sample?.limits ?? [])],
    });
    this.#endProcess = processMetrics({ registry, version, brokerId, loopDelay });
  }

  /** By path. */
  get pages(): ReadonlyMap<string, Page> {
    return new Map([
      ['/metrics', () => this.#page()],
      ['/metrics/partitions', () => this.#partitions()],
    ]);
  }

  close(): void {
    this.#endProcess();
  }

  async #page(): Promise<string> {
    this.#sample = await this.#options.sources.sample(this.#pause);
    if (this.#sample !== null) this.#showState(this.#sample);
    return exposition(this.registry, this.#pause);
  }

  async #partitions(): Promise<string> {
    const sample = await this.#options.sources.sample(this.#pause);
    return sample === null ? '' : partitionPage(sample, this.#limits.partitionReplicasMax, this.#pause);
  }
}
