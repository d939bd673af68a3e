import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeBatch } from '../../../src/model/batch-decoder.ts';
import { readBatchHeader } from '../../../src/model/record-batch.ts';
import type { StoredRecord } from '../../../src/model/record.ts';
import { Client } from '../src/client.ts';
import { createCompression } from '../src/compression.ts';
import { crc32c } from '../src/crc32c.ts';
import { BrokerError } from '../src/errors.ts';
import type { ErrorCode } from '../src/errors.ts';
import { PartialSendError } from '../src/producer.ts';
import { serdes, topic } from '../src/serde.ts';
import { ScriptedServer } from './scripted-server.ts';

let server: ScriptedServer;
let client: Client;

beforeEach(async () => {
  server = new ScriptedServer();
  await server.start();
  server.createTopic('t');
  client = new Client({ brokers: server.address, backoff: { initialMs: 5, maxMs: 50 } });
});

afterEach(async () => {
  await client.close();
  server.stop();
});

const value = (text: string): { value: Uint8Array } => ({ value: Buffer.from(text) });

async function records(name = 't', partition = 0): Promise<StoredRecord[]> {
  const codecs = { compression: await createCompression(), crc32c };
  return server.partition(name, partition).batches.flatMap(({ bytes }) => {
    const decoded = decodeBatch(bytes, codecs);
    if (decoded.kind === 'refused') assert.fail(decoded.error.message);
    return decoded.value.records;
  });
}

const values = async (name = 't', partition = 0): Promise<string[]> =>
  (await records(name, partition)).map((record) => Buffer.from(record.value ?? []).toString());

const numbers = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n));

