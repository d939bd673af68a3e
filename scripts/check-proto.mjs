// Fails if the generated code or the descriptor is stale, or if the contract broke what main promised.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.dirname(path.dirname(new URL(import.meta.url).pathname));
const buf = path.join(root, 'node_modules/.bin/buf');
const generated = ['src/gen', 'clients/typescript/src/gen'];
const scratch = mkdtempSync(path.join(os.tmpdir(), 'sluice-proto-'));
const run = (args, cwd) => execFileSync(buf, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] }).toString();
const listing = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath ?? entry.path, entry.name)))
    .sort();

let stale = 0;
const report = (file, why) => {
  console.error(`${file}: ${why}; run "npm run proto" and commit the result`);
  stale += 1;
};

try {
  for (const file of ['proto', 'buf.yaml', 'buf.gen.yaml'])
    cpSync(path.join(root, file), path.join(scratch, file), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(scratch, 'node_modules'));
  run(['generate'], scratch);
  const publicOnly = ['--exclude-path', 'proto/sluice/internal'];
  run(['build', ...publicOnly, '--as-file-descriptor-set', '-o', 'fresh.binpb'], scratch);
  for (const folder of generated) {
    const [have, want] = [listing(path.join(root, folder)), listing(path.join(scratch, folder))];
    for (const file of new Set([...have, ...want])) {
      const name = path.join(folder, file);
      if (!have.includes(file)) report(name, 'missing');
      else if (!want.includes(file)) report(name, 'not generated any more');
      else if (!readFileSync(path.join(root, name)).equals(readFileSync(path.join(scratch, name))))
        report(name, 'stale');
    }
  }
  if (!readFileSync(path.join(root, 'proto/sluice.binpb')).equals(readFileSync(path.join(scratch, 'fresh.binpb'))))
    report('proto/sluice.binpb', 'stale');
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

const released = execFileSync('git', ['ls-tree', '--name-only', 'HEAD', 'proto/sluice/v1/log.proto'], { cwd: root })
  .toString()
  .trim();
if (released !== '') {
  try {
    // against the last commit; CI compares with the branch it lands on by the same rule
    run(['breaking', '--against', '.git#ref=HEAD'], root);
  } catch (error) {
    console.error(String(error.stdout ?? error));
    stale += 1;
  }
}
process.exit(stale === 0 ? 0 : 1);
