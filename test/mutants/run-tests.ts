/** Runs test files one after the other in this process, which spares a start for each: `run-tests.ts file…`. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';

for (const file of process.argv.slice(2)) await import(pathToFileURL(path.resolve(file)).href);