describe('a producer', () => {
  it('sends records as one batch a turn, and says where each went', async () => {
    const producer = client.producer();
    const metas = await Promise.all(numbers(10).map((text) => producer.send('t', { ...value(text), timestampMs: 5 })));
    assert.deepEqual(metas[3], {
      topic: 't',
      partition: 0,
      offset: 3,
      timestampMs: 5,
      duplicate: false,
      leaderEpoch: 1,
      committed: true,
      entry: null,
      durableOn: [],
    });
    assert.deepEqual(
      metas.map((meta) => meta.offset),
      numbers(10).map(Number),
    );
    assert.deepEqual(await values(), numbers(10));
    assert.equal(server.partition('t').batches.length, 1);
  });

  it('is idempotent: batches carry an identity and dense sequences', async () => {
    const producer = client.producer();
    await producer.send('t', value('a'));
    await producer.sendMany('t', [value('b'), value('c')]);
    await producer.send('t', value('d'));
    const stamps = server.partition('t').batches.map(({ bytes }) => {
      const header = readBatchHeader(bytes);
      return header.kind === 'ok' ? header.value.producer?.baseSequence : null;
    });
    assert.deepEqual(stamps, [0, 1, 3]);
  });

  it('keeps key, value, headers and time', async () => {
    const producer = client.producer();
    const headers = [
      ['a', 'text'],
      ['a', Buffer.from([1])],
    ] as const;
    await producer.send('t', { key: Buffer.from('k'), value: null, headers, timestampMs: 1234 });
    const [record] = await records();
    assert.ok(record !== undefined);
    assert.deepEqual(
      record.headers.map(({ name, value: bytes }) => [name, Buffer.from(bytes ?? []).toString('hex')]),
      [
        ['a', Buffer.from('text').toString('hex')],
        ['a', '01'],
      ],
    );
    assert.equal(record.value, null);
    assert.equal(Buffer.from(record.key ?? []).toString(), 'k');
    assert.equal(record.timestampMs, 1234);
  });

  it('sends a key to its murmur2 partition, the caller’s partition where it says, and the rest anywhere', async () => {
    server.createTopic('many', 3);
    const producer = client.producer();
    // murmur2("21") & 0x7fffffff = 1193374728 (Kafka's own test vector: -973932308 for the signed value of "21").
    const expected = (-973932308 & 0x7fffffff) % 3;
    const byKey = await producer.send('many', { key: Buffer.from('21'), ...value('x') });
    assert.equal(byKey.partition, expected);
    assert.equal((await producer.send('many', { key: Buffer.from('21'), ...value('y'), partition: 2 })).partition, 2);
    const anywhere = await producer.send('many', value('z'));
    assert.ok(anywhere.partition >= 0 && anywhere.partition < 3);
    await assert.rejects(producer.send('many', { ...value('x'), partition: 3 }), {
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
    });
  });

  it('uses serdes, and a typed topic handle over its own', async () => {
    const orders = topic('t', { key: serdes.utf8, value: serdes.json((parsed) => parsed as { id: number }) });
    const producer = client.producer<string, { id: number }>({
      key: serdes.utf8,
      value: serdes.json(() => ({ id: 0 })),
    });
    await producer.send(orders, { key: 'k', value: { id: 7 } });
    await producer.send('t', { key: 'k', value: { id: 8 } });
    assert.deepEqual(await values(), ['{"id":7}', '{"id":8}']);
    const failing = client.producer<string, string>({
      value: { serialize: () => assert.fail('no'), deserialize: String },
    });
    await assert.rejects(failing.send('t', { value: 'x' }), { code: 'SERDE_FAILED', indeterminate: false });
  });

  it('compresses', async () => {
    for (const compression of ['gzip', 'zstd', 'lz4', 'snappy'] as const) {
      const producer = client.producer({ compression });
      await producer.send('t', value('x'.repeat(5000)));
      const last = server.partition('t').batches.at(-1);
      assert.ok((last?.bytes.length ?? 5000) < 1000, compression);
    }
    assert.deepEqual(
      (await values()).map((text) => text.length),
      [5000, 5000, 5000, 5000],
    );
  });

  it('closes batches at their size and their number of records', async () => {
    const bySize = client.producer({ batch: { maxBytes: 1000 } });
    await bySize.sendMany(
      't',
      Array.from({ length: 10 }, () => value('x'.repeat(400))),
    );
    assert.equal(server.partition('t').batches.length, 5);
    const byCount = client.producer({ batch: { maxRecords: 3 } });
    await byCount.sendMany('t', numbers(7).map(value));
    assert.deepEqual(
      server
        .partition('t')
        .batches.slice(5)
        .map((batch) => batch.count),
      [3, 3, 1],
    );
  });

  it('lingers for more records, but not when flushed', async () => {
    const producer = client.producer({ batch: { lingerMs: 60_000 } });
    const first = producer.send('t', value('a'));
    await sleep(20);
    const second = producer.send('t', value('b'));
    assert.equal(server.partition('t').batches.length, 0);
    await producer.flush();
    await Promise.all([first, second]);
    assert.equal(server.partition('t').batches.length, 1);
    const lingering = client.producer({ batch: { lingerMs: 30 } });
    const started = performance.now();
    await lingering.send('t', value('c'));
    assert.ok(performance.now() - started >= 29);
  });

  it('takes a record of 1 MiB and refuses a larger one for good', async () => {
    const producer = client.producer();
    const large = new Uint8Array(1024 * 1024);
    await producer.send('t', { value: large });
    await assert.rejects(producer.send('t', { value: new Uint8Array(large.length + 1) }), {
      code: 'MESSAGE_TOO_LARGE',
      indeterminate: false,
      fields: { limit: String(large.length), actual: String(large.length + 1) },
    });
    await producer.send('t', value('after'));
    assert.equal(server.partition('t').batches.length, 2);
  });

  it('sends with acks leader, and with acks none without waiting', async () => {
    const leader = client.producer({ acks: 'leader' });
    assert.equal((await leader.send('t', value('a'))).offset, 0);
    const none = client.producer({ acks: 'none' });
    const meta = await none.send('t', value('b'));
    assert.deepEqual([meta.offset, meta.leaderEpoch], [null, null]);
    await none.close();
    while (server.partition('t').endOffset < 2) await sleep(5);
    assert.throws(() => client.producer({ acks: 'leader', idempotent: true }), { code: 'INVALID_REQUEST' });
  });
});

