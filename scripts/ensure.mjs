// Makes a fresh clone runnable with nothing but Node and npm: installs and builds what is missing or stale, and says so.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const say = (text) => console.error(`sluice: ${text}`);

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  say(`Node ${process.versions.node} is too old: install Node 20.19 or newer (22 LTS is what production runs).`);
  process.exit(1);
}

function modified(file) {
  return existsSync(file) ? statSync(file).mtimeMs : 0;
}

function newestIn(folder) {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) newest = Math.max(newest, modified(path.join(entry.parentPath ?? entry.path, entry.name)));
  }
  return newest;
}

function run(command, args) {
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
}

if (
  modified(path.join(root, 'node_modules/.package-lock.json')) <
  modified(path.join(root, 'package-lock.json')) - 1000
) {
  say('installing dependencies (npm ci --ignore-scripts) ...');
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
}
if (process.argv.includes('--build')) {
  const memory = path.join(root, '.cache/build.tsbuildinfo');
  // what tsc remembers having built it does not build again, also if somebody has deleted it
  if (!existsSync(path.join(root, 'dist/src/main.js'))) rmSync(memory, { force: true });
  const built = modified(memory);
  const sources = Math.max(...['src', 'clients/typescript/src'].map((folder) => newestIn(path.join(root, folder))));
  if (built < sources) {
    say('building (tsc) ...');
    run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  }
}
