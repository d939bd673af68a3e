/** Every alert fires when it shall and only then: the cases beside the rules, run by promtool. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { CaseResult } from '../report.ts';
import { prometheusProgram } from './prometheus.ts';

const folder = join(import.meta.dirname, '../../../deploy/prometheus/rules');

export async function runRuleCases(): Promise<CaseResult> {
  const checked = await promtool('check', 'rules', 'sluice.rules.yaml');
  const tested = await promtool('test', 'rules', 'sluice.rules.test.yaml');
  const problems = [checked, tested].flatMap(({ failed, text }) => (failed ? [text] : []));
  return { figures: { rules: /(\d+) rules found/.exec(checked.text)?.[1] ?? 0 }, problems };
}

function promtool(...args: readonly string[]): Promise<{ readonly failed: boolean; readonly text: string }> {
  return new Promise((resolve) => {
    execFile(prometheusProgram('promtool'), [...args], { cwd: folder }, (error, out, err) => {
      resolve({ failed: error !== null, text: `${out}${err}` });
    });
  });
}
