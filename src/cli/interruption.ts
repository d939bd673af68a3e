/**
 * Ctrl-C and SIGTERM of a command that has something to bring to an end. The first one fires the signal; from then on
 * the system's own handling is back, so that a second one ends the process at once.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort(name));
  return controller.signal;
}

/** `promise`, or null once `signal` has fired and `graceMs` have passed. */
export async function unlessInterrupted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  graceMs: number,
): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => undefined;
  const given = new Promise<null>((resolve) => {
    onAbort = () => {
      timer = setTimeout(() => resolve(null), graceMs);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, given]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
