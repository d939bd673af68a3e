/** Every script says what it said when it was last reviewed; and scripts are what docs/TESTING.md says they are. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { runScript } from './run-script.ts';
import { formatScript, parseScript, proseOf } from './script.ts';
import { scriptFiles } from './script-files.ts';

const read = (file: string): string => readFileSync(path.join(import.meta.dirname, file), 'utf8');
const files = scriptFiles();

for (const file of files) {
  test(`case ${file}`, () => {
    const text = read(file);
    assert.equal(formatScript(runScript(parseScript(text))), text);
  });
}

test('every script begins with the distinct rule that it shows, and its source', () => {
  const first = new Map<string, string>();
  for (const file of files) {
    const [line = ''] = proseOf(parseScript(read(file)));
    assert.match(line, /^(pit-P\d+|inv-I\d+|design D\d+|raft section|raft figure|quorum)\b/, file);
    assert.equal(first.get(line), undefined, `${file} says what ${first.get(line)} says`);
    first.set(line, file);
  }
});

test('docs/TESTING.md tells the number of scripts', () => {
  const document = readFileSync(path.join(import.meta.dirname, '../../docs/TESTING.md'), 'utf8');
  const told = Number(/(\d+) scripts/.exec(document)?.[1]);
  assert.equal(told, files.length);
});
