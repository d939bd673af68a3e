/**
 * The system suites: real processes, disks and networks. As root on Linux, because they mount images and cut power;
 * without that they fail rather than skip. `npm run test:system -- [--short] [--only NAME]`
 */
import { parseArgs } from 'node:util';
import { runDurability } from './durability/durability.ts';
import { runBroker } from './broker/broker.ts';
import { runClient } from './client/client.ts';
import { runCluster } from './cluster/cluster.ts';
import { runKubernetes } from './kubernetes/kubernetes.ts';
import { runMemory } from './memory/memory.ts';
import { runMonitoring } from './monitoring/monitoring.ts';
import { runSpace } from './space/space.ts';
import { runTerminal } from './terminal/terminal.ts';
import { Report, type SuiteOptions } from './report.ts';

const suites: Readonly<Record<string, (options: SuiteOptions) => Promise<void>>> = {
  durability: runDurability,
  broker: runBroker,
  cluster: runCluster,
  kubernetes: runKubernetes,
  client: runClient,
  memory: runMemory,
  space: runSpace,
  monitoring: runMonitoring,
  terminal: runTerminal,
};

/** What needs minutes and a machine of its own to mean something: a short run leaves it out unless it is named. */
const onlyIfNamed: ReadonlySet<string> = new Set(['memory']);

const { values } = parseArgs({
  options: { short: { type: 'boolean', default: false }, only: { type: 'string' } },
});

if (process.platform !== 'linux' || process.getuid?.() !== 0) {
  console.error('The system suites need root on Linux: they mount file systems and inject faults. Run them with sudo.');
  process.exit(1);
}

const report = new Report();
for (const [name, run] of Object.entries(suites)) {
  const { only = null } = values;
  if (values.short && only === null && onlyIfNamed.has(name)) continue;
  // a suite's own name selects all of its cases
  if (only === null || name.includes(only)) await run({ short: values.short, only: null, report });
  else await run({ short: values.short, only, report });
}
if (report.passed + report.failed === 0) console.log(`no case is named ${values.only ?? ''}`);
console.log(`${report.passed} passed, ${report.failed} failed`);
process.exit(report.failed === 0 && report.passed > 0 ? 0 : 1);
