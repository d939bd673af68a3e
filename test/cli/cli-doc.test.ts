/** docs/CLI.md says what the program does: the same commands, flags and exit codes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { exitCodeMeanings } from '../../src/cli/exit-codes.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { leaves } from './command-tree.ts';

const page = readFileSync(new URL('../../docs/CLI.md', import.meta.url), 'utf8');

const commands = leaves(buildProgram());

test('the page lists the commands that exist, with their aliases', () => {
  const documented = [...page.matchAll(/^\| `(sluice [a-z -]+?)(?: [A-Z[].*?)?`/gm)].map(([, name]) => name);
  assert.deepEqual(
    documented,
    commands.map(([path]) => path),
  );
  for (const [path, command] of commands)
    for (const alias of command.aliases()) assert.match(page, new RegExp(`\`${alias}\``), `${path} has ${alias}`);
});

test('the page names every flag and no other', () => {
  const flags = [...commands.map(([, command]) => command), buildProgram()].flatMap(({ options }) =>
    options.map(({ long }) => long),
  );
  const documented = [...page.matchAll(/(?<![\w-])--[a-z][a-z-]+/g)].map(([flag]) => flag);
  assert.deepEqual([...new Set(documented)].sort(), [...new Set([...flags, '--help'])].sort());
});

test('the page has the exit codes of the program', () => {
  const documented = [...page.matchAll(/^\| (\d+) \| (.+) \|$/gm)].map(([, code, meaning]) => [Number(code), meaning]);
  assert.deepEqual(
    documented,
    exitCodeMeanings.map(({ code, meaning }) => [code, meaning]),
  );
});
