/**
 * `npm run sim:brokers`: runs seeds of the simulator of whole brokers and fails on the first violation, with the command
 * that repeats it.
 *
 *   --seed N            one seed
 *   --from N --seeds N  a range (default: 1, 100)
 *   --jobs N            processes beside each other (default: 1)
 *   --twice-every N     one seed in N runs twice, with equal traces (default: 0, none)
 *   --trace             prints the whole trace of one run
 *   --no-faults         nothing fails
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { commitOf } from '../sim/run-record.ts';
import { runJobs } from '../sim/seed-jobs.ts';
import type { RangeResult } from '../sim/seed-range.ts';
import { renderRecord } from '../sim/trace.ts';
import { vacuous } from './counters.ts';
import type { BrokerSimResult } from './simulate.ts';
import { simulate } from './simulate.ts';

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '100' },
    jobs: { type: 'string', default: '1' },
    'twice-every': { type: 'string', default: '0' },
    trace: { type: 'boolean', default: false },
    'no-faults': { type: 'boolean', default: false },
  },
});

const faults = !options['no-faults'];
const directory = '.cache/sim-brokers';
const recordsShown = 60;
const progressMs = 60_000;

if (options.seed !== undefined) await runOne(Number(options.seed));
else await runMany(Number(options.from), Number(options.seeds), Number(options.jobs));

/** One run with its trace; ends the process on a violation. */
async function runOne(seed: number): Promise<void> {
  const result = await simulate(seed, { faults, verbose: true });
  if (options.trace) for (const record of result.trace) console.log(renderRecord(record));
  if (result.violation !== null) {
    printFailure(result);
    process.exit(1);
  }
  const { events, virtualMs, counters, hash, shape } = result;
  console.log(JSON.stringify({ seed, hash, events, virtualMs, counters, shape }));
}

function printFailure({ seed, trace, violation, shape }: BrokerSimResult): void {
  mkdirSync(directory, { recursive: true });
  const file = `${directory}/seed-${seed}.ndjson`;
  writeFileSync(file, trace.map((record) => `${JSON.stringify(record)}\n`).join(''));
  if (!options.trace) for (const record of trace.slice(-recordsShown)) console.log(renderRecord(record));
  console.error(`
${violation?.message ?? 'no violation'}

seed ${seed}, commit ${commitOf()}: ${shape.founders} founders, ${shape.joiners} brokers that join
repeat: npm run sim:brokers -- --seed ${seed} --trace${faults ? '' : ' --no-faults'}
trace:  ${file} (legend in docs/TESTING.md)`);
}

async function runMany(from: number, seeds: number, jobs: number): Promise<void> {
  const started = Date.now();
  const runner = { simulate, worker: new URL('./seed-worker.ts', import.meta.url) };
  const range = { from, seeds, twiceEvery: Number(options['twice-every']), faults };
  const result = await runJobs(range, jobs, runner, progress(seeds));
  if (result.failure !== null) {
    console.error(result.failure.message);
    await runOne(result.failure.seed);
    process.exit(1);
  }
  print(from, result, ((Date.now() - started) / 1000) * jobs);
  const missing = faults ? vacuous(result.counters, result.seeds) : [];
  if (missing.length === 0) return;
  console.error(`\nvacuous: too little happened\n${missing.join('\n')}`);
  process.exit(1);
}

/** Says now and then how far a long run is. */
function progress(seeds: number): (total: RangeResult) => void {
  let saidAt = Date.now();
  return (total) => {
    if (Date.now() - saidAt < progressMs) return;
    saidAt = Date.now();
    console.error(`${total.seeds} of ${seeds} seeds`);
  };
}

/** @param seconds of one process */
function print(from: number, result: RangeResult, seconds: number): void {
  const perHour = Math.round((result.seeds / seconds) * 3600);
  const hours = (result.virtualMs / 3_600_000).toFixed(1);
  console.log(
    `${result.seeds} seeds from ${from}, ${result.twice} of them twice: ${hours} virtual hours, ${result.events} events, ${perHour} seeds per hour and process`,
  );
  console.log(JSON.stringify(result.counters));
}
