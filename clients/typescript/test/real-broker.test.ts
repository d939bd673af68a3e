/** The client against the real broker, a process of its own that can be killed. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { dataDirectory, startBroker } from '../../../test/e2e/broker-process.ts';
import type { BrokerProcess } from '../../../test/e2e/broker-process.ts';
import { Client } from '../src/client.ts';
import type { ClientOptions } from '../src/client.ts';
import { BrokerError } from '../src/errors.ts';
import { serdes } from '../src/serde.ts';
import type { ResumeTokenStorage } from '../src/resume-token.ts';

const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));
after(() => assert.deepEqual(unhandled, []));

/** A broker that can be killed and started again at the same address with the same data. */
class Restartable {
  readonly address: string;
  readonly #start: () => BrokerProcess;
  #broker: BrokerProcess;

  private constructor(address: string, start: () => BrokerProcess, broker: BrokerProcess) {
    this.address = address;
    this.#start = start;
    this.#broker = broker;
  }

  static async start(t: TestContext): Promise<Restartable> {
    const dataDir = dataDirectory(t);
    const first = startBroker(t, { 'storage.dataDir': dataDir });
    const { address } = await first.ready();
    const port = Number(address.split(':')[1]);
    const again = (): BrokerProcess => startBroker(t, { 'storage.dataDir': dataDir, 'listen.client.port': port });
    return new Restartable(address, again, first);
  }

  async kill(): Promise<void> {
    await this.#broker.kill('SIGKILL');
  }

  async restart(): Promise<void> {
    this.#broker = this.#start();
    await this.#broker.ready();
  }
}

function connect(t: TestContext, address: string, options: Partial<ClientOptions> = {}): Client {
  const client = new Client({ brokers: address, ...options });
  t.after(() => client.close());
  return client;
}

const text = { value: serdes.utf8 } as const;
const numbers = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n));

