import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { Client, credentials, status as Status } from '@grpc/grpc-js';
import type { Explanation, StallReason } from '../../src/broker/explain.ts';
import { stall } from '../../src/broker/explain.ts';
import type { FetchAnswer, FetchCursor, ReadRoom } from '../../src/broker/requests.ts';
import { StallReason as WireStallReason } from '../../src/gen/sluice/v1/cluster.ts';
import type { FetchStreamRequest, FetchStreamResponse, FetchStreamStart } from '../../src/gen/sluice/v1/log.ts';
import { FetchFormat, LogServiceService } from '../../src/gen/sluice/v1/log.ts';
import type { Result } from '../../src/model/errors.ts';
import { ok, refuse } from '../../src/model/errors.ts';
import { toBrokerId, toOffset, toTerm } from '../../src/model/ids.ts';
import { patchBatch } from '../../src/model/record-batch.ts';
import { fakeBroker, fetchedFrom, topicUuid } from '../fakes/fake-broker.ts';
import type { FakeBroker } from '../fakes/fake-broker.ts';
import type { Rig } from './rig.ts';
import { Replies, batchOf, codeName, detailOf, record, startRig, until } from './rig.ts';

const decoder = new TextDecoder();
const mebibyte = 1024 * 1024;

/** A cursor that is fed by the test; it remembers the limits it was asked with, and what it was let read. */
class FedCursor implements FetchCursor {
  readonly asked: number[] = [];
  readonly granted: number[] = [];
  readonly #answers: FetchAnswer[] = [];
  #wake: (() => void) | null = null;
  #ended = false;
  closed = false;

  feed(...answers: FetchAnswer[]): void {
    this.#answers.push(...answers);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async next(bytesMax: number, room?: ReadRoom): Promise<FetchAnswer | null> {
    this.asked.push(bytesMax);
    while (this.#answers.length === 0 && !this.#ended && !this.closed)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#answers.length > 0 && room !== undefined) {
      const bytes = await room.take(bytesMax);
      if (bytes === null) return null;
      this.granted.push(bytes);
    }
    return this.#answers.shift() ?? null;
  }

  close(): void {
    this.closed = true;
    this.#wake?.();
  }
}

interface Setup {
  readonly rig: Rig;
  readonly cursor: FedCursor;
  readonly broker: FakeBroker;
  readonly stream: ClientDuplexStream<FetchStreamRequest, FetchStreamResponse>;
  readonly replies: Replies<FetchStreamResponse>;
}

async function setUp(t: TestContext, limits: Parameters<typeof startRig>[2] = {}): Promise<Setup> {
  const cursor = new FedCursor();
  const broker = fakeBroker({
    openCursor: (_partitions, { signal }) => {
      signal.addEventListener('abort', () => cursor.close());
      return ok(cursor);
    },
  });
  const rig = await startRig(t, broker, limits);
  const stream = rig.log.fetchStream();
  return { rig, cursor, broker, stream, replies: new Replies(stream) };
}

const start = (more: Partial<FetchStreamStart> = {}): FetchStreamRequest => ({
  action: {
    $case: 'start',
    value: {
      partitions: [
        {
          topic: 'orders',
          topicId: undefined,
          partition: 0,
          fetchOffset: 0n,
          leaderEpoch: undefined,
          maxBytes: undefined,
        },
      ],
      format: FetchFormat.FETCH_FORMAT_RECORD_BATCHES,
      grantBytes: undefined,
      maxBytes: undefined,
      ...more,
    },
  },
});

const grant = (bytes: number): FetchStreamRequest => ({ action: { $case: 'grantBytes', value: bytes } });

/** An answer with one batch of about `bytes`. */
const answerOf = (bytes: number, offset = 0): FetchAnswer => ({
  partitions: [fetchedFrom(0, [new Uint8Array(bytes).fill(offset)], offset + 1)],
  catalogRevision: 7,
});

