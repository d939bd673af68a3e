/** Tries to kill one mutant with what is cheapest first: unit tests and scripts, random schedules, model check, seeds. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Result } from './results.ts';

const root = path.join(import.meta.dirname, '../..');
/** Without those on real sockets, which may fail for want of time: such a failure would kill any mutant. */
const testsIn = (folder: string): string[] =>
  readdirSync(path.join(root, folder))
    .filter((file) => file.endsWith('.test.ts') && !file.startsWith('grpc-'))
    .map((file) => `${folder}/${file}`)
    .sort();

const schedules = 'test/raft/core/chaos.test.ts';
const tests = [...testsIn('test/raft/core'), ...testsIn('test/cases'), ...testsIn('test/raft')].filter(
  (file) => file !== schedules,
);
/** Of src/broker, the cheapest first. */
const recordPathTests = [
  ...['producer-table', 'durability', 'append', 'idempotence', 'resolve-append', 'conditional-append', 'fetch'],
  ...['list-offsets', 'delete-records', 'exactly-once', 'cluster-insync'],
].map((name) => `test/broker/${name}.test.ts`);
/** Of consumer groups, the cheapest first. */
const groupTests = [
  ...['group/membership', 'group/offsets', 'group/replay', 'group-service', 'group-watch', 'group/coordinator-model'],
].map((name) => `test/broker/${name}.test.ts`);
/** Distinct states of each scope: what `npm test` searches. */
const modelStates = 40_000;
/** Nothing that works says nothing for so long; what hangs is dead. */
const silenceMsMax = 180_000;
const silence = 'hangs';

type Death = Pick<Result, 'killer' | 'by' | 'seeds'>;

/** Null: the tests of consumer groups pass where nothing is planted. */
export async function whyGroupsUseless(tree: string): Promise<string | null> {
  return (await byTests(tree, 'tests', groupTests))?.by ?? null;
}

export async function killInGroups(tree: string): Promise<Death> {
  return (await byTests(tree, 'tests', groupTests)) ?? { killer: 'none', by: '', seeds: null };
}

/** Null: the tests of the record path pass where nothing is planted. */
export async function whyRecordPathUseless(tree: string): Promise<string | null> {
  return (await byTests(tree, 'tests', recordPathTests))?.by ?? null;
}

export async function killOnRecordPath(tree: string): Promise<Death> {
  return (await byTests(tree, 'tests', recordPathTests)) ?? { killer: 'none', by: '', seeds: null };
}

/** Null: a group without faults elects a leader; else why the mutant is worthless. */
export async function whyWorthless(tree: string): Promise<string | null> {
  let elections = 0;
  let said = '';
  const end = await follow(tree, ['test/mutants/run-seeds.ts', 'valid'], (line) => {
    said = line;
    if (line.startsWith('{')) elections = (JSON.parse(line) as { elections: number }).elections;
    return false;
  });
  return elections > 0 ? null : `no leader without faults: ${said} ${end}`;
}

/** Null: the tests pass where nothing is planted; else what fails, which would kill every mutant for nothing. */
export async function whyUseless(tree: string): Promise<string | null> {
  const death = (await byTests(tree, 'tests', tests)) ?? (await byTests(tree, 'schedules', [schedules]));
  return death === null ? null : death.by;
}

/** @param seedsMax 0: only tests and schedules are tried */
export async function kill(tree: string, seedsMax: number): Promise<Death> {
  const early = (await byTests(tree, 'tests', tests)) ?? (await byTests(tree, 'schedules', [schedules]));
  const late = seedsMax > 0 ? async () => (await byModelCheck(tree)) ?? (await bySeeds(tree, seedsMax)) : () => null;
  return early ?? (await late()) ?? { killer: 'none', by: '', seeds: seedsMax };
}

async function byTests(tree: string, killer: 'tests' | 'schedules', files: readonly string[]): Promise<Death | null> {
  let by = '';
  const end = await follow(tree, ['test/mutants/run-tests.ts', ...files], (line) => {
    const [, name] = /^not ok \d+ - (.*)$/.exec(line) ?? [];
    if (name === undefined) return false;
    by = name.replaceAll('\\#', '#');
    return true;
  });
  if (by === '' && end === 'fine') return null;
  return { killer, by: by === '' ? end : by, seeds: null };
}

async function byModelCheck(tree: string): Promise<Death | null> {
  let by = '';
  const end = await follow(tree, ['test/mutants/run-model-check.ts', String(modelStates)], (line) => {
    if (line.startsWith('{')) by = (JSON.parse(line) as { found: string }).found;
    return false;
  });
  if (by === '' && end === 'fine') return null;
  return { killer: 'model check', by: by === '' ? end : by, seeds: null };
}

async function bySeeds(tree: string, seedsMax: number): Promise<Death | null> {
  let tried = 0;
  let by = '';
  const end = await follow(tree, ['test/mutants/run-seeds.ts', '1', String(seedsMax)], (line) => {
    if (!line.startsWith('{')) return false;
    const { seed, violation } = JSON.parse(line) as { seed: number; violation: string | null };
    tried = seed;
    by = violation ?? '';
    return false;
  });
  if (by === '' && end === 'fine') return null;
  const crashed = by === '';
  return { killer: 'seeds', by: crashed ? end : (by.split(':')[0] ?? by), seeds: crashed ? tried + 1 : tried };
}

/** Runs a file of the tree; `onLine` true ends it. Gives back `fine`, or how it ended. */
function follow(tree: string, args: readonly string[], onLine: (line: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--test-reporter=tap', ...args], {
      cwd: tree,
      stdio: ['ignore', 'pipe', 'pipe'],
      // a pool of threads per child would only wait
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    let rest = '';
    let errors = '';
    let why = 'fine';
    let heardMs = performance.now();
    const watch = setInterval(() => {
      if (performance.now() - heardMs < silenceMsMax) return;
      why = silence;
      child.kill('SIGKILL');
    }, 1_000);
    child.stderr.on('data', (bytes: Buffer) => (errors = (errors + bytes.toString()).slice(-4_000)));
    child.stdout.on('data', (bytes: Buffer) => {
      heardMs = performance.now();
      const lines = (rest + bytes.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (onLine(line)) child.kill('SIGKILL');
    });
    child.on('close', (code) => {
      clearInterval(watch);
      if (why === 'fine' && code !== 0)
        why = /\w*(?:Error|Violation): .*/.exec(errors)?.[0] ?? `ends with ${String(code)}`;
      resolve(why);
    });
  });
}
