/** The summary of a run: what is written as JSON, and rendered as Markdown. */
import { methodsOf } from '../plans/methods.ts';
import type { ProfileName, ScriptName } from '../plans/names.ts';
import { plans } from '../plans/profiles.ts';
import type { Settings } from '../plans/settings.ts';
import type { K6Metric, K6Summary } from './k6-summary.ts';
import type { PeakShaving } from './peak-shaving.ts';
import { peakShaving } from './peak-shaving.ts';
import type { Failure, Second, Tally } from './tally.ts';

/** Where and how it was measured. */
export interface RunFacts {
  readonly script: ScriptName;
  readonly profile: ProfileName;
  /** ISO 8601. */
  readonly startedAt: string;
  /** The commit of this checkout, with "+" if it was changed. */
  readonly commit: string;
  readonly command: string;
  readonly settings: Omit<Settings, 'topic' | 'keepTopic' | 'profile'>;
  readonly ownBrokers: boolean;
  readonly brokerVersion: string;
  readonly k6: string;
  readonly node: string;
  readonly cores: number;
  readonly cpu: string;
  /** Load average of the last minute before and after. */
  readonly load: readonly [before: number, after: number];
}

export type Verdict = 'met' | 'missed' | 'no samples';

export interface ThresholdResult {
  /** Metric, or the part of it that one tag makes up. */
  readonly metric: string;
  readonly text: string;
  /** What it was, in the metric's unit; null: nothing was measured. */
  readonly value: number | null;
  readonly verdict: Verdict;
}

/** Times in milliseconds. */
export interface MethodResult {
  /** The method, or the metric. */
  readonly method: string;
  readonly calls: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly failed: number;
}

export interface TimelineRow {
  /** From the start of the load. */
  readonly second: number;
  /** Of the row. */
  readonly seconds: number;
  readonly producedPerSecond: number;
  readonly consumedPerSecond: number;
  /** At the row's end; null: nobody looked. */
  readonly lag: number | null;
  readonly produceP99Ms: number | null;
  readonly endToEndMsMax: number | null;
  readonly members: number | null;
  readonly failures: number;
}

export interface Summary {
  readonly verdict: 'met' | 'missed';
  readonly facts: RunFacts;
  readonly seconds: number;
  readonly totals: Readonly<Record<string, number>>;
  readonly thresholds: readonly ThresholdResult[];
  readonly methods: readonly MethodResult[];
  /** What the script measured itself. */
  readonly measures: readonly MethodResult[];
  /** Methods that were called and that nothing is expected of: the script and its plan disagree. */
  readonly unexpectedMethods: readonly string[];
  readonly failures: readonly Failure[];
  readonly timeline: readonly TimelineRow[];
  /** Null: the profile is no spike, or the script has no consumers that keep a pace. */
  readonly peakShaving: PeakShaving | null;
}

const rowsMax = 30;
/** Times that the scripts measure beside what calls take. */
const measures = ['end_to_end_ms', 'rebalance_ms'];

export function summaryOf(facts: RunFacts, k6: K6Summary, tally: Tally): Summary {
  const thresholds = Object.entries(k6.metrics).flatMap(([name, metric]) => thresholdResults(name, metric, tally));
  const expected: readonly string[] = methodsOf[facts.script];
  const unexpectedMethods = tally.methods().filter((method) => !expected.includes(method));
  const timeline = tally.timeline();
  const paceMax = facts.script === 'end-to-end' ? plans['end-to-end'][facts.profile].recordsPerSecondMax : null;
  const shaved = paceMax === null ? null : peakShaving(timeline, paceMax);
  const met =
    thresholds.every(({ verdict }) => verdict === 'met') &&
    unexpectedMethods.length === 0 &&
    (shaved?.checks.every(({ holds }) => holds) ?? true);
  return {
    verdict: met ? 'met' : 'missed',
    facts,
    seconds: k6.state.testRunDurationMs / 1_000,
    totals: {
      recordsProduced: tally.total('records_produced'),
      bytesProduced: tally.total('bytes_produced'),
      recordsConsumed: tally.total('records_consumed'),
      bytesFetched: tally.total('bytes_fetched'),
      outcomesUnknown: tally.total('outcomes_unknown'),
    },
    thresholds: thresholds.sort((a, b) => a.metric.localeCompare(b.metric)),
    methods: expected.flatMap((method) => timesOf(method, `grpc_req_duration{method:${method}}`, k6, tally)),
    measures: measures.flatMap((metric) => timesOf(metric, metric, k6, tally)),
    unexpectedMethods,
    failures: tally.failures(),
    timeline: rowsOf(timeline),
    peakShaving: shaved,
  };
}

function thresholdResults(name: string, metric: K6Metric, tally: Tally): readonly ThresholdResult[] {
  // what k6 drops it counts only then: no sample is good news
  const silent = name.startsWith('dropped_iterations');
  const measured = silent || tally.samplesOf(name) > 0;
  return Object.entries(metric.thresholds ?? {}).map(([text, { ok }]) => ({
    metric: name,
    text,
    value: measured ? valueOf(metric, text) : null,
    // k6 holds a threshold of nothing for met
    verdict: measured ? (ok ? 'met' : 'missed') : 'no samples',
  }));
}

/** "p(99)<50" is about the value "p(99)". */
function valueOf({ values }: K6Metric, text: string): number | null {
  const name = /^(p\([\d.]+\)|[a-z]+)/.exec(text)?.[1] ?? '';
  return values[name] ?? null;
}

function timesOf(method: string, metric: string, k6: K6Summary, tally: Tally): readonly MethodResult[] {
  const { [metric]: times } = k6.metrics;
  const calls = times?.values['count'] ?? 0;
  if (times === undefined || calls === 0) return [];
  const at = (name: string): number => times.values[name] ?? 0;
  const failed = tally.failures().reduce((sum, each) => sum + (each.method === method ? each.count : 0), 0);
  return [{ method, calls, medianMs: at('med'), p95Ms: at('p(95)'), p99Ms: at('p(99)'), maxMs: at('max'), failed }];
}

function rowsOf(timeline: readonly Second[]): readonly TimelineRow[] {
  const width = Math.max(1, Math.ceil(timeline.length / rowsMax));
  return Array.from({ length: Math.ceil(timeline.length / width) }, (_, row) => {
    const some = timeline.slice(row * width, (row + 1) * width);
    const sum = (of: (second: Second) => number): number => some.reduce((total, each) => total + of(each), 0);
    return {
      second: row * width,
      seconds: some.length,
      producedPerSecond: sum(({ recordsProduced }) => recordsProduced) / some.length,
      consumedPerSecond: sum(({ recordsConsumed }) => recordsConsumed) / some.length,
      lag: last(some.map(({ lag }) => lag)),
      produceP99Ms: p99(some.flatMap(({ produceMs }) => produceMs)),
      endToEndMsMax: most(some.map(({ endToEndMsMax }) => endToEndMsMax)),
      members: last(some.map(({ members }) => members)),
      failures: sum(({ failures }) => failures),
    };
  });
}

const known = (values: readonly (number | null)[]): readonly number[] => values.filter((value) => value !== null);
const last = (values: readonly (number | null)[]): number | null => known(values).at(-1) ?? null;
const most = (values: readonly (number | null)[]): number | null => {
  const all = known(values);
  return all.length === 0 ? null : Math.max(...all);
};

function p99(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? null;
}
