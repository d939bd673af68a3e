import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorTraits, ok, refuse } from '../../src/model/errors.ts';

const table = Object.entries(errorTraits);

test('promise-honest: whatever is indeterminate may be tried again only because retries are idempotent', () => {
  const indeterminate = table.filter(([, traits]) => traits.indeterminate).map(([code]) => code);
  assert.deepEqual(indeterminate, [
    'REQUEST_TIMED_OUT',
    'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    'LEADERSHIP_LOST',
    'APPEND_INTERRUPTED',
    'INTERNAL',
  ]);
});

test('results are values', () => {
  assert.deepEqual(ok(7), { kind: 'ok', value: 7 });
  assert.deepEqual(refuse('LIMIT_REACHED', 'later', { retryAfterMs: 5 }), {
    kind: 'refused',
    error: { code: 'LIMIT_REACHED', message: 'later', retryAfterMs: 5 },
  });
});
