import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { status as Status } from '@grpc/grpc-js';
import type { AppendRequest, ResolveAnswer, ResolveRequest } from '../../src/broker/requests.ts';
import { Acks, AppendOutcome } from '../../src/gen/sluice/v1/log.ts';
import type {
  InitProducerResponse,
  ProduceRequest,
  ProduceResponse,
  ResolveAppendRequest,
  ResolveAppendResponse,
} from '../../src/gen/sluice/v1/log.ts';
import type { Record as WireRecord } from '../../src/gen/sluice/v1/record.ts';
import { Compression } from '../../src/gen/sluice/v1/record.ts';
import { decodeBatch } from '../../src/model/batch-decoder.ts';
import { putInt16, putInt32 } from '../../src/model/big-endian.ts';
import { ok, refuse } from '../../src/model/errors.ts';
import { toMillis, toOffset, toProducerEpoch, toProducerId, toSequence, toTerm } from '../../src/model/ids.ts';
import { batchLayout, checksummedSection, readBatchHeader } from '../../src/model/record-batch.ts';
import { acceptingAppends, fakeBroker, receiptAt, topicUuid } from '../fakes/fake-broker.ts';
import type { FakeBroker } from '../fakes/fake-broker.ts';
import type { Answer, Rig } from './rig.ts';
import { batchOf, call, codecs, codeOf, record, startRig } from './rig.ts';

const utf8 = new TextEncoder();
const decoder = new TextDecoder();

const emptyRequest: ProduceRequest = {
  topic: 'orders',
  topicId: undefined,
  partition: 0,
  routingKey: undefined,
  payload: undefined,
  acks: Acks.ACKS_UNSPECIFIED,
  producer: undefined,
  compression: Compression.COMPRESSION_UNSPECIFIED,
  timeoutMs: undefined,
};

const wireRecord = (value: string, key?: string): WireRecord => ({
  key: key === undefined ? undefined : utf8.encode(key),
  value: utf8.encode(value),
  headers: [],
  timestampMs: undefined,
  offset: undefined,
});

const withRecords = (records: WireRecord[], more: Partial<ProduceRequest> = {}): ProduceRequest => ({
  ...emptyRequest,
  payload: { $case: 'records', value: { records } },
  ...more,
});

const withBatch = (batch: Uint8Array, more: Partial<ProduceRequest> = {}): ProduceRequest => ({
  ...emptyRequest,
  payload: { $case: 'recordBatch', value: batch },
  ...more,
});

const send = ({ log }: Rig, request: ProduceRequest): Promise<Answer<ProduceResponse>> =>
  call((reply) => log.produce(request, reply));

const appended = (broker: FakeBroker): AppendRequest[] =>
  broker.calls.filter(({ method }) => method === 'append').map(({ args }) => args[0] as AppendRequest);

/** A batch with a change in its header and a checksum that is right again. */
function tampered(change: (batch: Uint8Array) => void): Uint8Array {
  const batch = Uint8Array.from(batchOf([record('a'), record('b')]));
  change(batch);
  putInt32(batch, batchLayout.crc, codecs.crc32c(checksummedSection(batch)) | 0);
  return batch;
}

test('sem-A1: acks are all, leader or none; anything else is refused, and nothing is appended', async (t) => {
  const broker = fakeBroker({ append: () => Promise.resolve(ok(receiptAt(41))) });
  const rig = await startRig(t, broker);
  for (const acks of [4, -1, 99] as Acks[]) {
    const answer = await send(rig, withBatch(batchOf([record('a')]), { acks }));
    assert.equal(codeOf(answer), 'INVALID_REQUIRED_ACKS', String(acks));
  }
  assert.equal(appended(broker).length, 0);
  await send(rig, withBatch(batchOf([record('a')])));
  assert.equal(appended(broker)[0]?.acks, 'all', 'the default');
});

