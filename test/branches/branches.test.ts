import assert from 'node:assert/strict';
import { test } from 'node:test';
import { branchesOf } from './branches.ts';

/** Every place ran once, except those between the marks « », which ran `inner` times. */
function missed(marked: string, inner = 0): string[] {
  const text = marked.replaceAll('«', '').replaceAll('»', '');
  const ranges = [{ startOffset: 0, endOffset: text.length, count: 1 }];
  let at = 0;
  let open = 0;
  for (const char of marked) {
    if (char === '«') open = at;
    else if (char === '»') ranges.push({ startOffset: open, endOffset: at, count: inner });
    else at++;
  }
  return branchesOf(text, ranges)
    .filter((branch) => !branch.taken)
    .map((branch) => branch.what);
}

test('either way of a condition is a branch, also the one that is not written', () => {
  assert.deepEqual(missed('if (a) «b()»; c();'), ['if']);
  assert.deepEqual(missed('if (a) «b()»; c();', 1), ['no else']);
  assert.deepEqual(missed('if (a) b(); else «c()»;'), ['else']);
  assert.deepEqual(missed('x = a ? b : «c»;'), [': …']);
});

test('the right side of a logical operator and each clause of a switch is a branch', () => {
  assert.deepEqual(missed('x = a ?? «b»; y = a && b; z = a || «b»;'), ['??', '||']);
  assert.deepEqual(missed('switch (a) { case 1: case 2: «b()»; break; default: c(); }'), ['case', 'case']);
});

test('what an assertion says is no branch', () => {
  assert.deepEqual(missed('assert(a || «b», d ? e : f); must(a ?? «b»);'), []);
});

test('the innermost range decides', () => {
  const ranges = [
    { startOffset: 0, endOffset: 20, count: 0 },
    { startOffset: 4, endOffset: 5, count: 3 },
  ];
  assert.deepEqual(
    branchesOf('a ? b : c', ranges).map((branch) => branch.taken),
    [true, false],
  );
});
