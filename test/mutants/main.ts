/**
 * `npm run sim:mutants`: plants each mutant in a copy of the sources and shows that the suite kills it; fails if one
 * survives. Goes on where the last run stopped.
 *
 *   --shard I/N    every Nth mutant, from the Ith on (default 1/1)
 *   --only NAME    mutants whose name contains this
 *   --again        also those that have a result
 *   --seeds N      seeds before a mutant counts as a survivor (default 3,000); 0: no model check either
 *   --table        only writes the table of docs/MUTANTS.md
 */
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { mutants } from './all.ts';
import {
  kill,
  killOnRecordPath,
  whyRecordPathUseless,
  whyUseless,
  whyWorthless,
  killInGroups,
  whyGroupsUseless,
} from './kill.ts';
import type { Mutant } from './mutant.ts';
import { MutatedTree } from './mutated-tree.ts';
import { patchOf, readResults, writeResult } from './results.ts';
import { writeTable } from './table.ts';
import { TypeCheck } from './type-check.ts';

const { values: options } = parseArgs({
  options: {
    shard: { type: 'string', default: '1/1' },
    only: { type: 'string', default: '' },
    again: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '3000' },
    table: { type: 'boolean', default: false },
  },
});

if (!options.table) process.exitCode = await run();
writeTable();

function deathOf({ suite }: Mutant, tree: string): ReturnType<typeof kill> {
  if (suite === 'record-path') return killOnRecordPath(tree);
  return suite === 'groups' ? killInGroups(tree) : kill(tree, Number(options.seeds));
}

/** The exit code: the number of mutants that survive or are worthless, at most 100. */
async function run(): Promise<number> {
  const [shard = 1, shards = 1] = options.shard.split('/').map(Number);
  const done = readResults();
  const wanted = mutants
    .filter(({ name }) => name.includes(options.only))
    .filter((_, i) => i % shards === shard - 1)
    .filter(({ name }) => options.again || (done[name]?.killer ?? 'none') === 'none');
  const types = new TypeCheck();
  const tree = new MutatedTree(`shard-${shard}`);
  const onRaft = wanted.some(({ suite }) => suite === undefined);
  const onRecordPath = wanted.some(({ suite }) => suite === 'record-path');
  const inGroups = wanted.some(({ suite }) => suite === 'groups');
  const useless =
    (onRaft ? await whyUseless(tree.root) : null) ??
    (onRecordPath ? await whyRecordPathUseless(tree.root) : null) ??
    (inGroups ? await whyGroupsUseless(tree.root) : null);
  if (useless !== null) throw new Error(`without a mutant this fails already: ${useless}`);
  let bad = 0;
  for (const mutant of wanted) {
    const started = performance.now();
    const errors = types.errors(mutant.file, tree.plant(mutant));
    const isOnRaft = mutant.suite === undefined;
    const worthless =
      errors.length > 0 ? `does not compile: ${errors.join('; ')}` : isOnRaft ? await whyWorthless(tree.root) : null;
    if (worthless !== null) {
      console.log(`${mutant.name}: WORTHLESS, ${worthless}`);
      bad++;
    } else {
      const death = await deathOf(mutant, tree.root);
      const seconds = Math.round((performance.now() - started) / 1000);
      writeResult(mutant.name, { patch: patchOf(mutant), ...death, seconds });
      const seeds = death.seeds === null ? '' : ` after ${death.seeds} seeds`;
      console.log(
        `${mutant.name}: ${death.killer === 'none' ? 'SURVIVES' : death.killer}${seeds}, ${death.by} (${seconds} s)`,
      );
      if (death.killer === 'none') bad++;
    }
    tree.restore(mutant);
  }
  tree.remove();
  console.log(`${wanted.length} mutants, ${bad} of them survive or are worthless`);
  return Math.min(bad, 100);
}
