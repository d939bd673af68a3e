import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { claimTokenFile, stateDirDefault } from '../../src/cli/resume-token-claim.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'sluice-claim-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

const deadPid = (): number => spawnSync(process.execPath, ['-e', '']).pid;
const of = (file: string, pid: number): string => file.replace(`.${process.pid}.token`, `.${pid}.token`);

test('the token of a dead process is taken over, once', async () => {
  const mine = await claimTokenFile(directory, 'b:1', 'g');
  const left = of(mine, deadPid());
  writeFileSync(left, 'left behind');
  const claims = await Promise.all([claimTokenFile(directory, 'b:1', 'g'), claimTokenFile(directory, 'b:1', 'g')]);
  assert.deepEqual(claims, [mine, mine]);
  assert.equal(readFileSync(mine, 'utf8'), 'left behind');
  assert.equal(existsSync(left), false);
});

test('the token of a living process is left alone', async () => {
  const mine = await claimTokenFile(directory, 'b:1', 'g');
  const theirs = of(mine, process.ppid);
  writeFileSync(theirs, 'in use');
  assert.equal(await claimTokenFile(directory, 'b:1', 'g'), mine);
  assert.equal(existsSync(mine), false);
  assert.equal(readFileSync(theirs, 'utf8'), 'in use');
});

test('groups and brokers do not share tokens, whatever their names look like', async () => {
  const names = [
    ['b:1', 'g'],
    ['b:1', 'g/x'],
    ['b:1', 'g_x'],
    ['b:2', 'g'],
    ['b:1', 'g'.repeat(249)],
  ] as const;
  const files = await Promise.all(names.map(([brokers, group]) => claimTokenFile(directory, brokers, group)));
  assert.equal(new Set(files).size, names.length);
  for (const file of files) assert.equal(path.dirname(file), directory);
});

test('the directory follows XDG', () => {
  assert.equal(stateDirDefault({ XDG_STATE_HOME: '/x' }), path.join('/x', 'sluice'));
  assert.equal(stateDirDefault({}), path.join(os.homedir(), '.local', 'state', 'sluice'));
});
