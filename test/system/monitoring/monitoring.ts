/** The monitoring suite: what is shipped for Prometheus and Grafana, against the programs themselves. */
import type { CaseResult, SuiteOptions } from '../report.ts';
import { runAlerts } from './alerts.ts';
import { runRuleCases } from './rule-cases.ts';
import { runScrapes } from './scrapes.ts';

interface MonitoringCase {
  readonly name: string;
  readonly run: (short: boolean) => Promise<CaseResult>;
}

const cases: readonly MonitoringCase[] = [
  { name: 'monitoring/rule-cases', run: () => runRuleCases() },
  { name: 'monitoring/alerts', run: (short) => runAlerts(short) },
  { name: 'monitoring/scrapes', run: (short) => runScrapes(short) },
];

export async function runMonitoring({ short, only, report }: SuiteOptions): Promise<void> {
  for (const { name, run } of cases) {
    if (only === null || name.includes(only)) await report.run(name, () => run(short));
  }
}
