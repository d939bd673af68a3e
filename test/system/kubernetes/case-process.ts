/** Runs one case in the namespaces that own-namespaces.ts made for it, and tells its parent what came of it. */
import type { CaseResult } from '../report.ts';
import type { CaseOrder } from './own-namespaces.ts';
import { runLostVolumes } from './lost-volume.ts';
import { runRollingRestart } from './rolling-restart.ts';
import { runScaling } from './scaling.ts';

const cases: Readonly<Record<string, (order: CaseOrder) => Promise<CaseResult>>> = {
  'rolling-restart': runRollingRestart,
  'lost-volume': runLostVolumes,
  scaling: runScaling,
};

// whoever waits for the result is gone, and nobody else ends what was started here
process.on('disconnect', () => process.exit(1));
const order = JSON.parse(process.argv.at(-1) ?? '') as CaseOrder;
const run = cases[order.name];
if (run === undefined) throw new RangeError(`there is no case ${order.name}`);
const result = await run(order);
// what it has started dies with it
process.send?.(result, () => process.exit(0));
