/**
 * Three brokers become five and three again, under load: new pods join by their seeds, partitions move to them, two are
 * decommissioned as docs/OPERATIONS.md has it, and the StatefulSet is scaled down.
 */
import { exitCodes } from '../../../src/cli/exit-codes.ts';
import type { CaseResult } from '../report.ts';
import type { CaseOrder } from './own-namespaces.ts';
import { isWhole, operate } from './operator.ts';
import { partitionsCount } from './steady-load.ts';
import type { Stage } from './under-load.ts';
import { endProblems, underLoad } from './under-load.ts';

const [few, many] = [3, 5];
const moveMsMax = 60_000;

export function runScaling(order: CaseOrder): Promise<CaseResult> {
  return underLoad(order, async (stage) => {
    const { set, problems } = stage;
    const begunMs = performance.now();
    await set.scale(many);
    const grownMs = performance.now();
    await spread(stage);
    const spreadMs = performance.now();
    for (let id = many - 1; id >= few; id--)
      problems.push(...(await operate(set.pod(0), ['broker', 'decommission', String(id), '--wait'])));
    const emptiedMs = performance.now();
    const { brokers } = await stage.load.client.admin.describeCluster();
    const left = brokers.map(({ brokerId }) => brokerId).toSorted((a, b) => a - b);
    if (left.join(' ') !== '0 1 2') problems.push(`the cluster has brokers ${left.join(' ')} afterwards`);
    // nobody tells a removed broker anything any more: its hook finds that out, gives up and says so
    const ends = await set.scale(few);
    problems.push(...endProblems(ends, [exitCodes.ok, exitCodes.unavailable]));
    for (let id = many - 1; id >= few; id--) set.deleteClaim(id);
    if (!(await isWhole(stage.load.client, set.ordinals))) problems.push('not all replicas are in sync afterwards');
    return {
      growMs: Math.round(grownMs - begunMs),
      spreadMs: Math.round(spreadMs - grownMs),
      emptyMs: Math.round(emptiedMs - spreadMs),
    };
  });
}

/** Each partition on three brokers in a row of the five. */
async function spread({ set, load, problems }: Stage): Promise<void> {
  const moves = Array.from({ length: partitionsCount }, (_, partition) => ({
    topic: load.topic.name,
    partition,
    brokerIds: [0, 1, 2].map((n) => (partition + n) % many),
  }));
  await load.client.admin.moveReplicas(moves, { timeoutMs: moveMsMax });
  const isThere = await isWhole(load.client, set.ordinals);
  const { partitions } = await load.client.admin.describeTopic(load.topic.name);
  const wanted = partitions.every(({ partition, replicas }) =>
    moves[partition]?.brokerIds.every((id) => replicas.includes(id)),
  );
  if (!isThere || !wanted) problems.push('the partitions did not move to the new brokers');
}
