/** Random schedules of the core (see chaos.ts). More of them: CHAOS_SEEDS=10000 CHAOS_FIRST=1. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chaos } from './chaos.ts';
import type { Counters } from './chaos.ts';

const seeds = Number(process.env['CHAOS_SEEDS'] ?? 100);
const stepsPerSeed = 1_200;
const first = Number(process.env['CHAOS_FIRST'] ?? 1);

test(`${seeds} random schedules keep every invariant and come to rest in agreement`, () => {
  const total: Counters = { proposed: 0, elections: 0, crashes: 0, truncations: 0, snapshots: 0, changes: 0 };
  for (let seed = first; seed < first + seeds; seed++) {
    const chaos = new Chaos(seed);
    try {
      chaos.run(stepsPerSeed);
      chaos.heal();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`CHAOS_FIRST=${seed} CHAOS_SEEDS=1: ${why}`, { cause: error });
    }
    for (const name of Object.keys(total) as (keyof Counters)[]) total[name] += chaos.counters[name];
  }
  if (process.env['CHAOS_SEEDS'] !== undefined) console.log(total);
  // a schedule in which nothing happens proves nothing
  for (const [name, count] of Object.entries(total)) assert.ok(count >= seeds / 10, `${name}: ${count}`);
});

test('the same seed gives the same run', () => {
  const traces = [1, 2].map(() => {
    const chaos = new Chaos(11);
    chaos.run(300);
    return chaos.nodes.map((node) => node.trace?.join('\n'));
  });
  assert.deepEqual(traces[0], traces[1]);
});
