/** The cluster suite: what three brokers promise together, whatever dies. */
import type { CaseResult, SuiteOptions } from '../report.ts';
import { runAllKills, runLeaderKills } from './cluster-kills.ts';
import { runPartitions, runPoison } from './many-partitions.ts';

interface ClusterCase {
  readonly name: string;
  readonly run: (short: boolean) => Promise<CaseResult>;
}

const cases: readonly ClusterCase[] = [
  { name: 'cluster/leader-kill', run: (short) => runLeaderKills(short ? 5 : 50, short) },
  { name: 'cluster/all-kill', run: (short) => runAllKills(short ? 3 : 50) },
  { name: 'cluster/partitions', run: (short) => runPartitions(short ? 100 : 1_000) },
  { name: 'cluster/poison', run: (short) => runPoison(short ? 100 : 1_000) },
];

export async function runCluster({ short, only, report }: SuiteOptions): Promise<void> {
  for (const { name, run } of cases) {
    if (only === null || name.includes(only)) await report.run(name, () => run(short));
  }
}
