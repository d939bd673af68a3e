/** How much longer things may take here than on a machine that has nothing else to do: its load for each processor, at least 1. */
import { availableParallelism, loadavg } from 'node:os';

const patienceMax = 20;

export const patience = (): number => Math.min(patienceMax, Math.max(1, (loadavg()[0] ?? 1) / availableParallelism()));

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something holds; resolves with whether it did in time. The limit is for an idle machine. */
export async function until(holds: () => boolean | Promise<boolean>, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs * patience();
  while (!(await holds())) {
    if (performance.now() > deadline) return false;
    await wait(20);
  }
  return true;
}