test('an append may name where the partition has to end, and ask for every replica', async (t) => {
  const broker = fakeBroker({ append: () => Promise.resolve(ok(receiptAt(41))) });
  const rig = await startRig(t, broker);
  const batch = batchOf([record('a')]);
  await send(rig, withBatch(batch, { expectedEndOffset: 41n, everyReplica: true }));
  const [request] = appended(broker);
  assert.deepEqual([request?.expectedEndOffset, request?.everyReplica], [41, true]);
  const refused: readonly [Partial<ProduceRequest>, string][] = [
    [{ expectedEndOffset: -1n }, 'expected_end_offset must be from 0 to'],
    [{ expectedEndOffset: 2n ** 53n }, 'expected_end_offset must be from 0 to'],
    [{ expectedEndOffset: 0n, partition: undefined }, 'partition is required with expected_end_offset'],
    [{ everyReplica: true, acks: Acks.ACKS_LEADER }, 'every_replica needs ACKS_ALL'],
  ];
  for (const [more, text] of refused) {
    const answer = await send(rig, withBatch(batch, more));
    assert.ok(answer.kind === 'error' && answer.detail?.message.includes(text) === true, text);
  }
  assert.equal(appended(broker).length, 1);
});

describe('a record_batch', () => {
  test('reaches the broker byte for byte, and the receipt comes back whole', async (t) => {
    const broker = fakeBroker({ append: () => Promise.resolve(ok(receiptAt(41))) });
    const batch = batchOf([record('one'), record('two')], { compression: 'gzip' });
    const answer = await send(
      await startRig(t, broker),
      withBatch(batch, { partition: 3, topicId: topicUuid.toUpperCase() }),
    );
    const [request] = appended(broker);
    assert.deepEqual(
      { ...request, batch: Buffer.from(request!.batch) },
      {
        topic: 'orders',
        topicId: topicUuid,
        partition: 3,
        acks: 'all',
        batch: Buffer.from(batch),
        expectedEndOffset: null,
        everyReplica: false,
      },
    );
    assert.deepEqual(answer, {
      kind: 'ok',
      value: {
        topicId: topicUuid,
        partition: 0,
        baseOffset: 41n,
        leaderEpoch: 3,
        appendTimeMs: 1_700_000_000_000n,
        committed: true,
        duplicate: false,
        logStartOffset: 0n,
        catalogRevision: 7n,
        entryIndex: 43n,
        entryTerm: 3,
        durableOn: [0, 2],
        leader: undefined,
      },
    });
  });

  test('of a duplicate whose offset is forgotten is answered without one, not with 0 (pit-P117)', async (t) => {
    const receipt = { ...receiptAt(0), baseOffset: null, appendTimeMs: null, duplicate: true };
    const rig = await startRig(t, fakeBroker({ append: () => Promise.resolve(ok(receipt)) }));
    const answer = await send(rig, withBatch(batchOf([record('x')])));
    assert.ok(answer.kind === 'ok');
    assert.deepEqual(
      [answer.value.baseOffset, answer.value.appendTimeMs, answer.value.duplicate],
      [undefined, undefined, true],
    );
  });

  test('without partition and routing key goes where its keys belong', async (t) => {
    const broker = fakeBroker(acceptingAppends());
    const rig = await startRig(t, broker);
    const key = String.fromCharCode(2);
    await send(rig, withBatch(batchOf([record('v', key)]), { partition: undefined }));
    assert.equal(appended(broker)[0]!.partition, 2);
  });
});

