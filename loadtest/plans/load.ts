/** An open load: calls start at a rate that does not depend on how fast they are answered. */

export interface Stage {
  /** The rate that is reached at the stage's end, on a straight line from the one before it; calls a second. */
  readonly callsPerSecond: number;
  readonly seconds: number;
}

export interface Load {
  /** At the beginning, calls a second. */
  readonly callsPerSecond: number;
  readonly stages: readonly Stage[];
  /** Calls in flight at most. What would be more is not sent, and counted as dropped. */
  readonly inFlightMax: number;
}

/** How long a constant load takes to rise from a quarter: connections are made in that time. */
const riseSeconds = 2;

export const constant = (callsPerSecond: number, seconds: number, inFlightMax: number): Load => ({
  callsPerSecond: callsPerSecond / 4,
  stages: [
    { callsPerSecond, seconds: riseSeconds },
    { callsPerSecond, seconds },
  ],
  inFlightMax,
});

/** `base` calls a second, then for `seconds[1]` seconds `peak`, then `base` again; a second to rise and a second to fall. */
export function burst(
  base: number,
  peak: number,
  seconds: readonly [number, number, number],
  inFlightMax: number,
): Load {
  const [before, at, after] = seconds;
  const stages = [
    { callsPerSecond: base, seconds: before },
    { callsPerSecond: peak, seconds: 1 },
    { callsPerSecond: peak, seconds: at },
    { callsPerSecond: base, seconds: 1 },
    { callsPerSecond: base, seconds: after },
  ];
  return { callsPerSecond: base, stages, inFlightMax };
}

export const secondsOf = (load: Load): number => load.stages.reduce((sum, stage) => sum + stage.seconds, 0);

/** Calls that the load makes if none is dropped. */
export function callsOf(load: Load): number {
  let from = load.callsPerSecond;
  let calls = 0;
  for (const { callsPerSecond, seconds } of load.stages) {
    calls += ((from + callsPerSecond) / 2) * seconds;
    from = callsPerSecond;
  }
  return Math.round(calls);
}