test('every call and compression round trip', async (t) => {
  const { address } = await Restartable.start(t);
  const client = connect(t, address);
  const created = await client.admin.createTopic({ name: 'orders', partitions: 3 });
  assert.equal(created.partitions.length, 3);
  await assert.rejects(client.admin.createTopic({ name: 'orders' }), { code: 'TOPIC_ALREADY_EXISTS' });
  await assert.rejects(client.admin.createTopic({ name: '__no' }), { code: 'INVALID_TOPIC' });
  const change = { retentionMs: null, retentionRecords: 100_000 } as const;
  const { config } = await client.admin.alterTopic('orders', change, { topicId: created.topicId });
  assert.deepEqual(config, {
    ...change,
    retentionBytes: null,
    minInsyncReplicas: null,
    timestampBeforeMaxMs: null,
    timestampAfterMaxMs: 3_600_000,
  });
  await client.admin.alterTopic('orders', { retentionMs: 'default' });
  assert.equal((await client.admin.describeTopic('orders')).config.retentionMs, 7 * 86_400_000);
  await assert.rejects(client.admin.alterTopic('orders', { retentionBytes: 0 }), { code: 'INVALID_CONFIG' });
  const metas = [];
  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const producer = client.producer<string, string>({ key: serdes.utf8, ...text, compression });
    metas.push(
      await producer.send('orders', { key: 'k', value: compression.repeat(100), headers: [['h', compression]] }),
    );
  }
  const { partition } = metas[0] ?? assert.fail();
  assert.deepEqual(
    metas.map((meta) => [meta.partition, meta.offset]),
    [0, 1, 2, 3, 4].map((offset) => [partition, offset]),
  );
  const read: [string | null, string | undefined][] = [];
  const reader = client.reader<string, string>({ topic: 'orders', key: serdes.utf8, ...text, until: 'latest' });
  for await (const record of reader) read.push([record.value, record.header('h')]);
  assert.deepEqual(
    read.map(([value, header]) => value === header?.repeat(100)),
    [true, true, true, true, true],
  );
  const [end] = await client.admin.listOffsets([{ topic: 'orders', partition, at: 'latest' }]);
  const [third] = await client.admin.listOffsets([
    { topic: 'orders', partition, at: { timestampMs: metas[2]?.timestampMs ?? 0 } },
  ]);
  assert.equal(end?.offset, 5);
  assert.ok((third?.offset ?? 9) <= 2);
  assert.deepEqual(
    (await client.admin.listTopics()).map(({ name }) => name),
    ['orders'],
  );
  const described = await client.admin.describeTopic('orders');
  assert.equal(described.partitions[partition]?.highWatermark, 5);
  assert.equal((await client.admin.describeCluster()).brokers[0]?.address, address);
  await client.admin.deleteTopic('orders');
  await assert.rejects(client.admin.describeTopic('orders'), { code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  const created2 = await client.admin.createTopic({ name: 'orders' });
  assert.notEqual(created2.topicId, created.topicId);
});

test('promise-durable, promise-ordered: both sides go on over kills of the broker, each record once in the log', async (t) => {
  const broker = await Restartable.start(t);
  const client = connect(t, broker.address);
  await client.admin.createTopic({ name: 't', partitions: 2 });
  const producer = client.producer<Uint8Array, string>({ ...text, batch: { maxRecords: 50 } });
  const consumer = client.consumer<Uint8Array, string>({ group: 'g', topics: ['t'], ...text, onNoOffset: 'earliest' });
  const total = 4_500;
  const seen: number[][] = [[], []];
  /** When the broker served again, once for each kill that nothing was consumed after yet. */
  const served: number[] = [];
  let slowestRestartMs = 0;
  let slowestResumeMs = 0;
  const consuming = (async () => {
    for await (const batch of consumer.batches()) {
      for (const ms of served.splice(0)) slowestResumeMs = Math.max(slowestResumeMs, performance.now() - ms);
      for (const record of batch.records) seen[batch.partition]?.push(Number(record.value));
      if ((seen[0]?.length ?? 0) + (seen[1]?.length ?? 0) >= total) break;
    }
  })();
  const sends: Promise<{ partition: number; offset: number | null }>[] = [];
  for (const n of numbers(total)) {
    sends.push(producer.send('t', { value: n, partition: Number(n) % 2 }));
    if (sends.length % 20 === 0) await sleep(1);
    if (sends.length === 1_500 || sends.length === 3_000) {
      await broker.kill();
      const killedMs = performance.now();
      await broker.restart();
      served.push(performance.now());
      slowestRestartMs = Math.max(slowestRestartMs, performance.now() - killedMs);
    }
  }
  const metas = await Promise.all(sends);
  await consuming;
  // the start of a process tells how fast the machine is at the moment; the longest pause before a retry is 2 s
  const resumeMsMax = 3_000 + 5 * slowestRestartMs;
  assert.ok(slowestResumeMs < resumeMsMax, `${slowestResumeMs} ms to resume, ${slowestRestartMs} ms to start`);
  const expected = [0, 1].map((parity) =>
    numbers(total)
      .map(Number)
      .filter((n) => n % 2 === parity),
  );
  assert.deepEqual(seen, expected, 'in order, none lost, none twice');
  for (const [n, meta] of metas.entries()) assert.equal(expected[meta.partition]?.[meta.offset ?? -1], n);
});

test('many handlers on each partition, over a kill of the broker and a member that joins: every key in order, all committed', async (t) => {
  const broker = await Restartable.start(t);
  const client = connect(t, broker.address);
  await client.admin.createTopic({ name: 't', partitions: 2 });
  const total = 4_000;
  const keys = 50;
  /** By key: numbers in the order in which they were done first. */
  const done = Array.from({ length: keys }, (): number[] => []);
  const known = new Set<number>();
  const runs: Promise<void>[] = [];
  const member = (): { close(): Promise<void> } => {
    const types = { key: serdes.utf8, value: serdes.utf8 };
    const consumer = client.consumer<string, string>({ group: 'g', topics: ['t'], ...types, onNoOffset: 'earliest' });
    const run = consumer.run(
      async ({ key, value }) => {
        await sleep(Number(value) % 5);
        if (known.has(Number(value))) return; // delivered again, after a rebalance or a crash
        known.add(Number(value));
        done[Number(key)]?.push(Number(value));
      },
      { concurrency: 16, orderBy: 'key' },
    );
    runs.push(run);
    return consumer;
  };
  const first = member();
  const producer = client.producer<string, string>({ key: serdes.utf8, value: serdes.utf8 });
  const send = (from: number, until: number): Promise<unknown> => {
    const all = Array.from({ length: until - from }, (_, n) => from + n);
    return producer.sendMany('t', all.map((n) => ({ key: String(n % keys), value: String(n) }))); // prettier-ignore
  };
  await send(0, total / 2);
  const second = member();
  await sleep(200);
  await broker.kill();
  await broker.restart();
  await send(total / 2, total);
  const deadline = performance.now() + 60_000;
  while (known.size < total && performance.now() < deadline) await sleep(20);
  await first.close();
  await second.close();
  await Promise.all(runs);
  assert.equal(known.size, total);
  for (const [key, numbers] of done.entries())
    assert.deepEqual(numbers, Array.from({ length: total / keys }, (_, n) => n * keys + key)); // prettier-ignore
  const lags = await client.groups.lag('g');
  assert.deepEqual(lags.map(({ lag }) => lag), [0, 0]); // prettier-ignore
});

test('a killed consumer with a resume token goes on at once, where the group had committed', async (t) => {
  const broker = await Restartable.start(t);
  const client = connect(t, broker.address);
  await client.admin.createTopic({ name: 't' });
  await client.producer<Uint8Array, string>(text).sendMany(
    't',
    numbers(100).map((value) => ({ value })),
  );
  let token: Uint8Array | null = null;
  const resumeToken: ResumeTokenStorage = {
    load: () => Promise.resolve(token),
    save: (saved) => {
      token = saved;
      return Promise.resolve();
    },
  };
  const options = { group: 'g', topics: ['t'], ...text, onNoOffset: 'earliest', resumeToken } as const;
  const killed = client.consumer<Uint8Array, string>(options);
  const iterator = killed.records();
  for (let n = 0; n < 30; n++) await iterator.next();
  await killed.commit();
  killed.abandon();
  await broker.kill(); // and the coordinator with it
  await broker.restart();
  const started = performance.now();
  const next = client.consumer<Uint8Array, string>(options);
  const { value: record } = await next.records().next();
  assert.equal(record?.value, '30');
  assert.ok(performance.now() - started < 15_000, 'without waiting for the session of the dead one (45 s)');
  await next.close();
  const [committed] = await client.admin.fetchCommitted('g', [{ topic: 't', partition: 0 }]);
  assert.equal(committed?.offset, 30);
});

describe('bad input', () => {
  test('a broker that is not there is said to be, and soon', async (t) => {
    const probe = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const address = probe.address();
    const port = typeof address === 'object' && address !== null ? address.port : 1;
    await new Promise((resolve) => probe.close(resolve));
    const client = connect(t, `127.0.0.1:${port}`, { timeouts: { connectMs: 300 } });
    const started = performance.now();
    const error = await client.admin.describeCluster().catch((thrown: unknown) => thrown);
    assert.ok(BrokerError.is(error, 'UNAVAILABLE'));
    assert.match(error.message, new RegExp(`No connection to 127.0.0.1:${port}: connect ECONNREFUSED`));
    assert.deepEqual([error.retriable, error.indeterminate], [true, false]);
    await assert.rejects(client.admin.createTopic({ name: 't' }), { code: 'UNAVAILABLE', indeterminate: false });
    await assert.rejects(client.producer().send('t', { value: new Uint8Array() }), {
      code: 'UNAVAILABLE',
      indeterminate: false,
    });
    await assert.rejects(client.consumer({ group: 'g', topics: ['t'] }).start(), { code: 'UNAVAILABLE' });
    assert.ok(performance.now() - started < 10_000);
  });

  test('a name that does not resolve, and an address that is none', async (t) => {
    const client = connect(t, 'no-such-host.invalid:9400', { timeouts: { connectMs: 200 } });
    await assert.rejects(client.admin.listTopics(), { code: 'UNAVAILABLE', message: /no-such-host\.invalid/ });
    assert.throws(() => new Client({ brokers: 'host:port' }), { code: 'INVALID_REQUEST', message: /host:port/ });
    assert.throws(() => new Client({ brokers: [] }), { code: 'INVALID_REQUEST' });
    assert.throws(() => new Client({ brokers: 'a:9400', timeouts: { totalMs: 0 } }), { code: 'INVALID_REQUEST' });
  });
});
