// Prints the path of k6, the load generator: what is in the PATH if it is new enough, else one of its own, which Go builds
// once under .cache. k6's module can not be installed by `go install`; loadtest/k6 is a module that requires it.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const version = '2.2.0';
/** The first that runs TypeScript, loads protosets and knows what the scripts use is older; this one is tried and stable. */
const majorMin = 1;
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const own = path.join(root, '.cache/bin', `k6-${version}`);
const install =
  'install it from https://grafana.com/docs/k6/latest/set-up/install-k6/, or install Go 1.25 to build it.';

function majorOf(command) {
  const { stdout = '' } = spawnSync(command, ['version'], { encoding: 'utf8' });
  return Number(/^k6(?:\.exe)? v(\d+)\./m.exec(stdout ?? '')?.[1] ?? -1);
}

const inPath = majorOf('k6');
if (inPath >= majorMin) {
  console.log('k6');
} else {
  if (!existsSync(own)) {
    if (spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0) {
      console.error(`sluice: k6 ${inPath < 0 ? 'is missing' : `${inPath}.x in the PATH is too old`}: ${install}`);
      process.exit(3);
    }
    console.error(`sluice: building k6 ${version} under .cache, which takes a few minutes the first time ...`);
    try {
      execFileSync('go', ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', '-o', own, '.'], {
        cwd: path.join(root, 'loadtest/k6'),
        stdio: ['ignore', 2, 2],
      });
    } catch {
      console.error(`sluice: k6 ${version} can not be built here: ${install}`);
      process.exit(3);
    }
  }
  console.log(own);
}
