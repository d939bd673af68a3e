/**
 * What the dashboards show: every panel once, with its queries. dashboards.ts makes Grafana's JSON of it, the tests hold
 * the queries against the metrics there are, and the system test asks a real Prometheus all of them.
 */

export interface Query {
  /** PromQL. `$broker`, `$topic` and `$group` are variables of the dashboards: "any" if nothing is chosen. */
  readonly expr: string;
  /** Name of a line; labels in {{}}. */
  readonly legend: string;
}

/** Unit by Grafana's name. */
export type Unit = 'short' | 's' | 'bytes' | 'Bps' | 'reqps' | 'percentunit' | 'none';

export interface Panel {
  /** Number in its dashboard; links of alerts name it, so it stays. */
  readonly id: number;
  readonly title: string;
  /** `number`: its newest value; `lines`: over time. */
  readonly kind: 'number' | 'lines' | 'table';
  readonly unit: Unit;
  /** Its values are whole numbers. Default: they need not be. */
  readonly whole?: boolean;
  /** What it says and when to worry. */
  readonly description: string;
  readonly queries: readonly Query[];
  /** In a healthy cluster with traffic there may be nothing to show: no refusals, say. */
  readonly mayBeEmpty?: boolean;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly rows: readonly Row[];
}

const broker = 'instance=~"$broker"';
const one = (expr: string, legend = ''): readonly Query[] => [{ expr, legend }];
const quantiles = (histogram: string, by: string, where: string): readonly Query[] =>
  [0.5, 0.95, 0.99, 0.999].map((quantile) => ({
    expr: `histogram_quantile(${quantile}, sum by (${by}) (rate(${histogram}_bucket{${where}}[$__rate_interval])))`,
    legend: `p${quantile * 100}`,
  }));
const produce = 'method=~"Produce|ProduceStream"';

