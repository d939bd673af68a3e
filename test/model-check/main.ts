/**
 * `npm run model-check`: searches the scopes and fails on the first broken invariant, with the way to it.
 *
 *   --scope NAME   only this one (default: all)
 *   --states N     stops a scope after this many distinct states (default: 5,000,000)
 *   --seconds N    stops a scope after this time (default: 3,600)
 */
import { parseArgs } from 'node:util';
import { exposeCore } from './exposed-core.ts';
import { explore } from './explore.ts';
import { scopes } from './scopes.ts';

const { values: options } = parseArgs({
  options: {
    scope: { type: 'string' },
    states: { type: 'string', default: '5000000' },
    seconds: { type: 'string', default: '3600' },
  },
});
const bounds = { statesMax: Number(options.states), secondsMax: Number(options.seconds) };
const wanted = scopes.filter(({ name }) => options.scope === undefined || name === options.scope);
if (wanted.length === 0) throw new Error(`no scope ${String(options.scope)}: ${scopes.map(({ name }) => name).join()}`);
const makeNode = await exposeCore();
for (const scope of wanted) {
  const { states, transitions, exhausted, depth, nodeStates, seconds, violation } = explore(scope, makeNode, bounds);
  console.log(
    `${scope.name}: ${states} states (${exhausted ? 'all' : 'not all'}), ${transitions} transitions, depth ${depth}, ` +
      `${nodeStates} states of a replica, ${seconds.toFixed(1)} s, ${Math.round(states / seconds)} states/s`,
  );
  if (violation === null) continue;
  console.error([...violation.trace, violation.message].join('\n'));
  process.exit(1);
}