it('sem-I11: idempotence is the default, needs acks all, and has five batches in flight at most', async () => {
  for (const acks of ['leader', 'none'] as const)
    assert.throws(() => client.producer({ acks, idempotent: true }), { code: 'INVALID_REQUEST' });
  let sentBatches = 0;
  server.appendFault = () => {
    sentBatches += 1;
    return { kind: 'silent' };
  };
  const producer = client.producer({ batch: { maxRecords: 1 } });
  for (const text of numbers(12)) producer.send('t', { ...value(text), partition: 0 }).catch(() => undefined);
  for (let waited = 0; sentBatches < 5 && waited < 10_000; waited += 10) await sleep(10);
  await sleep(200);
  assert.equal(sentBatches, 5);
  producer.abandon();
});

describe('a conditional send', () => {
  it('is appended only where the partition ends at the expected offset, and the producer goes on either way', async () => {
    const producer = client.producer();
    const sends = await Promise.allSettled([
      producer.send('t', { ...value('a'), partition: 0 }),
      producer.send('t', { ...value('b'), partition: 0 }, { expectedEndOffset: 1 }),
      producer.send('t', { ...value('c'), partition: 0 }, { expectedEndOffset: 1 }),
      producer.send('t', { ...value('d'), partition: 0 }),
    ]);
    assert.deepEqual(
      sends.map((sent) => (sent.status === 'fulfilled' ? sent.value.offset : (sent.reason as BrokerError).code)),
      [0, 1, 'UNEXPECTED_END_OFFSET', 2],
    );
    assert.ok(sends[2].status === 'rejected');
    const refused = sends[2].reason as BrokerError;
    assert.deepEqual([refused.indeterminate, refused.retriable, refused.fields], [false, false, { actual: '2' }]);
    assert.deepEqual(await values(), ['a', 'b', 'd']);
  });

  it('needs a partition and an offset', async () => {
    const producer = client.producer();
    await assert.rejects(producer.send('t', value('a'), { expectedEndOffset: 0 }), { code: 'INVALID_REQUEST' });
    for (const expectedEndOffset of [-1, 0.5, NaN]) {
      const sent = producer.send('t', { ...value('a'), partition: 0 }, { expectedEndOffset });
      await assert.rejects(sent, { code: 'INVALID_REQUEST' });
    }
    await assert.rejects(producer.flush());
  });
});

