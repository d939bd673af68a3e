/** One observer out of several: each event reaches all of them, in order. */

type Events<Observer> = { readonly [Event in keyof Observer]?: Observer[Event] };
type Listener = (...args: unknown[]) => unknown;

/**
 * Observers are plain objects of functions. What the first one that has the event answers is the answer: `moment` is asked
 * of one only.
 * @param observers the first one has every event
 */
export function tellAll<Observer extends object>(first: Observer, ...others: readonly Events<Observer>[]): Observer {
  const heard: [string, Listener][] = [];
  const observers: readonly object[] = [...others, first];
  for (const event of new Set(observers.flatMap((observer) => Object.keys(observer)))) {
    const listeners = observers.flatMap((observer) => listenerOf(observer, event));
    const [only = (): undefined => undefined, ...rest] = listeners;
    heard.push([event, rest.length === 0 ? only : (...args) => everyone(only, rest, args)]);
  }
  // each function has the type that the event has in Observer, since it came from there
  return Object.fromEntries(heard) as Observer;
}

const listenerOf = (observer: object, event: string): Listener[] => {
  const listener: unknown = Object.entries(observer).find(([name]) => name === event)?.[1];
  return typeof listener === 'function' ? [listener as Listener] : [];
};

function everyone(first: Listener, rest: readonly Listener[], args: unknown[]): unknown {
  const answer = first(...args);
  for (const listener of rest) listener(...args);
  return answer;
}