function stored(baseOffset: number, values: readonly string[]): Uint8Array {
  const batch = Uint8Array.from(
    batchOf(
      values.map((value) => record(value)),
      { compression: 'gzip' },
    ),
  );
  patchBatch(batch, toOffset(baseOffset), toTerm(3));
  return batch;
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));

test('batches arrive as they were stored, with the credit they used', async (t) => {
  const { stream, cursor, replies } = await setUp(t);
  stream.write(start());
  cursor.feed(answerOf(70_000, 5));
  const reply = await replies.next();
  const [partition] = reply.partitions;
  assert.ok(partition!.payload?.$case === 'recordBatches');
  assert.deepEqual(Buffer.from(partition!.payload.value), Buffer.alloc(70_000, 5));
  assert.deepEqual([reply.usedBytes, reply.catalogRevision, partition!.nextOffset], [70_000, 7n, 6n]);
  assert.equal(cursor.asked[0], 1024 * 1024);
});

test('no more bytes are sent than were granted', async (t) => {
  const { stream, cursor, replies } = await setUp(t);
  stream.write(start({ grantBytes: 100_000 }));
  cursor.feed(...Array.from({ length: 10 }, (_, i) => answerOf(60_000, i)));
  await replies.next();
  await settle();
  assert.equal(replies.count, 0);
  assert.deepEqual(cursor.asked, [100_000, 40_000]);
  stream.write(grant(20_000));
  assert.equal((await replies.next()).usedBytes, 60_000);
  await settle();
  assert.equal(replies.count, 0);
});

test('little credit is no dead end: with all of it back, the next batch comes and takes it below zero', async (t) => {
  const { stream, cursor, replies } = await setUp(t);
  stream.write(start({ grantBytes: 100 }));
  cursor.feed(answerOf(5_000), answerOf(5_000));
  assert.equal((await replies.next()).usedBytes, 5_000);
  stream.write(grant(4_999));
  await settle();
  assert.equal(replies.count, 0);
  stream.write(grant(1));
  assert.equal((await replies.next()).usedBytes, 5_000);
});

test('a client that does not read holds the stream back, not the memory of the broker', async (t) => {
  const { stream, cursor } = await setUp(t, { fetchStreamUnsentBytesMax: 512 * 1024 });
  stream.pause();
  stream.removeAllListeners('data');
  stream.pause();
  stream.write(start({ grantBytes: 64 * 1024 * 1024 }));
  cursor.feed(...Array.from({ length: 200 }, () => answerOf(256 * 1024)));
  await until(() => cursor.asked.length > 1);
  let asked = 0;
  while (asked !== cursor.asked.length) {
    asked = cursor.asked.length;
    await settle();
  }
  // 50 MiB are there and granted; what was taken fits into the client's window and our limit
  assert.ok(asked < 60, `${asked} of 200 were read`);
  stream.cancel();
});

test('records are decoded, cut to the size of a message, and continue where they were cut', async (t) => {
  const { stream, cursor, replies } = await setUp(t);
  stream.write(start({ format: FetchFormat.FETCH_FORMAT_RECORDS, maxBytes: 2_100 }));
  const values = Array.from({ length: 5 }, (_, i) => `${i}`.padEnd(1_000, '.'));
  const partitions = [fetchedFrom(0, [stored(0, values), stored(5, ['last'])], 6)];
  cursor.feed({ partitions, catalogRevision: 7 });
  const got = await replies.take(3);
  const read = got.map(({ partitions: [part] }) => {
    assert.ok(part!.payload?.$case === 'records');
    return [part!.payload.value.records.map(({ value }) => decoder.decode(value).slice(0, 4)), part!.nextOffset];
  });
  assert.deepEqual(read, [
    [['0...', '1...'], 2n],
    [['2...', '3...'], 4n],
    [['4...', 'last'], 6n],
  ]);
});

