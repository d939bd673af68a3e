/**
 * A record as a JSON object, the same for `consume -o jsonl` and `produce --jsonl`, so that one can be piped into the
 * other. Bytes that are UTF-8 are a string; others are base64 under a name of their own (`keyBase64`, `valueBase64`).
 */
import type { Bytes, InRecord, OutRecord } from '../../clients/typescript/src/index.ts';
import { int64 } from './output-format.ts';
import type { Json } from './output-format.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

type Fields = Record<string, Json>;

/** `{[name]: text}`, or `{[name]Base64: text}` for bytes that are no UTF-8. */
function bytesField(name: string, bytes: Bytes | null): Fields {
  if (bytes === null) return { [name]: null };
  try {
    return { [name]: utf8.decode(bytes) };
  } catch {
    return { [`${name}Base64`]: Buffer.from(bytes).toString('base64') };
  }
}

/** What was read, every field of it. */
export function recordToJson(record: InRecord): Json {
  return {
    topic: record.topic,
    partition: record.partition,
    offset: int64(record.offset),
    timestampMs: int64(record.timestampMs),
    ...bytesField('key', record.key),
    ...bytesField('value', record.value),
    headers: record.headers.map(([name, value]) => ({ name, ...bytesField('value', value) })),
  };
}

/** What is wrong with a line of JSON. */
export class RecordJsonError extends Error {
  override readonly name = 'RecordJsonError';
}

const wrong = (text: string): RecordJsonError => new RecordJsonError(text);

/** Where it was, which is not where it goes: accepted and not used, so that output can be piped back. */
const ignoredNames = ['topic', 'offset'];
const knownNames = ['key', 'keyBase64', 'value', 'valueBase64', 'headers', 'timestampMs', 'partition', ...ignoredNames];

/** A record to send. Throws RecordJsonError, whose message says which field is wrong and what it must be. */
export function recordFromJson(line: Uint8Array): OutRecord<Bytes, Bytes> {
  const object = parsed(line);
  const unknown = Object.keys(object).find((name) => !knownNames.includes(name));
  if (unknown !== undefined) throw wrong(`unknown field "${unknown}"; there are ${knownNames.join(', ')}`);
  const timestampMs = integerOf(object, 'timestampMs', Number.MAX_SAFE_INTEGER);
  const partition = integerOf(object, 'partition', 2 ** 31 - 1);
  return {
    key: bytesOf(object, 'key') ?? null,
    value: bytesOf(object, 'value') ?? null,
    headers: headersOf(object['headers']),
    ...(timestampMs === null ? {} : { timestampMs }),
    ...(partition === null ? {} : { partition }),
  };
}

type Parsed = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Parsed =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function parsed(line: Uint8Array): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(line)) as unknown;
  } catch (error) {
    throw wrong(`no valid JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (isObject(value)) return value;
  throw wrong('a record must be an object like {"key":"k","value":"v"}');
}

/** Undefined: the field is absent. */
function bytesOf(object: Parsed, name: string): Bytes | null | undefined {
  const text = object[name];
  const base64 = object[`${name}Base64`];
  if (base64 === undefined) return textOf(text, name);
  if (text !== undefined && text !== null) throw wrong(`"${name}" and "${name}Base64" can not be given together`);
  if (typeof base64 === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return Buffer.from(base64, 'base64');
  throw wrong(`"${name}Base64" must be base64`);
}

function textOf(text: unknown, name: string): Bytes | null | undefined {
  if (text === undefined || text === null) return text;
  if (typeof text === 'string') return encoder.encode(text);
  // written again from its parsed form, a number could lose digits: what is sent must be what was given
  throw wrong(`"${name}" must be a string or null; write other JSON as a string, or send whole lines without --jsonl`);
}

function integerOf(object: Parsed, name: string, max: number): number | null {
  const given = object[name];
  if (given === undefined || given === null) return null;
  const value = typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw wrong(`"${name}" must be a whole number from 0 to ${max}`);
}

type Headers = readonly (readonly [string, Bytes | null])[];

/** A list of {"name", "value"}, or an object of names and values if no name comes twice. */
function headersOf(given: unknown): readonly (readonly [string, string | Bytes])[] {
  if (given === undefined || given === null) return [];
  const headers: Headers = Array.isArray(given)
    ? given.map(headerOf)
    : Object.entries(isObject(given) ? given : fail()).map(([name, value]) => [name, textOf(value, name) ?? null]);
  return headers.map(([name, value]) => {
    if (value === null) throw wrong(`header "${name}" needs a value; null can not be sent from here`);
    return [name, value] as const;
  });
}

function headerOf(header: unknown): readonly [string, Bytes | null] {
  if (!isObject(header) || typeof header['name'] !== 'string') fail();
  return [header['name'], bytesOf(header, 'value') ?? null];
}

function fail(): never {
  throw wrong('"headers" must be a list like [{"name":"n","value":"v"}] or an object like {"n":"v"}');
}
