import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { errorTraits } from '../../../src/model/errors.ts';
import { backoffMs } from '../src/backoff.ts';
import { fromDetail, fromStatus } from '../src/decode-error.ts';
import { systemEnvironment } from '../src/environment.ts';
import { asBrokerError, BrokerError, clientErrorCodes } from '../src/errors.ts';
import { Status } from '../src/gen/google/rpc/status.ts';
import { ErrorCode as WireCode, ErrorDetail } from '../src/gen/sluice/v1/error.ts';
import { toInt64, toNumber } from '../src/int64.ts';

const detail = (more: Partial<ErrorDetail>): ErrorDetail => ({
  code: WireCode.ERROR_CODE_NOT_LEADER_OR_FOLLOWER,
  retriable: true,
  indeterminate: false,
  message: 'elsewhere',
  fields: { partition: '3' },
  ...more,
});

function asServiceError(
  code: number,
  found: ErrorDetail | null,
  typeUrl = 'type.googleapis.com/sluice.v1.ErrorDetail',
): Error {
  const metadata = new Metadata();
  if (found !== null) {
    const details = [{ typeUrl, value: ErrorDetail.encode(found).finish() }];
    metadata.set('grpc-status-details-bin', Buffer.from(Status.encode({ code, message: 'm', details }).finish()));
  }
  return Object.assign(new Error('m'), { code, details: 'in words', metadata });
}

describe('errors on the wire', () => {
  it('have the model’s codes, every one of them', () => {
    const wire = Object.entries(WireCode).filter(([, number]) => number > 0);
    assert.deepEqual(wire.map(([name]) => name.replace('ERROR_CODE_', '')).sort(), Object.keys(errorTraits).sort());
    for (const [name, code] of wire)
      assert.equal(fromDetail(detail({ code }), {}).code, name.replace('ERROR_CODE_', ''));
    assert.deepEqual(
      clientErrorCodes.filter((code) => Object.hasOwn(errorTraits, code)),
      [],
      'a code means one thing',
    );
  });

  it('carry everything that the detail says', () => {
    const hint = { brokerId: 2, address: 'b:9400', leaderEpoch: 7 };
    const wire = detail({ kafkaCode: 6, leaderHint: hint, retryAfterMs: 250n });
    const error = fromStatus(asServiceError(status.UNAVAILABLE, wire), { broker: 'a:9400' }, true);
    assert.deepEqual([error.code, error.retriable, error.indeterminate], ['NOT_LEADER_OR_FOLLOWER', true, false]);
    assert.deepEqual(
      [error.leaderHint, error.retryAfterMs, error.kafkaCode, error.grpcStatus],
      [hint, 250, 6, status.UNAVAILABLE],
    );
    assert.deepEqual([error.message, error.broker, error.fields], ['elsewhere', 'a:9400', { partition: '3' }]);
    assert.ok(error.cause instanceof Error);
  });

  it('of a newer broker keep what can be concluded; without a code nothing is certain', () => {
    const newer = fromDetail(detail({ code: 999 as never, retriable: true, indeterminate: false }), {});
    assert.deepEqual([newer.code, newer.retriable, newer.indeterminate], ['UNKNOWN_ERROR', true, false]);
    const none = fromDetail(detail({ code: WireCode.ERROR_CODE_UNSPECIFIED, retriable: true }), {});
    assert.deepEqual([none.code, none.retriable, none.indeterminate], ['UNKNOWN_ERROR', false, true]);
  });

  it('without our detail leave open what happened, unless the call changes nothing (design D18)', () => {
    for (const code of [status.UNAVAILABLE, status.INTERNAL, status.UNKNOWN, status.CANCELLED]) {
      const error = fromStatus(asServiceError(code, null), { broker: 'a:1' }, true);
      assert.deepEqual([error.code, error.retriable, error.indeterminate], ['UNAVAILABLE', true, true]);
      assert.equal(fromStatus(asServiceError(code, null), {}, false).indeterminate, false);
    }
    const codeOf = (code: number): string => fromStatus(asServiceError(code, null), {}, true).code;
    assert.equal(codeOf(status.DEADLINE_EXCEEDED), 'REQUEST_TIMED_OUT');
    assert.equal(codeOf(status.UNAUTHENTICATED), 'UNAUTHENTICATED');
    assert.equal(codeOf(status.PERMISSION_DENIED), 'FORBIDDEN');
    assert.equal(codeOf(status.RESOURCE_EXHAUSTED), 'MESSAGE_TOO_LARGE');
    assert.equal(codeOf(status.UNIMPLEMENTED), 'UNSUPPORTED_VERSION');
    assert.equal(codeOf(status.DATA_LOSS), 'UNKNOWN_ERROR');
  });

  it('with a detail of somebody else’s, or a damaged one, count as without', () => {
    const foreign = asServiceError(status.UNAVAILABLE, detail({}), 'type.googleapis.com/google.rpc.RetryInfo');
    assert.equal(fromStatus(foreign, {}, true).indeterminate, true);
    const metadata = new Metadata();
    metadata.set('grpc-status-details-bin', Buffer.from([0xff, 0xff, 0xff]));
    const damaged = Object.assign(new Error('m'), { code: status.UNAVAILABLE, details: '', metadata });
    assert.equal(fromStatus(damaged, {}, true).code, 'UNAVAILABLE');
    assert.equal(fromStatus('no error at all', {}, true).code, 'UNAVAILABLE');
  });
});

