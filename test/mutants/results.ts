/** What killed each mutant: kept in a file, so that a run goes on where the last one stopped. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { mutants } from './all.ts';
import type { Mutant } from './mutant.ts';

export const resultsFile = path.join(import.meta.dirname, 'results.json');

export type Killer = 'tests' | 'schedules' | 'model check' | 'seeds' | 'none';

export interface Result {
  /** Of the patch: another patch under the same name is another mutant. */
  readonly patch: string;
  readonly killer: Killer;
  /** The test, the scope, or the invariant. */
  readonly by: string;
  /** Seeds until the first that failed; null: seeds were not needed. */
  readonly seeds: number | null;
  readonly seconds: number;
}

export const patchOf = ({ file, search, replace }: Mutant): string =>
  createHash('sha256')
    .update(JSON.stringify([file, search, replace]))
    .digest('hex')
    .slice(0, 12);

export type Results = Record<string, Result>;

/** Results of mutants that are still there, unchanged. */
export function readResults(): Results {
  const stored = existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, 'utf8')) as Results) : {};
  const valid = mutants.flatMap((mutant): [string, Result][] => {
    const result = stored[mutant.name];
    return result?.patch === patchOf(mutant) ? [[mutant.name, result]] : [];
  });
  return Object.fromEntries(valid);
}

export function writeResult(name: string, result: Result): void {
  const all = { ...readResults(), [name]: result };
  const sorted = Object.fromEntries(
    mutants.flatMap(({ name: one }) => (all[one] === undefined ? [] : [[one, all[one]]])),
  );
  writeFileSync(resultsFile, `${JSON.stringify(sorted, null, 2)}\n`);
}
