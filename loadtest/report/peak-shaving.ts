/**
 * Whether the log took a burst that its consumers could not: producers are not refused, the lag rises while the burst lasts,
 * consumers go on at their own pace, and the lag is gone in the end.
 */
import type { Second } from './tally.ts';

export interface PeakShaving {
  /** Records a second, produced and consumed, in the five seconds in which they were most. */
  readonly producedPerSecondMax: number;
  readonly consumedPerSecondMax: number;
  readonly lagMax: number;
  /** When that was, seconds from the start. */
  readonly lagMaxAtSecond: number;
  readonly lagLast: number;
  /** First second at and after which the lag stayed below a hundredth of its maximum; null: it did not come to that. */
  readonly drainedAtSecond: number | null;
  readonly failures: number;
  readonly checks: readonly Check[];
}

export interface Check {
  readonly text: string;
  readonly holds: boolean;
}

/** Consumers may be this much faster than their pace in five seconds: a fetch brings several records. */
const paceTolerance = 1.2;
const averageSeconds = 5;

/** @param paceMax how fast the consumers may be, records a second */
export function peakShaving(timeline: readonly Second[], paceMax: number): PeakShaving {
  const lags = timeline.map(({ lag }) => lag);
  const known = lags.map((lag) => lag ?? 0);
  const lagMax = Math.max(0, ...known);
  const producedPerSecondMax = fastest(timeline.map(({ recordsProduced }) => recordsProduced));
  const consumedPerSecondMax = fastest(timeline.map(({ recordsConsumed }) => recordsConsumed));
  const lagLast = lags.filter((lag) => lag !== null).at(-1) ?? 0;
  const failures = timeline.reduce((sum, second) => sum + second.failures, 0);
  const lagMaxAtSecond = known.indexOf(lagMax);
  const last = known.findLastIndex((lag, i) => i >= lagMaxAtSecond && lag > lagMax / 100);
  const drainedAtSecond = lagMax > 0 && lagLast <= lagMax / 100 ? last + 1 : null;
  return {
    producedPerSecondMax,
    consumedPerSecondMax,
    lagMax,
    lagMaxAtSecond,
    lagLast,
    drainedAtSecond,
    failures,
    checks: [
      { text: 'no call failed', holds: failures === 0 },
      { text: 'producers were faster than the consumers can be', holds: producedPerSecondMax > paceMax },
      { text: 'consumers kept their pace', holds: consumedPerSecondMax <= paceMax * paceTolerance },
      { text: 'the log held more than two seconds of the consumers’ work', holds: lagMax > 2 * paceMax },
      { text: 'and nothing in the end', holds: lagLast === 0 && drainedAtSecond !== null },
    ],
  };
}

/** The largest mean of five seconds in a row. */
function fastest(perSecond: readonly number[]): number {
  let most = 0;
  for (let i = 0; i + averageSeconds <= perSecond.length; i++) {
    const sum = perSecond.slice(i, i + averageSeconds).reduce((total, each) => total + each, 0);
    most = Math.max(most, sum / averageSeconds);
  }
  return most;
}
