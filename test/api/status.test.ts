import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Status } from '@grpc/grpc-js';
import { detailsTrailer, errorDetail, errorDetailTypeUrl, grpcStatusOf, statusObject } from '../../src/api/status.ts';
import { Status as RpcStatus } from '../../src/gen/google/rpc/status.ts';
import { ErrorCode as WireCode, ErrorDetail } from '../../src/gen/sluice/v1/error.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import { errorTraits } from '../../src/model/errors.ts';
import { toBrokerId, toTerm } from '../../src/model/ids.ts';

const codes = Object.keys(errorTraits) as ErrorCode[];

test('UNAVAILABLE is only for what is retriable and certainly had no effect', () => {
  for (const code of codes.filter((each) => grpcStatusOf[each] === Status.UNAVAILABLE))
    assert.deepEqual([errorTraits[code].retriable, errorTraits[code].indeterminate], [true, false], code);
});

test('what is indeterminate is ABORTED or DEADLINE_EXCEEDED, a defect INTERNAL, and nothing else is', () => {
  const statuses: readonly Status[] = [Status.ABORTED, Status.DEADLINE_EXCEEDED, Status.INTERNAL];
  for (const code of codes) assert.equal(errorTraits[code].indeterminate, statuses.includes(grpcStatusOf[code]), code);
});

test('DATA_LOSS is for our disk; a bad checksum from a producer is INVALID_ARGUMENT', () => {
  assert.deepEqual(
    codes.filter((code) => grpcStatusOf[code] === Status.DATA_LOSS),
    ['STORAGE_CORRUPTION'],
  );
  assert.equal(grpcStatusOf.CORRUPT_MESSAGE, Status.INVALID_ARGUMENT);
});

test('a refusal travels as google.rpc.Status with one typed detail', () => {
  const { code, metadata } = statusObject({
    code: 'NOT_LEADER_OR_FOLLOWER',
    message: 'Ask broker 2.',
    leaderHint: { brokerId: toBrokerId(2), address: 'b2:9400', leaderEpoch: toTerm(7) },
    retryAfterMs: 12.5,
    fields: { partition: '3' },
  });
  assert.equal(code, Status.UNAVAILABLE);
  const envelope = RpcStatus.decode(metadata.get(detailsTrailer)[0] as Buffer);
  assert.equal(envelope.code, Status.UNAVAILABLE);
  assert.deepEqual(
    envelope.details.map((any) => any.typeUrl),
    [errorDetailTypeUrl],
  );
  assert.deepEqual(ErrorDetail.decode(envelope.details[0]!.value), {
    code: WireCode.ERROR_CODE_NOT_LEADER_OR_FOLLOWER,
    kafkaCode: 6,
    retriable: true,
    indeterminate: false,
    leaderHint: { brokerId: 2, address: 'b2:9400', leaderEpoch: 7 },
    retryAfterMs: 13n,
    message: 'Ask broker 2.',
    fields: { partition: '3' },
  });
});

test('absent stays absent: no hint, no retry time, no Kafka number', () => {
  const detail = errorDetail({ code: 'INVALID_RESUME_TOKEN', message: 'Join anew.' });
  assert.deepEqual([detail.kafkaCode, detail.leaderHint, detail.retryAfterMs], [undefined, undefined, undefined]);
});

test('texts are cut to what fits into a trailer, and half characters can not crash the encoder', () => {
  const hostile = `${'x'.repeat(999)}\u{1f600}`;
  const { details, metadata } = statusObject({
    code: 'INVALID_REQUEST',
    message: hostile,
    fields: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`field${i}`, '\ud800'.repeat(5_000)])),
  });
  assert.doesNotThrow(() => encodeURI(details));
  assert.ok((metadata.get(detailsTrailer)[0] as Buffer).length < 20_000);
});
