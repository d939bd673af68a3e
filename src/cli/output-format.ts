/** One result in the form that was asked for with -o. */
import { Option } from 'commander';
import { writeOut } from './standard-output.ts';

export const formats = ['table', 'json', 'jsonl', 'yaml'] as const;
export type Format = (typeof formats)[number];

export const formatOption = (): Option =>
  new Option('-o, --output <format>', 'form of the output').choices(formats).default('table');

/** What can stand in JSON here: 64-bit numbers are strings already. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A 64-bit number: readers of JSON that know only doubles must not round it. */
export function int64(value: number): string;
export function int64(value: number | null): string | null;
export function int64(value: number | null): string | null {
  return value === null ? null : String(value);
}

/** Several things: an array in JSON and YAML, a line for each in jsonl. */
export function printList(format: Format, items: readonly Json[], asTable: () => string): Promise<void> {
  if (format === 'jsonl') return writeOut(items.map((item) => `${JSON.stringify(item)}\n`).join(''));
  return printOne(format, items, asTable);
}

/** One thing. */
export async function printOne(format: Format, item: Json, asTable: () => string): Promise<void> {
  switch (format) {
    case 'table':
      return writeOut(asTable());
    case 'json':
      return writeOut(`${JSON.stringify(item, null, 2)}\n`);
    case 'jsonl':
      return writeOut(`${JSON.stringify(item)}\n`);
    case 'yaml':
      return writeOut((await import('yaml')).stringify(item)); // loaded by the few who want it
  }
}
