import assert from 'node:assert/strict';
import { test } from 'node:test';
import { facts, table, wrapped } from '../../src/cli/output-table.ts';
import type { Column } from '../../src/cli/output-table.ts';

interface Row {
  readonly name: string;
  readonly count: number;
  readonly id: string;
}

const columns: readonly Column<Row>[] = [
  { title: 'name', cell: ({ name }) => name },
  { title: 'count', align: 'right', cell: ({ count }) => count },
  { title: 'id', wide: true, cell: ({ id }) => id },
];
const rows: readonly Row[] = [
  { name: 'short', count: 1, id: 'a' },
  { name: 'x'.repeat(249), count: 1_234_567, id: 'b'.repeat(36) },
];

test('a table keeps to the width, and cuts text before numbers', () => {
  for (const width of [40, 80, 100]) {
    const lines = table(columns, rows, { wide: false, width }).trimEnd().split('\n');
    for (const line of lines) assert.ok(line.length <= width, line);
    assert.match(lines[2] ?? '', /x+… +1234567$/);
    assert.doesNotMatch(lines[0] ?? '', /ID/);
  }
});

test('wide shows every column and cuts nothing, and neither does a pipe', () => {
  const wide = table(columns, rows, { wide: true, width: 40 });
  assert.match(wide, new RegExp(`^x{249} +1234567 {2}b{36}$`, 'm'));
  assert.match(table(columns, rows, { wide: false, width: Infinity }), /^x{249} +1234567$/m);
});

test('facts go on below where they began', () => {
  const text = facts(
    [
      ['why', 'one two three four'],
      ['longer name', 1],
    ],
    { width: 24 },
  );
  assert.equal(text, 'why:         one two\n             three four\nlonger name: 1\n');
});

test('a text is broken between words, and within one only if it is longer than a line', () => {
  assert.deepEqual(wrapped('aa bb cccccc d', 5), ['aa bb', 'ccccc', 'c d']);
  assert.deepEqual(wrapped('', 5), ['']);
});
