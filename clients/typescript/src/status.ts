/** What happens in the background, for those who want to watch it: statuses in the order in which they came. */
import { abortedError } from './errors.ts';

/** A listener was too slow: so many statuses were dropped before the next one. */
export interface StatusesMissed {
  readonly type: 'missed';
  readonly count: number;
}

export interface StatusOptions {
  /** Ends the iteration with ABORTED. */
  readonly signal?: AbortSignal;
}

/** Statuses that are kept for one listener; past it the oldest are dropped and counted. */
const statusesMax = 1_000;
/** Listeners at a time. Past it the oldest ends. */
const listenersMax = 100;

interface Listener<S> {
  readonly queue: (S | StatusesMissed)[];
  missed: number;
  wake: (() => void) | null;
  ended: boolean;
}

/** Costs nothing while nobody listens. */
export class StatusFeed<S> {
  readonly #listeners = new Set<Listener<S>>();
  #ended = false;

  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  /** Never throws, never waits. */
  publish(status: S): void {
    for (const listener of this.#listeners) {
      if (listener.queue.length >= statusesMax) {
        listener.queue.shift();
        listener.missed += 1;
      }
      listener.queue.push(status);
      listener.wake?.();
    }
  }

  /** Listeners get what is there, then their iteration ends. */
  end(): void {
    this.#ended = true;
    for (const listener of this.#listeners) {
      listener.ended = true;
      listener.wake?.();
    }
  }

  /** Listens from this call on, not only from the first `next`. */
  listen({ signal }: StatusOptions = {}): AsyncIterableIterator<S | StatusesMissed, undefined, undefined> {
    const listener: Listener<S> = { queue: [], missed: 0, wake: null, ended: this.#ended };
    const [oldest] = this.#listeners;
    if (oldest !== undefined && this.#listeners.size >= listenersMax) this.#drop(oldest);
    this.#listeners.add(listener);
    const done = { done: true, value: undefined } as const;
    return {
      next: async () => {
        for (;;) {
          if (signal?.aborted === true) {
            this.#drop(listener);
            throw abortedError(signal);
          }
          const value = take(listener);
          if (value !== null) return { done: false, value };
          if (listener.ended) {
            this.#listeners.delete(listener);
            return done;
          }
          await woken(listener, signal);
        }
      },
      return: () => {
        this.#drop(listener);
        return Promise.resolve(done);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  #drop(listener: Listener<S>): void {
    this.#listeners.delete(listener);
    listener.ended = true;
    listener.wake?.();
  }
}

function take<S>(listener: Listener<S>): S | StatusesMissed | null {
  if (listener.missed > 0) {
    const { missed } = listener;
    listener.missed = 0;
    return { type: 'missed', count: missed };
  }
  return listener.queue.shift() ?? null;
}

function woken<S>(listener: Listener<S>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      listener.wake = null;
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    listener.wake = wake;
    signal?.addEventListener('abort', wake, { once: true });
  });
}