test('a partition whose records can not be decoded is answered once with its error and not read on', async (t) => {
  const { stream, cursor, replies } = await setUp(t);
  stream.write(start({ format: FetchFormat.FETCH_FORMAT_RECORDS }));
  const broken = stored(0, ['abc']);
  broken[broken.length - 1]! ^= 1;
  cursor.feed({ partitions: [fetchedFrom(0, [broken], 1)], catalogRevision: 7 });
  cursor.feed({ partitions: [fetchedFrom(0, [stored(1, ['later'])], 2)], catalogRevision: 7 });
  cursor.end();
  assert.equal(codeName((await replies.next()).partitions[0]!.error!), 'STORAGE_CORRUPTION');
  assert.equal(await replies.ended(), null);
  assert.equal(replies.count, 0);
});

test('a client that goes away closes the cursor, and nothing is left (pit-P122)', async (t) => {
  const { rig, stream, cursor, replies } = await setUp(t);
  stream.write(start());
  cursor.feed(answerOf(10));
  await replies.next();
  assert.equal(rig.server.load.calls, 1);
  stream.cancel();
  await until(() => cursor.closed);
  assert.equal(rig.server.load.calls, 0);
});

test('a client that only says where to start gets what its credit pays for, then the end', async (t) => {
  const { stream, cursor, replies } = await setUp(t);
  stream.write(start({ grantBytes: 1_000 }));
  stream.end();
  cursor.feed(answerOf(600), answerOf(400), answerOf(400));
  assert.deepEqual(
    (await replies.take(2)).map(({ usedBytes }) => usedBytes),
    [600, 400],
  );
  assert.equal(await replies.ended(), null);
  assert.ok(cursor.closed);
});

test('what such a client can not pay for ends the stream, and nothing behind it is sent', async (t) => {
  const { stream, cursor, replies } = await setUp(t);
  stream.write(start({ grantBytes: 1_000 }));
  stream.end();
  cursor.feed(answerOf(600), answerOf(500), answerOf(50));
  assert.equal((await replies.next()).usedBytes, 600);
  assert.equal(await replies.ended(), null);
  assert.equal(replies.count, 0);
});

test('all streams share what may be written and not have left', async (t) => {
  const { rig, stream, cursor, replies } = await setUp(t, { replyBytesUnsentMax: 1_000_000 });
  stream.write(start({ grantBytes: 64 * 1024 * 1024 }));
  cursor.feed(...Array.from({ length: 20 }, () => answerOf(500_000)));
  await replies.take(20);
  await until(() => rig.server.load.unsentBytes === 0);
});

test('a client that takes in nothing for too long is cut off, and all is given back', async (t) => {
  const { rig, stream, cursor } = await setUp(t, { replyStallMsMax: 60 });
  const cut = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
  stream.removeAllListeners('data');
  stream.pause();
  stream.write(start({ grantBytes: 64 * 1024 * 1024 }));
  cursor.feed(...Array.from({ length: 50 }, () => answerOf(1024 * 1024)));
  await until(() => cursor.closed);
  await until(() => rig.server.load.unsentBytes === 0);
  assert.equal(rig.server.load.calls, 0);
  stream.resume();
  assert.equal((await cut).code, Status.RESOURCE_EXHAUSTED);
});

test('draining ends the stream, so that the client goes elsewhere', async (t) => {
  const { rig, stream, cursor, replies } = await setUp(t);
  stream.write(start());
  await until(() => cursor.asked.length === 1);
  rig.server.drain();
  const error = await replies.ended();
  assert.equal(error?.code, Status.UNAVAILABLE);
  assert.equal(codeName(detailOf(error)!), 'BROKER_SHUTTING_DOWN');
  assert.ok(cursor.closed);
});

