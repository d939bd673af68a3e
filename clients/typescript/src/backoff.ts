import type { Environment } from './environment.ts';
import { abortedError } from './errors.ts';

/** How long to wait between attempts of one operation. */
export interface BackoffOptions {
  /** Upper bound of the first wait, milliseconds, range 1 to 60,000. Default 50. */
  readonly initialMs?: number;
  /** Upper bound of every wait, milliseconds, range 1 to 60,000. Default 2,000. */
  readonly maxMs?: number;
}

export const backoffDefaults = { initialMs: 50, maxMs: 2_000 } as const;

/**
 * Full jitter: a uniform wait in [0, min(maxMs, initialMs * 2^attempt)), so that clients which failed together do not
 * come back together. The broker's own hint is a lower bound.
 * @param attempt how many attempts have failed before this wait, from 0
 */
export function backoffMs(
  attempt: number,
  options: Required<BackoffOptions>,
  environment: Environment,
  retryAfterMs = 0,
): number {
  const bound = Math.min(options.maxMs, options.initialMs * 2 ** Math.min(attempt, 20));
  return Math.max(retryAfterMs, environment.random.below(Math.max(1, Math.ceil(bound))));
}

/** Waits; rejects with ABORTED as soon as the signal fires. */
export function pause(ms: number, environment: Environment, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortedError(signal));
      return;
    }
    const timer = environment.clock.setTimer(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    const onAbort = (): void => {
      timer.cancel();
      if (signal !== undefined) reject(abortedError(signal));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
