#!/usr/bin/env node
// The installed name of the command. It stands outside dist/ so that it is executable in every checkout, built or not.
import { existsSync } from 'node:fs';

const built = new URL('../dist/src/cli/main.js', import.meta.url);
if (existsSync(built)) {
  await import(built.href);
} else {
  console.error('sluice: this checkout is not built yet. Run "npm run build" in it, then try again.');
  process.exitCode = 1;
}