test('a refusal to open ends the stream with it', async (t) => {
  const rig = await startRig(t, fakeBroker({ openCursor: () => refuse('LIMIT_REACHED', 'Too many.') }));
  const stream = rig.log.fetchStream();
  const replies = new Replies(stream);
  stream.write(start());
  assert.equal(codeName(detailOf((await replies.ended())!)!), 'LIMIT_REACHED');
});

test('what does not follow the protocol ends the stream with INVALID_REQUEST', async (t) => {
  const wrong: readonly (readonly [string, readonly FetchStreamRequest[]])[] = [
    ['a grant before the start', [grant(5)]],
    ['two starts', [start(), start()]],
    ['no action', [{ action: undefined }]],
    ['a grant of 0', [start(), grant(0)]],
    ['a grant above 64 MiB', [start(), grant(64 * 1024 * 1024 + 1)]],
    ['credit above 64 MiB', [start(), grant(64 * 1024 * 1024)]],
    ['a start without partitions', [start({ partitions: [] })]],
    ['an unknown format', [start({ format: 9 as FetchFormat })]],
    ['a message limit of 0', [start({ maxBytes: 0 })]],
  ];
  for (const [what, messages] of wrong) {
    const { stream, replies, rig } = await setUp(t);
    for (const message of messages) stream.write(message);
    const error = await replies.ended();
    assert.equal(error?.code, Status.INVALID_ARGUMENT, what);
    assert.equal(codeName(detailOf(error)!), 'INVALID_REQUEST', what);
    assert.equal(rig.server.load.calls, 0);
  }
});

test('half-closing without a start, and bytes that are no message, end it too', async (t) => {
  const { stream, replies, rig } = await setUp(t);
  stream.end();
  assert.equal((await replies.ended())?.code, Status.INVALID_ARGUMENT);
  const client = new Client(rig.address, credentials.createInsecure());
  t.after(() => client.close());
  const raw = client.makeBidiStreamRequest(
    LogServiceService.fetchStream.path,
    (bytes: Uint8Array) => Buffer.from(bytes),
    LogServiceService.fetchStream.responseDeserialize,
  );
  const rawReplies = new Replies(raw);
  raw.write(Uint8Array.of(0xff, 0xff));
  assert.equal(codeName(detailOf((await rawReplies.ended())!)!), 'INVALID_REQUEST');
});

const stalledFor = (reason: StallReason): Result<Explanation> =>
  ok({
    topicId: topicUuid,
    answeredBy: toBrokerId(0),
    leader: null,
    marks: null,
    stalls: [stall(reason, 'for people', 'both', [toBrokerId(2)], { done: 1, total: 2 })],
  });

const reasonsOf = ({ stalls }: FetchStreamResponse): string[] =>
  stalls.flatMap(({ topic, partition, stalls: all }) => all.map(({ reason }) => `${topic}/${partition} ${reason}`));

const { STALL_REASON_AT_HIGH_WATERMARK: idle, STALL_REASON_NO_LEADER: noLeader } = WireStallReason;

test('a silent stream says why, when that changes, and anew after something came; it costs no credit', async (t) => {
  const { stream, cursor, broker, replies } = await setUp(t);
  let now = stalledFor('at-high-watermark');
  let asked = 0;
  broker.script.explain = () => {
    asked++;
    return Promise.resolve(now);
  };
  stream.write(start({ explainAfterMs: 100 }));
  const first = await replies.next();
  assert.deepEqual([first.partitions, first.usedBytes, first.catalogRevision], [[], 0, 0n]);
  assert.deepEqual(reasonsOf(first), [`orders/0 ${idle}`]);
  assert.deepEqual([first.stalls[0]?.topicId, first.stalls[0]?.stalls[0]?.missingBrokers], [topicUuid, [2]]);
  await until(() => asked >= 3);
  assert.equal(replies.count, 0);
  now = stalledFor('no-leader');
  assert.deepEqual(reasonsOf(await replies.next()), [`orders/0 ${noLeader}`]);
  cursor.feed(answerOf(10));
  const data = await replies.next();
  assert.deepEqual([data.partitions.length, data.stalls], [1, []]);
  const again = await replies.next();
  assert.deepEqual([reasonsOf(again), again.catalogRevision], [[`orders/0 ${noLeader}`], 7n]);
});

