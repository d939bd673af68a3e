/** How keys and values become bytes and come back. */
import { BrokerError } from './errors.ts';

export type Bytes = Uint8Array;

/** Where a key or a value belongs. */
export interface SerdeContext {
  readonly topic: string;
  readonly part: 'key' | 'value';
}

/** Turns values into bytes and back. What it throws reaches the caller as SERDE_FAILED with the `cause`. */
export interface Serde<T> {
  serialize(value: T, context: SerdeContext): Bytes;
  deserialize(bytes: Bytes, context: SerdeContext): T;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const bytes: Serde<Bytes> = { serialize: (value) => value, deserialize: (value) => value };

const utf8: Serde<string> = {
  serialize: (value) => encoder.encode(value),
  deserialize: (value) => decoder.decode(value),
};

/** JSON in UTF-8. `validate` turns what was parsed into a `T`, or throws. */
const json = <T>(validate: (parsed: unknown) => T): Serde<T> => ({
  serialize: (value) => encoder.encode(JSON.stringify(value)),
  deserialize: (value) => validate(JSON.parse(decoder.decode(value)) as unknown),
});

/** The ready-made ones: `bytes` (the default; not copied), `utf8` and `json(validate)`. */
export const serdes = { bytes, utf8, json } as const;

/** A topic's name with the types of its keys and values, for producers and consumers alike. */
export interface Topic<K, V> {
  readonly name: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
}

/** Makes a typed handle of a topic. Does no I/O and does not create the topic. */
export const topic = <K, V>(
  name: string,
  serde: { readonly key: Serde<K>; readonly value: Serde<V> },
): Topic<K, V> => ({
  name,
  ...serde,
});

/** The bytes of a key or value; null stays null. Throws SERDE_FAILED. */
export function serialized<T>(serde: Serde<T>, value: T | null, topic: string, part: 'key' | 'value'): Bytes | null {
  if (value === null) return null;
  let bytes: unknown;
  try {
    bytes = serde.serialize(value, { topic, part });
  } catch (cause) {
    throw failed(cause, topic, part);
  }
  if (bytes instanceof Uint8Array) return bytes;
  throw new BrokerError('SERDE_FAILED', `The ${part} for topic "${topic}" is no Uint8Array; choose a serde for it.`, {
    topic,
  });
}

/** The key or value of bytes; null stays null. Throws SERDE_FAILED. */
export function deserialized<T>(serde: Serde<T>, bytes: Bytes | null, topic: string, part: 'key' | 'value'): T | null {
  if (bytes === null) return null;
  try {
    return serde.deserialize(bytes, { topic, part });
  } catch (cause) {
    throw failed(cause, topic, part);
  }
}

function failed(cause: unknown, topic: string, part: string): BrokerError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new BrokerError('SERDE_FAILED', `The ${part} could not be converted: ${text}`, { cause, topic });
}

export interface SerdePair<K, V> {
  readonly key: Serde<K>;
  readonly value: Serde<V>;
}

/** The given serdes. Where one is missing, K or V has its default, Bytes. */
export const serdesOrBytes = <K, V>(given: {
  readonly key?: Serde<K>;
  readonly value?: Serde<V>;
}): SerdePair<K, V> => ({
  key: given.key ?? (bytes as Serde<unknown> as Serde<K>),
  value: given.value ?? (bytes as Serde<unknown> as Serde<V>),
});

/** The serdes of each topic: those of a typed handle, else the given ones, else bytes (which K and V then are). */
export function serdePairs<K, V>(options: {
  readonly key?: Serde<K>;
  readonly value?: Serde<V>;
  readonly topics: readonly (string | Topic<K, V>)[];
}): (topic: string) => SerdePair<K, V> {
  const given = serdesOrBytes(options);
  const typed = new Map(
    options.topics.flatMap((handle) => (typeof handle === 'string' ? [] : [[handle.name, handle]])),
  );
  return (name) => typed.get(name) ?? given;
}
