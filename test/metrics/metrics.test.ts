import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import type { BrokerSample } from '../../src/broker/broker-sample.ts';
import type { Metrics } from '../../src/metrics/metrics.ts';
import type { MetricsOptions } from '../../src/metrics/metrics.ts';
import { omittedMetric, partitionMetrics } from '../../src/metrics/partition-page.ts';
import { toGroupNumber, toMemberEpoch, toTerm } from '../../src/model/ids.ts';
import { emptySample, group, led, metricsOf, pageOf, replica, valueOf } from './metrics-fixture.ts';

function measured(t: TestContext, sample: BrokerSample | null, more: Partial<MetricsOptions> = {}): Metrics {
  const metrics = metricsOf(sample, more);
  t.after(() => metrics.close());
  return metrics;
}

test('docs/METRICS.md has every metric with its type, labels and meaning, and no other', async (t) => {
  const { registry } = measured(t, emptySample);
  const ofRegistry = (await registry.getMetricsAsJSON()).map(({ name, type, help }) => {
    const metric = registry.getSingleMetric(name);
    const labels = metric !== undefined && 'labelNames' in metric ? metric.labelNames : [];
    return row(name, String(type), labels as readonly string[], help);
  });
  const ofPartitions = [...partitionMetrics, { ...omittedMetric, labels: [] }].map(({ name, labels, help }) =>
    row(name, 'gauge', labels, help),
  );
  const page = readFileSync(new URL('../../docs/METRICS.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `sluice_'));
  assert.deepEqual([...rows].sort(), [...ofRegistry, ...ofPartitions].sort());
});

const row = (name: string, type: string, labels: readonly string[], help: string): string =>
  `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ') || '–'} | ${help} |`;

test('requests, records and what they wait for are counted once a request or batch', async (t) => {
  const metrics = measured(t, emptySample);
  const { api, broker } = metrics;
  api.answered('Produce', 'OK', api.moment() - 0.02);
  api.answered('FetchStream', 'OK', null);
  api.answered('Produce', 'NOT_LEADER_OR_FOLLOWER', api.moment());
  api.limitReached('callsInFlightMax');
  broker.appended('orders', 100, 65_536);
  broker.appended('orders', 1, 100);
  broker.fetched('orders', 50, 1_000);
  metrics.store.began?.();
  metrics.store.written?.();
  await sleep(20);
  metrics.store.synced?.();
  const durable = broker.moment();
  const accepted = durable - 0.3;
  broker.appendSettled('committed', accepted, durable);
  broker.appendSettled('unknown', accepted, null);
  broker.appendQueued(broker.moment() - 0.02);
  api.replied('ProduceStream', api.moment() - 0.2);
  broker.fetchTook(broker.moment() - 0.5, 0.45);
  const page = await pageOf(metrics);
  const expected: readonly (readonly [string, number])[] = [
    ['sluice_requests_total{method="Produce",code="OK"}', 1],
    ['sluice_requests_total{method="Produce",code="NOT_LEADER_OR_FOLLOWER"}', 1],
    ['sluice_requests_total{method="FetchStream",code="OK"}', 1],
    ['sluice_request_duration_seconds_count{method="Produce"}', 2],
    ['sluice_request_duration_seconds_bucket{le="0.01",method="Produce"}', 1],
    ['sluice_limit_rejections_total{limit="callsInFlightMax"}', 1],
    ['sluice_produce_records_total{topic="orders"}', 101],
    ['sluice_produce_bytes_total{topic="orders"}', 65_636],
    ['sluice_produce_batches_total{topic="orders"}', 2],
    ['sluice_fetch_records_total{topic="orders"}', 50],
    ['sluice_raft_commit_seconds_count', 1],
    ['sluice_appends_unknown_total', 1],
    ['sluice_request_phase_seconds_count{method="Produce",phase="append"}', 1],
    ['sluice_request_phase_seconds_count{method="Produce",phase="fsync"}', 1],
    ['sluice_request_phase_seconds_bucket{le="0.01",method="Produce",phase="fsync"}', 0],
    ['sluice_request_phase_seconds_count{method="Produce",phase="replicate"}', 1],
    ['sluice_request_phase_seconds_bucket{le="0.01",method="Produce",phase="queue"}', 0],
    ['sluice_request_phase_seconds_bucket{le="0.05",method="Produce",phase="queue"}', 1],
    ['sluice_request_phase_seconds_bucket{le="0.1",method="Produce",phase="respond"}', 0],
    ['sluice_request_phase_seconds_bucket{le="0.5",method="Produce",phase="respond"}', 1],
    ['sluice_request_phase_seconds_bucket{le="0.5",method="Fetch",phase="wait"}', 1],
    ['sluice_request_phase_seconds_bucket{le="0.1",method="Fetch",phase="read"}', 1],
  ];
  for (const [series, value] of expected) assert.equal(valueOf(page, series), value, series);
  assert.equal(valueOf(page, 'sluice_request_duration_seconds_count{method="FetchStream"}'), null);
  const phase = (name: string): number =>
    valueOf(page, `sluice_request_phase_seconds_sum{method="Produce",phase="${name}"}`) ?? NaN;
  assert.ok(Math.abs(phase('append') + phase('fsync') - (durable - accepted)) < 1e-6, 'the two add up');
});

