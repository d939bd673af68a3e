/** docs/MUTANTS.md, as it follows from the mutants and their results. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { mutants } from './all.ts';
import { readResults } from './results.ts';

const file = path.join(import.meta.dirname, '../../docs/MUTANTS.md');
const begin = '<!-- table: npm run sim:mutants -- --table -->';

export const documentText = (): string => readFileSync(file, 'utf8');

/** The document with the table that it should have. */
export function withTable(text: string): string {
  return `${text.slice(0, text.indexOf(begin) + begin.length)}\n\n${table()}\n`;
}

export function writeTable(): void {
  writeFileSync(file, withTable(documentText()));
}

function table(): string {
  const results = readResults();
  const rows = mutants.map(({ name, breaks }) => {
    const result = results[name];
    const killer =
      result === undefined ? 'not run yet' : `${result.killer}${result.seeds === null ? '' : ` (${result.seeds})`}`;
    const by = (result?.by ?? '').replaceAll('|', '\\|').slice(0, 100);
    return `| ${name} | ${breaks} | ${killer} | ${by} |`;
  });
  const bySeeds = mutants.flatMap(({ name }) => (results[name]?.killer === 'seeds' ? [results[name].seeds ?? 0] : []));
  bySeeds.sort((a, b) => a - b);
  const killed = mutants.filter(({ name }) => (results[name]?.killer ?? 'none') !== 'none').length;
  const median = bySeeds[Math.floor(bySeeds.length / 2)];
  const seeds =
    median === undefined
      ? 'None needed seeds.'
      : `Only seeds killed ${bySeeds.length}: after ${median} in the median, ${bySeeds.at(-1) ?? 0} at most.`;
  return [
    `${killed} of ${mutants.length} are killed. ${seeds}`,
    '',
    '| mutant | what it breaks | killed by (seeds) | first to say so |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n');
}
