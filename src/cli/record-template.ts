/**
 * What `consume -f` prints of a record, in the notation of kcat: `%t` topic, `%p` partition, `%o` offset, `%T` timestamp in
 * milliseconds, `%k` key, `%K` its length, `%s` value, `%S` its length, `%h` headers (`name=value,...`), `%%` a percent
 * sign, and the escapes `\n \r \t \\ \xHH`. What is null is empty, its length -1, as is a time that is not known. Nothing
 * is added: end it with `\n`.
 */
import { InvalidArgumentError } from 'commander';
import type { Bytes, InRecord } from '../../clients/typescript/src/index.ts';

export type RecordTemplate = (record: InRecord) => readonly Bytes[];

type Part = (record: InRecord) => Bytes;

const nothing = new Uint8Array(0);
const text = (value: string | number): Bytes => Buffer.from(String(value));

const fields: Readonly<Record<string, Part>> = {
  t: ({ topic }) => text(topic),
  p: ({ partition }) => text(partition),
  o: ({ offset }) => text(offset),
  T: ({ timestampMs }) => text(timestampMs ?? -1),
  k: ({ key }) => key ?? nothing,
  K: ({ key }) => text(key?.length ?? -1),
  s: ({ value }) => value ?? nothing,
  S: ({ value }) => text(value?.length ?? -1),
  h: ({ headers }) =>
    Buffer.concat(headers.flatMap(([name, value], at) => [text(`${at === 0 ? '' : ','}${name}=`), value ?? nothing])),
};

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\' };

/** Throws InvalidArgumentError, whose message says what is there. */
export function recordTemplate(format: string): RecordTemplate {
  const parts: Part[] = [];
  let literal: Bytes[] = [];
  const close = (): void => {
    if (literal.length === 0) return;
    const bytes = Buffer.concat(literal);
    parts.push(() => bytes);
    literal = [];
  };
  for (const [token] of format.matchAll(/%.|\\x[0-9A-Fa-f]{2}|\\.|%$|\\$|[^%\\]+/gs)) {
    if (token.startsWith('%') && token !== '%%') {
      close();
      parts.push(fieldOf(token.slice(1)));
    } else literal.push(token === '%%' ? text('%') : token.startsWith('\\') ? escaped(token.slice(1)) : text(token));
  }
  close();
  return (record) => parts.map((part) => part(record));
}

function fieldOf(name: string): Part {
  const part = fields[name];
  if (part !== undefined) return part;
  throw new InvalidArgumentError(`There is no %${name}; there are %${Object.keys(fields).join(' %')} and %%.`);
}

function escaped(name: string): Bytes {
  if (/^x[0-9A-Fa-f]{2}$/.test(name)) return Uint8Array.of(Number.parseInt(name.slice(1), 16));
  const meant = escapes[name];
  if (meant !== undefined) return text(meant);
  throw new InvalidArgumentError(`There is no \\${name}; there are \\n \\r \\t \\\\ and \\xHH.`);
}