describe('BrokerError', () => {
  it('is one class that is told by its code', () => {
    const error = new BrokerError('QUEUE_FULL', 'full', { retriable: true, cause: new Error('why') });
    const isIt = (thrown: unknown, code?: 'QUEUE_FULL' | 'CLOSED'): boolean => BrokerError.is(thrown, code);
    assert.deepEqual([isIt(error), isIt(error, 'QUEUE_FULL'), isIt(error, 'CLOSED')], [true, true, false]);
    assert.deepEqual([isIt(new Error('x')), error instanceof Error], [false, true]);
    assert.equal(error.name, 'BrokerError');
    assert.equal((error.cause as Error).message, 'why');
    assert.equal(asBrokerError(error), error);
    assert.deepEqual([asBrokerError('x').code, asBrokerError('x').indeterminate], ['INTERNAL', true]);
  });

  it('keeps what is not replaced', () => {
    const error = new BrokerError('LIMIT_REACHED', 'm', {
      retriable: true,
      retryAfterMs: 5,
      cause: 1,
      fields: { limit: '3' },
    });
    const placed = error.with({ topic: 't', partition: 0, indeterminate: true });
    assert.deepEqual(
      [
        placed.code,
        placed.message,
        placed.retriable,
        placed.indeterminate,
        placed.retryAfterMs,
        placed.cause,
        placed.topic,
      ],
      ['LIMIT_REACHED', 'm', true, true, 5, 1, 't'],
    );
    assert.deepEqual(placed.fields, { limit: '3' });
  });
});

describe('numbers', () => {
  it('pass between int64 and number only where nothing is lost (design D20)', () => {
    fc.assert(fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (n) => toNumber(toInt64(n, 'n')) === n));
    assert.throws(() => toNumber(2n ** 53n), { code: 'INTERNAL' });
    for (const bad of [-1, 0.5, NaN, 2 ** 53])
      assert.throws(() => toInt64(bad, 'offset'), { code: 'INVALID_REQUEST', message: /offset/ });
  });

  it('of milliseconds to wait are drawn from a growing range, never below the broker’s hint', () => {
    const bounds: number[] = [];
    const random = { ...systemEnvironment.random, below: (bound: number) => bounds.push(bound) && bound - 1 };
    const environment = { ...systemEnvironment, random };
    const waits = [0, 1, 2, 3, 50].map((attempt) => backoffMs(attempt, { initialMs: 50, maxMs: 300 }, environment));
    assert.deepEqual(bounds, [50, 100, 200, 300, 300]);
    assert.deepEqual(waits, [49, 99, 199, 299, 299]);
    assert.equal(backoffMs(0, { initialMs: 50, maxMs: 300 }, environment, 1_000), 1_000);
  });
});
