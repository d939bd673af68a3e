/**
 * A node dies under load and its disk with it. The pod comes back with an empty volume, and does nothing with it but say
 * what to do; what docs/OPERATIONS.md tells the operator to do brings it back, with everything that was on it.
 */
import { until } from '../broker/patience.ts';
import type { CaseResult } from '../report.ts';
import type { CaseOrder } from './own-namespaces.ts';
import { isWhole, operate } from './operator.ts';
import type { PodEnd } from './pod.ts';
import type { Stage } from './under-load.ts';
import { endProblems, underLoad } from './under-load.ts';

const rounds = { short: 1, long: 5 };
/** Of an idle machine. */
const refusalMsMax = 20_000;
/** What it says to whoever reads its log. */
const says = (ordinal: number): RegExp => new RegExp(`broker ${ordinal} is known with disk .*replaced`);

export function runLostVolumes(order: CaseOrder): Promise<CaseResult> {
  return underLoad(order, async (stage) => {
    const backMs: number[] = [];
    const ends: PodEnd[] = [];
    const { set, short, problems } = stage;
    for (let n = short ? rounds.short : rounds.long; n > 0 && problems.length === 0; n--) {
      const victim = stage.chance.pick(set.ordinals);
      const beganMs = performance.now();
      await loseAndReplace(stage, victim);
      backMs.push(Math.round(performance.now() - beganMs));
      // whoever else may stop now: the new disk carries the quorum
      const other = stage.chance.pick(set.ordinals.filter((ordinal) => ordinal !== victim));
      ends.push(await set.pod(other).stop());
      await set.ready(await set.create(other));
    }
    problems.push(...endProblems(ends));
    return { volumes: backMs.length, backMaxMs: Math.max(0, ...backMs) };
  });
}

async function loseAndReplace({ set, load, problems }: Stage, victim: number): Promise<void> {
  await set.pod(victim).kill();
  set.deleteClaim(victim);
  const pod = await set.create(victim);
  const hasSaid = (): boolean => says(victim).test([...pod.endings, pod.broker.lastWords].join('\n'));
  if (!(await until(hasSaid, refusalMsMax)))
    problems.push(`${pod.name} does not say that it has to be replaced: ${pod.broker.lastWords}`);
  if (await pod.isReady()) problems.push(`${pod.name} is ready on an empty volume`);
  const helper = set.pod(set.ordinals.find((ordinal) => ordinal !== victim) ?? 0);
  problems.push(...(await operate(helper, ['broker', 'replace', String(victim)])));
  await set.ready(pod);
  if (!(await isWhole(load.client, set.ordinals))) problems.push(`${pod.name} does not get all of its replicas back`);
}
