// `npm test`: runs every test that needs no root with Node's own runner. Arguments are parts of file names: only matching
// files run. Files are listed here because Node 20's runner takes no patterns.
//
// A process for each file would spend more time on loading the same modules than on testing: files that start no processes
// of their own share one with their neighbours, through a file in .cache that imports them.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const wanted = process.argv.slice(2);
// what needs more than Node and npm, or runs long, has a command of its own: npm run test:system, sim, k8s:check
const suitesOfTheirOwn = [
  'test/system/',
  'test/sim/',
  'clients/typescript/test/package.test.ts',
  'test/deploy/k8s.test.ts',
  'test/deploy/pod.test.ts',
  'test/deploy/intruders.test.ts',
];

const files = ['test', 'clients/typescript/test']
  .flatMap((folder) => readdirSync(path.join(root, folder), { recursive: true }).map((file) => path.join(folder, file)))
  .filter((file) => file.endsWith('.test.ts') && !suitesOfTheirOwn.some((suite) => file.startsWith(suite)))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();

/** Files that share a process. Folders whose tests start processes, or compute for long, keep one for each. */
const filesPerProcess = 12;
const alone = /^test\/(e2e|cli|mutants|model-check|cases|branches)$/;

const together = path.join(root, '.cache', 'tests');
rmSync(together, { recursive: true, force: true });
mkdirSync(together, { recursive: true });

function shared(files) {
  const byFolder = new Map();
  for (const file of files) byFolder.set(path.dirname(file), [...(byFolder.get(path.dirname(file)) ?? []), file]);
  // those that wait for processes begin first, so that none of them is left alone at the end
  const folders = [...byFolder].sort(([a], [b]) => Number(alone.test(b)) - Number(alone.test(a)));
  return folders.flatMap(([folder, own]) => {
    if (alone.test(folder)) return own;
    return Array.from({ length: Math.ceil(own.length / filesPerProcess) }, (_, at) => {
      const some = own.slice(at * filesPerProcess, (at + 1) * filesPerProcess);
      const file = path.join(together, `${folder.replaceAll(path.sep, '-')}-${at + 1}.test.mjs`);
      const specifiers = some.map((each) => path.relative(together, path.join(root, each)).replaceAll(path.sep, '/'));
      writeFileSync(file, specifiers.map((each) => `import '${each}';\n`).join(''));
      return file;
    });
  });
}

const runner = spawn(
  process.execPath,
  [
    '--import',
    'tsx',
    '--test',
    '--test-reporter=spec',
    '--test-timeout=240000',
    `--test-concurrency=${os.availableParallelism() + 1}`,
    ...(wanted.length === 0 ? shared(files) : files),
  ],
  { cwd: root, stdio: 'inherit' },
);
runner.on('exit', (code) => process.exit(code ?? 1));
