/** The memory suite: what a broker holds, whatever is done to it. */
import type { SuiteOptions } from '../report.ts';
import { runAbusers } from './abusers.ts';

export async function runMemory({ short, only, report }: SuiteOptions): Promise<void> {
  const times = short ? { obedientMs: 12_000, abusedMs: 20_000 } : { obedientMs: 120_000, abusedMs: 300_000 };
  const name = 'memory/abusers';
  if (only === null || name.includes(only)) await report.run(name, () => runAbusers(times));
}
