/** The cluster suite: what three brokers promise together, whatever dies. */
import type { CaseResult, SuiteOptions } from '../report.ts';
import { runDrains } from './cluster-drains.ts';
import { runRolledBackDisks, runWipedDisks } from './cluster-disks.ts';
import { runAllKills, runLeaderKills } from './cluster-kills.ts';
import { runPartitions, runPoison } from './many-partitions.ts';
import { runOrder } from './cluster-order.ts';
import { runOperatorDrains } from './operator-drains.ts';
import { runAllPowerCuts, runAllPowerCutsControl } from './cluster-power-cuts.ts';

interface ClusterCase {
  readonly name: string;
  readonly run: (short: boolean) => Promise<CaseResult>;
}

const cases: readonly ClusterCase[] = [
  { name: 'cluster/leader-kill', run: (short) => runLeaderKills(short ? 5 : 50, short) },
  { name: 'cluster/all-kill', run: (short) => runAllKills(short ? 3 : 50) },
  { name: 'cluster/order', run: (short) => runOrder(short ? 30_000 : 600_000) },
  { name: 'cluster/partitions', run: (short) => runPartitions(short ? 100 : 1_000) },
  { name: 'cluster/poison', run: (short) => runPoison(short ? 100 : 1_000) },
  { name: 'cluster/all-power-cut', run: (short) => runAllPowerCuts(short ? 2 : 20) },
  { name: 'cluster/control-no-sync', run: () => runAllPowerCutsControl(5) },
  { name: 'cluster/drain', run: (short) => runDrains(short ? 5 : 50, short) },
  { name: 'cluster/operator-drain', run: (short) => runOperatorDrains(short ? 5 : 50) },
  { name: 'cluster/wiped-disk', run: (short) => runWipedDisks(short ? 1 : 20) },
  { name: 'cluster/rolled-back-disk', run: (short) => runRolledBackDisks(short ? 1 : 20) },
];

export async function runCluster({ short, only, report }: SuiteOptions): Promise<void> {
  for (const { name, run } of cases) {
    if (only === null || name.includes(only)) await report.run(name, () => run(short));
  }
}
