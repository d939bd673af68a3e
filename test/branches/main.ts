/**
 * `npm run coverage:core`: which branches of src/raft/core the unit tests of the core and the scripts take; fails below
 * the goal, and names every branch that is not taken.
 */
import { readdirSync } from 'node:fs';
import { Session } from 'node:inspector';
import type { Profiler } from 'node:inspector';
import { SourceMap } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { branchesOf } from './branches.ts';

/** Share of the branches that must be taken. */
const goal = 0.95;
const root = path.join(import.meta.dirname, '../..');
const measured = pathToFileURL(path.join(root, 'src/raft/core/')).href;
const suites = ['test/raft/core', 'test/cases'];

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Debugger.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
process.on('exit', report);
for (const suite of suites) {
  for (const file of readdirSync(path.join(root, suite), { recursive: true }).map(String).sort()) {
    if (file.endsWith('.test.ts')) await import(pathToFileURL(path.join(root, suite, file)).href);
  }
}

function report(): void {
  let all = 0;
  let taken = 0;
  for (const script of scripts()) {
    const branches = branchesOf(script.text, script.ranges);
    const missed = branches.filter((branch) => !branch.taken);
    all += branches.length;
    taken += branches.length - missed.length;
    if (branches.length === 0) continue;
    console.log(`${script.name}: ${branches.length - missed.length} of ${branches.length}`);
    for (const { at, what } of missed) console.log(`  ${script.name}:${lineOf(script.text, at)} ${what}`);
  }
  const percent = ((100 * taken) / all).toFixed(1);
  console.log(`branches of src/raft/core, without assertions: ${taken} of ${all}, ${percent} % (goal ${100 * goal} %)`);
  if (!(taken >= goal * all) || all === 0) process.exitCode = 1;
}

interface Script {
  readonly name: string;
  readonly text: string;
  readonly ranges: readonly Profiler.CoverageRange[];
}

function scripts(): Script[] {
  const found: Script[] = [];
  session.post('Profiler.takePreciseCoverage', (error, { result }) => {
    if (error !== null) throw error;
    for (const { scriptId, url, functions } of result) {
      if (!url.startsWith(measured)) continue;
      const ranges = functions.flatMap((one) => one.ranges);
      session.post('Debugger.getScriptSource', { scriptId }, (failed, { scriptSource }) => {
        if (failed !== null) throw failed;
        found.push({ name: path.basename(url.split('?')[0] ?? url), text: scriptSource, ranges });
      });
    }
  });
  return found.sort((a, b) => a.name.localeCompare(b.name));
}

/** The line in the file as it was written, by the map that the loader left in the script. */
function lineOf(text: string, at: number): number {
  const before = text.slice(0, at).split('\n');
  const [, base64] = /sourceMappingURL=data:application\/json;base64,([\w+/=]+)/.exec(text) ?? [];
  if (base64 === undefined) return before.length;
  const map = new SourceMap(
    JSON.parse(Buffer.from(base64, 'base64').toString()) as ConstructorParameters<typeof SourceMap>[0],
  );
  const entry = map.findEntry(before.length - 1, before.at(-1)?.length ?? 0);
  return 'originalLine' in entry ? entry.originalLine + 1 : before.length;
}
