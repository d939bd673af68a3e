/** Flag over variable over profile over default, on real processes; and files that are damaged. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { CommandError } from '../../src/cli/command-error.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { loadProfiles, saveProfiles } from '../../src/cli/profiles.ts';
import { redirectOutput } from '../../src/cli/standard-output.ts';

function configHome(t: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'sluice-profiles-test-'));
  const before = { ...process.env };
  process.env['XDG_CONFIG_HOME'] = directory;
  t.after(() => {
    process.env = before;
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

async function sluice(line: string): Promise<string> {
  let printed = '';
  redirectOutput((bytes) => (printed += Buffer.from(bytes).toString()));
  try {
    await buildProgram().parseAsync(line.split(' '), { from: 'user' });
  } finally {
    redirectOutput(null);
  }
  return printed;
}

const refused = (code: number, says: RegExp) => (error: unknown) =>
  error instanceof CommandError && error.exitCode === code && says.test(error.message);

async function effective(flags = ''): Promise<Record<string, unknown[]>> {
  const rows = JSON.parse(await sluice(`profile show --effective -o json${flags}`)) as Record<string, string>[];
  return Object.fromEntries<unknown[]>(
    rows.map(({ setting, value, source, from }) => [setting ?? '', [value, source, from]] as const),
  );
}

test('a flag wins over the variable, that over the profile, and that over the default', async (t) => {
  configHome(t);
  delete process.env['SLUICE_BROKERS'];
  assert.deepEqual((await effective())['brokers'], ['127.0.0.1:9400', 'default', null]);
  await sluice('profile create prod --brokers a:1 --timeout 3s --use');
  assert.deepEqual((await effective())['brokers'], ['a:1', 'profile', 'prod']);
  assert.deepEqual((await effective())['timeout'], ['3000ms', 'profile', 'prod']);
  process.env['SLUICE_BROKERS'] = 'b:2';
  assert.deepEqual((await effective())['brokers'], ['b:2', 'environment', 'SLUICE_BROKERS']);
  assert.deepEqual((await effective(' --brokers c:3'))['brokers'], ['c:3', 'flag', null]);
});

test('a profile is named by a flag or a variable, used, edited and deleted', async (t) => {
  configHome(t);
  delete process.env['SLUICE_BROKERS'];
  await sluice('profile create one --brokers a:1');
  await sluice('profile create two --brokers b:2');
  assert.deepEqual((await effective())['brokers'], ['127.0.0.1:9400', 'default', null]);
  assert.deepEqual((await effective(' --profile two'))['brokers'], ['b:2', 'profile', 'two']);
  process.env['SLUICE_PROFILE'] = 'one';
  assert.deepEqual((await effective())['brokers'], ['a:1', 'profile', 'one']);
  delete process.env['SLUICE_PROFILE'];
  await sluice('profile use two');
  assert.match(await sluice('profile list'), /^ {2}one +a:1.*\n\* two +b:2/m);
  assert.equal(await sluice('profile ls -o name'), 'one\ntwo\n');
  await sluice('profile edit two --timeout 4s --unset brokers');
  assert.deepEqual(JSON.parse(await sluice('profile show -o json')), {
    ...{ name: 'two', current: true, brokers: null, timeout: '4000ms', requestTimeout: null, color: null },
  });
  await sluice('profile rm two --yes');
  assert.deepEqual([loadProfiles().current, [...loadProfiles().byName.keys()]], [null, ['one']]);
});

test('what makes no sense is refused, and says what to do', async (t) => {
  configHome(t);
  await sluice('profile create one --brokers a:1');
  for (const [line, code, says] of [
    ['profile create one --brokers a:1', 4, /exists already.*sluice profile edit one/],
    ['profile create two', 2, /needs a setting/],
    ['profile create a/b --brokers a:1', 2, /can not be the name/],
    ['profile use nope', 3, /no profile "nope"/],
    ['profile use', 2, /Name the profile/],
    ['profile use one --none', 2, /Name the profile/],
    ['profile show', 2, /No profile is in use/],
    ['profile show one --effective', 2, /--profile one/],
    ['profile edit one --unset broker', 2, /There is no setting "broker"/],
    ['profile edit one --unset brokers --brokers b:1', 2, /can not be set and unset/],
    ['profile delete one', 2, /--yes/],
    ['topic list --profile nope', 3, /"sluice profile list"/],
  ] as const)
    await assert.rejects(sluice(line), refused(code, says), line);
  if (!process.stdin.isTTY) await assert.rejects(sluice('profile edit one'), refused(2, /Without a terminal/));
});

test('a damaged file is named with what is wrong, and left alone', (t) => {
  const file = path.join(configHome(t), 'sluice', 'profiles.json');
  mkdirSync(path.dirname(file));
  for (const [text, says] of [
    ['{', /no valid JSON/],
    ['[]', /must hold an object/],
    ['{"profile":{}}', /"profile" is unknown/],
    ['{"profiles":{"a":{"broker":"x"}}}', /has "broker"; there are brokers/],
    ['{"profiles":{"a":{"brokers":1}}}', /must be a string/],
    ['{"current":"a","profiles":{}}', /"current" must be the name/],
  ] as const) {
    writeFileSync(file, text);
    assert.throws(() => loadProfiles(), refused(2, says), text);
  }
});

test('what is saved is what is loaded', (t) => {
  configHome(t);
  const profiles = { current: 'a', byName: new Map([['a', { brokers: 'x:1' }]]) };
  saveProfiles(profiles);
  assert.deepEqual(loadProfiles(), profiles);
});

test('a user without a home directory has no profiles, and is told so when one is to be kept', () => {
  assert.deepEqual(loadProfiles(null), { current: null, byName: new Map() });
  assert.throws(
    () => saveProfiles({ current: null, byName: new Map() }, null),
    refused(1, /no home directory.*XDG_CONFIG_HOME/),
  );
});
