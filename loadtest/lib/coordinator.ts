/** The coordinator of the run's group. */
import { sleep } from 'k6';
import { callNow } from './brokers.ts';
import { group } from './settings.ts';

/** How long to wait for it, seconds. */
const secondsMax = 30;
const comingCodes: readonly string[] = ['COORDINATOR_LOAD_IN_PROGRESS', 'LEADER_NOT_AVAILABLE'];

/** Waits until the group has a coordinator: the first group of a cluster makes the topic that keeps groups. */
export function awaitCoordinator(): void {
  for (let second = 0; ; second++) {
    const outcome = callNow(0, 'FetchCommitted', { group, partitions: [] }, { expected: comingCodes });
    const waits = outcome.kind === 'refused' && comingCodes.includes(outcome.code);
    if (!waits || second >= secondsMax) return;
    sleep(1);
  }
}
