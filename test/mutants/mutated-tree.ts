/** A copy of the sources in which one mutant at a time is planted. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Mutant } from './mutant.ts';

const root = path.join(import.meta.dirname, '../..');
const copied = ['src', 'clients/typescript/src', 'test', 'docs', 'package.json', 'tsconfig.json', 'tsconfig.base.json'];

export class MutatedTree {
  readonly root: string;

  constructor(name: string) {
    this.root = path.join(root, '.cache/mutants', name);
    rmSync(this.root, { recursive: true, force: true });
    mkdirSync(this.root, { recursive: true });
    for (const one of copied) cpSync(path.join(root, one), path.join(this.root, one), { recursive: true });
    symlinkSync(path.join(root, 'node_modules'), path.join(this.root, 'node_modules'));
  }

  /** Gives back the file's text with the mutant in it. */
  plant(mutant: Mutant): string {
    const text = mutated(mutant);
    writeFileSync(path.join(this.root, mutant.file), text);
    return text;
  }

  restore({ file }: Mutant): void {
    cpSync(path.join(root, file), path.join(this.root, file));
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

export function mutated({ name, file, search, replace }: Mutant): string {
  const text = readFileSync(path.join(root, file), 'utf8');
  assert.equal(text.split(search).length - 1, 1, `what ${name} searches for occurs once in ${file}`);
  return text.replace(search, () => replace);
}
