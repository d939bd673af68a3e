/** What every script tells k6. */
import type { Options, Scenario } from 'k6/options';
import { variables } from '../plans/settings.ts';
import type { Load } from '../plans/load.ts';
import { secondsOf } from '../plans/load.ts';
import type { ScriptName } from '../plans/names.ts';
import { thresholdsOf } from '../plans/thresholds.ts';
import { settings } from './settings.ts';

const graceful = '30s';

export function optionsOf(script: ScriptName, scenarios: Record<string, Scenario>): Options {
  return {
    scenarios,
    thresholds: thresholdsOf(script, settings.profile),
    summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
    setupTimeout: '120s',
    teardownTimeout: '60s',
    discardResponseBodies: true,
  };
}

/** Starts `exec` at the load's rate. */
export function openLoad(exec: string, load: Load): Scenario {
  return {
    executor: 'ramping-arrival-rate',
    exec,
    startRate: load.callsPerSecond,
    timeUnit: '1s',
    stages: load.stages.map(({ callsPerSecond, seconds }) => ({ target: callsPerSecond, duration: `${seconds}s` })),
    preAllocatedVUs: load.inFlightMax,
    maxVUs: load.inFlightMax,
    gracefulStop: graceful,
  };
}

/** Starts `exec` once in each of `count` virtual users; it ends by itself after `seconds`. */
export function longLived(exec: string, count: number, seconds: number): Scenario {
  return {
    executor: 'per-vu-iterations',
    exec,
    vus: count,
    iterations: 1,
    maxDuration: `${seconds + 30}s`,
    gracefulStop: graceful,
  };
}

/** Starts `exec` once a second. */
export const everySecond = (exec: string, seconds: number): Scenario =>
  openLoad(exec, { callsPerSecond: 1, stages: [{ callsPerSecond: 1, seconds }], inFlightMax: 2 });

export const loadSeconds = secondsOf;

interface SummaryData {
  readonly metrics: Readonly<
    Record<string, { readonly thresholds?: Readonly<Record<string, { readonly ok: boolean }>> }>
  >;
}

/** k6's own figures for the command that makes the summary; without it, the thresholds. */
export function handleSummary(data: SummaryData): Record<string, string> {
  const { [variables.summary]: file } = __ENV;
  if (file !== undefined) return { [file]: JSON.stringify(data) };
  const lines = Object.entries(data.metrics).flatMap(([name, { thresholds = {} }]) =>
    Object.entries(thresholds).map(([text, { ok }]) => `${ok ? 'met   ' : 'MISSED'}  ${name}: ${text}\n`),
  );
  return { stdout: lines.sort().join('') };
}
