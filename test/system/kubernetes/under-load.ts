/** What every case here has in common: the StatefulSet of the ha overlay under steady load, and what may not happen to it. */
import { render } from '../../deploy/manifests.ts';
import { podSpecOf } from '../../deploy/pod-spec.ts';
import { figuresOf } from '../broker/audit.ts';
import { patience } from '../broker/patience.ts';
import { newSeed, SeededChance } from '../durability/random.ts';
import type { CaseResult, Figures } from '../report.ts';
import type { CaseOrder } from './own-namespaces.ts';
import type { PodEnd } from './pod.ts';
import { StatefulSet } from './stateful-set.ts';
import { SteadyLoad } from './steady-load.ts';

/** The goal for the latency of a produce, 99 of 100, on a machine that has nothing else to do. */
const latencyP99MsMax = 1_000;
/** In a short run pods are asked more often and are ready for less long, which is the harder way round. */
const shortHurry = 5;
/** Acknowledgements before anything is done to the brokers, and after it. */
const calmAcksMin = 300;

export interface Stage {
  readonly set: StatefulSet;
  readonly load: SteadyLoad;
  readonly chance: SeededChance;
  readonly short: boolean;
  readonly problems: string[];
}

/** Runs `act` under load; it returns figures of its own. */
export async function underLoad(
  { folder, short }: CaseOrder,
  act: (stage: Stage) => Promise<Figures>,
): Promise<CaseResult> {
  const seed = newSeed();
  const chance = new SeededChance(seed);
  const spec = podSpecOf(render('overlays/ha'));
  const set = await StatefulSet.begin(spec, folder, { hurry: short ? shortHurry : 1 });
  const problems: string[] = [];
  let load: SteadyLoad | null = null;
  try {
    await set.scale(spec.replicas);
    if (set.problems.length > 0) return { figures: { seed }, problems: set.problems };
    // nothing is wrong yet, so nobody may be alarmed
    const errors = set.ordinals.flatMap((ordinal) => set.pod(ordinal).broker.errors);
    problems.push(...errors.map((line) => `an error at the first start: ${JSON.stringify(line)}`));
    const addresses = set.ordinals.map((ordinal) => set.pod(ordinal).address);
    load = await SteadyLoad.begin(addresses, chance);
    if (!(await load.goOn(calmAcksMin))) problems.push('nothing gets through before anything was done');
    const own = await act({ set, load, chance, short, problems });
    if (!(await load.goOn(calmAcksMin))) problems.push('nothing gets through afterwards');
    problems.push(...(await load.finish()), ...set.problems, ...judged(load));
    const { acked, retried, refused, unknown } = load.ledger.counts;
    const figures = { ...own, acked, retried, refused, unknown, ...load.latencies.figures('latency') };
    return { figures: { ...figures, ...figuresOf(load.findings), seed }, problems };
  } finally {
    load?.close();
    await set.end();
  }
}

function judged({ latencies, failures }: SteadyLoad): readonly string[] {
  const [first] = failures;
  const problems = first === undefined ? [] : [`${failures.length} produces failed, the first: ${first}`];
  const p99 = latencies.at(0.99);
  if (p99 > latencyP99MsMax * patience()) problems.push(`p99 of the latency is ${p99} ms`);
  return problems;
}

/** A hook that failed, or a broker that did not end by itself within the grace period. */
export function endProblems(ends: readonly PodEnd[], hookCodes: readonly number[] = [0]): readonly string[] {
  return ends.flatMap(({ hook, code, ms }) => [
    ...(hookCodes.includes(hook?.code ?? -1)
      ? []
      : [`the preStop hook ended with ${hook?.code ?? 'kill -9'}: ${hook?.output ?? ''}`]),
    ...(code === 0 ? [] : [`a broker ended with ${code ?? 'kill -9'} after ${ms} ms`]),
  ]);
}
