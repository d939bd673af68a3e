/** The table of semantics in docs/SEMANTICS.md against the names of the tests. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Item {
  readonly item: string;
  readonly shown: readonly string[];
}

const items: readonly Item[] = [
  ...readFileSync(`${root}/docs/SEMANTICS.md`, 'utf8').matchAll(/^\| ([AIKOHR]\d+) +\| [^|]+\| ([a-z, ]+?) *\|$/gm),
].map(([, item = '', shown = '']) => ({ item, shown: shown.split(', ') }));

/** Items by the kind of test whose name has them: a name is the first text given to `test` or `t.test`. */
const named = new Map<string, Set<string>>();
const files = readdirSync(`${root}/test`, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.test.ts'),
);
for (const file of files) {
  const kind = file.startsWith('e2e/') ? 'wire' : 'unit';
  const source = readFileSync(`${root}/test/${file}`, 'utf8');
  for (const [, , name = ''] of source.matchAll(/\btest\(\s*(['"`])((?:(?!\1).)+)\1/g))
    for (const [, item = ''] of name.matchAll(/\bsem-([A-Z]\d+)/g))
      named.set(item, (named.get(item) ?? new Set()).add(kind));
}

test('every item of the semantics has a test with its name where the table says so, and no test names another', () => {
  assert.ok(items.length >= 40, `${items.length} items were read`);
  const told = Object.fromEntries(items.map(({ item, shown }) => [item, [...shown].sort()]));
  const found = Object.fromEntries([...named].map(([item, kinds]) => [item, [...kinds].sort()]));
  assert.deepEqual(found, told);
});
