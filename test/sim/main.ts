/**
 * `npm run sim`: runs seeds and fails on the first violation, with the command that repeats it.
 *
 *   --seed N          one seed, with its trace on failure
 *   --from N --seeds N  a range (default: 1, 200)
 *   --jobs N          processes beside each other (default: 1)
 *   --trace           prints the whole trace of --seed
 *   --twice           runs each seed twice and compares the traces
 */
import { parseArgs } from 'node:util';
import type { SimResult } from './simulate.ts';
import { simulate } from './simulate.ts';

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '200' },
    trace: { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
    'no-faults': { type: 'boolean', default: false },
  },
});

async function runOne(seed: number, verbose: boolean): Promise<SimResult> {
  const result = await simulate(seed, { verbose, faults: !options['no-faults'] });
  if (!options.twice) return result;
  const again = await simulate(seed, { verbose, faults: !options['no-faults'] });
  if (again.hash !== result.hash)
    throw new Error(`seed ${seed} is not deterministic: ${result.hash}, then ${again.hash}`);
  return result;
}

function fail(result: SimResult, from: string): never {
  for (const line of result.trace.slice(-60)) console.log(line);
  console.error(
    `\n${String(result.violation?.message)}\nRepeat with: npm run sim -- --seed ${result.seed} --trace${from}`,
  );
  process.exit(1);
}

if (options.seed !== undefined) {
  const result = await runOne(Number(options.seed), true);
  if (options.trace) for (const line of result.trace) console.log(line);
  if (result.violation !== null) fail(result, '');
  console.log(JSON.stringify({ ...result, trace: undefined, schedule: undefined }));
} else {
  const first = Number(options.from);
  const count = Number(options.seeds);
  const started = Date.now();
  const totals: Record<string, number> = {};
  let events = 0;
  for (let seed = first; seed < first + count; seed++) {
    const result = await runOne(seed, false);
    if (result.violation !== null) fail(await simulate(seed, { verbose: true, faults: !options['no-faults'] }), '');
    events += result.events;
    for (const [name, value] of Object.entries(result.counters)) totals[name] = (totals[name] ?? 0) + value;
  }
  const seconds = (Date.now() - started) / 1000;
  console.log(
    `${count} seeds from ${first}: ${Math.round((count / seconds) * 3600)} seeds/h, ${Math.round(events / seconds)} events/s`,
  );
  console.log(JSON.stringify(totals));
}
