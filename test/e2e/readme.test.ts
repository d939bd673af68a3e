/** What the README shows works as it is written: the commands against a broker, and the program. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { dataDirectory, startBroker } from './broker-process.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
const sluice = path.join(root, 'dist/src/cli/main.js');
const client = path.join(root, 'clients/typescript/src/index.ts');

/** The fenced block of the README that holds this text. */
function block(holding: string): string {
  const found = [...readme.matchAll(/```\w*\n([\s\S]*?)```/g)].map(([, text]) => text ?? '');
  return found.find((text) => text.includes(holding)) ?? assert.fail(`the README shows no ${holding}`);
}

/** Runs until the output matches, then is interrupted; gives back the output. */
function run(t: TestContext, command: string, env: NodeJS.ProcessEnv, until: RegExp): Promise<string> {
  const child = spawn('bash', ['-c', `set -e -o pipefail\n${command}`], {
    cwd: root,
    env: { ...process.env, ...env },
    detached: true, // with what it starts it is one group
  });
  const end = (): void => {
    if (child.pid === undefined || child.exitCode !== null) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // it ended in this moment
    }
  };
  t.after(end);
  return new Promise((resolve, reject) => {
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (!until.test(output)) return;
        resolve(output);
        end();
      });
    child.on('close', (code) => reject(new Error(`ended with ${code} before it said ${until}: ${output}`)));
  });
}

test('the README runs as it is written', { timeout: 85_000 }, async (t) => {
  const { address } = await startBroker(t, { 'storage.dataDir': dataDirectory(t) }).ready();
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-readme-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));

  const commands = block('npx sluice topic create').replaceAll('npx sluice', `"${process.execPath}" "${sluice}"`);
  const env = { SLUICE_BROKERS: address, XDG_STATE_HOME: folder };
  assert.match(await run(t, commands, env, /^hello$/m), /^partitions: +6$/m);

  const program = block('new Client(')
    .replace("'@sluice/client'", `'${pathToFileURL(client).href}'`)
    .replace("'127.0.0.1:9400'", `'${address}'`)
    .replace("'billing'", "'another'"); // the one of the commands is a member still
  const file = path.join(folder, 'readme.mts');
  writeFileSync(file, program);
  const output = await run(t, `"${process.execPath}" --import tsx "${file}"`, {}, /\d 1 Uint8Array|\d 0 Uint8Array/);
  assert.match(output, /^[0-5] [01] Uint8Array\(5\) \[/m);
});
