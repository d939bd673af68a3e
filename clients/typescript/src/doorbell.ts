/** Lets one side wait until another has done something. Carries no value: whoever wakes looks for itself. */
import { abortedError } from './errors.ts';

export class Doorbell {
  #waiters: (() => void)[] = [];

  /** Wakes everyone who waits now. */
  ring(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Resolves at the next ring; rejects with ABORTED if the signal fires first. */
  wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortedError(signal));
        return;
      }
      const onAbort = (): void => {
        this.#waiters = this.#waiters.filter((waiter) => waiter !== wake);
        if (signal !== undefined) reject(abortedError(signal));
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(wake);
    });
  }
}
