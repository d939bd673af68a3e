import assert from 'node:assert/strict';
import { connect, constants } from 'node:http2';
import { describe, test } from 'node:test';
import { status as Status } from '@grpc/grpc-js';
import type { FetchAnswer, FetchRequest as BrokerFetch } from '../../src/broker/requests.ts';
import type { FetchPartition, FetchRequest, FetchResponse } from '../../src/gen/sluice/v1/log.ts';
import { FetchFormat, FetchRequest as FetchRequestCodec, LogServiceService } from '../../src/gen/sluice/v1/log.ts';
import { putInt32 } from '../../src/model/big-endian.ts';
import { ok } from '../../src/model/errors.ts';
import { toOffset, toTerm } from '../../src/model/ids.ts';
import { batchLayout, checksummedSection, patchBatch } from '../../src/model/record-batch.ts';
import { fakeBroker, fetchedFrom, topicUuid } from '../fakes/fake-broker.ts';
import type { Answer, Rig } from './rig.ts';
import { batchOf, call, codeName, codecs, codeOf, record, startRig, until } from './rig.ts';

const decoder = new TextDecoder();

const partitionAt = (fetchOffset: bigint | undefined, more: Partial<FetchPartition> = {}): FetchPartition => ({
  topic: 'orders',
  topicId: undefined,
  partition: 0,
  fetchOffset,
  leaderEpoch: undefined,
  maxBytes: undefined,
  ...more,
});

const fetchOf = (partitions: FetchPartition[], more: Partial<FetchRequest> = {}): FetchRequest => ({
  partitions,
  maxWaitMs: undefined,
  minBytes: undefined,
  maxBytes: undefined,
  format: FetchFormat.FETCH_FORMAT_UNSPECIFIED,
  ...more,
});

const send = ({ log }: Rig, request: FetchRequest): Promise<Answer<FetchResponse>> =>
  call((reply) => log.fetch(request, reply));

async function fetched(rig: Rig, request: FetchRequest): Promise<FetchResponse> {
  const answer = await send(rig, request);
  assert.ok(answer.kind === 'ok', codeOf(answer));
  return answer.value;
}

/** A stored batch: `values` at `baseOffset`. */
function stored(baseOffset: number, values: readonly string[], compression: 'none' | 'gzip' = 'none'): Uint8Array {
  const batch = Uint8Array.from(
    batchOf(
      values.map((value) => record(value)),
      { compression },
    ),
  );
  patchBatch(batch, toOffset(baseOffset), toTerm(3));
  return batch;
}

const answering = (...partitions: FetchAnswer['partitions']): ReturnType<typeof fakeBroker> =>
  fakeBroker({ fetch: () => Promise.resolve(ok({ partitions, catalogRevision: 7 })) });

function valuesOf(response: FetchResponse, index = 0): string[] {
  const payload = response.partitions[index]!.payload;
  assert.ok(payload?.$case === 'records');
  return payload.value.records.map(({ value }) => decoder.decode(value));
}

describe('record batches', () => {
  test('come back byte for byte, one after the other', async (t) => {
    const batches = [stored(10, ['a', 'b']), stored(12, ['c'], 'gzip'), stored(13, ['x'.repeat(200_000)])];
    const rig = await startRig(t, answering(fetchedFrom(0, batches, 14), fetchedFrom(1, [stored(0, ['z'])], 1)));
    const response = await fetched(
      rig,
      fetchOf([partitionAt(11n), partitionAt(0n, { partition: 1 })], {
        format: FetchFormat.FETCH_FORMAT_RECORD_BATCHES,
      }),
    );
    const { payload, ...head } = response.partitions[0]!;
    assert.ok(payload?.$case === 'recordBatches');
    assert.deepEqual(Buffer.from(payload.value), Buffer.concat(batches));
    assert.deepEqual(head, {
      topic: 'orders',
      topicId: topicUuid,
      partition: 0,
      error: undefined,
      highWatermark: 14n,
      logStartOffset: 0n,
      leaderEpoch: 3,
      nextOffset: 14n,
      preferredReplica: undefined,
    });
    assert.equal(response.partitions[1]!.partition, 1);
    assert.equal(response.catalogRevision, 7n);
  });

  test('nothing to read is no payload, which differs from an empty one', async (t) => {
    const rig = await startRig(t, answering(fetchedFrom(0, [], 5)));
    const response = await fetched(
      rig,
      fetchOf([partitionAt(5n)], { format: FetchFormat.FETCH_FORMAT_RECORD_BATCHES }),
    );
    assert.deepEqual([response.partitions[0]!.payload, response.partitions[0]!.nextOffset], [undefined, 5n]);
  });
});

