/** A file to which every run adds a line, so that many runs of one commit add up: one JSON object a line. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import type { RangeResult } from './seed-range.ts';
import { added, noResult } from './seed-range.ts';

export interface RunRecord {
  /** Of the code that ran; ends in `+` if the working tree differed from it. */
  readonly commit: string;
  readonly date: string;
  readonly node: string;
  readonly from: number;
  readonly jobs: number;
  readonly seconds: number;
  readonly result: RangeResult;
}

export function commitOf(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : '+'}`;
  } catch {
    // a copy without its history can be tested too
    return 'unknown';
  }
}

export function appendRecord(file: string, record: RunRecord): void {
  appendFileSync(file, `${JSON.stringify(record)}\n`);
}

export interface Summary {
  readonly commit: string;
  readonly seconds: number;
  /** Seeds that more than one run counted. */
  readonly repeated: number;
  readonly result: RangeResult;
}

/** One summary a commit, in the order of their first run. */
export function summaries(file: string): readonly Summary[] {
  const records = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RunRecord);
  return [...new Set(records.map(({ commit }) => commit))].map((commit) => {
    const own = records.filter((record) => record.commit === commit);
    return {
      commit,
      seconds: own.reduce((sum, { seconds, jobs }) => sum + seconds * jobs, 0),
      repeated: repeatedSeeds(own),
      result: own.reduce((sum, { result }) => added(sum, result), noResult()),
    };
  });
}

function repeatedSeeds(records: readonly RunRecord[]): number {
  let through = 0;
  let repeated = 0;
  for (const { from, result } of [...records].sort((a, b) => a.from - b.from)) {
    const end = from + result.seeds;
    repeated += Math.max(0, Math.min(through, end) - from);
    through = Math.max(through, end);
  }
  return repeated;
}