describe('friendly records', () => {
  test('are sealed into a batch with key, value, headers, time and compression', async (t) => {
    const broker = fakeBroker(acceptingAppends());
    const rig = await startRig(t, broker);
    const full: WireRecord = {
      key: utf8.encode('k'),
      value: undefined,
      headers: [
        { name: 'h', value: utf8.encode('1') },
        { name: 'h', value: undefined },
      ],
      timestampMs: 5n,
      offset: 99n,
    };
    const answer = await send(rig, withRecords([full], { compression: Compression.COMPRESSION_GZIP }));
    assert.equal(codeOf(answer), 'ok');
    const decoded = decodeBatch(appended(broker)[0]!.batch, codecs);
    assert.ok(decoded.kind === 'ok');
    assert.equal(decoded.value.header.compression, 'gzip');
    const [stored] = decoded.value.records;
    assert.deepEqual([decoder.decode(stored!.key), stored!.value, stored!.timestampMs], ['k', null, 5]);
    assert.deepEqual(
      stored!.headers.map(({ name, value }) => [name, value === null ? null : decoder.decode(value)]),
      [
        ['h', '1'],
        ['h', null],
      ],
    );
  });

  test('without a time get the broker’s clock', async (t) => {
    const broker = fakeBroker(acceptingAppends());
    const rig = await startRig(t, broker);
    const before = Date.now();
    await send(rig, withRecords([wireRecord('v')]));
    const header = readBatchHeader(appended(broker)[0]!.batch);
    assert.ok(header.kind === 'ok');
    assert.ok(header.value.baseTimestampMs >= before && header.value.baseTimestampMs <= Date.now());
  });

  test('carry the producer identity of the request', async (t) => {
    const broker = fakeBroker(acceptingAppends());
    const rig = await startRig(t, broker);
    const producer = { producerId: 9_007_199_254_740_991n, producerEpoch: 3, baseSequence: 17 };
    assert.equal(codeOf(await send(rig, withRecords([wireRecord('v')], { producer }))), 'ok');
    const header = readBatchHeader(appended(broker)[0]!.batch);
    assert.ok(header.kind === 'ok');
    assert.deepEqual(header.value.producer, {
      id: toProducerId(9_007_199_254_740_991),
      epoch: toProducerEpoch(3),
      baseSequence: toSequence(17),
    });
  });

  test('choose their partition: explicit, then routing key, then their own keys, then any', async (t) => {
    const broker = fakeBroker(acceptingAppends());
    const rig = await startRig(t, broker);
    const key = (code: number): string => String.fromCharCode(code);
    const nowhere = { partition: undefined };
    await send(rig, withRecords([wireRecord('v', key(1))], { partition: 3, routingKey: utf8.encode(key(2)) }));
    await send(rig, withRecords([wireRecord('v', key(1))], { ...nowhere, routingKey: utf8.encode(key(2)) }));
    await send(rig, withRecords([wireRecord('v', key(1)), wireRecord('w', key(5)), wireRecord('x')], nowhere));
    await send(rig, withRecords([wireRecord('v')], nowhere));
    assert.deepEqual(
      appended(broker).map(({ partition }) => partition),
      [3, 2, 1, 0],
    );
  });

  test('whose keys belong to different partitions are refused with what to do', async (t) => {
    const rig = await startRig(t, fakeBroker(acceptingAppends()));
    const records = ['\u0001', '\u0002'].map((key) => wireRecord('v', key));
    const answer = await send(rig, withRecords(records, { partition: undefined }));
    assert.ok(answer.kind === 'error');
    assert.match(
      answer.detail!.message,
      /belong to 2 partitions: send one request for each key, or name the partition/,
    );
  });
});

