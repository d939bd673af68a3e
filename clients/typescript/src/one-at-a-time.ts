import { BrokerError } from './errors.ts';

/** Makes an async iterator of a `take` that must not be called while an earlier call is open. */
export function iterateOneAtATime<T>(
  take: () => Promise<IteratorResult<T, undefined>>,
  end: () => Promise<void>,
): AsyncIterableIterator<T, undefined, undefined> {
  let busy = false;
  let ended = false;
  const done: IteratorResult<T, undefined> = { done: true, value: undefined };
  return {
    async next() {
      if (ended) return done;
      if (busy) throw new BrokerError('INVALID_REQUEST', 'next() was called while an earlier next() was waiting.');
      busy = true;
      try {
        return await take();
      } finally {
        busy = false;
      }
    },
    async return() {
      ended = true;
      await end();
      return done;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
