/** What is made of a run that k6 2.2.0 recorded: `end-to-end`, smoke, three brokers, 2026-11-25. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { parseK6Summary } from '../../loadtest/report/k6-summary.ts';
import type { K6Summary } from '../../loadtest/report/k6-summary.ts';
import { headline, markdownOf } from '../../loadtest/report/markdown.ts';
import { peakShaving } from '../../loadtest/report/peak-shaving.ts';
import type { RunFacts } from '../../loadtest/report/summary.ts';
import { summaryOf } from '../../loadtest/report/summary.ts';
import { Tally } from '../../loadtest/report/tally.ts';
import type { Second } from '../../loadtest/report/tally.ts';
import { thresholdsOf } from '../../loadtest/plans/thresholds.ts';

const recorded = path.join(import.meta.dirname, 'recorded');
const k6 = parseK6Summary(readFileSync(path.join(recorded, 'end-to-end-smoke.summary.json'), 'utf8'));
const lines = gunzipSync(readFileSync(path.join(recorded, 'end-to-end-smoke.points.json.gz')))
  .toString()
  .split('\n');

const facts: RunFacts = {
  ...{ script: 'end-to-end', profile: 'smoke', startedAt: '2026-11-25T13:37:50.000Z', commit: 'abc1234' },
  command: 'npm run loadtest -- end-to-end',
  settings: { brokers: ['a:1', 'b:1', 'c:1'], acks: 'all', partitions: 12, records: 10, valueBytes: 1_024 },
  ...{ ownBrokers: true, brokerVersion: '0.1.0', k6: 'v2.2.0', node: '22.23.3', cores: 2, cpu: 'some', load: [1, 2] },
};

function tallyOf(some: readonly string[]): Tally {
  const tally = new Tally();
  for (const line of some) tally.add(line);
  return tally;
}

const point = (metric: string, value: number, tags: Record<string, string> = {}, second = 0): string =>
  JSON.stringify({
    ...{ type: 'Point', metric },
    data: { time: new Date(1_700_000_000_000 + second * 1_000).toISOString(), value, tags: { scenario: 's', ...tags } },
  });

/** Without a scenario: it belongs to no second of the recorded run. */
const called = (method: string): string => point('grpc_req_duration', 5, { method }).replace('"scenario":"s",', '');

test('the recorded run has a result for every threshold of its plan, all met', () => {
  const summary = summaryOf(facts, k6, tallyOf(lines));
  const expected = Object.entries(thresholdsOf('end-to-end', 'smoke')).flatMap(([metric, texts]) =>
    texts.map((text) => `${metric} ${text}`),
  );
  assert.deepEqual(summary.thresholds.map(({ metric, text }) => `${metric} ${text}`).sort(), expected.sort());
  assert.deepEqual(
    summary.thresholds.filter(({ verdict }) => verdict !== 'met'),
    [],
  );
  assert.equal(summary.verdict, 'met');
  assert.equal(summary.totals['recordsProduced'], 1_600);
  assert.equal(summary.totals['recordsConsumed'], 1_600);
});

test('a second’s records add up to the totals, and the lag ends at nothing', () => {
  const { timeline, totals } = summaryOf(facts, k6, tallyOf(lines));
  const produced = timeline.reduce((sum, row) => sum + row.producedPerSecond * row.seconds, 0);
  assert.equal(produced, totals['recordsProduced']);
  assert.ok(timeline.length >= 10 && timeline.length <= 30, `${timeline.length} rows`);
  assert.equal(timeline.findLast(({ lag }) => lag !== null)?.lag, 0);
  assert.ok(timeline.some(({ produceP99Ms }) => (produceP99Ms ?? 0) > 0));
});