test('a stream says nothing of what is not read on, nor if it was not asked to', async (t) => {
  const { stream, cursor, broker, replies } = await setUp(t);
  const asked: number[] = [];
  broker.script.explain = ({ partition }) => {
    asked.push(partition);
    return Promise.resolve(stalledFor('no-leader'));
  };
  const [value] = [start({ explainAfterMs: 100 }).action!.value as FetchStreamStart];
  const [first] = value.partitions;
  stream.write(start({ explainAfterMs: 100, partitions: [first!, { ...first!, partition: 1 }] }));
  const { error } = refuse('OFFSET_OUT_OF_RANGE', 'No.');
  cursor.feed({ partitions: [{ ...fetchedFrom(0, [], 0), error }], catalogRevision: 7 });
  assert.equal(codeName((await replies.next()).partitions[0]!.error!), 'OFFSET_OUT_OF_RANGE');
  assert.deepEqual(reasonsOf(await replies.next()), [`orders/1 ${noLeader}`]);
  await until(() => asked.length >= 3);
  assert.ok(!asked.includes(0));
  const silent = await setUp(t);
  silent.stream.write(start());
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.ok(silent.broker.calls.every(({ method }) => method !== 'explain'));
});

test('when a stream says why nothing comes is within a range', async (t) => {
  for (const explainAfterMs of [0, 99, 60_001, -1]) {
    const { stream, replies } = await setUp(t);
    stream.write(start({ explainAfterMs }));
    const error = await replies.ended();
    assert.match(detailOf(error!)!.message, /explain_after_ms/);
  }
});

test('pit-P121: streams that nobody reads hold a share each, and leave room for one that is read', async (t) => {
  const bytesMax = 8 * mebibyte;
  const cursors: FedCursor[] = [];
  const broker = fakeBroker({
    openCursor: (_partitions, { signal }) => {
      const cursor = new FedCursor();
      cursors.push(cursor);
      signal.addEventListener('abort', () => cursor.close());
      return ok(cursor);
    },
  });
  const rig = await startRig(t, broker, { replyBytesUnsentMax: bytesMax });
  // each on a connection of its own, for one that is not read holds up all that share it
  const clientOf = (): Client => {
    const client = new Client(rig.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    t.after(() => client.close());
    return client;
  };
  const { path, requestSerialize, responseDeserialize } = LogServiceService.fetchStream;
  const openOne = (): ClientDuplexStream<FetchStreamRequest, FetchStreamResponse> =>
    clientOf().makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const idle = Array.from({ length: 40 }, openOne);
  for (const stream of idle) {
    stream.on('error', () => undefined);
    stream.pause();
    stream.write(start({ grantBytes: 64 * mebibyte, maxBytes: 4 * mebibyte }));
  }
  await until(() => cursors.length === idle.length);
  for (const cursor of cursors) cursor.feed(...Array.from({ length: 100 }, () => answerOf(64 * 1024)));
  await settle();
  await settle();
  assert.ok(rig.server.load.unsentBytes < bytesMax, `${rig.server.load.unsentBytes} bytes are held`);
  assert.ok(
    cursors.every(({ granted }) => granted.length > 0),
    'each had its turn',
  );
  const read = openOne();
  const replies = new Replies(read);
  read.write(start());
  await until(() => cursors.length > idle.length);
  cursors.at(-1)!.feed(...Array.from({ length: 20 }, () => answerOf(64 * 1024)));
  for (let n = 0; n < 20; n++) assert.equal((await replies.next()).usedBytes, 64 * 1024);
  for (const stream of [...idle, read]) stream.cancel();
  await until(() => rig.server.load.unsentBytes === 0);
});
