/** What an operator does by hand: commands in a pod, as with `kubectl exec`, and a look whether the cluster is whole. */
import type { Client } from '../../../clients/typescript/src/index.ts';
import { asBrokerError } from '../../../clients/typescript/src/errors.ts';
import { exitCodes } from '../../../src/cli/exit-codes.ts';
import { patience, until, wait } from '../broker/patience.ts';
import type { Pod } from './pod.ts';

/** As in docs/OPERATIONS.md. */
const command = ['node', '/app/bin/sluice.js'];
/** Of an idle machine: what is refused for now is tried again for so long. */
const refusedMsMax = 30_000;
const commandMsMax = 120_000;
const againMs = 1_000;
const wholeMsMax = 90_000;

/** Runs the `sluice` command in a pod until it is not refused or unavailable any more; what is wrong, or nothing. */
export async function operate(pod: Pod, args: readonly string[]): Promise<readonly string[]> {
  const deadline = performance.now() + refusedMsMax * patience();
  for (;;) {
    const done = await pod.exec([...command, ...args], commandMsMax * patience());
    if (done?.code === 0) return [];
    const mayPass = done?.code === exitCodes.conflict || done?.code === exitCodes.unavailable;
    if (!mayPass || performance.now() > deadline)
      return [`sluice ${args.join(' ')} ended with ${done?.code ?? 'kill -9'}: ${done?.output ?? ''}`];
    await wait(againMs);
  }
}

/** Waits until every partition has all of its replicas in sync, on these brokers only. False: it takes too long. */
export function isWhole(client: Client, brokers: readonly number[]): Promise<boolean> {
  return until(async () => {
    try {
      const topics = await client.admin.listTopics({ includeInternal: true });
      const described = await Promise.all(topics.map(({ name }) => client.admin.describeTopic(name)));
      return described
        .flatMap(({ partitions }) => partitions)
        .every(({ replicas, inSyncReplicas }) =>
          replicas.every((id) => brokers.includes(id) && inSyncReplicas?.includes(id) === true),
        );
    } catch (error) {
      if (!asBrokerError(error).retriable) throw error;
      return false;
    }
  }, wholeMsMax);
}
