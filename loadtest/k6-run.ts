/** Runs k6 with one script and gives back what it wrote. */
import { spawn, spawnSync } from 'node:child_process';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { exits, LoadtestEnds } from './exit.ts';
import type { ScriptName } from './plans/names.ts';
import type { K6Summary } from './report/k6-summary.ts';
import { parseK6Summary } from './report/k6-summary.ts';
import { Tally } from './report/tally.ts';

const root = path.dirname(import.meta.dirname);
/** What k6 ends with if a threshold is missed. */
const thresholdsMissed = 99;

export interface K6 {
  /** The command. */
  readonly path: string;
  /** "v2.2.0" */
  readonly version: string;
}

/** Throws LoadtestEnds, after scripts/k6.mjs has said why, if there is no k6. */
export function findK6(): K6 {
  const found = spawnSync(process.execPath, [path.join(root, 'scripts/k6.mjs')], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (found.status !== 0) throw new LoadtestEnds(found.status ?? exits.failed, '');
  const command = found.stdout.trim();
  const { stdout } = spawnSync(command, ['version'], { encoding: 'utf8' });
  return { path: command, version: /v[\d.]+/.exec(stdout)?.[0] ?? 'unknown' };
}

export interface K6Run {
  readonly script: ScriptName;
  readonly environment: Readonly<Record<string, string>>;
  /** Folder for what k6 writes. */
  readonly scratch: string;
  readonly prometheus: string | null;
  /** Ends the run early, orderly. */
  readonly signal: AbortSignal;
}

export interface K6Result {
  readonly summary: K6Summary;
  readonly tally: Tally;
}

/** Throws LoadtestEnds if k6 ended without measuring. */
export async function runK6(k6: K6, run: K6Run): Promise<K6Result> {
  const summaryFile = path.join(run.scratch, 'summary.json');
  const pointsFile = path.join(run.scratch, 'points.json.gz');
  const outputs = ['--out', `json=${pointsFile}`];
  // its progress is for people who watch
  if (!process.stderr.isTTY) outputs.push('--quiet');
  if (run.prometheus !== null) outputs.push('--out', 'experimental-prometheus-rw');
  const environment = {
    ...run.environment,
    SLUICE_SUMMARY: summaryFile,
    ...(run.prometheus === null ? {} : prometheusEnvironment(run.prometheus)),
  };
  const script = path.join(root, 'loadtest/scripts', `${run.script}.ts`);
  const code = await ended(
    k6.path,
    ['run', '--no-usage-report', '--no-color', ...outputs, script],
    environment,
    run.signal,
  );
  if ((code !== 0 && code !== thresholdsMissed && !run.signal.aborted) || !existsSync(summaryFile))
    throw new LoadtestEnds(run.signal.aborted ? exits.interrupted : exits.failed, `k6 ended with ${code}`);
  return { summary: parseK6Summary(readFileSync(summaryFile, 'utf8')), tally: await tallyOf(pointsFile) };
}

const prometheusEnvironment = (url: string): Record<string, string> => ({
  K6_PROMETHEUS_RW_SERVER_URL: url,
  K6_PROMETHEUS_RW_TREND_STATS: 'p(50),p(95),p(99),max',
  K6_PROMETHEUS_RW_STALE_MARKERS: 'true',
});

/** In a session of its own, and asked only once: k6 takes a second signal for impatience and cleans nothing up. */
function ended(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<number> {
  const child = spawn(command, args, {
    // stdout is the summary's; k6's progress and its log go where ours go
    stdio: ['ignore', 2, 2],
    env: { ...process.env, ...environment },
    detached: true,
  });
  const interrupt = (): void => void child.kill('SIGINT');
  signal.addEventListener('abort', interrupt, { once: true });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      signal.removeEventListener('abort', interrupt);
      resolve(code ?? exits.failed);
    });
  });
}

async function tallyOf(file: string): Promise<Tally> {
  const tally = new Tally();
  const lines = createInterface({ input: createReadStream(file).pipe(createGunzip()), crlfDelay: Infinity });
  for await (const line of lines) tally.add(line);
  return tally;
}