const cluster: Dashboard = {
  uid: 'sluice-cluster',
  title: 'Sluice: cluster',
  rows: [
    {
      title: 'Health',
      panels: [
        {
          id: 1,
          title: 'Brokers missing',
          kind: 'number',
          unit: 'none',
          description: 'Brokers of the cluster that can not be scraped. Above 0: see the runbook broker-down.',
          queries: one('max(max_over_time(sluice_cluster_brokers[1h])) - sum(up{job="sluice"})'),
        },
        {
          id: 2,
          title: 'Without a leader',
          kind: 'number',
          unit: 'none',
          description: 'Partitions that take and give no records. For a moment after a broker was lost, else 0.',
          queries: one('max(sluice_partitions_leaderless) + max(sluice_cluster_partitions_without_quorum)'),
        },
        {
          id: 3,
          title: 'Under-replicated',
          kind: 'number',
          unit: 'none',
          description: 'Partitions with fewer replicas in sync than there shall be.',
          queries: one('sum(sluice_partitions_under_replicated)'),
        },
        {
          id: 4,
          title: 'Quorum at risk',
          kind: 'number',
          unit: 'none',
          description: 'Under-replicated partitions that one more failure leaves without a majority.',
          queries: one('sum(sluice_partitions_quorum_at_risk)'),
        },
        {
          id: 5,
          title: 'Brokers',
          kind: 'table',
          unit: 'none',
          description: 'Version, version of Node and id of every broker that can be scraped.',
          queries: one(`max by (instance, broker_id, version, node) (sluice_build_info{${broker}})`, '{{instance}}'),
        },
      ],
    },
    {
      title: 'Traffic',
      panels: [
        {
          id: 6,
          title: 'Records in and out',
          kind: 'lines',
          unit: 'short',
          description: 'Records a second, by topic.',
          queries: [
            {
              expr: 'sum by (topic) (rate(sluice_produce_records_total{topic=~"$topic"}[$__rate_interval]))',
              legend: 'in {{topic}}',
            },
            {
              expr: 'sum by (topic) (rate(sluice_fetch_records_total{topic=~"$topic"}[$__rate_interval]))',
              legend: 'out {{topic}}',
            },
          ],
        },
        {
          id: 7,
          title: 'Bytes in and out',
          kind: 'lines',
          unit: 'Bps',
          description: 'Bytes of batches a second, as they are stored.',
          queries: [
            { expr: 'sum(rate(sluice_produce_bytes_total{topic=~"$topic"}[$__rate_interval]))', legend: 'in' },
            { expr: 'sum(rate(sluice_fetch_bytes_total{topic=~"$topic"}[$__rate_interval]))', legend: 'out' },
          ],
        },
        {
          id: 8,
          title: 'Requests by method',
          kind: 'lines',
          unit: 'reqps',
          description: 'Those that were asked for in the time that is shown, whatever came of them.',
          queries: one(`sum by (method) (rate(sluice_requests_total{${broker}}[$__rate_interval])) > 0`, '{{method}}'),
        },
        {
          id: 9,
          title: 'Refusals and limits',
          kind: 'lines',
          unit: 'reqps',
          description:
            'What was refused, by code; and by limit at the front door. NOT_LEADER_OR_FOLLOWER is the way to another leader. What ERRORS.md calls retriable comes and goes with leaders.',
          mayBeEmpty: true,
          queries: [
            { expr: `sum by (code) (rate(sluice_refusals_total{${broker}}[$__rate_interval]))`, legend: '{{code}}' },
            {
              expr: `sum by (limit) (rate(sluice_limit_rejections_total{${broker}}[$__rate_interval])) > 0`,
              legend: '{{limit}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Latency',
      panels: [
        {
          id: 10,
          title: 'Produce',
          kind: 'lines',
          unit: 's',
          description: 'From the arrival of a request to its answer.',
          queries: quantiles('sluice_request_duration_seconds', 'le', `${produce},${broker}`),
        },
        {
          id: 11,
          title: 'Phases of produce, p99',
          kind: 'lines',
          unit: 's',
          description:
            'queue: until the leader takes it. append: it waits for its group commit and is written. fsync: of that group, on the leader’s disk. replicate: from then until a majority has it. respond: until the reply has left.',
          queries: one(
            `histogram_quantile(0.99, sum by (le, phase) (rate(sluice_request_phase_seconds_bucket{method="Produce",${broker}}[$__rate_interval])))`,
            '{{phase}}',
          ),
        },
        {
          id: 12,
          title: 'Fetch without waiting for data',
          kind: 'lines',
          unit: 's',
          description: 'A fetch may wait for records; that time is taken off.',
          queries: quantiles('sluice_request_phase_seconds', 'le', `method="Fetch",phase="read",${broker}`),
        },
      ],
    },
    {
      title: 'Replication',
      panels: [
        {
          id: 13,
          title: 'Commit',
          kind: 'lines',
          unit: 's',
          description: 'From the acceptance of a batch until it is committed.',
          queries: quantiles('sluice_raft_commit_seconds', 'le', broker),
        },
        {
          id: 14,
          title: 'Elections and changes of leaders',
          kind: 'lines',
          unit: 'short',
          whole: true,
          description: 'In five minutes. Many without a restart: look at disks, event loops and connections.',
          queries: [
            { expr: 'sum(increase(sluice_raft_elections_total[5m]))', legend: 'elections' },
            { expr: 'sum(increase(sluice_raft_leaderships_gained_total[5m]))', legend: 'new leaders' },
          ],
        },
        {
          id: 15,
          title: 'Followers behind',
          kind: 'lines',
          unit: 'short',
          description: 'Entries that the replica furthest behind on each broker lacks.',
          queries: one('max by (follower) (sluice_raft_follower_lag_entries)', 'broker {{follower}}'),
        },
        {
          id: 16,
          title: 'Leaders by broker',
          kind: 'lines',
          unit: 'short',
          whole: true,
          description:
            'They should be spread evenly. A broker that comes back gets its own within half a minute. Learners are replicas that are being copied.',
          queries: [
            { expr: `sum by (instance) (sluice_partitions{role="leader",${broker}})`, legend: '{{instance}}' },
            { expr: 'sum(sluice_partitions{role="learner"})', legend: 'learners, all' },
          ],
        },
      ],
    },
    {
      title: 'Storage',
      panels: [
        {
          id: 17,
          title: 'fsync, p99',
          kind: 'lines',
          unit: 's',
          description: 'Every acknowledgement waits for a majority of such disks. Alert above 100 ms.',
          queries: one(
            `histogram_quantile(0.99, sum by (instance, le) (rate(sluice_storage_fsync_seconds_bucket{${broker}}[$__rate_interval])))`,
            '{{instance}}',
          ),
        },
        {
          id: 18,
          title: 'Writes that share an fsync',
          kind: 'lines',
          unit: 'short',
          description: 'Mean size of a group commit. It grows with the load, which is how a slow disk goes on.',
          queries: one(
            `sum by (instance) (rate(sluice_storage_group_writes_sum{${broker}}[$__rate_interval])) / sum by (instance) (rate(sluice_storage_group_writes_count{${broker}}[$__rate_interval]))`,
            '{{instance}}',
          ),
        },
        {
          id: 19,
          title: 'Logs',
          kind: 'lines',
          unit: 'bytes',
          description: 'Payload bytes of the logs on each broker.',
          queries: one(`sluice_storage_log_bytes{${broker}}`, '{{instance}}'),
        },
        {
          id: 20,
          title: 'Disk free, and its reserve',
          kind: 'lines',
          unit: 'bytes',
          description: 'Below the soft reserve leaders refuse new records.',
          queries: [
            { expr: `sluice_storage_disk_free_bytes{${broker}}`, legend: '{{instance}}' },
            { expr: `max(sluice_storage_disk_soft_reserve_bytes{${broker}})`, legend: 'soft reserve' },
          ],
        },
      ],
    },
    {
      title: 'Runtime',
      panels: [
        {
          id: 21,
          title: 'Event loop, p99 delay',
          kind: 'lines',
          unit: 's',
          description: 'Above 200 ms for long: heartbeats are late.',
          queries: one(`sluice_runtime_event_loop_delay_seconds{quantile="0.99",${broker}}`, '{{instance}}'),
        },
        {
          id: 22,
          title: 'Memory',
          kind: 'lines',
          unit: 'bytes',
          description: 'By kind, of the broker that has most of it.',
          queries: one(`max by (kind) (sluice_process_memory_bytes{${broker}})`, '{{kind}}'),
        },
        {
          id: 23,
          title: 'CPU and garbage collection',
          kind: 'lines',
          unit: 'percentunit',
          description:
            'Cores that are busy, and the share of time in garbage collection on the broker that has most of it.',
          queries: [
            {
              expr: `sum by (instance) (rate(sluice_process_cpu_seconds_total{${broker}}[$__rate_interval]))`,
              legend: '{{instance}}',
            },
            {
              expr: `max(sum by (instance) (rate(sluice_runtime_gc_seconds_sum{${broker}}[$__rate_interval])))`,
              legend: 'GC, most',
            },
          ],
        },
        {
          id: 24,
          title: 'Limits in use',
          kind: 'lines',
          unit: 'percentunit',
          description: 'What is taken of each limit. At 100 % requests are refused (LIMIT_REACHED).',
          queries: one(`max by (limit) (sluice_limit_used{${broker}} / sluice_limit_max)`, '{{limit}}'),
        },
      ],
    },
  ],
};

const groups: Dashboard = {
  uid: 'sluice-groups',
  title: 'Sluice: consumer groups',
  rows: [
    {
      title: 'Lag',
      panels: [
        {
          id: 1,
          title: 'Lag, records',
          kind: 'lines',
          unit: 'short',
          whole: true,
          description: 'Records between what a group committed and the ends of its partitions.',
          queries: one('max by (group) (sluice_group_lag_records{group=~"$group"})', '{{group}}'),
        },
        {
          id: 2,
          title: 'Lag, seconds',
          kind: 'lines',
          unit: 's',
          description: 'Age of the oldest record that a group has not committed.',
          queries: one('max by (group) (sluice_group_lag_seconds{group=~"$group"})', '{{group}}'),
        },
      ],
    },
    {
      title: 'Members',
      panels: [
        {
          id: 3,
          title: 'Members',
          kind: 'lines',
          unit: 'short',
          whole: true,
          description: 'Members of each group.',
          queries: one('max by (group) (sluice_group_members{group=~"$group"})', '{{group}}'),
        },
        {
          id: 4,
          title: 'Groups by phase',
          kind: 'lines',
          unit: 'short',
          whole: true,
          description: 'A group that stays in reconciling has a member that does not give up what it shall.',
          queries: one('sum by (phase) (sluice_groups)', '{{phase}}'),
        },
        {
          id: 5,
          title: 'Rebalances by reason',
          kind: 'lines',
          unit: 'short',
          description: 'In five minutes. session-expired: members that are too slow or gone.',
          queries: one('sum by (reason) (increase(sluice_group_rebalances_total[5m]))', '{{reason}}'),
        },
        {
          id: 6,
          title: 'Offsets committed',
          kind: 'lines',
          unit: 'short',
          description: 'A second.',
          queries: one('sum(rate(sluice_group_offset_commits_total[$__rate_interval]))', 'offsets'),
        },
      ],
    },
  ],
};

export const dashboards: readonly Dashboard[] = [cluster, groups];
