// Prints the command that renders Kustomize folders, one word a line: kubectl where it is installed, else kustomize of its own,
// which Go builds once under .cache.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const version = 'v5.5.0';
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const own = path.join(root, '.cache/bin/kustomize');
const runs = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

if (runs('kubectl', 'kustomize', '--help')) {
  console.log('kubectl\nkustomize');
} else {
  if (!existsSync(own)) {
    if (!runs('go', 'version')) {
      console.error(
        'sluice: neither kubectl nor Go is here: install kubectl (https://kubernetes.io/docs/tasks/tools/).',
      );
      process.exit(1);
    }
    console.error(`sluice: building kustomize ${version} under .cache ...`);
    execFileSync('go', ['install', `sigs.k8s.io/kustomize/kustomize/v5@${version}`], {
      env: { ...process.env, GOBIN: path.dirname(own) },
      stdio: ['ignore', 2, 2],
    });
  }
  console.log(`${own}\nbuild`);
}