describe('bad input is refused with its specific error, and nothing is appended', () => {
  const huge = 'x'.repeat(1024 * 1024 + 1);
  const oneMebibyte = 'x'.repeat(1024 * 1024 - 100);
  const cases: readonly (readonly [string, string, ProduceRequest])[] = [
    ['a bad topic name', 'INVALID_TOPIC', withRecords([wireRecord('v')], { topic: 'no spaces' })],
    ['an empty topic name', 'INVALID_TOPIC', withRecords([wireRecord('v')], { topic: '' })],
    ['a topic name of 250 characters', 'INVALID_TOPIC', withRecords([wireRecord('v')], { topic: 'a'.repeat(250) })],
    ['a topic id that is no UUID', 'INVALID_REQUEST', withRecords([wireRecord('v')], { topicId: 'x' })],
    ['a negative partition', 'INVALID_REQUEST', withRecords([wireRecord('v')], { partition: -1 })],
    ['no payload', 'INVALID_REQUEST', emptyRequest],
    ['no records', 'INVALID_RECORD', withRecords([])],
    ['a record above 1 MiB', 'MESSAGE_TOO_LARGE', withRecords([wireRecord(huge)])],
    ['records above a batch', 'MESSAGE_TOO_LARGE', withRecords([wireRecord(oneMebibyte), wireRecord(oneMebibyte)])],
    [
      'a header without a name',
      'INVALID_RECORD',
      withRecords([{ ...wireRecord('v'), headers: [{ name: '', value: undefined }] }]),
    ],
    ['a negative time', 'INVALID_REQUEST', withRecords([{ ...wireRecord('v'), timestampMs: -1n }])],
    ['a time beyond 2^53', 'INVALID_REQUEST', withRecords([{ ...wireRecord('v'), timestampMs: 2n ** 53n }])],
    ['an unknown acknowledgement', 'INVALID_REQUIRED_ACKS', withRecords([wireRecord('v')], { acks: 9 as Acks })],
    ['ACKS_NONE on an unary call', 'INVALID_REQUIRED_ACKS', withRecords([wireRecord('v')], { acks: Acks.ACKS_NONE })],
    [
      'a producer identity without ACKS_ALL',
      'INVALID_REQUIRED_ACKS',
      withRecords([wireRecord('v')], {
        acks: Acks.ACKS_LEADER,
        producer: { producerId: 1n, producerEpoch: 0, baseSequence: 0 },
      }),
    ],
    [
      'a producer id beyond 2^53',
      'INVALID_REQUEST',
      withRecords([wireRecord('v')], { producer: { producerId: 2n ** 53n, producerEpoch: 0, baseSequence: 0 } }),
    ],
    [
      'a producer epoch beyond 15 bits',
      'INVALID_REQUEST',
      withRecords([wireRecord('v')], { producer: { producerId: 1n, producerEpoch: 40_000, baseSequence: 0 } }),
    ],
    [
      'a producer beside a record_batch',
      'INVALID_REQUEST',
      withBatch(batchOf([record('v')]), { producer: { producerId: 1n, producerEpoch: 0, baseSequence: 0 } }),
    ],
    [
      'an unknown compression',
      'UNSUPPORTED_COMPRESSION_TYPE',
      withRecords([wireRecord('v')], { compression: 9 as Compression }),
    ],
    ['a time-out of 0', 'INVALID_REQUEST', withRecords([wireRecord('v')], { timeoutMs: 0 })],
    ['a time-out above two minutes', 'INVALID_REQUEST', withRecords([wireRecord('v')], { timeoutMs: 120_001 })],

    ['an empty batch', 'CORRUPT_MESSAGE', withBatch(new Uint8Array())],
    ['a batch of noise', 'CORRUPT_MESSAGE', withBatch(new Uint8Array(500).fill(0x5a))],
    ['a batch above its limit', 'MESSAGE_TOO_LARGE', withBatch(new Uint8Array(1024 * 1024 + 64 * 1024 + 1))],
    [
      'a corrupt checksum',
      'CORRUPT_MESSAGE',
      withBatch(Uint8Array.from(batchOf([record('abc')]), (byte, i) => (i === 70 ? byte ^ 1 : byte))),
    ],
    ['two batches', 'CORRUPT_MESSAGE', withBatch(Buffer.concat([batchOf([record('a')]), batchOf([record('b')])]))],
    ['a count that lies', 'INVALID_RECORD', withBatch(tampered((batch) => putInt32(batch, batchLayout.count, 1)))],
    [
      'a count that lies and agrees with the rest of the header',
      'INVALID_RECORD',
      withBatch(
        tampered((batch) => {
          putInt32(batch, batchLayout.count, 1);
          putInt32(batch, batchLayout.lastOffsetDelta, 0);
        }),
      ),
    ],
    ['an encoded record above 1 MiB', 'MESSAGE_TOO_LARGE', withBatch(batchOf([record(huge)], {}, 2 ** 21))],
    ['a count of 0', 'INVALID_RECORD', withBatch(tampered((batch) => putInt32(batch, batchLayout.count, 0)))],
    [
      'a compression that does not exist',
      'UNSUPPORTED_COMPRESSION_TYPE',
      withBatch(tampered((batch) => putInt16(batch, batchLayout.attributes, 7))),
    ],
    [
      'a transactional batch',
      'INVALID_RECORD',
      withBatch(tampered((batch) => putInt16(batch, batchLayout.attributes, 16))),
    ],
    ['a control batch', 'INVALID_RECORD', withBatch(tampered((batch) => putInt16(batch, batchLayout.attributes, 32)))],
    [
      'unknown attributes',
      'INVALID_RECORD',
      withBatch(tampered((batch) => putInt16(batch, batchLayout.attributes, 128))),
    ],
  ];

  test('one by one', async (t) => {
    const broker = fakeBroker(acceptingAppends());
    const rig = await startRig(t, broker);
    for (const [what, code, request] of cases) {
      const answer = await send(rig, request);
      assert.equal(codeOf(answer), code, what);
      assert.ok(answer.kind === 'error' && answer.status === Status.INVALID_ARGUMENT, what);
      assert.equal(answer.detail!.indeterminate, false);
    }
    assert.deepEqual(broker.calls, []);
  });

  test('an unknown topic is NOT_FOUND, whoever chooses the partition', async (t) => {
    const unknown = refuse('UNKNOWN_TOPIC_OR_PARTITION', 'No such topic.');
    const rig = await startRig(
      t,
      fakeBroker({ append: () => Promise.resolve(unknown), choosePartition: () => unknown }),
    );
    for (const partition of [0, undefined]) {
      const answer = await send(rig, withRecords([wireRecord('v')], { partition }));
      assert.ok(answer.kind === 'error' && answer.status === Status.NOT_FOUND);
    }
  });

  test('a request above 4 MiB is refused with a typed error', async (t) => {
    const broker = fakeBroker(acceptingAppends());
    const answer = await send(await startRig(t, broker), withBatch(new Uint8Array(5 * 1024 * 1024)));
    assert.equal(codeOf(answer), 'MESSAGE_TOO_LARGE');
    assert.deepEqual(broker.calls, []);
  });

  test('a request above 8 MiB is refused by the gRPC layer', async (t) => {
    const answer = await send(await startRig(t, fakeBroker()), withBatch(new Uint8Array(9 * 1024 * 1024)));
    assert.ok(answer.kind === 'error' && answer.status === Status.RESOURCE_EXHAUSTED);
  });

  test('two million records in 4 MiB are refused before they become objects', async (t) => {
    const rig = await startRig(t, fakeBroker());
    const none: WireRecord = {
      key: undefined,
      value: undefined,
      headers: [],
      timestampMs: undefined,
      offset: undefined,
    };
    const records = Array.from({ length: 1_000_000 }, () => none);
    const answer = await send(rig, withRecords(records));
    assert.equal(codeOf(answer), 'INVALID_REQUEST');
    assert.match(answer.kind === 'error' ? answer.detail!.message : '', /more than 250000 nested messages/);
  });
});

