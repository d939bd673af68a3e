import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { completionOf } from '../../src/cli/completion.ts';
import { completionScripts } from '../../src/cli/completion-scripts.ts';
import { buildProgram } from '../../src/cli/program.ts';

const values = (line: string): readonly string[] =>
  completionOf(buildProgram(), line.split(' ')).candidates.map(({ value }) => value);
const known = (line: string): string | null => completionOf(buildProgram(), line.split(' ')).known;

test('commands, flags and choices come from the tree', () => {
  assert.deepEqual(values('top'), ['topic']);
  assert.deepEqual(values('topic d'), ['describe', 'delete']);
  assert.deepEqual(values('complete'), [], 'what is hidden stays hidden');
  assert.deepEqual(values('topic create x --ret'), ['--retention', '--retention-bytes', '--retention-records']);
  assert.deepEqual(values('topic list --br'), ['--brokers'], 'those of all commands too');
  assert.deepEqual(values('produce t -z '), ['none', 'gzip', 'snappy', 'lz4', 'zstd']);
  assert.deepEqual(values('topic list --output=j'), ['--output=json', '--output=jsonl']);
  assert.deepEqual(values('--brokers a:1 topic li'), ['list'], 'a flag with its value stands before');
  assert.deepEqual(values('topic ls --'), values('topic list --'), 'by its alias');
});

test('what only a broker knows is told by its kind', () => {
  assert.equal(known('topic describe '), 'topic');
  assert.equal(known('topic create '), null, 'a new name');
  assert.equal(known('consume a b '), 'topic', 'as many as one likes');
  assert.equal(known('topic describe a '), null, 'only one');
  assert.equal(known('consume a -g '), 'group');
  assert.equal(known('group lag '), 'group');
  assert.equal(known('why '), 'partition');
  assert.equal(known('why group '), 'group');
  assert.equal(known('broker drain '), 'broker');
  assert.equal(known('profile use '), 'profile');
  assert.equal(completionOf(buildProgram(), ['server', 'start', '--config', '']).paths, true);
});

test('bash replaces only what follows the last colon or equals sign', (t) => {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'sluice-completion-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  // stands in for the command: says what it was asked, and offers what the last word begins
  writeFileSync(
    path.join(directory, 'sluice'),
    `#!/bin/sh\nfor word; do last=$word; done\necho "$*" >> ${directory}/asked\nprintf '%s\\tdescribed\\n' "$last"one "$last"two\n`,
  );
  chmodSync(path.join(directory, 'sluice'), 0o755);
  writeFileSync(path.join(directory, 'completion'), completionScripts.bash);
  const replies = (line: string, ...words: string[]): readonly string[] => {
    const script = `source ${directory}/completion; COMP_LINE="$1"; COMP_POINT=\${#1}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sluice; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { ...process.env, PATH: `${directory}:${process.env['PATH'] ?? ''}` };
    const output = execFileSync('bash', ['-c', script, 'bash', line, ...words], { encoding: 'utf8', env });
    return output.trimEnd().split('\n');
  };
  assert.deepEqual(replies('sluice topic l', 'sluice', 'topic', 'l'), ['lone', 'ltwo']);
  assert.deepEqual(replies('sluice topic ', 'sluice', 'topic', ''), ['one', 'two']);
  assert.deepEqual(replies('sluice --brokers a:9', 'sluice', '--brokers', 'a', ':', '9'), ['9one', '9two']);
  assert.deepEqual(replies('sluice --output=', 'sluice', '--output', '='), ['one', 'two']);
});
