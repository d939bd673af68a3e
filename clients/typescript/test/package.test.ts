/**
 * The package as users get it: what `npm pack` makes is installed in an empty project, and there every program of its README
 * is compiled strictly and run by plain Node against a real broker.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { dataDirectory, startBroker } from '../../../test/e2e/broker-process.ts';

const home = fileURLToPath(new URL('../', import.meta.url));
const root = path.join(home, '../..');
const readme = readFileSync(path.join(home, 'README.md'), 'utf8');
const programs = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, text]) => text ?? '');
const packedBytesMax = 400_000;

const npm = (cwd: string, ...args: readonly string[]): string =>
  execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Names below a folder, with their paths. */
const allBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

test('the packed client installs in an empty project, brings its types, and runs its README', async (t) => {
  assert.ok(programs.length >= 5);
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-package-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));

  const [packed] = JSON.parse(npm(home, 'pack', '--json', '--silent', '--pack-destination', folder)) as Packed[];
  assert.ok(packed !== undefined);
  for (const { path: name } of packed.files)
    assert.match(
      name,
      /^(package\.json|README\.md|LICENSE|dist\/(clients\/typescript\/src|src\/model)\/.+\.(js|d\.ts))$/,
    );
  assert.ok(packed.size < packedBytesMax, `${packed.size} bytes`);

  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: 'empty', private: true, type: 'module' }));
  npm(folder, 'install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', `./${packed.filename}`);
  const installed = allBelow(path.join(folder, 'node_modules'));
  assert.deepEqual(installed.filter((name) => name.endsWith('.node')), [], 'nothing native'); // prettier-ignore
  assert.ok(!installed.some((name) => name.startsWith('rocksdb')));

  const sources = path.join(folder, 'src');
  mkdirSync(sources);
  const { address } = await startBroker(t, { 'storage.dataDir': dataDirectory(t) }).ready();
  for (const [n, program] of programs.entries())
    writeFileSync(path.join(sources, `program-${n}.ts`), program.replace('127.0.0.1:9400', address));
  const compilerOptions = {
    ...{ strict: true, module: 'nodenext', target: 'es2022', lib: ['es2022', 'esnext.disposable'], outDir: 'out' },
    ...{ rootDir: 'src', types: ['node'], typeRoots: [path.join(root, 'node_modules/@types')] },
  };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  const tsc = spawnSync(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' }); // prettier-ignore
  assert.equal(tsc.status, 0, tsc.stdout);

  for (const [n, program] of programs.entries()) {
    const ran = spawnSync(process.execPath, [path.join('out', `program-${n}.js`)], { cwd: folder, encoding: 'utf8', timeout: 120_000 }); // prettier-ignore
    const expected = [...program.matchAll(/\/\/ prints: (.*)/g)].map(([, line]) => line ?? '');
    assert.equal(ran.status, 0, `program ${n}: ${ran.stderr}`);
    assert.deepEqual(ran.stdout.trim().split('\n').sort(), expected.sort(), `program ${n}: ${ran.stderr}`);
  }
});
