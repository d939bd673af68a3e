/** The client suite: what an application sees while everything beside it breaks. */
import type { CaseResult, SuiteOptions } from '../report.ts';
import { runChaos } from './chaos.ts';

interface ClientCase {
  readonly name: string;
  readonly run: (short: boolean) => Promise<CaseResult>;
}

const shortMs = 40_000;
const fullMs = 600_000;

const cases: readonly ClientCase[] = [{ name: 'client/chaos', run: (short) => runChaos(short ? shortMs : fullMs) }];

export async function runClient({ short, only, report }: SuiteOptions): Promise<void> {
  for (const { name, run } of cases) {
    if (only === null || name.includes(only)) await report.run(name, () => run(short));
  }
}
