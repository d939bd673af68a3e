/** `--help` fits a screen of 80 columns and 24 lines at every level, the line of the next prompt included. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildProgram } from '../../src/cli/program.ts';
import { everyCommand } from './command-tree.ts';

/** What `--help` prints, with what is added after the help proper. */
function helpOf(path: string): string {
  const found = everyCommand(buildProgram()).find(([each]) => each === path);
  let printed = '';
  found?.[1].configureOutput({ writeOut: (text) => (printed += text) }).outputHelp();
  return printed;
}

for (const [path] of everyCommand(buildProgram())) {
  test(`${path} --help fits a screen`, () => {
    const lines = helpOf(path).split('\n');
    assert.equal(lines.pop(), '', 'it ends with a line break');
    assert.ok(lines.length <= 23, `${lines.length} lines`);
    for (const line of lines) assert.ok(line.length <= 80, `${line.length}: ${line}`);
  });
}

test('every command says what it does, every flag what it means, and nothing is said twice', () => {
  for (const [path, command] of everyCommand(buildProgram())) {
    assert.notEqual(command.description(), '', path);
    for (const { flags, description } of command.options) assert.notEqual(description, '', `${path} ${flags}`);
    const help = helpOf(path);
    const globals = path === 'sluice' ? /^ {2}--brokers <host:port,...> {2}/m : /^Also: --brokers .* --debug --help$/m;
    if (path !== 'sluice dev') assert.match(help, globals, path);
  }
});

test('what comes with later work is not there yet', () => {
  const help = helpOf('sluice');
  for (const name of ['check', 'bench', 'generate', 'debug'])
    assert.doesNotMatch(help, new RegExp(`(?<![-\\w])${name} {2}`));
});
