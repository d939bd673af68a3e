/** The broker suite: what the whole broker promises through its front door, whatever is done to its process and its disk. */
import type { CaseResult, SuiteOptions } from '../report.ts';
import { runBrokerDiskFull } from './broker-disk-full.ts';
import { runBrokerKills } from './broker-kills.ts';
import { runBrokerControl, runBrokerPowerCuts } from './broker-power-cuts.ts';
import { runBrokerShutdown } from './broker-shutdown.ts';
import { runBrokerSyncErrors } from './broker-sync-errors.ts';

interface BrokerCase {
  readonly name: string;
  readonly run: (short: boolean) => Promise<CaseResult>;
}

const cases: readonly BrokerCase[] = [
  { name: 'broker/kill-9', run: (short) => runBrokerKills(short ? 8 : 200) },
  { name: 'broker/power-cut', run: (short) => runBrokerPowerCuts(short ? 4 : 50) },
  { name: 'broker/control-no-sync', run: () => runBrokerControl(10) },
  { name: 'broker/disk-full', run: () => runBrokerDiskFull() },
  { name: 'broker/sync-error', run: (short) => runBrokerSyncErrors(short ? 3 : 25) },
  { name: 'broker/sigterm', run: (short) => runBrokerShutdown(short ? 4 : 25) },
];

export async function runBroker({ short, only, report }: SuiteOptions): Promise<void> {
  for (const { name, run } of cases) {
    if (only === null || name.includes(only)) await report.run(name, () => run(short));
  }
}
