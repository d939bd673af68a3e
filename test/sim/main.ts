/**
 * `npm run sim`: runs seeds and fails on the first violation, with the command that repeats it.
 *
 *   --seed N            one seed
 *   --replay FILE       a scenario that a failure left behind
 *   --from N --seeds N  a range (default: 1, 200)
 *   --jobs N            processes beside each other (default: 1)
 *   --twice             runs each seed twice and compares the traces; --twice-every N: only one seed in N
 *   --trace             prints the whole trace of one run
 *   --shrink            makes a failing seed simpler, for a minute at most
 *   --regressions       runs the seeds that once failed
 *   --record FILE       adds what a range showed to a file; --summary FILE: adds up what is in it
 *   --no-faults         nothing fails
 *   --long              runs of ten times the length, with more nodes and groups
 */
import { parseArgs } from 'node:util';
import { vacuous } from './counters.ts';
import { printFailure, readScenario, writeFailure } from './failure-report.ts';
import { regressions } from './regressions.ts';
import { appendRecord, commitOf, summaries } from './run-record.ts';
import { runJobs } from './seed-jobs.ts';
import type { RangeResult } from './seed-range.ts';
import { shrink } from './shrink.ts';
import type { SimOptions, SimResult } from './simulate.ts';
import { simulate } from './simulate.ts';
import { renderRecord } from './trace.ts';

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string' },
    replay: { type: 'string' },
    from: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '200' },
    jobs: { type: 'string', default: '1' },
    twice: { type: 'boolean', default: false },
    'twice-every': { type: 'string', default: '0' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    regressions: { type: 'boolean', default: false },
    record: { type: 'string' },
    summary: { type: 'string' },
    'no-faults': { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
  },
});

const faults = !options['no-faults'];
const { long } = options;
const flags = `${faults ? '' : ' --no-faults'}${long ? ' --long' : ''}`;
const shrinkMsMax = 60_000;
const progressMs = 60_000;

if (options.summary !== undefined) printSummaries(options.summary);
else if (options.replay !== undefined) {
  const { seed, shape, schedule } = readScenario(options.replay);
  await runOne(seed, { shape, schedule }, `npm run sim -- --replay ${options.replay}`);
} else if (options.seed !== undefined) {
  await runOne(Number(options.seed), { faults, long }, `npm run sim -- --seed ${options.seed}${flags}`);
} else if (options.regressions) {
  for (const { seed } of regressions) await runOne(seed, {}, `npm run sim -- --seed ${seed}`);
  console.log(`${regressions.length} seeds that once failed pass`);
} else await runMany(Number(options.from), Number(options.seeds), Number(options.jobs));

/** One run with its trace; ends the process on a violation. */
async function runOne(seed: number, how: SimOptions, command: string): Promise<void> {
  const result = await simulate(seed, { ...how, verbose: true });
  if (options.trace) for (const record of result.trace) console.log(renderRecord(record));
  if (result.violation !== null) {
    printFailure(result, writeFailure(`seed-${seed}`, result), command);
    if (options.shrink) await printShrunk(result);
    process.exit(1);
  }
  if (options.twice) {
    const again = await simulate(seed, { ...how, verbose: true });
    if (again.hash !== result.hash) throw new Error(`seed ${seed} is not deterministic`);
  }
  const { events, virtualMs, counters, hash, shape, schedule } = result;
  console.log(JSON.stringify({ seed, hash, events, virtualMs, faults: schedule.length, counters, shape }));
}

async function printShrunk(failed: SimResult): Promise<void> {
  const { scenario, attempts, isStuck } = await shrink(failed, shrinkMsMax);
  if (isStuck) {
    console.error('\nnot shrunk: it fails with drawn faults only');
    return;
  }
  const { seed, shape, schedule } = scenario;
  const result = await simulate(seed, { shape, schedule, verbose: true });
  console.log(`\nshrunk in ${attempts} attempts from ${failed.schedule.length} faults to ${schedule.length}:\n`);
  const files = writeFailure(`seed-${seed}-shrunk`, result);
  printFailure(result, files, `npm run sim -- --replay ${files.scenario}`);
  for (const { at, fault } of schedule) console.log(`${(at / 1000).toFixed(4).padStart(9)} ${JSON.stringify(fault)}`);
}

async function runMany(from: number, seeds: number, jobs: number): Promise<void> {
  const twiceEvery = options.twice ? 1 : Number(options['twice-every']);
  const started = Date.now();
  const runner = { simulate, worker: new URL('./seed-worker.ts', import.meta.url) };
  const result = await runJobs({ from, seeds, twiceEvery, faults, long }, jobs, runner, progress(seeds));
  const seconds = (Date.now() - started) / 1000;
  if (result.failure !== null) {
    const { seed, message } = result.failure;
    console.error(message);
    await runOne(seed, { faults, long }, `npm run sim -- --seed ${seed}${flags}`);
    process.exit(1);
  }
  if (options.record !== undefined) {
    const record = { commit: commitOf(), date: new Date().toISOString(), node: process.version, from, jobs, seconds };
    appendRecord(options.record, { ...record, result });
  }
  print(`from ${from}`, result, seconds * jobs);
  const missing = faults && !long ? vacuous(result.counters, result.seeds) : [];
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

function printSummaries(file: string): void {
  for (const { commit, seconds, repeated, result } of summaries(file)) {
    print(`of commit ${commit} (${repeated} of them repeated)`, result, seconds);
  }
}

/** @param seconds of one process */
function print(which: string, result: RangeResult, seconds: number): void {
  const perHour = Math.round((result.seeds / seconds) * 3600);
  const hours = (result.virtualMs / 3_600_000).toFixed(1);
  console.log(
    `${result.seeds} seeds ${which}, ${result.twice} of them twice: ${hours} virtual hours, ${result.events} events, ${perHour} seeds per hour and process`,
  );
  console.log(JSON.stringify(result.counters));
}
