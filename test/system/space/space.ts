/** The space suite: what retention lets go of is given back to the disk. */
import type { SuiteOptions } from '../report.ts';
import { runInterleaved } from './interleaved.ts';

const gigabyte = 1e9;

export async function runSpace({ short, only, report }: SuiteOptions): Promise<void> {
  const name = 'space/interleaved';
  if (only !== null && !name.includes(only)) return;
  const size = short
    ? { hours: 40, hourMs: 500, endlessBytes: 0.1 * gigabyte, hourlyBytes: 0.3 * gigabyte, checkInterval: '1s' }
    : { hours: 168, hourMs: 3_000, endlessBytes: 2 * gigabyte, hourlyBytes: 6 * gigabyte, checkInterval: '3s' };
  await report.run(name, () => runInterleaved(size));
}
