import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { Client, credentials, status as Status } from '@grpc/grpc-js';
import type { Explanation, StallReason } from '../../src/broker/explain.ts';
import { stall } from '../../src/broker/explain.ts';
import type { AppendReceipt, AppendRequest } from '../../src/broker/requests.ts';
import { StallReason as WireStallReason } from '../../src/gen/sluice/v1/cluster.ts';
import type { ProduceRequest, ProduceStreamRequest, ProduceStreamResponse } from '../../src/gen/sluice/v1/log.ts';
import { Acks, LogServiceService, ProduceStreamRequest as RequestCodec } from '../../src/gen/sluice/v1/log.ts';
import { Compression } from '../../src/gen/sluice/v1/record.ts';
import type { Result } from '../../src/model/errors.ts';
import { ok, refuse } from '../../src/model/errors.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import { acceptingAppends, fakeBroker, receiptAt, topicUuid } from '../fakes/fake-broker.ts';
import type { FakeBroker } from '../fakes/fake-broker.ts';
import type { Rig } from './rig.ts';
import { Replies, batchOf, codeName, detailOf, record, startRig, until } from './rig.ts';

const batch = batchOf([record('v')]);

const request = (id: number, more: Partial<ProduceRequest> = {}): ProduceStreamRequest => ({
  correlationId: BigInt(id),
  produce: {
    topic: 'orders',
    topicId: undefined,
    partition: 0,
    routingKey: undefined,
    payload: { $case: 'recordBatch', value: batch },
    acks: Acks.ACKS_ALL,
    producer: undefined,
    compression: Compression.COMPRESSION_UNSPECIFIED,
    timeoutMs: undefined,
    ...more,
  },
});

interface Open {
  readonly stream: ClientDuplexStream<ProduceStreamRequest, ProduceStreamResponse>;
  readonly replies: Replies<ProduceStreamResponse>;
}

function open({ log }: Rig): Open {
  const stream = log.produceStream();
  return { stream, replies: new Replies(stream) };
}

/** What a reply says: its offset, or the code of its error. */
function outcome({ correlationId, result }: ProduceStreamResponse): string {
  if (result?.$case === 'waiting') return `${correlationId}: waiting`;
  const said = result?.$case === 'produced' ? String(result.value.baseOffset) : codeName(result!.value);
  return `${correlationId}: ${said}`;
}

