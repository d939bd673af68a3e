/** The terminal suite: the command as people see it, in a real terminal of 100 columns (tmux). */
import type { SuiteOptions } from '../report.ts';
import { runCtrlC } from './ctrl-c.ts';
import { runTables } from './tables.ts';

const cases = [
  { name: 'terminal/tables', run: runTables },
  { name: 'terminal/ctrl-c', run: runCtrlC },
] as const;

export async function runTerminal({ only, report }: SuiteOptions): Promise<void> {
  for (const { name, run } of cases) {
    if (only === null || name.includes(only)) await report.run(name, run);
  }
}
