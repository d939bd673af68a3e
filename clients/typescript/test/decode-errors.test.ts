/** `onDecodeError`: what a consumer does with a record that its serde can not read. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../src/client.ts';
import type { Consumer } from '../src/consumer.ts';
import type { ConsumerOptions } from '../src/consumer-options.ts';
import type { ConsumerStatus } from '../src/consumer-status.ts';
import { serdes } from '../src/serde.ts';
import { ScriptedServer } from './scripted-server.ts';

let server: ScriptedServer;
let client: Client;
const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

const numeric = {
  serialize: (value: number) => Buffer.from(String(value)),
  deserialize: (bytes: Uint8Array) => {
    const text = Buffer.from(bytes).toString();
    if (!/^\d+$/.test(text)) throw new Error(`"${text}" is no number`);
    return Number(text);
  },
};

beforeEach(async () => {
  server = new ScriptedServer();
  server.heartbeatIntervalMs = 20;
  await server.start();
  server.createTopic('t');
  server.createTopic('dead');
  client = new Client({ brokers: server.address, backoff: { initialMs: 5, maxMs: 50 } });
  await using producer = client.producer<string, string>({ key: serdes.utf8, value: serdes.utf8 });
  await producer.sendMany(
    't',
    ['0', '1', 'x', 'y', '4', 'z'].map((value) => ({ key: `k${value}`, value, partition: 0 })),
  );
});

afterEach(async () => {
  await client.close().catch(() => undefined);
  server.stop();
  assert.deepEqual(unhandled, []);
});

type Numbers = Consumer<string, number>;

function consume(options: Partial<ConsumerOptions<string, number>> = {}): Numbers {
  const serde = { key: serdes.utf8, value: numeric };
  return client.consumer<string, number>({ group: 'g', topics: ['t'], onNoOffset: 'earliest', ...serde, ...options });
}

async function until(holds: () => boolean, withinMs = 5_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `not within ${withinMs} ms: ${holds.toString()}`);
    await sleep(5);
  }
}

/** Reads by one of the three ways until everything is committed; gives what came. */
async function readAll(by: 'records' | 'batches' | 'run', consumer: Numbers): Promise<(number | null)[]> {
  const seen: (number | null)[] = [];
  const reading = (async () => {
    if (by === 'run') await consumer.run(({ value }) => void seen.push(value));
    else if (by === 'records') for await (const { value } of consumer) seen.push(value);
    else for await (const { records } of consumer.batches()) seen.push(...records.map(({ value }) => value));
  })();
  await Promise.race([reading, until(() => server.committed('g', 't') === 6)]);
  await consumer.close();
  await reading;
  return seen;
}

const ways = ['records', 'batches', 'run'] as const;

describe('onDecodeError', () => {
  for (const by of ways) {
    it(`skips, and tells of it: ${by}`, async () => {
      const consumer = consume({ onDecodeError: 'skip' });
      const told: ConsumerStatus[] = [];
      const listening = (async () => {
        for await (const status of consumer.status()) if (status.type === 'skipped') told.push(status);
      })();
      assert.deepEqual(await readAll(by, consumer), [0, 1, 4]);
      await listening;
      assert.deepEqual(
        told.map((status) => (status.type === 'skipped' ? [status.offset, status.error.fields['offset']] : null)),
        [
          [2, '2'],
          [3, '3'],
          [5, '5'],
        ],
      );
    });

    it(`sends to the dead-letter topic: ${by}`, async () => {
      const consumer = consume({ onDecodeError: 'dead-letter', deadLetterTopic: 'dead' });
      assert.deepEqual(await readAll(by, consumer), [0, 1, 4]);
      const letters: (string | null | undefined)[][] = [];
      const texts = { key: serdes.utf8, value: serdes.utf8 };
      for await (const letter of client.reader<string, string>({ topic: 'dead', ...texts, until: 'latest' }))
        letters.push([letter.key, letter.value, letter.header('sluice-origin-offset'), letter.header('sluice-group')]);
      const inOrder = letters.sort((a, b) => Number(a[2]) - Number(b[2]));
      assert.deepEqual(inOrder, [
        ['kx', 'x', '2', 'g'],
        ['ky', 'y', '3', 'g'],
        ['kz', 'z', '5', 'g'],
      ]);
    });

    it(`asks a function, which sees the bytes, and fails where it says so: ${by}`, async () => {
      const asked: string[] = [];
      const consumer = consume({
        onDecodeError: (error, { offset, key, value }) => {
          asked.push(
            `${error.code} ${offset} ${Buffer.from(key ?? []).toString()} ${Buffer.from(value ?? []).toString()}`,
          );
          return offset === 2 ? 'skip' : 'fail';
        },
      });
      await assert.rejects(readAll(by, consumer), { code: 'SERDE_FAILED', topic: 't', partition: 0 });
      assert.deepEqual(asked, ['SERDE_FAILED 2 kx x', 'SERDE_FAILED 3 ky y']);
      await consumer.close().catch(() => undefined);
      assert.equal(server.committed('g', 't'), 3, 'nothing is committed behind the record that failed');
    });

    it(`fails by default, once what lies before is handed out: ${by}`, async () => {
      const seen: (number | null)[] = [];
      const consumer = consume();
      const reading = (async () => {
        if (by === 'run') await consumer.run(({ value }) => void seen.push(value));
        else if (by === 'records') for await (const { value } of consumer) seen.push(value);
        else for await (const { records } of consumer.batches()) seen.push(...records.map(({ value }) => value));
      })();
      await assert.rejects(reading, { code: 'SERDE_FAILED', message: /"x" is no number/ });
      await consumer.close().catch(() => undefined);
      assert.deepEqual(seen, [0, 1]);
      assert.equal(server.committed('g', 't'), 2);
    });
  }

  it('refuses a dead letter without a topic, at once or when a function asks for it', async () => {
    assert.throws(() => consume({ onDecodeError: 'dead-letter' }), { code: 'INVALID_REQUEST' });
    const consumer = consume({ onDecodeError: () => 'dead-letter' });
    await assert.rejects(readAll('records', consumer), { code: 'INVALID_REQUEST', message: /deadLetterTopic/ });
  });

  it('ends with what the function throws', async () => {
    const consumer = consume({
      onDecodeError: () => {
        throw new Error('no idea');
      },
    });
    await assert.rejects(readAll('records', consumer), { code: 'INTERNAL', message: /no idea/ });
  });
});
