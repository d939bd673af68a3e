import { abortedError } from './errors.ts';

/**
 * `promise`, or ABORTED as soon as the signal fires. The work behind `promise` goes on.
 * @param mutates whether that work may take effect all the same: then the outcome is open
 */
export async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  mutates = false,
): Promise<T> {
  if (signal === undefined) return promise;
  promise.catch(() => undefined);
  if (signal.aborted) throw abortedError(signal, mutates);
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(abortedError(signal, mutates));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
