// `npm test`: runs every test that needs no root with Node's own runner. Arguments are parts of file names: only matching
// files run. Files are listed here because Node 20's runner takes no patterns.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const wanted = process.argv.slice(2);
const suitesOfTheirOwn = ['test/system/', 'test/sim/'];

const files = ['test', 'clients/typescript/test']
  .flatMap((folder) => readdirSync(path.join(root, folder), { recursive: true }).map((file) => path.join(folder, file)))
  .filter((file) => file.endsWith('.test.ts') && !suitesOfTheirOwn.some((suite) => file.startsWith(suite)))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();

const runner = spawn(
  process.execPath,
  [
    '--import',
    'tsx',
    '--test',
    '--test-reporter=spec',
    '--test-timeout=90000',
    `--test-concurrency=${os.availableParallelism()}`,
    ...files,
  ],
  { cwd: root, stdio: 'inherit' },
);
runner.on('exit', (code) => process.exit(code ?? 1));
