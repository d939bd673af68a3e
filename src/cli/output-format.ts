/** One result in the form that was asked for with -o. */
import { Option } from 'commander';
import { layoutOf } from './output-table.ts';
import type { Layout } from './output-table.ts';
import { writeOut } from './standard-output.ts';

export const formats = ['table', 'wide', 'json', 'jsonl', 'yaml'] as const;
/** Lists have one more: a name in each line, for loops of a shell. */
export const listFormats = [...formats, 'name'] as const;
export type Format = (typeof formats)[number];
export type ListFormat = (typeof listFormats)[number];

export const formatOption = (): Option => new Option('-o, --output <format>', 'form').choices(formats).default('table');

export const listFormatOption = (): Option =>
  new Option('-o, --output <format>', 'form').choices(listFormats).default('table');

/** What can stand in JSON here: 64-bit numbers are strings already. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A 64-bit number: readers of JSON that know only doubles must not round it. */
export function int64(value: number): string;
export function int64(value: number | null): string | null;
export function int64(value: number | null): string | null {
  return value === null ? null : String(value);
}

/** Several things: an array in JSON and YAML, a line for each in jsonl. */
export function printList(format: Format, items: readonly Json[], asTable: (layout: Layout) => string): Promise<void> {
  if (format === 'jsonl') return writeOut(items.map((item) => `${JSON.stringify(item)}\n`).join(''));
  return printOne(format, items, asTable);
}

/** Several things that have a name each. */
export function printNamed(
  format: ListFormat,
  items: readonly { readonly name: string | number; readonly json: Json }[],
  asTable: (layout: Layout) => string,
): Promise<void> {
  if (format === 'name') return writeOut(items.map(({ name }) => `${name}\n`).join(''));
  return printList(
    format,
    items.map(({ json }) => json),
    asTable,
  );
}

/** One thing. */
export async function printOne(format: Format, item: Json, asTable: (layout: Layout) => string): Promise<void> {
  switch (format) {
    case 'table':
    case 'wide':
      return writeOut(asTable(layoutOf(format === 'wide')));
    case 'json':
      return writeOut(`${JSON.stringify(item, null, 2)}\n`);
    case 'jsonl':
      return writeOut(`${JSON.stringify(item)}\n`);
    case 'yaml':
      return writeOut((await import('yaml')).stringify(item)); // loaded by the few who want it
  }
}
