/**
 * fdatasync fails from a random call on: the broker ends within a second with one line in its log and exit code 1, nobody
 * is told that an append failed whose fate is open, and the next start has everything that was acknowledged.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult } from '../report.ts';
import { figuresOf } from './audit.ts';
import { Lives } from './lives.ts';
import { patience } from './patience.ts';

/** The promise, on an idle machine. */
const endMsMax = 1_000;
/** When a broker that does not end is helped, on an idle machine. */
const patienceMs = 30_000;

export async function runBrokerSyncErrors(runs: number): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const directory = mkdtempSync(join(tmpdir(), 'sluice-broker-eio-'));
  const figures = { runs: 0, slowestEndMs: 0 };
  const lives = await Lives.begin({ dataDir: join(directory, 'data'), chance });
  try {
    while (figures.runs < runs) {
      const label = `error ${++figures.runs} (seed ${seed})`;
      const trace = join(directory, 'trace');
      await lives.broker.kill();
      if (!(await lives.restart(label, failingSyncs(trace, 10 + chance.below(80))))) break;
      const endedMs = await failOnce(lives, trace, label);
      figures.slowestEndMs = Math.max(figures.slowestEndMs, endedMs);
      if (!(await lives.restart(label))) break;
    }
    await lives.finish('the end');
  } finally {
    await lives.end();
    rmSync(directory, { recursive: true, force: true });
  }
  return {
    figures: { ...figures, ...lives.ledger.counts, ...figuresOf(lives.findings), seed },
    problems: lives.problems,
  };
}

/** Counts the calls of each thread: from its n-th on, fdatasync does nothing but fail. Times are in the trace. */
function failingSyncs(trace: string, nth: number): readonly string[] {
  const inject = `inject=fdatasync:error=EIO:when=${nth}+`;
  return ['strace', '-f', '-ttt', '--seccomp-bpf', '-o', trace, '-e', 'trace=fdatasync', '-e', inject];
}

async function failOnce(lives: Lives, trace: string, label: string): Promise<number> {
  const { broker, load } = lives;
  load.resume();
  const ending = await broker.end(patienceMs);
  await load.pause();
  const endedMs = endMs(readFileSync(trace, 'utf8'), broker.pid);
  const problem = (what: string): number => lives.problems.push(`${label}: ${what}: ${broker.lastWords}`);
  if (ending === null) problem('it runs on without syncing');
  else if (ending.code !== 1) problem(`ended with ${ending.code ?? ending.signal ?? '?'}`);
  if (broker.errors.length !== 1) problem(`${broker.errors.length} error lines`);
  if (endedMs === null) problem('no error was injected');
  else if (endedMs > endMsMax * patience()) problem(`it took ${endedMs} ms to end`);
  return endedMs ?? 0;
}

/** From the first failed call to the end of the process, as the tracer saw them. */
function endMs(trace: string, pid: number): number | null {
  const lines = trace.split('\n');
  const at = (line: string | undefined): number => Number(/^\d+ +(\d+\.\d+)/.exec(line ?? '')?.[1] ?? NaN);
  const failed = at(lines.find((line) => line.includes('(INJECTED)')));
  const ended = at(lines.findLast((line) => line.startsWith(`${pid} `) && line.includes('+++ ')));
  return Number.isNaN(ended - failed) ? null : Math.round((ended - failed) * 1_000);
}
