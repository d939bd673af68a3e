/** `npm run cases -- [--rewrite] [part of a path…]`: compares scripts with what they give now, or puts that in its place. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runScript } from './run-script.ts';
import { formatScript, parseScript } from './script.ts';
import { scriptFiles } from './script-files.ts';

const rewrite = process.argv.includes('--rewrite');
const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'));

/** A command that can not be run leaves the script as it is. */
function outputOf(file: string, before: string): string {
  try {
    return formatScript(runScript(parseScript(before)));
  } catch (error) {
    console.log(file, error);
    process.exitCode = 1;
    return before;
  }
}

let differ = 0;
for (const file of scriptFiles()) {
  if (wanted.length > 0 && !wanted.some((part) => file.includes(part))) continue;
  const before = readFileSync(path.join(import.meta.dirname, file), 'utf8');
  const after = outputOf(file, before);
  if (after === before) continue;
  differ++;
  console.log(`${rewrite ? 'rewritten' : 'differs'}: ${file}`);
  if (rewrite) writeFileSync(path.join(import.meta.dirname, file), after);
}
if (!rewrite && differ > 0) process.exitCode = 1;
