import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InRecord } from '../../clients/typescript/src/index.ts';
import { recordTemplate } from '../../src/cli/record-template.ts';

const facts = {
  ...{ topic: 't', partition: 3, offset: 42, timestampMs: 5, key: Buffer.from('k'), value: Buffer.from('täxt') },
  headers: [
    ['a', Buffer.from('1')],
    ['b', null],
  ],
};
const record = facts as unknown as InRecord;
const empty = { ...facts, key: null, value: null, timestampMs: null, headers: [] } as unknown as InRecord;

const shown = (format: string, of: InRecord = record): string => Buffer.concat(recordTemplate(format)(of)).toString();

test('every field, as kcat writes it', () => {
  assert.equal(shown('%t [%p] %o %T %k/%K %s/%S %h\\n'), 't [3] 42 5 k/1 täxt/5 a=1,b=\n');
  assert.equal(shown('%k/%K %s/%S %T %h|', empty), '/-1 /-1 -1 |');
});

test('escapes, and a percent sign', () => {
  assert.equal(shown('\\t\\x41\\\\%%\\r'), '\tA\\%\r');
  assert.equal(shown(''), '');
});

test('what there is not is refused, and says what there is', () => {
  for (const format of ['%q', '%', '\\q', '\\', '\\x4'])
    assert.throws(() => recordTemplate(format), /There is no .*; there are/, format);
});
