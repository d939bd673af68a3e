/** A change of the template under load: every pod is stopped as Kubernetes stops it and comes back, one after the other. */
import type { CaseResult } from '../report.ts';
import type { CaseOrder } from './own-namespaces.ts';
import type { PodEnd } from './pod.ts';
import { endProblems, underLoad } from './under-load.ts';

const rounds = { short: 1, long: 5 };

export function runRollingRestart(order: CaseOrder): Promise<CaseResult> {
  return underLoad(order, async ({ set, short, problems }) => {
    const ends: PodEnd[] = [];
    for (let n = short ? rounds.short : rounds.long; n > 0; n--) ends.push(...(await set.roll()));
    problems.push(...endProblems(ends));
    return { restarts: ends.length, stopMaxMs: Math.max(...ends.map(({ ms }) => ms)) };
  });
}
