/** Searches the beginning of every scope until something is found, and says so on one line: `run-model-check.ts STATES`. */
import { exposeCore } from '../model-check/exposed-core.ts';
import { explore } from '../model-check/explore.ts';
import { scopes } from '../model-check/scopes.ts';

const makeNode = await exposeCore();
for (const scope of scopes) {
  const { violation } = explore(scope, makeNode, { statesMax: Number(process.argv[2]), secondsMax: Infinity });
  if (violation === null) continue;
  console.log(JSON.stringify({ found: `${scope.name}: ${violation.invariant}` }));
  break;
}