test('one group commit is one observation of its write, its fsync and its size', async (t) => {
  const metrics = measured(t, null);
  metrics.store.began?.();
  metrics.store.written?.();
  metrics.store.synced?.();
  metrics.store.committed?.(12, 5_000);
  const page = await pageOf(metrics);
  for (const name of ['write_seconds', 'fsync_seconds', 'group_writes', 'group_bytes'])
    assert.equal(valueOf(page, `sluice_storage_${name}_count`), 1, name);
  assert.equal(valueOf(page, 'sluice_storage_group_writes_sum'), 12);
  assert.equal(valueOf(page, 'sluice_storage_group_bytes_sum'), 5_000);
});

test('elections and changes of leaders are counted where the role changes, not where something else does', async (t) => {
  const metrics = measured(t, null);
  const at = toGroupNumber(5);
  const state = { term: toTerm(1), leader: null, serving: false };
  for (const role of ['follower', 'pre-candidate', 'candidate', 'leader', 'leader', 'follower'] as const)
    metrics.raft.roleChanged?.(at, { role, ...state });
  const page = await pageOf(metrics);
  assert.equal(valueOf(page, 'sluice_raft_elections_total'), 1);
  assert.equal(valueOf(page, 'sluice_raft_leaderships_gained_total'), 1);
  assert.equal(valueOf(page, 'sluice_raft_leaderships_lost_total'), 1);
});

test('rebalances are counted by their reason', async (t) => {
  const metrics = measured(t, null);
  const ref = { tenant: 0, groupId: 'g' };
  metrics.broker.groupChanged({ kind: 'rebalanced', group: ref, reason: 'session-expired' });
  metrics.broker.groupChanged({ kind: 'member-joined', group: ref, memberId: 'm', epoch: toMemberEpoch(1) });
  metrics.broker.groupChanged({ kind: 'offsets-committed', group: ref, count: 3 });
  const page = await pageOf(metrics);
  assert.equal(valueOf(page, 'sluice_group_rebalances_total{reason="session-expired"}'), 1);
  assert.equal(valueOf(page, 'sluice_group_offset_commits_total'), 3);
  assert.equal(valueOf(page, 'sluice_group_rebalances_total{reason="joined"}'), 0, 'there from the beginning');
});

test('what replicas are in is told from the state: roles, leaders, who is behind', async (t) => {
  const replicas = [led(3, [[1, 2]]), led(2, [[1, 9]]), led(1), replica({ hasLeader: false }), replica()];
  const metrics = measured(t, {
    ...emptySample,
    replicas,
    groups: [group('g')],
    catalogLeader: { silentBrokers: 1, partitionsWithoutQuorum: 4 },
  });
  const page = await pageOf(metrics);
  const expected: readonly (readonly [string, number])[] = [
    ['sluice_partitions{role="leader"}', 3],
    ['sluice_partitions{role="follower"}', 2],
    ['sluice_partitions_leaderless', 1],
    ['sluice_partitions_under_replicated', 2],
    ['sluice_partitions_quorum_at_risk', 2],
    ['sluice_raft_follower_lag_entries{follower="1"}', 9],
    ['sluice_group_lag_records{group="g"}', 12],
    ['sluice_group_lag_seconds{group="g"}', 2.5],
    ['sluice_storage_log_bytes', 5 * 4_096],
    ['sluice_catalog_leader', 1],
    ['sluice_cluster_brokers_silent', 1],
    ['sluice_cluster_partitions_without_quorum', 4],
    ['sluice_storage_disk_free_bytes', 60],
    ['sluice_limit_used{limit="appendBytesInFlightMax"}', 5],
    ['sluice_limit_max{limit="callsInFlightMax"}', 20_000],
    ['sluice_runtime_event_loop_delay_seconds{quantile="0.99"}', 0.02],
  ];
  for (const [series, value] of expected) assert.equal(valueOf(page, series), value, series);
});

