/** What the broker layer reports: records in and out, appends, refusals, rebalances. One observation a batch or request. */
import type { Registry } from 'prom-client';
import { Counter, Histogram } from 'prom-client';
import type { RebalanceReason } from '../broker/group/rebalance-history.ts';
import type { BrokerObserver } from '../broker/observer.ts';
import type { GroupNumber } from '../model/ids.ts';
import type { PhaseSeconds } from './api-metrics.ts';
import { requestBuckets } from './buckets.ts';
import type { RecentSyncs } from './recent-syncs.ts';
import { TopicTotals } from './topic-totals.ts';

/** What metrics hear of the broker layer. */
export type CountedBrokerEvents = Pick<
  BrokerObserver,
  | 'moment'
  | 'appended'
  | 'appendQueued'
  | 'duplicate'
  | 'appendSettled'
  | 'refused'
  | 'fetched'
  | 'fetchTook'
  | 'groupChanged'
  | 'topicDeleted'
  | 'groupRemoved'
>;

/** All there are: a series that begins with 1 shows no increase. */
const rebalanceReasons: Readonly<Record<RebalanceReason, 0>> = {
  joined: 0,
  resumed: 0,
  left: 0,
  'session-expired': 0,
  'revocation-expired': 0,
  'progress-expired': 0,
  'topics-changed': 0,
};

interface BrokerMetricsParts {
  readonly registry: Registry;
  /** Now, seconds on a clock that never goes back. */
  readonly moment: () => number;
  readonly phases: PhaseSeconds;
  readonly syncs: RecentSyncs;
  /** Topics that get series of their own. */
  readonly topicSeriesMax: number;
  /** The replica of a group is not here any more. */
  readonly groupRemoved: (group: GroupNumber) => void;
}

export function brokerMetrics({
  registry,
  moment,
  phases,
  syncs,
  topicSeriesMax,
  groupRemoved,
}: BrokerMetricsParts): CountedBrokerEvents {
  const registers = [registry];
  const totals = new TopicTotals(registry, topicSeriesMax);
  const commitSeconds = new Histogram({
    name: 'sluice_raft_commit_seconds',
    help: 'From the acceptance of a batch by the leader until it is committed: durable on a majority, and applied.',
    buckets: [...requestBuckets],
    registers,
  });
  const unknown = new Counter({
    name: 'sluice_appends_unknown_total',
    help: 'Batches that were accepted and whose outcome is unknown: leadership was lost, or the broker stopped.',
    registers,
  });
  const duplicates = new Counter({
    name: 'sluice_produce_duplicates_total',
    help: 'Batches that were in the log already: retries, answered with the outcome of the original.',
    registers,
  });
  const refusals = new Counter({
    name: 'sluice_refusals_total',
    help: 'What the broker refused, by code (docs/ERRORS.md); in a Fetch each partition counts.',
    labelNames: ['code'],
    registers,
  });
  const rebalances = new Counter({
    name: 'sluice_group_rebalances_total',
    help: 'Times that a consumer group coordinated here shared its partitions anew, by reason: joined, resumed, left, session-expired, revocation-expired, progress-expired, topics-changed.',
    labelNames: ['reason'],
    registers,
  });
  for (const [reason, none] of Object.entries(rebalanceReasons)) rebalances.inc({ reason }, none);
  const commits = new Counter({
    name: 'sluice_group_offset_commits_total',
    help: 'Offsets that were committed in groups coordinated here.',
    registers,
  });
  return {
    moment,
    groupRemoved,
    appended: (topic, records, bytes) => totals.produced(topic, records, bytes),
    fetched: (topic, records, bytes) => totals.fetched(topic, records, bytes),
    topicDeleted: (topic) => totals.forget(topic),
    appendQueued: (arrived) => phases.observe({ method: 'Produce', phase: 'queue' }, moment() - arrived),
    duplicate: () => duplicates.inc(),
    appendSettled: (outcome, accepted, durable) => {
      if (outcome === 'unknown') unknown.inc();
      else {
        const now = moment();
        commitSeconds.observe(now - accepted);
        const untilDurable = (durable ?? now) - accepted;
        // where others were faster than the disk here, its sync was waited for by nobody
        const synced = durable === null ? 0 : Math.min(untilDurable, syncs.before(durable) ?? 0);
        phases.observe({ method: 'Produce', phase: 'append' }, untilDurable - synced);
        phases.observe({ method: 'Produce', phase: 'fsync' }, synced);
        phases.observe({ method: 'Produce', phase: 'replicate' }, now - (durable ?? now));
      }
    },
    refused: ({ code }) => refusals.inc({ code }),
    fetchTook: (began, waited) => {
      phases.observe({ method: 'Fetch', phase: 'wait' }, waited);
      phases.observe({ method: 'Fetch', phase: 'read' }, Math.max(0, moment() - began - waited));
    },
    groupChanged: (event) => {
      if (event.kind === 'rebalanced') rebalances.inc({ reason: event.reason });
      else if (event.kind === 'offsets-committed') commits.inc(event.count);
    },
  };
}