describe('records', () => {
  test('are decoded, and those below the fetch offset left out', async (t) => {
    const rig = await startRig(
      t,
      answering(fetchedFrom(0, [stored(10, ['a', 'b', 'c'], 'gzip'), stored(13, ['d'])], 14)),
    );
    const response = await fetched(rig, fetchOf([partitionAt(11n)]));
    assert.deepEqual(valuesOf(response), ['b', 'c', 'd']);
    const [partition] = response.partitions;
    assert.equal(partition!.nextOffset, 14n);
    assert.ok(partition!.payload?.$case === 'records');
    assert.deepEqual(
      partition!.payload.value.records.map(({ offset, timestampMs, key }) => [offset, timestampMs, key]),
      [11n, 12n, 13n].map((offset) => [offset, 1_700_000_000_000n, undefined]),
    );
  });

  test('are cut to the limit of the answer, in the middle of a batch if need be', async (t) => {
    const values = Array.from({ length: 50 }, (_, i) => `${i}`.padEnd(1_000, '.'));
    const rig = await startRig(
      t,
      answering(fetchedFrom(0, [stored(0, values, 'gzip')], 50), fetchedFrom(1, [stored(0, ['z'])], 1)),
    );
    const response = await fetched(
      rig,
      fetchOf([partitionAt(0n), partitionAt(0n, { partition: 1 })], { maxBytes: 10_500 }),
    );
    const [partition] = response.partitions;
    assert.equal(valuesOf(response).length, 10);
    assert.equal(partition!.nextOffset, 10n);
    assert.deepEqual(valuesOf(response, 1), ['z']);
  });

  test('a limit below one record still gives one, and partitions after it are left out', async (t) => {
    const rig = await startRig(
      t,
      answering(fetchedFrom(0, [stored(0, ['abc', 'def'])], 2), fetchedFrom(1, [stored(0, ['z'])], 1)),
    );
    const response = await fetched(rig, fetchOf([partitionAt(0n), partitionAt(0n, { partition: 1 })], { maxBytes: 1 }));
    assert.deepEqual([valuesOf(response), response.partitions.length], [['abc'], 1]);
  });

  test('of a batch that inflates a thousandfold stay below the limit of the answer', async (t) => {
    const bomb = stored(
      0,
      Array.from({ length: 15 }, () => '\0'.repeat(1_000_000)),
      'gzip',
    );
    assert.ok(bomb.length < 20_000);
    const batches = Array.from({ length: 100 }, () => bomb);
    const rig = await startRig(
      t,
      answering(fetchedFrom(0, batches, 1_500)),
      {},
      { 'grpc.max_receive_message_length': 4 * 1024 * 1024 },
    );
    const response = await fetched(rig, fetchOf([partitionAt(0n)]));
    assert.deepEqual([valuesOf(response).length, response.partitions[0]!.nextOffset], [3, 3n]);
  });

  test('of a batch that lies about them are refused, with where to go on', async (t) => {
    const liar = stored(4, ['a', 'b']);
    putInt32(liar, batchLayout.count, 3);
    putInt32(liar, batchLayout.lastOffsetDelta, 2);
    putInt32(liar, batchLayout.crc, codecs.crc32c(checksummedSection(liar)) | 0);
    const rig = await startRig(t, answering(fetchedFrom(0, [liar, stored(7, ['c'])], 8)));
    const [partition] = (await fetched(rig, fetchOf([partitionAt(4n)]))).partitions;
    assert.equal(codeName(partition!.error!), 'INVALID_RECORD');
    assert.deepEqual(
      [partition!.error!.fields['next_offset'], partition!.nextOffset, partition!.payload],
      ['7', undefined, undefined],
    );
  });

  test('before such a batch are handed out first', async (t) => {
    const broken = stored(1, ['a']);
    broken[broken.length - 1]! ^= 1;
    const rig = await startRig(t, answering(fetchedFrom(0, [stored(0, ['good']), broken], 2)));
    const first = await fetched(rig, fetchOf([partitionAt(0n)]));
    assert.deepEqual([valuesOf(first), first.partitions[0]!.nextOffset], [['good'], 1n]);
  });

  test('of a stored batch whose checksum is wrong are never served: that is our disk', async (t) => {
    const broken = stored(0, ['abc']);
    broken[broken.length - 1]! ^= 1;
    const rig = await startRig(t, answering(fetchedFrom(0, [broken], 1)));
    const [partition] = (await fetched(rig, fetchOf([partitionAt(0n)]))).partitions;
    assert.equal(codeName(partition!.error!), 'STORAGE_CORRUPTION');
  });
});

