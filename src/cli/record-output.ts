/** Records on their way to standard output. */
import type { Bytes, InRecord } from '../../clients/typescript/src/index.ts';
import type { RecordTemplate } from './record-template.ts';
import { recordToJson } from './record-json.ts';

export const recordFormats = ['value', 'json', 'jsonl'] as const;
export type RecordFormat = (typeof recordFormats)[number];

export interface RecordPrinter {
  /** Before the first record. */
  readonly opening: string;
  /** After the last one. */
  readonly closing: string;
  /** The bytes of some records, which follow those of earlier calls. */
  print(records: readonly InRecord[]): Uint8Array;
}

const lineBreak = Buffer.from('\n');
const nothing = new Uint8Array(0);

/** @param keyDelimiter with `value`: what to put between key and value; null: values only */
export function recordPrinter(format: RecordFormat, keyDelimiter: string | null): RecordPrinter {
  switch (format) {
    case 'value':
      return valuePrinter(keyDelimiter === null ? null : Buffer.from(keyDelimiter));
    case 'jsonl':
      return {
        opening: '',
        closing: '',
        print: (records) => Buffer.from(records.map((record) => `${JSON.stringify(recordToJson(record))}\n`).join('')),
      };
    case 'json':
      return arrayPrinter();
  }
}

/** Values as they are, each with a line break; a null value is an empty line. */
const valuePrinter = (delimiter: Bytes | null): RecordPrinter => ({
  opening: '',
  closing: '',
  print(records) {
    const parts: Bytes[] = [];
    for (const { key, value } of records) {
      if (delimiter !== null) parts.push(key ?? nothing, delimiter);
      parts.push(value ?? nothing, lineBreak);
    }
    return Buffer.concat(parts);
  },
});

/** Nothing is added to what the template says. */
export const templatePrinter = (template: RecordTemplate): RecordPrinter => ({
  opening: '',
  closing: '',
  print: (records) => Buffer.concat(records.flatMap(template)),
});

/** One JSON array, valid once the command has ended. */
function arrayPrinter(): RecordPrinter {
  let before = '\n';
  return {
    opening: '[',
    closing: '\n]\n',
    print(records) {
      const texts = records.map((record) => {
        const text = `${before}${JSON.stringify(recordToJson(record))}`;
        before = ',\n';
        return text;
      });
      return Buffer.from(texts.join(''));
    },
  };
}
