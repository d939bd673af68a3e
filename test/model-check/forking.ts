/** Copies of a replica, and what two replicas must have in common to be the same state. Works on fields of any name. */

type Fields = Record<string, unknown>;

/** Never changed by anybody, so a copy may share them. */
const shared = new Set(['limits', 'private_limits', 'random', 'private_random', 'crc32c', 'private_crc32c']);

/** Counts and absolute times: they steer nothing by their value alone. */
const forgotten = new Set(['dropped', 'now', 'number', 'private_readyNumber', 'leaderHeardMs', 'private_timeoutMs']);

/** Points in time: what matters is how long ago, up to a bound. `deadlineMs` says only whether there is one. */
const isTime = (name: string): boolean => name.endsWith('Ms');

/** A copy that shares no object which could change. Objects that are one in the original are one in the copy. */
export function fork<T>(value: T, known = new Map<object, object>()): T {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const before = known.get(value);
  if (before !== undefined) return before as T;
  const copy = emptyLike(value);
  known.set(value, copy);
  if (value instanceof Map) {
    for (const [key, one] of value) (copy as Map<unknown, unknown>).set(key, fork(one as unknown, known));
  } else if (!(value instanceof Set)) {
    for (const [name, one] of Object.entries(value)) (copy as Fields)[name] = shared.has(name) ? one : fork(one, known);
  }
  return copy as T;
}

function emptyLike(value: object): object {
  if (Array.isArray(value)) return [];
  if (value instanceof Map) return new Map();
  if (value instanceof Set) return new Set(value);
  return Object.create(Object.getPrototypeOf(value) as object | null) as object;
}

export interface Canonical {
  readonly now: number;
  /** Ages above this many milliseconds are the same; null: no age matters. */
  readonly oldestMs: number | null;
}

/** Two states with the same text behave the same from here on. */
export function canonical(value: unknown, how: Canonical): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  if (Array.isArray(value)) return `[${value.map((one) => canonical(one, how)).join()}]`;
  if (value instanceof Map || value instanceof Set) {
    const items = [...(value as Iterable<unknown>)].map((one) => canonical(one, how));
    return `{${items.sort().join()}}`;
  }
  const fields = value as Fields;
  // an entry is known by its place and its chain value, which covers its content and all that precedes it
  if ('payloadCrc' in fields) return `${String(fields['index'])}/${String(fields['term'])}/${String(fields['chain'])}`;
  let text = '(';
  for (const [name, one] of Object.entries(fields)) {
    if (shared.has(name) || forgotten.has(name)) continue;
    text += `${textOf(name, one, how)};`;
  }
  return `${text})`;
}

function textOf(name: string, value: unknown, how: Canonical): string {
  if (name === 'deadlineMs') return String(value !== Infinity);
  return isTime(name) ? age(value, how) : canonical(value, how);
}

function age(time: unknown, { now, oldestMs }: Canonical): string {
  if (oldestMs === null) return '';
  return typeof time === 'number' ? String(Math.max(time - now, -oldestMs)) : 'none';
}
