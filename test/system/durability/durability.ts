/** The durability suite: what the storage layer promises, by everything that can be done to one process and its disk. */
import type { CaseResult, SuiteOptions } from '../report.ts';
import { runCrashStates } from './crash-states.ts';
import { runBitFlips, runMissing } from './damage.ts';
import { runDiskFull, runReserve, runSyncErrors } from './disk-faults.ts';
import { runKills } from './kills.ts';
import { runControl, runPowerCuts } from './power-cuts.ts';

interface DurabilityCase {
  readonly name: string;
  readonly run: (short: boolean) => Promise<CaseResult>;
}

const cases: readonly DurabilityCase[] = [
  { name: 'durability/kill-9', run: (short) => runKills(short ? 20 : 200) },
  { name: 'durability/power-cut', run: (short) => runPowerCuts(short ? 6 : 50) },
  { name: 'durability/control-no-sync', run: () => runControl('none', 10) },
  { name: 'durability/control-current-wal-only', run: () => runControl('current', 40) },
  { name: 'durability/crash-states', run: (short) => runCrashStates(short ? 60 : 1_000, 1_500) },
  { name: 'durability/bit-flips', run: (short) => runBitFlips(short ? 60 : 1_000) },
  { name: 'durability/missing-and-cut-files', run: (short) => runMissing(short ? 40 : 400) },
  { name: 'durability/disk-reserve', run: () => runReserve() },
  { name: 'durability/disk-full', run: () => runDiskFull() },
  { name: 'durability/sync-error', run: (short) => runSyncErrors(short ? 5 : 50) },
];

export async function runDurability({ short, only, report }: SuiteOptions): Promise<void> {
  for (const { name, run } of cases) {
    if (only === null || name.includes(only)) await report.run(name, () => run(short));
  }
}