test('the time-out of a request is the broker’s deadline, unless the call ends earlier', async (t) => {
  const broker = fakeBroker(acceptingAppends());
  const rig = await startRig(t, broker);
  const before = performance.now();
  await send(rig, withRecords([wireRecord('v')]));
  await send(rig, withRecords([wireRecord('v')], { timeoutMs: 120 }));
  await call((reply) =>
    rig.log.produce(withRecords([wireRecord('v')]), { deadline: Date.now() + 2_000 } as never, reply),
  );
  const spans = broker.contexts().map(({ deadlineMs }) => deadlineMs - before);
  assert.ok(spans[0]! >= 29_990 && spans[0]! < 32_000, String(spans[0]));
  assert.ok(spans[1]! >= 110 && spans[1]! < 2_000, String(spans[1]));
  assert.ok(spans[2]! > 1_000 && spans[2]! < 4_000, String(spans[2]));
});

describe('InitProducer', () => {
  const grant = { producerId: toProducerId(7), producerEpoch: toProducerEpoch(1), secret: new Uint8Array(16).fill(9) };

  test('gives a new identity, or raises the epoch of one', async (t) => {
    const broker = fakeBroker({ initProducer: () => Promise.resolve(ok(grant)) });
    const { log } = await startRig(t, broker);
    const first = await call<InitProducerResponse>((reply) =>
      log.initProducer({ previous: undefined, secret: undefined }, reply),
    );
    assert.ok(first.kind === 'ok');
    assert.deepEqual(
      { ...first.value, secret: [...first.value.secret] },
      { producerId: 7n, producerEpoch: 1, secret: [...grant.secret] },
    );
    const previous = { producerId: 7n, producerEpoch: 1, baseSequence: 0 };
    await call((reply) => log.initProducer({ previous, secret: new Uint8Array(16) }, reply));
    assert.equal(broker.calls[0]!.args[0], null);
    assert.deepEqual((broker.calls[1]!.args[0] as { producerId: number }).producerId, 7);
  });

  test('refuses half of a proof, and a secret that can not be one', async (t) => {
    const { log } = await startRig(t, fakeBroker());
    const previous = { producerId: 7n, producerEpoch: 1, baseSequence: 0 };
    const codes: string[] = [];
    for (const request of [
      { previous, secret: undefined },
      { previous: undefined, secret: new Uint8Array(16) },
      { previous, secret: new Uint8Array(3) },
    ])
      codes.push(codeOf(await call((reply) => log.initProducer(request, reply))));
    assert.deepEqual(codes, ['INVALID_REQUEST', 'INVALID_REQUEST', 'INVALID_PRODUCER_SECRET']);
  });
});

