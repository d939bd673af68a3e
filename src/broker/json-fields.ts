/** Reads JSON that Sluice stored itself, field by field. What is not as written is a broken invariant, never a guess. */
import { assert } from '../model/assert.ts';

/** A JSON object whose fields are read by name and type. */
export class JsonFields {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #what: string;

  /** @param what names the object in a violation */
  constructor(value: unknown, what: string) {
    assert(isObject(value), 'stored-1: stored JSON has the shape it was written with', what);
    this.#fields = value;
    this.#what = what;
  }

  isNull(name: string): boolean {
    return this.#fields[name] === null;
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }

  /** All fields, each of them a text. */
  texts(): Readonly<Record<string, string>> {
    return Object.fromEntries(Object.keys(this.#fields).map((name) => [name, this.text(name)]));
  }

  text(name: string): string {
    const value = this.#fields[name];
    assert(typeof value === 'string', 'stored-1: stored JSON has the shape it was written with', this.#at(name));
    return value;
  }

  /** Null only where null was written. */
  textOrNull(name: string): string | null {
    return this.#fields[name] === null ? null : this.text(name);
  }

  number(name: string): number {
    const value = this.#fields[name];
    assert(typeof value === 'number', 'stored-1: stored JSON has the shape it was written with', this.#at(name));
    return value;
  }

  flag(name: string): boolean {
    const value = this.#fields[name];
    assert(typeof value === 'boolean', 'stored-1: stored JSON has the shape it was written with', this.#at(name));
    return value;
  }

  list<T>(name: string, read: (item: JsonFields) => T): readonly T[] {
    const value: unknown = this.#fields[name];
    assert(Array.isArray(value), 'stored-1: stored JSON has the shape it was written with', this.#at(name));
    return value.map((item: unknown) => read(new JsonFields(item, this.#at(name))));
  }

  numbers(name: string): readonly number[] {
    const value: unknown = this.#fields[name];
    const listed = Array.isArray(value) && value.every((item): item is number => typeof item === 'number');
    assert(listed, 'stored-1: stored JSON has the shape it was written with', this.#at(name));
    return value;
  }

  names(name: string): readonly string[] {
    const value: unknown = this.#fields[name];
    const listed = Array.isArray(value) && value.every((item): item is string => typeof item === 'string');
    assert(listed, 'stored-1: stored JSON has the shape it was written with', this.#at(name));
    return value;
  }

  /** Null only where null was written. */
  numberOrNull(name: string): number | null {
    return this.#fields[name] === null ? null : this.number(name);
  }

  object<T>(name: string, read: (fields: JsonFields) => T): T {
    return read(new JsonFields(this.#fields[name], this.#at(name)));
  }

  #at(name: string): string {
    return `${this.#what}.${name}`;
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Version byte in front of every piece of JSON that is stored. */
const formatVersion = 1;

/** One version byte, then JSON in UTF-8; keys in the order of the object, so equal objects have equal bytes. */
export function encodeJson(value: object): Uint8Array {
  const text = encoder.encode(JSON.stringify(value));
  const bytes = new Uint8Array(text.length + 1);
  bytes[0] = formatVersion;
  bytes.set(text, 1);
  return bytes;
}

/** @throws InvariantViolation for another version or damaged bytes: they were checksummed when stored. */
export function decodeJson(bytes: Uint8Array, what: string): JsonFields {
  assert(bytes[0] === formatVersion, 'stored-2: the stored version is known', `${what}: ${bytes[0] ?? 'empty'}`);
  return new JsonFields(parse(bytes.subarray(1), what), what);
}

function parse(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    assert(false, 'stored-1: stored JSON has the shape it was written with', `${what}: ${String(cause)}`);
  }
}