describe('retries', () => {
  it('are answered with the original offset after a lost reply, once in the log', async () => {
    const producer = client.producer();
    await producer.send('t', value('first'));
    server.appendFault = (_, attempt) => (attempt === 1 ? { kind: 'drop', when: 'after' } : null);
    const meta = await producer.send('t', value('second'));
    assert.deepEqual([meta.offset, meta.duplicate], [1, true]);
    assert.deepEqual(await values(), ['first', 'second']);
  });

  it('keep the order of many batches through refusals, lost replies and lost connections', async () => {
    const producer = client.producer({ batch: { maxRecords: 7 } });
    let n = 0;
    server.appendFault = () => {
      n += 1;
      if (n > 60) return null;
      if (n % 17 === 5) return { kind: 'drop', when: n % 2 === 0 ? 'after' : 'before' };
      if (n % 7 === 3) return { kind: 'refuse', code: 'LIMIT_REACHED' };
      return n % 11 === 9 ? { kind: 'refuse', code: 'REQUEST_TIMED_OUT', appended: n % 2 === 0 } : null;
    };
    const metas = await producer.sendMany('t', numbers(700).map(value));
    assert.deepEqual(await values(), numbers(700));
    assert.deepEqual(
      metas.map((meta) => meta.offset),
      numbers(700).map(Number),
    );
    assert.ok(metas.some((meta) => meta.duplicate));
  });

  it('wait as long as the broker says', async () => {
    server.appendFault = (_, attempt) =>
      attempt === 0 ? { kind: 'refuse', code: 'DISK_RESERVE_REACHED', retryAfterMs: 120 } : null;
    const started = performance.now();
    await client.producer().send('t', value('a'));
    assert.ok(performance.now() - started >= 119);
  });

  it('come to an end at the delivery deadline: certain if every attempt was refused', async () => {
    const producer = client.producer({ deliveryTimeoutMs: 3_000 });
    await producer.send('t', value('before'));
    server.appendFault = () => ({ kind: 'refuse', code: 'NOT_ENOUGH_REPLICAS', retryAfterMs: 3_500 });
    const error = await producer.send('t', value('a')).catch((thrown: unknown) => thrown);
    assert.ok(BrokerError.is(error, 'DELIVERY_TIMEOUT'));
    assert.equal(error.indeterminate, false);
    assert.ok(BrokerError.is(error.cause, 'NOT_ENOUGH_REPLICAS'));
    assert.deepEqual([error.topic, error.partition], ['t', 0]);
    server.appendFault = null;
    await producer.send('t', value('b'));
    assert.deepEqual(await values(), ['before', 'b']);
  });

  it('ask what became of a batch at its deadline: it is certain, and the producer goes on', async () => {
    const producer = client.producer({ deliveryTimeoutMs: 1_000 });
    await producer.send('t', value('before'));
    server.appendFault = () => ({ kind: 'refuse', code: 'REQUEST_TIMED_OUT', appended: false });
    const asked = new Set<ErrorCode>();
    server.unaryFault = (method, attempt) => {
      if (method !== 'resolveAppend' || attempt > 3) return null;
      asked.add('LEADER_NOT_AVAILABLE');
      return 'LEADER_NOT_AVAILABLE';
    };
    await assert.rejects(producer.send('t', value('lost')), { code: 'DELIVERY_TIMEOUT', indeterminate: false });
    assert.equal(asked.size, 1);
    server.unaryFault = null;
    server.appendFault = () => ({ kind: 'refuse', code: 'REQUEST_TIMED_OUT', appended: true });
    const kept = await producer.send('t', value('kept'));
    assert.deepEqual([kept.offset, kept.duplicate, kept.committed], [1, true, true]);
    server.appendFault = null;
    await producer.send('t', value('after'));
    assert.deepEqual(await values(), ['before', 'kept', 'after']);
  });

  it('take nobody for an answer where the broker can not say what became of a batch', async () => {
    const producer = client.producer({ deliveryTimeoutMs: 500 });
    server.unaryFault = (method) => (method === 'resolveAppend' ? 'UNSUPPORTED_VERSION' : null);
    server.appendFault = () => ({ kind: 'refuse', code: 'REQUEST_TIMED_OUT' });
    await assert.rejects(producer.send('t', value('a')), { code: 'DELIVERY_TIMEOUT', indeterminate: true });
  });

  it('leave the outcome unknown if it is, and the producer goes on under a higher epoch', async () => {
    const producer = client.producer({ deliveryTimeoutMs: 1_000, resolveTimeoutMs: 0 });
    await producer.send('t', value('before'));
    server.appendFault = () => ({ kind: 'refuse', code: 'REQUEST_TIMED_OUT', appended: false });
    await assert.rejects(producer.send('t', value('lost')), { code: 'DELIVERY_TIMEOUT', indeterminate: true });
    server.appendFault = null;
    await producer.send('t', value('after'));
    assert.deepEqual(await values(), ['before', 'after']);
    assert.equal(server.producers.at(-1)?.epoch, 1);
    const header = readBatchHeader(server.partition('t').batches.at(-1)?.bytes ?? new Uint8Array());
    assert.deepEqual(
      header.kind === 'ok' && [header.value.producer?.epoch, header.value.producer?.baseSequence],
      [1, 0],
    );
  });

  it('take another epoch although the reply that raised it was lost', async () => {
    // time enough for two lost replies on a busy machine: what is sent again after a time-out may be there twice
    const producer = client.producer({ deliveryTimeoutMs: 4_000, resolveTimeoutMs: 0 });
    await producer.send('t', value('before'));
    server.appendFault = () => ({ kind: 'refuse', code: 'REQUEST_TIMED_OUT' });
    await assert.rejects(producer.send('t', value('lost')), { indeterminate: true });
    server.appendFault = null;
    let drops = 0;
    server.unaryFault = (method) => (method === 'initProducer' && drops++ < 2 ? 'drop' : null);
    assert.equal((await producer.send('t', value('after'))).offset, 1);
    assert.equal(server.producers.length, 1);
  });

  it('are not made after a refusal that says no', async () => {
    server.appendFault = (_, attempt) => (attempt === 0 ? { kind: 'refuse', code: 'INVALID_RECORD' } : null);
    const producer = client.producer({ batch: { maxRecords: 1 } });
    const sends = numbers(4).map((text) => producer.send('t', value(text)));
    await assert.rejects(sends[0] ?? assert.fail(), { code: 'INVALID_RECORD', indeterminate: false, retriable: false });
    await Promise.all(sends.slice(1));
    assert.deepEqual(await values(), ['1', '2', '3']);
    assert.equal(server.producers.at(-1)?.epoch, 0, 'no new epoch is needed');
  });

  it('give up a connection that does not answer, and resend', async () => {
    client = new Client({ brokers: server.address, timeouts: { requestMs: 1 }, backoff: { initialMs: 5, maxMs: 50 } });
    const slow = new Client({ brokers: server.address });
    await slow.close();
    server.unaryFault = null;
    const patient = new Client({ brokers: server.address, backoff: { initialMs: 5, maxMs: 50 } });
    const producer = patient.producer({ deliveryTimeoutMs: 2_000, resolveTimeoutMs: 0 });
    server.appendFault = () => ({ kind: 'silent' });
    await assert.rejects(producer.send('t', value('a')), { code: 'DELIVERY_TIMEOUT', indeterminate: true });
    producer.abandon();
    await patient.close();
  });

  it('outlive a broker that is away for a while', async () => {
    const producer = client.producer();
    await producer.send('t', value('a'));
    server.stop();
    const sent = producer.sendMany('t', [value('b'), value('c')]);
    await sleep(300);
    await server.start();
    assert.deepEqual(
      (await sent).map((meta) => meta.offset),
      [1, 2],
    );
  });
});

