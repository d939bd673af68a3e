import { protocolErrors } from '@platformatic/kafka';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorTraits, ok, refuse } from '../../src/model/errors.ts';

const table = Object.entries(errorTraits);

test('Kafka’s numbers are Kafka’s', () => {
  const theirs = new Map(Object.values(protocolErrors).map(({ id, code }) => [id, code]));
  const shared = table.filter(([code]) => theirs.has(code));
  assert.ok(shared.length >= 30);
  for (const [code, traits] of shared) assert.equal(traits.kafkaCode, theirs.get(code), code);
});

test('a number that a code without a name in Kafka bears is that of the same condition there', () => {
  const names = new Set(Object.keys(protocolErrors));
  const borrowed = table.filter(([code, traits]) => !names.has(code) && traits.kafkaCode !== null);
  assert.deepEqual(
    borrowed.map(([code, traits]) => [code, traits.kafkaCode]),
    [
      ['INVALID_TOPIC', 17],
      ['STORAGE_CORRUPTION', 56],
      ['LEADERSHIP_LOST', 6],
      ['INTERNAL', -1],
    ],
  );
});

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
