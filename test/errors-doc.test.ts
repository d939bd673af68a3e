import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { status as Status } from '@grpc/grpc-js';
import { grpcStatusOf } from '../src/api/status.ts';
import type { ErrorCode } from '../src/model/errors.ts';
import { errorTraits } from '../src/model/errors.ts';
import { ErrorCode as WireCode } from '../src/gen/sluice/v1/error.ts';

interface Row {
  readonly code: string;
  readonly kafka: string;
  readonly grpc: string;
  readonly retriable: string;
  readonly indeterminate: string;
  readonly meaning: string;
  readonly advice: string;
}

function documentedRows(): readonly Row[] {
  const page = readFileSync(new URL('../docs/ERRORS.md', import.meta.url), 'utf8');
  return page
    .split('\n')
    .filter((line) => /^\| [A-Z_]+ +\|/.test(line))
    .map((line) => {
      const cells = line.split('|').map((cell) => cell.trim());
      const [, code, kafka, grpc, retriable, indeterminate, meaning, advice] = cells as [
        string,
        string,
        string,
        string,
        string,
        string,
        string,
        string,
      ];
      return { code, kafka, grpc, retriable, indeterminate, meaning, advice };
    });
}

const codes = Object.keys(errorTraits) as ErrorCode[];
const yesNo = (value: boolean): string => (value ? 'yes' : 'no');

test('ERRORS.md lists every code once and no other, in alphabetical order', () => {
  assert.deepEqual(
    documentedRows().map((row) => row.code),
    [...codes].sort(),
  );
});

test('ERRORS.md says of every code what the code says', () => {
  for (const row of documentedRows()) {
    const code = row.code as ErrorCode;
    const traits = errorTraits[code];
    assert.deepEqual(
      { ...row, meaning: row.meaning.length > 10, advice: row.advice.length > 4 },
      {
        code,
        kafka: traits.kafkaCode === null ? '–' : String(traits.kafkaCode),
        grpc: Status[grpcStatusOf[code]],
        retriable: yesNo(traits.retriable),
        indeterminate: yesNo(traits.indeterminate),
        meaning: true,
        advice: true,
      },
    );
  }
});

test('the contract has every code and no other', () => {
  const onTheWire = Object.keys(WireCode).filter((name) => !['ERROR_CODE_UNSPECIFIED', 'UNRECOGNIZED'].includes(name));
  assert.deepEqual(onTheWire.sort(), codes.map((code) => `ERROR_CODE_${code}`).sort());
});
