import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutants } from './all.ts';
import { mutated } from './mutated-tree.ts';
import { documentText, withTable } from './table.ts';

test('every mutant fits its file, and no two have a name', () => {
  for (const mutant of mutants) {
    assert.notEqual(mutated(mutant), '', mutant.name);
    assert.notEqual(mutant.search, mutant.replace, mutant.name);
    assert.ok(mutant.name.startsWith(`${mutant.rule}-`), mutant.name);
    assert.match(mutant.breaks, /^[A-Z].*\.$/, mutant.name);
  }
  assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
});

test('the table of docs/MUTANTS.md is what the results say', () => {
  assert.equal(documentText(), withTable(documentText()));
});