test('as Markdown it names the run, every method that was called, and nothing that was missed', () => {
  const summary = summaryOf(facts, k6, tallyOf(lines));
  const text = markdownOf(summary);
  assert.match(text, /^### end-to-end, smoke: all \d+ thresholds met\n/);
  assert.match(
    text,
    /`npm run loadtest -- end-to-end`, 2026-11-25 13:37 UTC, commit abc1234, 3 brokers 0\.1\.0 on the same/,
  );
  assert.match(text, /^1,600 records produced, 1,600 records consumed\.$/m);
  for (const method of ['Produce', 'Fetch', 'JoinGroup', 'Heartbeat', 'Commit', 'LeaveGroup', 'end_to_end_ms'])
    assert.match(text, new RegExp(`^\\| ${method} \\| [\\d,]+ \\| `, 'm'));
  assert.match(text, /^\| second \| produced\/s \| consumed\/s \| produce p99, ms \| oldest record, ms \|/m);
  assert.doesNotMatch(text, /missed|undefined|NaN|null/);
  assert.equal(headline(summary), `end-to-end-smoke: all ${summary.thresholds.length} thresholds met`);
});

test('a threshold that k6 saw missed is missed, with its value', () => {
  const { 'grpc_req_duration{method:Produce}': produce } = k6.metrics;
  assert.ok(produce !== undefined);
  const slow: K6Summary = {
    ...k6,
    metrics: {
      ...k6.metrics,
      'grpc_req_duration{method:Produce}': { ...produce, thresholds: { 'p(99)<2000': { ok: false } } },
    },
  };
  const summary = summaryOf(facts, slow, tallyOf(lines));
  assert.equal(summary.verdict, 'missed');
  const missed = summary.thresholds.filter(({ verdict }) => verdict === 'missed');
  assert.deepEqual(
    missed.map(({ metric, value }) => [metric, value]),
    [['grpc_req_duration{method:Produce}', produce.values['p(99)']]],
  );
  assert.match(
    markdownOf(summary),
    /: \*\*missed\*\* \(1 of \d+ thresholds\)[\s\S]*`p\(99\)<2000` \| [\d.,]+ \| missed \|/,
  );
  assert.match(headline(summary), /missed: grpc_req_duration\{method:Produce\} p\(99\)<2000/);
});

test('a threshold of which k6 has no sample is missed, though k6 holds it for met', () => {
  const without = lines.filter((line) => !line.includes('"method":"Heartbeat"'));
  const summary = summaryOf(facts, k6, tallyOf(without));
  const silent = summary.thresholds.filter(({ verdict }) => verdict === 'no samples').map(({ metric }) => metric);
  assert.deepEqual(silent, ['calls_failed{method:Heartbeat}', 'grpc_req_duration{method:Heartbeat}']);
  assert.equal(summary.verdict, 'missed');
});

test('a method that was called and that no threshold names misses the run', () => {
  const summary = summaryOf(facts, k6, tallyOf([...lines, called('AlterTopic')]));
  assert.deepEqual(summary.unexpectedMethods, ['AlterTopic']);
  assert.equal(summary.verdict, 'missed');
  assert.match(markdownOf(summary), /nothing is expected of it: AlterTopic/);
});

test('failures are counted by method and code, the most frequent first', () => {
  const tally = tallyOf([
    point('failures', 1, { method: 'Fetch', code: 'NOT_SENT' }),
    point('failures', 1, { method: 'Produce', code: 'THROTTLED' }),
    point('failures', 1, { method: 'Produce', code: 'THROTTLED' }, 3),
  ]);
  assert.deepEqual(tally.failures(), [
    { method: 'Produce', code: 'THROTTLED', count: 2 },
    { method: 'Fetch', code: 'NOT_SENT', count: 1 },
  ]);
  assert.deepEqual(
    tally.timeline().map(({ failures }) => failures),
    [2, 0, 0, 1],
  );
});

test('what setup does is counted and has no second', () => {
  const setup = point('records_produced', 10).replace('"scenario":"s"', '"group":"::setup"');
  const tally = tallyOf([setup, point('records_produced', 5, {}, 100)]);
  assert.equal(tally.total('records_produced'), 15);
  assert.deepEqual(
    tally.timeline().map(({ recordsProduced }) => recordsProduced),
    [5],
  );
});

/** Twenty seconds at 100, ten at 1,000, then 100; consumers take up to 300. */
function burst(change: Partial<Second> = {}): readonly Second[] {
  let lag = 0;
  return Array.from({ length: 80 }, (_, i) => {
    const recordsProduced = i >= 70 ? 0 : i >= 20 && i < 30 ? 1_000 : 100;
    const recordsConsumed = Math.min(300, lag + recordsProduced);
    lag += recordsProduced - recordsConsumed;
    return {
      recordsProduced,
      recordsConsumed,
      lag,
      failures: 0,
      produceMs: [],
      endToEndMsMax: null,
      members: 3,
      ...change,
    };
  });
}

const broken = (timeline: readonly Second[], pace = 300): readonly string[] =>
  peakShaving(timeline, pace)
    .checks.filter(({ holds }) => !holds)
    .map(({ text }) => text);

test('a burst that the log takes and the consumers take apart is shaved', () => {
  const shaved = peakShaving(burst(), 300);
  assert.deepEqual(broken(burst()), []);
  assert.deepEqual([shaved.producedPerSecondMax, shaved.consumedPerSecondMax, shaved.lagMax], [1_000, 300, 7_000]);
  assert.equal(shaved.lagMaxAtSecond, 29);
  // 7,000 records at 200 more than come: 35 seconds
  assert.equal(shaved.drainedAtSecond, 64);
});

test('it is not, if a call failed, the consumers hurried, nothing piled up, or something stayed', () => {
  assert.deepEqual(broken(burst({ failures: 1 })), ['no call failed']);
  assert.deepEqual(broken(burst(), 200), ['consumers kept their pace']);
  assert.deepEqual(broken(burst({ lag: 0 })), [
    'the log held more than two seconds of the consumers’ work',
    'and nothing in the end',
  ]);
  assert.deepEqual(broken(burst().slice(0, 40)), ['and nothing in the end']);
  assert.ok(broken([]).length > 0);
});

test('what is no summary of k6 is refused', () => {
  assert.throws(() => parseK6Summary('{}'), /not what k6 gives/);
});
