import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from '../../loadtest/lib/crc32c.ts';
import { crc32c as native } from '../../src/runtime/crc32c.ts';
import { notSent, outcomeOf } from '../../loadtest/lib/outcome.ts';

test('an answer is its message', () => {
  assert.deepEqual(outcomeOf({ status: 0, message: { a: 1 }, error: null }), { kind: 'answered', message: { a: 1 } });
});

test('a status of Go that k6 wraps is its number', () => {
  const status = { valueOf: () => 0, toString: () => 'OK' };
  assert.equal(outcomeOf({ status, message: {}, error: null }).kind, 'answered');
});

test('a refusal is what the broker says of it', () => {
  const detail = {
    '@type': 'type.googleapis.com/sluice.v1.ErrorDetail',
    ...{ code: 'ERROR_CODE_NOT_LEADER_OR_FOLLOWER', retriable: true, indeterminate: false, message: 'ask broker 2' },
    leaderHint: { brokerId: 2, address: 'b:9400' },
  };
  const outcome = outcomeOf({ status: 14, message: {}, error: { code: 14, message: 'm', details: [detail] } });
  assert.deepEqual(outcome, {
    ...{ kind: 'refused', code: 'NOT_LEADER_OR_FOLLOWER', retriable: true, indeterminate: false },
    ...{ leaderAddress: 'b:9400', text: 'ask broker 2' },
  });
});

test('UNAVAILABLE or a deadline without a word from the broker leaves the outcome unknown', () => {
  for (const status of [14, 4]) {
    const outcome = outcomeOf({ status, message: {}, error: { code: status, message: 'gone', details: [] } });
    assert.ok(outcome.kind === 'refused' && outcome.indeterminate, String(status));
    assert.equal(outcome.code, `GRPC_${status}`);
  }
  const outcome = outcomeOf({ status: 3, message: {}, error: { message: 'bad', details: [] } });
  assert.ok(outcome.kind === 'refused' && !outcome.indeterminate);
});

test('what was never sent has certainly not happened', () => {
  const { indeterminate, code, text } = notSent(new Error('connection refused'));
  assert.deepEqual(
    { indeterminate, code, text },
    { indeterminate: false, code: 'NOT_SENT', text: 'connection refused' },
  );
});

test('the CRC-32C of k6’s scripts is the broker’s', () => {
  const bytes = Uint8Array.from({ length: 1_000 }, (_, i) => (i * 37) & 0xff);
  assert.equal(crc32c(bytes), native(bytes));
  assert.equal(crc32c(bytes.subarray(400), crc32c(bytes.subarray(0, 400))), native(bytes));
});
