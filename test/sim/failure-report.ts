/** What is left of a failure: the scenario and the trace as files, the last records for people, and how to repeat it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { commitOf } from './run-record.ts';
import type { Scenario } from './shrink.ts';
import { scenarioOf } from './shrink.ts';
import type { SimResult } from './simulate.ts';
import { renderRecord } from './trace.ts';

const directory = '.cache/sim';
const recordsShown = 60;

export interface FailureFiles {
  readonly scenario: string;
  readonly trace: string;
}

/** @param name of the files, for example `seed-17` */
export function writeFailure(name: string, result: SimResult): FailureFiles {
  mkdirSync(directory, { recursive: true });
  const files = { scenario: `${directory}/${name}.json`, trace: `${directory}/${name}.ndjson` };
  writeFileSync(files.scenario, `${JSON.stringify(scenarioOf(result), null, 1)}\n`);
  writeFileSync(files.trace, result.trace.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return files;
}

export function readScenario(file: string): Scenario {
  return JSON.parse(readFileSync(file, 'utf8')) as Scenario;
}

/** @param command repeats exactly this run */
export function printFailure(result: SimResult, files: FailureFiles, command: string): void {
  for (const record of result.trace.slice(-recordsShown)) console.log(renderRecord(record));
  const { nodes, groups, voters, mustSurvive } = result.shape;
  console.error(`
${result.violation?.message ?? 'no violation'}

seed ${result.seed}, commit ${commitOf()}: ${nodes} nodes, ${groups} groups of ${voters}, ${result.schedule.length} faults${mustSurvive ? '' : ', everything may be lost'}
repeat:   ${command}
shrink:   npm run sim -- --seed ${result.seed} --shrink
scenario: ${files.scenario}
trace:    ${files.trace} (legend in docs/TESTING.md)`);
}
