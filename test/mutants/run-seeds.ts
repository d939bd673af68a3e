/**
 * Simulates seeds until one fails, and says so on one line: `run-seeds.ts FIRST COUNT`. `run-seeds.ts valid` asks whether
 * a group without faults elects a leader at all.
 */
import { simulate } from '../sim/simulate.ts';

const [first = '1', count = '1'] = process.argv.slice(2);
if (first === 'valid') {
  const shape = { nodes: 3, groups: 1, voters: 3, safetyMs: 5_000 };
  const { counters, violation } = await simulate(1, { faults: false, shape });
  console.log(JSON.stringify({ elections: counters.elections, violation: violation?.message ?? null }));
} else {
  for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
    const { violation } = await simulate(seed);
    console.log(JSON.stringify({ seed, violation: violation?.message ?? null }));
    if (violation !== null) break;
  }
}
