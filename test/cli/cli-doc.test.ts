/** docs/CLI.md says what the program does: the same commands, flags and exit codes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Command } from 'commander';
import { exitCodeMeanings } from '../../src/cli/exit-codes.ts';
import { buildProgram } from '../../src/cli/program.ts';

const page = readFileSync(new URL('../../docs/CLI.md', import.meta.url), 'utf8');

/** Every command that does something, with its path. */
function leaves(command: Command, path = command.name()): [string, Command][] {
  if (command.commands.length === 0) return [[path, command]];
  return command.commands.flatMap((child) => leaves(child, `${path} ${child.name()}`));
}

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

test('help fits a screen', () => {
  const all = (command: Command): Command[] => [command, ...command.commands.flatMap(all)];
  for (const command of all(buildProgram())) {
    const lines = command.helpInformation().split('\n');
    assert.ok(lines.length <= 36, `${command.name()}: ${lines.length} lines`);
    for (const line of lines) assert.ok(line.length <= 80, line);
  }
});