/** Appends whose outcome the test decides, in the order of the calls. */
class HeldAppends {
  readonly requests: AppendRequest[] = [];
  readonly #settle: ((result: Result<AppendReceipt>) => void)[] = [];
  readonly broker: FakeBroker = fakeBroker({
    ...acceptingAppends(),
    append: (append) => {
      this.requests.push(append);
      return new Promise((resolve) => this.#settle.push(resolve));
    },
  });

  accept(index: number): void {
    this.#settle[index]!(ok({ ...receiptAt(index), partition: this.requests[index]!.partition }));
  }
}

async function held(t: TestContext, limits: Parameters<typeof startRig>[2] = {}): Promise<HeldAppends & { rig: Rig }> {
  const appends = new HeldAppends();
  return Object.assign(appends, { rig: await startRig(t, appends.broker, limits) });
}

test('every request gets its own reply with its correlation id', async (t) => {
  const { stream, replies } = open(await startRig(t, fakeBroker(acceptingAppends())));
  for (let id = 0; id < 50; id++) stream.write(request(id * 1_000));
  const said = (await replies.take(50)).map(outcome);
  assert.deepEqual(
    said,
    Array.from({ length: 50 }, (_, i) => `${i * 1_000}: ${i}`),
  );
  stream.end();
  assert.equal(await replies.ended(), null);
});

test('requests take effect in the order of arrival, however many are in flight', async (t) => {
  const { rig, requests } = await held(t);
  const { stream } = open(rig);
  for (let id = 0; id < 200; id++) stream.write(request(id, { partition: id % 7 }));
  await until(() => requests.length === 200);
  assert.deepEqual(
    requests.map(({ partition }) => partition),
    Array.from({ length: 200 }, (_, i) => i % 7),
  );
});

test('replies keep the order within a partition and do not wait for other partitions', async (t) => {
  const appends = await held(t);
  const { stream, replies } = open(appends.rig);
  for (const [id, partition] of [0, 1, 0, 1].entries()) stream.write(request(id, { partition }));
  await until(() => appends.requests.length === 4);
  appends.accept(3);
  appends.accept(2);
  appends.accept(1);
  assert.deepEqual((await replies.take(2)).map(outcome), ['1: 1', '3: 3']);
  assert.equal(replies.count, 0);
  appends.accept(0);
  assert.deepEqual((await replies.take(2)).map(outcome), ['0: 0', '2: 2']);
});

test('a refusal waits for its turn too', async (t) => {
  const appends = await held(t);
  const { stream, replies } = open(appends.rig);
  stream.write(request(1));
  stream.write(request(2, { payload: undefined }));
  stream.write(request(3, { partition: 1, payload: undefined }));
  assert.equal(outcome(await replies.next()), '3: INVALID_REQUEST');
  await until(() => appends.requests.length === 1);
  appends.accept(0);
  assert.deepEqual((await replies.take(2)).map(outcome), ['1: 0', '2: INVALID_REQUEST']);
});

test('the stream outlives refusals, and says what is indeterminate', async (t) => {
  const answers: Result<AppendReceipt>[] = [
    refuse('LEADERSHIP_LOST', 'Lost.'),
    refuse('NOT_LEADER_OR_FOLLOWER', 'Gone.'),
    ok(receiptAt(5)),
  ];
  const { stream, replies } = open(await startRig(t, fakeBroker({ append: () => Promise.resolve(answers.shift()!) })));
  for (const id of [1, 2, 3]) stream.write(request(id));
  const got = await replies.take(3);
  assert.deepEqual(got.map(outcome), ['1: LEADERSHIP_LOST', '2: NOT_LEADER_OR_FOLLOWER', '3: 5']);
  assert.deepEqual(
    got.slice(0, 2).map(({ result }) => result?.$case === 'error' && result.value.indeterminate),
    [true, false],
  );
});

test('ACKS_NONE is answered only if it fails', async (t) => {
  const answers: Result<AppendReceipt>[] = [
    ok(receiptAt(0)),
    refuse('DISK_RESERVE_REACHED', 'Full.'),
    ok(receiptAt(1)),
  ];
  const rig = await startRig(t, fakeBroker({ append: () => Promise.resolve(answers.shift()!) }));
  const { stream, replies } = open(rig);
  for (const id of [1, 2]) stream.write(request(id, { acks: Acks.ACKS_NONE }));
  stream.write(request(3));
  assert.deepEqual((await replies.take(2)).map(outcome), ['2: DISK_RESERVE_REACHED', '3: 1']);
  assert.equal(rig.server.load.requestBytes, 0);
});

test('a stream with too many unanswered requests is not read, and goes on as replies leave', async (t) => {
  const appends = await held(t, { produceStreamRequestsMax: 8 });
  const { stream, replies } = open(appends.rig);
  for (let id = 0; id < 100; id++) stream.write(request(id));
  await until(() => appends.requests.length === 8);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(appends.requests.length, 8);
  for (let i = 0; i < 100; i++) {
    await until(() => appends.requests.length > i);
    appends.accept(i);
    assert.ok(appends.requests.length <= i + 9, `${appends.requests.length} after ${i}`);
  }
  assert.deepEqual(
    (await replies.take(100)).map(({ correlationId }) => Number(correlationId)),
    [...Array(100).keys()],
  );
});

test('a stream with too many unanswered bytes is not read; HTTP/2 holds the client back', async (t) => {
  const appends = await held(t, { produceStreamBytesMax: 1024 * 1024 });
  const { stream } = open(appends.rig);
  const large = batchOf([record('x'.repeat(256 * 1024))]);
  let accepted = 0;
  for (let id = 0; id < 200; id++)
    stream.write(request(id, { payload: { $case: 'recordBatch', value: large } }), () => accepted++);
  await until(() => appends.requests.length === 4);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(appends.requests.length, 4);
  // 50 MiB were offered: one message is read ahead, the rest is in the windows or still with the client
  assert.ok(accepted < 20, String(accepted));
  const before = appends.rig.server.load.requestBytes;
  assert.ok(before > 1024 * 1024 && before < 1.2 * 1024 * 1024, String(before));
});

test('when the whole broker has too much in flight, streams wait and unary calls are refused', async (t) => {
  const appends = await held(t, { requestBytesInFlightMax: 500 });
  const [one, two] = [open(appends.rig), open(appends.rig)];
  for (let id = 0; id < 20; id++) {
    one.stream.write(request(id));
    two.stream.write(request(id));
  }
  await until(() => appends.rig.server.load.requestBytes >= 500);
  await new Promise((resolve) => setTimeout(resolve, 30));
  const stalledAt = appends.requests.length;
  assert.ok(stalledAt < 20, String(stalledAt));
  const refused = await new Promise<string>((resolve) => {
    appends.rig.log.produce(request(0).produce!, (error) => resolve(codeName(detailOf(error!)!)));
  });
  assert.equal(refused, 'LIMIT_REACHED');
  for (let i = 0; i < 40; i++) {
    await until(() => appends.requests.length > i);
    appends.accept(i);
  }
  await Promise.all([one.replies.take(20), two.replies.take(20)]);
  assert.equal(appends.rig.server.load.requestBytes, 0);
});

test('a client that goes away aborts its requests, and what it held is given back (pit-P122)', async (t) => {
  const appends = await held(t);
  const { stream } = open(appends.rig);
  stream.on('error', () => undefined);
  for (let id = 0; id < 20; id++) stream.write(request(id));
  await until(() => appends.requests.length === 20);
  stream.cancel();
  await until(() => appends.broker.contexts().every(({ signal }) => signal.aborted));
  assert.equal(appends.rig.server.load.calls, 0);
  for (let i = 0; i < 20; i++) appends.accept(i);
  await until(() => appends.rig.server.load.requestBytes === 0);
});

test('half-closing waits for the replies that are due', async (t) => {
  const appends = await held(t);
  const { stream, replies } = open(appends.rig);
  stream.write(request(1));
  stream.end();
  await until(() => appends.requests.length === 1);
  appends.accept(0);
  assert.equal(outcome(await replies.next()), '1: 0');
  assert.equal(await replies.ended(), null);
});

test('draining answers what was read, then ends the stream as certainly not appended', async (t) => {
  const appends = await held(t);
  const { stream, replies } = open(appends.rig);
  stream.write(request(1));
  await until(() => appends.requests.length === 1);
  appends.rig.server.drain();
  stream.write(request(2));
  await new Promise((resolve) => setTimeout(resolve, 20));
  appends.accept(0);
  assert.equal(outcome(await replies.next()), '1: 0');
  const error = await replies.ended();
  assert.equal(error?.code, Status.UNAVAILABLE);
  assert.equal(codeName(detailOf(error)!), 'BROKER_SHUTTING_DOWN');
  assert.equal(appends.requests.length, 1);
});

test('requests that nobody reads any more do not hold up the shutdown', async (t) => {
  const appends = await held(t);
  const { stream, replies } = open(appends.rig);
  stream.write(request(1));
  await until(() => appends.requests.length === 1);
  appends.rig.server.drain();
  for (let id = 2; id < 50; id++) stream.write(request(id));
  await new Promise((resolve) => setTimeout(resolve, 20));
  appends.accept(0);
  await replies.next();
  await replies.ended();
  const graceMs = 20_000;
  const closingMs = performance.now();
  await appends.rig.server.close(graceMs);
  assert.ok(performance.now() - closingMs < graceMs / 2, 'the connection closed by itself');
});

/** A client that writes bytes as they are. */
function openRaw(
  t: TestContext,
  rig: Rig,
): { stream: ClientDuplexStream<Uint8Array, ProduceStreamResponse>; replies: Replies<ProduceStreamResponse> } {
  const client = new Client(rig.address, credentials.createInsecure());
  t.after(() => client.close());
  const { path, responseDeserialize } = LogServiceService.produceStream;
  const stream = client.makeBidiStreamRequest(path, (bytes: Uint8Array) => Buffer.from(bytes), responseDeserialize);
  return { stream, replies: new Replies(stream) };
}

test('an append that can not be parsed gets an error reply, and the stream goes on', async (t) => {
  const { stream, replies } = openRaw(t, await startRig(t, fakeBroker(acceptingAppends())));
  stream.write(Uint8Array.of(0x08, 42, 0x12, 3, 0xff, 0xff, 0xff));
  stream.write(RequestCodec.encode(request(43)).finish());
  assert.deepEqual((await replies.take(2)).map(outcome), ['42: INVALID_REQUEST', '43: 0']);
});

test('a message whose frame can not be parsed ends the stream, after the replies that are due', async (t) => {
  const { stream, replies } = openRaw(t, await startRig(t, fakeBroker(acceptingAppends())));
  stream.write(RequestCodec.encode(request(1)).finish());
  stream.write(Uint8Array.of(0xff, 0xff, 0xff));
  assert.equal(outcome(await replies.next()), '1: 0');
  const error = await replies.ended();
  assert.equal(error?.code, Status.INVALID_ARGUMENT);
  assert.equal(codeName(detailOf(error)!), 'INVALID_REQUEST');
});

test('a correlation id that is no safe integer is refused, and given back as it came', async (t) => {
  const { stream, replies } = open(await startRig(t, fakeBroker(acceptingAppends())));
  stream.write({ ...request(0), correlationId: -1n });
  stream.write({ ...request(0), correlationId: 2n ** 53n });
  assert.deepEqual((await replies.take(2)).map(outcome), ['-1: INVALID_REQUEST', `${2n ** 53n}: INVALID_REQUEST`]);
});

const stalledFor = (reason: StallReason, missing: readonly number[] = []): Result<Explanation> =>
  ok({
    topicId: topicUuid,
    answeredBy: toBrokerId(0),
    leader: null,
    marks: null,
    stalls: [stall(reason, 'for people', 'produce', missing.map(toBrokerId), { done: 1, total: 2 })],
  });

const reasonsOf = ({ result }: ProduceStreamResponse): (readonly [WireStallReason, readonly number[]])[] =>
  result?.$case === 'waiting'
    ? result.value.stalls.map(({ reason, missingBrokers }) => [reason, missingBrokers] as const)
    : [];

const { STALL_REASON_WAITING_FOR_QUORUM: quorum, STALL_REASON_NO_LEADER: noLeader } = WireStallReason;

test('an append that waits is told why, and again when the reasons have changed, before its reply', async (t) => {
  const appends = await held(t);
  let now = stalledFor('waiting-for-quorum', [1, 2]);
  let asked = 0;
  appends.broker.script.explain = () => {
    asked++;
    return Promise.resolve(now);
  };
  const { stream, replies } = open(appends.rig);
  stream.write({ ...request(7), explainAfterMs: 100 });
  stream.write({ ...request(8), explainAfterMs: 100 });
  const first = await replies.next();
  assert.deepEqual([first.correlationId, reasonsOf(first)], [7n, [[quorum, [1, 2]]]], 'of the oldest one');
  const waiting = first.result?.$case === 'waiting' ? first.result.value : null;
  assert.deepEqual([waiting?.topic, waiting?.topicId, waiting?.partition], ['orders', topicUuid, 0]);
  await until(() => asked >= 3);
  assert.equal(replies.count, 0, 'what was told is not told again');
  now = stalledFor('no-leader');
  assert.deepEqual(reasonsOf(await replies.next()), [[noLeader, []]]);
  appends.accept(0);
  assert.equal(outcome(await replies.next()), '7: 0');
  const next = await replies.next();
  assert.deepEqual([next.correlationId, reasonsOf(next)], [8n, [[noLeader, []]]], 'now it is the oldest');
  appends.accept(1);
  assert.equal(outcome(await replies.next()), '8: 1');
  const before = asked;
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(asked, before, 'nobody waits');
});

test('nothing is told of an append that did not ask, is answered in time, or asks out of range', async (t) => {
  const appends = await held(t);
  let asked = 0;
  appends.broker.script.explain = () => {
    asked++;
    return Promise.resolve(stalledFor('no-leader'));
  };
  const { stream, replies } = open(appends.rig);
  for (const [id, explainAfterMs] of [99, 60_001, 0, -1].entries()) stream.write({ ...request(id), explainAfterMs });
  assert.deepEqual(
    (await replies.take(4)).map(outcome),
    [0, 1, 2, 3].map((id) => `${id}: INVALID_REQUEST`),
  );
  stream.write({ ...request(4), explainAfterMs: 60_000 });
  stream.write({ ...request(5, { partition: 1 }) });
  await new Promise((resolve) => setTimeout(resolve, 150));
  appends.accept(0);
  appends.accept(1);
  assert.deepEqual((await replies.take(2)).map(outcome).sort(), ['4: 0', '5: 1']);
  assert.equal(asked, 0);
});