const odd = 'a"b\\c\nd{}=,’é';
const escaped = 'a\\"b\\\\c\\nd{}=,’é';

test('names with quotes, backslashes and line ends stay inside of their label', async (t) => {
  const replicas = [replica({ topic: odd })];
  const metrics = measured(t, { ...emptySample, replicas, groups: [group(odd)] });
  metrics.broker.appended(odd, 1, 1);
  const page = await pageOf(metrics);
  assert.equal(valueOf(page, `sluice_group_members{group="${escaped}"}`), 2);
  assert.equal(valueOf(page, `sluice_produce_records_total{topic="${escaped}"}`), 1);
  const partitions = await pageOf(metrics, '/metrics/partitions');
  assert.equal(valueOf(partitions, `sluice_partition_log_bytes{topic="${escaped}",partition="0"}`), 4_096);
  for (const line of `${page}\n${partitions}`.split('\n'))
    assert.match(line, /^(#.*|sluice_\w+(\{.*\})? (NaN|[-+]?[\d.e+-]+)|)$/);
});

test('topics and groups beyond the limit share one series', async (t) => {
  const groups = ['d', 'c', 'b', 'a'].map((name) => group(name));
  const metrics = measured(t, { ...emptySample, groups }, { limits: { topicSeriesMax: 2, groupSeriesMax: 2 } });
  for (const topic of ['one', 'two', 'three', 'four']) metrics.broker.appended(topic, 1, 10);
  const page = await pageOf(metrics);
  assert.equal(valueOf(page, 'sluice_produce_records_total{topic="one"}'), 1);
  assert.equal(valueOf(page, 'sluice_produce_records_total{topic="(other)"}'), 2);
  assert.equal(valueOf(page, 'sluice_group_members{group="a"}'), 2);
  assert.equal(valueOf(page, 'sluice_group_members{group="(other)"}'), 4);
  assert.ok(!page.includes('topic="three"'));
  metrics.broker.topicDeleted('one', 'id');
  assert.ok(!(await pageOf(metrics)).includes('topic="one"'));
});

test('series of what is gone go too', async (t) => {
  const sample = { ...emptySample, groups: [group('g')], replicas: [led(3, [[1, 2]])] };
  let shown: BrokerSample = sample;
  const sources = { sample: () => Promise.resolve(shown), disk: () => null, limits: () => [], isReady: () => false };
  const metrics = measured(t, null, { sources });
  assert.ok((await pageOf(metrics)).includes('group="g"'));
  shown = emptySample;
  const page = await pageOf(metrics);
  assert.ok(!page.includes('group="g"'));
  assert.ok(!page.includes('follower="1"'));
  assert.equal(valueOf(page, 'sluice_ready'), 0);
});

test('two brokers in one process have registries of their own', async (t) => {
  const [one, two] = [measured(t, null), measured(t, null)];
  one.broker.duplicate(undefined as never);
  assert.equal(valueOf(await pageOf(one), 'sluice_produce_duplicates_total'), 1);
  assert.equal(valueOf(await pageOf(two), 'sluice_produce_duplicates_total'), 0);
});

test('a scrape with 1,000 partitions is written in turns', async (t) => {
  const replicas = Array.from({ length: 1_000 }, (_, partition) => ({
    ...led(3, [
      [1, 2],
      [2, 0],
    ]),
    partition,
  }));
  const groups = Array.from({ length: 200 }, (_, at) => group(`group-${at}`));
  const metrics = measured(t, { ...emptySample, replicas, groups });
  for (let at = 0; at < 200; at++) metrics.broker.appended(`topic-${at}`, 1, 1);
  for (const path of ['/metrics', '/metrics/partitions']) await pageOf(metrics, path);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const figures: number[] = [];
  for (let round = 0; round < 5; round++) {
    delay.reset();
    delay.enable();
    const began = performance.now();
    const page = await pageOf(metrics, '/metrics/partitions');
    await pageOf(metrics);
    figures.push(performance.now() - began);
    delay.disable();
    assert.equal(page.split('\n').filter((line) => line.startsWith('sluice_partition_high_watermark{')).length, 1_000);
    t.diagnostic(`both pages took ${figures.at(-1)?.toFixed(1)} ms, longest stall ${(delay.max / 1e6).toFixed(1)} ms`);
  }
  // that it takes turns is what can be held on a busy machine; how long they are is only told
  let turns = 0;
  const counted = measured(t, { ...emptySample, replicas }, { pause: () => Promise.resolve(void (turns += 1)) });
  await pageOf(counted, '/metrics/partitions');
  assert.ok(turns >= 4 * partitionMetrics.length, `${turns} turns`);
});
