/** Runs a range of seeds one after the other and adds up what they showed; stops at the first violation. */
import type { SimViolation } from './invariant.ts';

/** How often what happened, by name. */
export type Counts = Readonly<Record<string, number>>;

/** What a simulator makes of one seed. */
export type Simulate = (
  seed: number,
  options: { readonly faults: boolean; readonly long: boolean },
) => Promise<{
  readonly violation: SimViolation | null;
  readonly events: number;
  readonly virtualMs: number;
  readonly counters: Counts;
  readonly hash: string;
}>;

export interface SeedRange {
  readonly from: number;
  readonly seeds: number;
  /** Every so many seeds one is run twice and its traces compared; 0: none. */
  readonly twiceEvery: number;
  readonly faults: boolean;
  /** Runs that are longer and larger. Default false. */
  readonly long?: boolean;
}

export interface Failure {
  readonly seed: number;
  readonly invariant: string;
  readonly message: string;
}

/** What was done; `seeds` are those that passed. */
export interface RangeResult {
  readonly seeds: number;
  readonly twice: number;
  readonly events: number;
  readonly virtualMs: number;
  readonly counters: Counts;
  readonly failure: Failure | null;
}

export const noResult = (): RangeResult => ({
  seeds: 0,
  twice: 0,
  events: 0,
  virtualMs: 0,
  counters: {},
  failure: null,
});

export function added(a: RangeResult, b: RangeResult): RangeResult {
  const counters: Record<string, number> = { ...a.counters };
  for (const [name, count] of Object.entries(b.counters)) counters[name] = (counters[name] ?? 0) + count;
  return {
    seeds: a.seeds + b.seeds,
    twice: a.twice + b.twice,
    events: a.events + b.events,
    virtualMs: a.virtualMs + b.virtualMs,
    counters,
    failure: a.failure ?? b.failure,
  };
}

export async function runRange(
  { from, seeds, twiceEvery, faults, long = false }: SeedRange,
  simulate: Simulate,
): Promise<RangeResult> {
  const run: Run = (seed) => simulate(seed, { faults, long });
  let total = noResult();
  for (let seed = from; seed < from + seeds && total.failure === null; seed++) {
    const one = await runSeed(run, seed, twiceEvery > 0 && seed % twiceEvery === 0);
    total = added(total, one);
  }
  return total;
}

type Run = (seed: number) => ReturnType<Simulate>;

async function runSeed(run: Run, seed: number, isTwice: boolean): Promise<RangeResult> {
  const { violation, events, virtualMs, counters, hash } = await run(seed);
  if (violation !== null) {
    return { ...noResult(), failure: { seed, invariant: violation.invariant, message: violation.message } };
  }
  const again = isTwice ? (await run(seed)).hash : hash;
  const message = `seed ${seed} is not deterministic: trace ${hash}, then ${again}`;
  const failure = again === hash ? null : { seed, invariant: 'sim-deterministic', message };
  return { seeds: 1, twice: isTwice ? 1 : 0, events, virtualMs, counters, failure };
}
