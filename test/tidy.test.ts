import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { execFileSync } from 'node:child_process';

const root = path.dirname(import.meta.dirname);
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root })
  .toString()
  .split('\n')
  .filter((file) => file !== '' && existsSync(path.join(root, file)));
const documents = tracked.filter((file) => file.endsWith('.md'));
const sources = tracked.filter((file) => /\.(ts|mjs|cjs|js)$/.test(file) && !file.includes('/gen/'));

test('every relative link of every document leads somewhere', () => {
  for (const file of documents) {
    for (const [, target = ''] of read(file).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      assert.ok(existsSync(path.join(root, path.dirname(file), target)), `${file} links to ${target}`);
    }
  }
});

test('every document has one title', () => {
  for (const file of documents) {
    const prose = read(file).replace(/```[\s\S]*?```/g, '');
    assert.equal([...prose.matchAll(/^# /gm)].length, 1, file);
  }
});

test('every npm script that a document names exists', () => {
  const scripts = (JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts;
  for (const file of documents) {
    for (const [, name = ''] of read(file).matchAll(/npm run ([a-z][a-z:-]*[a-z])/g)) {
      assert.ok(scripts[name] !== undefined, `${file} names npm run ${name}`);
    }
  }
});

test('every source file that a document names exists', () => {
  for (const file of documents) {
    for (const [, name = ''] of read(file).matchAll(
      /`((?:src|test|clients|bench|loadtest|examples|scripts|proto|docs)\/[\w./-]+)`/g,
    )) {
      assert.ok(existsSync(path.join(root, name)), `${file} names ${name}`);
    }
  }
});

test('the folder table of ARCHITECTURE.md equals the folders of src/', () => {
  const named = [...read('docs/ARCHITECTURE.md').matchAll(/^\| `src\/(\w+)\/` \|/gm)].map(([, name]) => name).sort();
  const there = readdirSync(path.join(root, 'src')).filter((name) =>
    statSync(path.join(root, 'src', name)).isDirectory(),
  );
  assert.deepEqual(named, there.sort());
});

test('every file of src/ and of the client is imported by something, or starts something', () => {
  const entryPoints = ['src/main.ts', 'src/cli/main.ts', 'clients/typescript/src/index.ts'];
  const imported = new Set<string>();
  for (const file of tracked.filter((name) => name.endsWith('.ts'))) {
    for (const [, target = ''] of read(file).matchAll(/(?:from|import\() ?'(\.[^']+)'/g)) {
      imported.add(path.join(path.dirname(file), target));
    }
  }
  // declarations of a package without types are found by the compiler alone
  const orphans = sources
    .filter((file) => /^(src|clients\/typescript\/src)\//.test(file) && !file.endsWith('.d.ts'))
    .filter((file) => !imported.has(file) && !entryPoints.includes(file));
  assert.deepEqual(orphans, []);
});

test('nothing is left behind', () => {
  const marks = new RegExp(['TO' + 'DO', 'FIX' + 'ME', '\\bXX' + 'X\\b', '@ts-' + 'ignore', '\\.only\\('].join('|'));
  for (const file of sources) assert.doesNotMatch(read(file), marks, file);
});