describe('ResolveAppend', () => {
  const producer = { producerId: 7n, producerEpoch: 1, baseSequence: 5 };
  const request: ResolveAppendRequest = {
    ...{ topic: 'orders', topicId: undefined, partition: 2, producer, secret: Buffer.alloc(16, 9) },
    ...{ recordCount: 3, ageMs: 40n, timeoutMs: undefined },
  };

  test('asks the broker about one batch, and tells what became of it', async (t) => {
    const found = { topicId: topicUuid, partition: 2, leaderEpoch: toTerm(4), catalogRevision: 8 };
    const answers: ResolveAnswer[] = [
      { ...found, outcome: 'committed', baseOffset: toOffset(17), appendTimeMs: toMillis(1_000) },
      { ...found, outcome: 'committed', baseOffset: null, appendTimeMs: null },
      { ...found, outcome: 'never', baseOffset: null, appendTimeMs: null },
      { ...found, outcome: 'expired', baseOffset: null, appendTimeMs: null },
    ];
    const broker = fakeBroker({ resolveAppend: () => Promise.resolve(ok(answers.shift()!)) });
    const { log } = await startRig(t, broker);
    const seen: unknown[] = [];
    while (answers.length > 0) {
      const answer = await call<ResolveAppendResponse>((reply) => log.resolveAppend(request, reply));
      assert.ok(answer.kind === 'ok');
      seen.push([answer.value.outcome, answer.value.baseOffset, answer.value.appendTimeMs]);
    }
    assert.deepEqual(seen, [
      [AppendOutcome.APPEND_OUTCOME_COMMITTED, 17n, 1_000n],
      [AppendOutcome.APPEND_OUTCOME_COMMITTED, undefined, undefined],
      [AppendOutcome.APPEND_OUTCOME_NEVER, undefined, undefined],
      [AppendOutcome.APPEND_OUTCOME_EXPIRED, undefined, undefined],
    ]);
    const [asked] = broker.calls[0]!.args as [ResolveRequest];
    assert.deepEqual(
      { ...asked, secret: asked.secret.length },
      {
        ...{ topic: 'orders', topicId: null, partition: 2, count: 3, ageMs: 40, secret: 16 },
        producer: { id: 7, epoch: 1, baseSequence: 5 },
      },
    );
  });

  test('refuses what can not be asked', async (t) => {
    const { log } = await startRig(t, fakeBroker());
    const bad: Partial<ResolveAppendRequest>[] = [
      { producer: undefined },
      { producer: { ...producer, producerEpoch: 40_000 } },
      { producer: { ...producer, baseSequence: -1 } },
      { recordCount: 0 },
      { ageMs: -1n },
      { timeoutMs: 0 },
      { partition: -1 },
      { topic: 'no/name' },
      { secret: Buffer.alloc(3) },
    ];
    const codes: string[] = [];
    for (const change of bad)
      codes.push(codeOf(await call((reply) => log.resolveAppend({ ...request, ...change }, reply))));
    const unfit = Array.from({ length: 7 }, () => 'INVALID_REQUEST');
    assert.deepEqual(codes, [...unfit, 'INVALID_TOPIC', 'INVALID_PRODUCER_SECRET']);
  });
});