describe('topics', () => {
  it('that do not exist are named in the error', async () => {
    await assert.rejects(client.producer().send('nowhere', value('a')), {
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      topic: 'nowhere',
      retriable: false,
    });
  });

  it('deleted and created again get new records, never old ones', async () => {
    const producer = client.producer();
    await producer.send('t', value('old'));
    server.createTopic('t', 2);
    await assert.rejects(producer.send('t', value('stale')), { code: 'INCONSISTENT_TOPIC_ID', indeterminate: false });
    await producer.send('t', { ...value('new'), partition: 1 });
    assert.deepEqual(await values('t', 1), ['new']);
  });
});

describe('the queue', () => {
  const mib = 1024 * 1024;

  it('makes sends wait when it is full, in order', async () => {
    const producer = client.producer({ maxQueuedBytes: 2 * mib });
    const sends = numbers(40).map((text) => producer.send('t', value(text.padEnd(200_000))));
    assert.ok(producer.isFull && producer.queuedBytes <= 2 * mib);
    await Promise.all(sends);
    assert.equal(producer.queuedBytes, 0);
    assert.deepEqual(
      (await values()).map((text) => text.trim()),
      numbers(40),
    );
  });

  it('refuses when it is full, if that was asked for', async () => {
    const producer = client.producer({ maxQueuedBytes: 2 * mib, whenFull: 'reject' });
    const results = await Promise.allSettled(
      numbers(20).map((text) => producer.send('t', value(text.padEnd(200_000)))),
    );
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 10);
    assert.ok(
      refused.every(({ reason }) => BrokerError.is(reason, 'QUEUE_FULL') && reason.retriable && !reason.indeterminate),
    );
    assert.equal((await values()).length, 10);
  });

  it('gives room to those who do not await each send', async () => {
    const producer = client.producer({ maxQueuedBytes: 2 * mib });
    let peak = 0;
    for (const text of numbers(60)) {
      if (producer.isFull) await producer.room();
      void producer.send('t', value(text.padEnd(100_000)));
      peak = Math.max(peak, producer.queuedBytes);
    }
    await producer.flush();
    assert.ok(peak <= 2.2 * mib);
    assert.equal(server.partition('t').endOffset, 60);
  });

  it('drains into a WritableStream', async () => {
    const source = new ReadableStream({
      start(controller) {
        for (const text of numbers(50)) controller.enqueue(value(text));
        controller.close();
      },
    });
    await source.pipeTo(client.producer().writable('t'));
    assert.deepEqual(await values(), numbers(50));
    const failing = client.producer().writable('nowhere').getWriter();
    await failing.write(value('a'));
    await assert.rejects(failing.close(), { code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  });
});

describe('what goes wrong unseen', () => {
  it('is reported by flush, and never as an unhandled rejection', async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listener);
    const producer = client.producer();
    void producer.send('nowhere', value('a'));
    void producer.send('t', { value: 'no bytes' as unknown as Uint8Array });
    await assert.rejects(producer.flush(), { code: 'SERDE_FAILED' });
    await producer.flush();
    void producer.send('t', value('b'));
    await producer.close();
    void producer.send('t', value('late'));
    await sleep(10);
    process.off('unhandledRejection', listener);
    assert.deepEqual(unhandled, []);
    assert.deepEqual(await values(), ['b']);
  });

  it('is told by sendMany, record by record', async () => {
    const producer = client.producer();
    const error = await producer
      .sendMany('t', [value('a'), { ...value('b'), partition: 9 }, value('c')])
      .catch((thrown: unknown) => thrown);
    assert.ok(error instanceof PartialSendError);
    assert.deepEqual(
      error.results.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal(error.code, 'UNKNOWN_TOPIC_OR_PARTITION');
  });
});

