/** `npm run loadtest` where something that it needs is not there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';

const root = path.dirname(path.dirname(import.meta.dirname));

/** A folder with nothing in it but scripts/k6.mjs, and a PATH with nothing but what is given, each a shell script. */
function place(t: TestContext, commands: Readonly<Record<string, string>>): { finder: string; bin: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-k6-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  mkdirSync(path.join(folder, 'scripts'));
  mkdirSync(path.join(folder, 'loadtest/k6'), { recursive: true });
  for (const [name, text] of Object.entries(commands)) {
    writeFileSync(path.join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(path.join(bin, name), 0o755);
  }
  const finder = path.join(folder, 'scripts/k6.mjs');
  copyFileSync(path.join(root, 'scripts/k6.mjs'), finder);
  return { finder, bin };
}

function find(t: TestContext, commands: Readonly<Record<string, string>>) {
  const { finder, bin } = place(t, commands);
  return spawnSync(process.execPath, [finder], { encoding: 'utf8', env: { PATH: bin } });
}

test('k6 missing, and Go too: one line says how to install it', (t) => {
  const { status, stdout, stderr } = find(t, {});
  assert.equal(status, 3);
  assert.equal(stdout, '');
  assert.match(stderr, /^sluice: k6 is missing: install it from https:\/\/grafana\.com\/\S+, or install Go .*\n$/);
});

test('k6 in the PATH is used as it is', (t) => {
  assert.equal(find(t, { k6: 'echo "k6 v1.7.0 (go1.25.0, linux/amd64)"' }).stdout, 'k6\n');
});

test('a k6 that is too old is not used', (t) => {
  const { status, stderr } = find(t, { k6: 'echo "k6 v0.49.0 (commit/x, go1.21, linux/amd64)"' });
  assert.equal(status, 3);
  assert.match(stderr, /^sluice: k6 0\.x in the PATH is too old: install it/);
});

test('a build that fails says how to do without', (t) => {
  const { status, stderr } = find(t, { go: '[ "$1" = version ] || { echo "no network" >&2; exit 1; }' });
  assert.equal(status, 3);
  assert.match(stderr, /no network[\s\S]*k6 [\d.]+ can not be built here: install it/);
});

function loadtest(args: readonly string[], commandPath: string) {
  return spawnSync(process.execPath, ['--import', 'tsx', 'loadtest/main.ts', ...args], {
    ...{ cwd: root, encoding: 'utf8', env: { ...process.env, PATH: commandPath } },
  });
}

test('a target that is down is said in one line, before k6 is started', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await new Promise((resolve) => server.close(resolve));
  const { bin } = place(t, { k6: '[ "$1" = version ] && echo "k6 v2.2.0 (go1.26)" || echo "k6 was started" >&2' });
  symlinkSync(process.execPath, path.join(bin, 'node'));
  const { status, stdout, stderr } = loadtest(['produce', '--brokers', `127.0.0.1:${port}`], bin);
  assert.equal(status, 6, stderr);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    new RegExp(`^loadtest: no broker answers at 127.0.0.1:${port}: .*npx sluice dev --brokers 3.*\n$`),
  );
});