test('the broker gets the limits of the request, or the defaults of the contract', async (t) => {
  const broker = answering();
  const rig = await startRig(t, broker);
  await fetched(rig, fetchOf([partitionAt(0n)]));
  await fetched(
    rig,
    fetchOf([partitionAt(2n ** 53n - 1n, { maxBytes: 9, leaderEpoch: 4 })], { maxWaitMs: 0, minBytes: 2, maxBytes: 3 }),
  );
  const asked = broker.calls.map(({ args }) => args[0] as BrokerFetch);
  assert.deepEqual(
    asked.map(({ waitMsMax, bytesMin, bytesMax }) => [waitMsMax, bytesMin, bytesMax]),
    [
      [500, 1, 3 * 1024 * 1024],
      [0, 2, 3],
    ],
  );
  assert.deepEqual(
    asked.map(({ partitions: [first] }) => [first!.fetchOffset, first!.bytesMax, first!.leaderEpoch]),
    [
      [0, 1024 * 1024, null],
      [Number.MAX_SAFE_INTEGER, 9, 4],
    ],
  );
});

test('bad input is refused by the name of the field, and a missing offset is never taken for 0 (pit-P117)', async (t) => {
  const broker = answering();
  const rig = await startRig(t, broker);
  const cases: readonly (readonly [string, string, FetchRequest])[] = [
    ['partitions', 'INVALID_REQUEST', fetchOf([])],
    [
      'partitions',
      'INVALID_REQUEST',
      fetchOf(Array.from({ length: 1_001 }, (_, i) => partitionAt(0n, { partition: i }))),
    ],
    ['partitions[0].fetch_offset', 'INVALID_REQUEST', fetchOf([partitionAt(undefined)])],
    ['partitions[0].fetch_offset', 'INVALID_REQUEST', fetchOf([partitionAt(-1n)])],
    [
      'partitions[1].fetch_offset',
      'INVALID_REQUEST',
      fetchOf([partitionAt(0n), partitionAt(2n ** 53n, { partition: 1 })]),
    ],
    ['partitions[1].partition', 'INVALID_REQUEST', fetchOf([partitionAt(0n), partitionAt(1n)])],
    ['partitions[0].partition', 'INVALID_REQUEST', fetchOf([partitionAt(0n, { partition: -5 })])],
    ['partitions[0].topic', 'INVALID_TOPIC', fetchOf([partitionAt(0n, { topic: '..' })])],
    ['partitions[0].topic_id', 'INVALID_REQUEST', fetchOf([partitionAt(0n, { topicId: 'nope' })])],
    ['partitions[0].leader_epoch', 'INVALID_REQUEST', fetchOf([partitionAt(0n, { leaderEpoch: -1 })])],
    ['partitions[0].max_bytes', 'INVALID_REQUEST', fetchOf([partitionAt(0n, { maxBytes: 0 })])],
    ['max_wait_ms', 'INVALID_REQUEST', fetchOf([partitionAt(0n)], { maxWaitMs: 60_001 })],
    ['min_bytes', 'INVALID_REQUEST', fetchOf([partitionAt(0n)], { minBytes: -1 })],
    ['max_bytes', 'INVALID_REQUEST', fetchOf([partitionAt(0n)], { maxBytes: 4 * 1024 * 1024 + 1 })],
    ['format', 'INVALID_REQUEST', fetchOf([partitionAt(0n)], { format: 7 as FetchFormat })],
  ];
  for (const [field, code, request] of cases) {
    const answer = await send(rig, request);
    assert.ok(answer.kind === 'error' && answer.status === Status.INVALID_ARGUMENT, field);
    assert.deepEqual([codeOf(answer), answer.detail!.fields['field']], [code, field]);
  }
  assert.deepEqual(broker.calls, []);
});