describe('the end', () => {
  it('waits for what is queued', async () => {
    const producer = client.producer({ batch: { lingerMs: 60_000 } });
    const sends = numbers(5).map((text) => producer.send('t', value(text)));
    await producer.close();
    await Promise.all(sends);
    assert.deepEqual(await values(), numbers(5));
    await assert.rejects(producer.send('t', value('late')), { code: 'CLOSED' });
  });

  it('rejects with what failed while it waited', async () => {
    const producer = client.producer({ deliveryTimeoutMs: 100 });
    server.appendFault = () => ({ kind: 'refuse', code: 'NOT_ENOUGH_REPLICAS' });
    void producer.send('t', value('a'));
    await assert.rejects(producer.close(), { code: 'DELIVERY_TIMEOUT' });
  });

  it('comes with await using', async () => {
    const sends: Promise<unknown>[] = [];
    {
      await using producer = client.producer({ batch: { lingerMs: 60_000 } });
      sends.push(producer.send('t', value('a')));
    }
    await Promise.all(sends);
  });

  it('of waiting comes with an abort: certain before the record is queued, open after', async () => {
    const producer = client.producer({ batch: { lingerMs: 50 } });
    const controller = new AbortController();
    const sent = producer.send('t', value('a'), { signal: controller.signal });
    controller.abort(new Error('enough'));
    await assert.rejects(sent, { code: 'ABORTED', indeterminate: true });
    await assert.rejects(producer.send('t', value('b'), { signal: controller.signal }), {
      code: 'ABORTED',
      indeterminate: false,
    });
    await producer.close();
    const stopped = new AbortController();
    const other = client.producer({ batch: { lingerMs: 60_000 } });
    void other.send('t', value('c'));
    server.appendFault = () => ({ kind: 'silent' });
    const flushed = other.flush({ signal: stopped.signal });
    stopped.abort();
    await assert.rejects(flushed, { code: 'ABORTED' });
    other.abandon();
  });
});
