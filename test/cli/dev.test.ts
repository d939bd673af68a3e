/** `sluice dev --brokers 3`: one command is a cluster. `sluice dev` with one broker carries every test of sluice.test.ts. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { before, test } from 'node:test';
import type { TestContext } from 'node:test';
import { BrokerProcessEnded, CommandError } from '../../src/cli/command-error.ts';
import { brokersEnd } from '../../src/cli/broker-process.ts';
import { brokerCountOf, devSettings } from '../../src/cli/dev-cluster.ts';
import { ensureBuilt, SluiceProcess } from './sluice-process.ts';

before(ensureBuilt);

function folder(t: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'sluice-dev-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const refusesWith = (says: RegExp) => (error: unknown) =>
  error instanceof CommandError && error.exitCode === 2 && says.test(error.message);

test('a broker that is killed ends the others and the command, with its code', async (t) => {
  const directory = folder(t);
  const dev = new SluiceProcess(['dev', '--brokers=3', '--port', '0'], { TMPDIR: directory });
  t.after(() => dev.child.kill('SIGKILL'));
  const said: Buffer[] = [];
  dev.child.stderr.on('data', (bytes: Buffer) => said.push(bytes));
  await dev.until((text) => text.includes('ready on'));
  const pid = /^1 \| .* ready .*\bpid=(\d+)/m.exec(Buffer.concat(said).toString())?.[1];
  process.kill(Number(pid), 'SIGKILL');
  const ended = await dev.ended;
  assert.equal(ended.code, 128 + os.constants.signals.SIGKILL, ended.stderr);
  for (const id of [0, 2]) assert.match(ended.stderr, new RegExp(`^${id} \\| .*step=close store`, 'm'));
  assert.deepEqual(readdirSync(directory), [], 'the temporary directory is removed');
});

test('the code is of the first that did not end well, and what the last one said is heard', async () => {
  const script = (text: string): ReturnType<typeof spawn> =>
    spawn(process.execPath, ['-e', text], { stdio: ['ignore', 'pipe', 'pipe'] });
  const first = script('setInterval(() => {}, 1e6)');
  const second = script(
    'process.on("SIGTERM", () => { console.log("x".repeat(60_000)); process.exitCode = 5; clearInterval(timer); }); const timer = setInterval(() => {}, 1e6); console.log("up");',
  );
  let heard = 0;
  const isUp = new Promise<void>((resolve) => {
    second.stdout?.on('data', (bytes: Buffer) => {
      heard += bytes.length;
      resolve();
    });
  });
  first.stdout?.resume();
  for (const { stderr } of [first, second]) stderr?.resume();
  const ended = brokersEnd([first, second]);
  void isUp.then(() => first.kill('SIGKILL'));
  await assert.rejects(ended, (error) => error instanceof BrokerProcessEnded && error.exitCode === 137);
  assert.ok(heard > 60_000, String(heard));
});

test('broker n has the ports 10 n above those of broker 0, and all have the same founders', async (t) => {
  const directory = folder(t);
  const all = await devSettings({ count: 3, port: 9400, directory });
  assert.deepEqual(all[2], [
    '--set=broker.id=2',
    '--set=listen.client.port=9420',
    '--set=listen.broker.port=9421',
    '--set=listen.http.port=9484',
    '--set=cluster.founders=0@127.0.0.1:9401,1@127.0.0.1:9411,2@127.0.0.1:9421',
    `--set=storage.dataDir=${path.join(directory, '2')}`,
  ]);
  assert.equal(new Set(all.map((settings) => settings[4])).size, 1);
});

test('numbers of brokers that make no sense are refused', async (t) => {
  for (const text of ['0', '2', '4', '9', '-1', '3.0', 'three', '127.0.0.1:9400', ''])
    assert.throws(() => brokerCountOf(text), refusesWith(/1, 3, 5 or 7/), text);
  assert.deepEqual(['1', '3', '5', '7'].map(brokerCountOf), [1, 3, 5, 7]);
  const ended = await new SluiceProcess(['dev', '--brokers', '2'], { TMPDIR: folder(t) }).ended;
  assert.equal(ended.code, 2);
  assert.match(ended.stderr, /^sluice: With "sluice dev", --brokers is how many .*not "2"\.\n$/);
});

test('ports above the last one, and a directory of another number of brokers, are refused', async (t) => {
  const directory = folder(t);
  await assert.rejects(devSettings({ count: 3, port: 65_530, directory }), refusesWith(/ports up to 65614/));
  mkdirSync(path.join(directory, '0'));
  await assert.rejects(devSettings({ count: 3, port: 9400, directory }), refusesWith(/data of 1 broker:.*--brokers 1/));
  await devSettings({ count: 1, port: 9400, directory });
});