test('an error of one partition stands beside the data of the others, without offsets that hide it', async (t) => {
  const failed = {
    ...fetchedFrom(1, [], 0),
    error: { code: 'OFFSET_OUT_OF_RANGE' as const, message: 'Too far.' },
    highWatermark: null,
    logStart: null,
    leaderEpoch: null,
    nextOffset: null,
  };
  const rig = await startRig(t, answering(fetchedFrom(0, [stored(0, ['a'])], 1), failed));
  const response = await fetched(rig, fetchOf([partitionAt(0n), partitionAt(99n, { partition: 1 })]));
  const [good, bad] = response.partitions;
  assert.deepEqual([valuesOf(response), good!.error], [['a'], undefined]);
  assert.equal(codeName(bad!.error!), 'OFFSET_OUT_OF_RANGE');
  assert.deepEqual(
    [bad!.highWatermark, bad!.logStartOffset, bad!.leaderEpoch, bad!.nextOffset],
    [undefined, undefined, undefined, undefined],
  );
});

describe('large answers', () => {
  const large = fetchOf([partitionAt(0n)], { format: FetchFormat.FETCH_FORMAT_RECORD_BATCHES });
  const million = fetchedFrom(0, [new Uint8Array(1024 * 1024)], 1);

  test('that nobody takes in are bounded for all calls together, and their callers cut off', async (t) => {
    const rig = await startRig(t, answering(million), { replyBytesUnsentMax: 3 * 1024 * 1024, replyStallMsMax: 200 });
    const session = connect(`http://${rig.address}`, { settings: { initialWindowSize: 1_000 } });
    session.on('error', () => undefined);
    t.after(() => session.destroy());
    const body = FetchRequestCodec.encode(large).finish();
    const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, body.length]), body]);
    const codes: number[] = [];
    for (let i = 0; i < 8; i++) {
      const stream = session.request({
        ':method': 'POST',
        ':path': LogServiceService.fetch.path,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => undefined);
      stream.on('close', () => codes.push(stream.rstCode));
      stream.end(frame);
    }
    await until(() => rig.server.load.unsentBytes >= 3 * 1024 * 1024);
    assert.equal(codeOf(await send(rig, large)), 'LIMIT_REACHED');
    assert.equal(rig.server.load.unsentBytes, 3 * 1024 * 1024);
    await until(() => rig.server.load.unsentBytes === 0);
    assert.equal(codeOf(await send(rig, large)), 'ok');
    await until(() => codes.filter((code) => code === constants.NGHTTP2_ENHANCE_YOUR_CALM).length === 3);
  });

  test('that are taken in are counted no longer', async (t) => {
    const rig = await startRig(t, answering(million));
    for (let i = 0; i < 5; i++) await fetched(rig, large);
    await until(() => rig.server.load.unsentBytes === 0);
  });
});
