/** `consumer.run`: many handlers at a time, with what happens to a consumer meanwhile. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../src/client.ts';
import type { Consumer } from '../src/consumer.ts';
import type { ConsumerOptions } from '../src/consumer-options.ts';
import { LeaveReason } from '../src/gen/sluice/v1/group.ts';
import type { InRecord } from '../src/record.ts';
import type { HandlerContext } from '../src/run-options.ts';
import { serdes } from '../src/serde.ts';
import { ScriptedServer } from './scripted-server.ts';

type Texts = InRecord<string, string>;

let server: ScriptedServer;
let client: Client;
const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

beforeEach(async () => {
  server = new ScriptedServer();
  server.heartbeatIntervalMs = 20;
  await server.start();
  server.createTopic('t');
  server.createTopic('u', 2);
  client = new Client({ brokers: server.address, backoff: { initialMs: 5, maxMs: 50 } });
});

afterEach(async () => {
  // a test that failed leaves handlers that nobody ends, and close waits for them
  for (const gate of gates.splice(0)) gate.endAll();
  await client.close();
  server.stop();
  assert.deepEqual(unhandled, []);
});

const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, n) => String(from + n));
const texts = { key: serdes.utf8, value: serdes.utf8 } as const;

/** Values with the keys that `keyOf` gives. */
async function fill(
  values: readonly string[],
  keyOf: (value: string) => string | null = () => null,
  where = { topic: 't', partition: 0 },
): Promise<void> {
  await using producer = client.producer<string, string>({ ...texts, batch: { maxRecords: 10 } });
  const { topic, partition } = where;
  await producer.sendMany(
    topic,
    values.map((value) => ({ key: keyOf(value), value, partition })),
  );
}

const consume = (options: Partial<ConsumerOptions<string, string>> = {}): Consumer<string, string> =>
  client.consumer<string, string>({ group: 'g', topics: ['t'], onNoOffset: 'earliest', ...texts, ...options });

async function until(holds: () => boolean, withinMs = 5_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `not within ${withinMs} ms: ${holds.toString()}`);
    await sleep(5);
  }
}

const gates: Gate[] = [];

/** A handler whose calls end when the test says so. */
class Gate {
  readonly begun: string[] = [];
  readonly open = new Map<string, { end: (error?: Error) => void; context: HandlerContext }>();
  #isOver = false;
  readonly handler = (record: Texts, context: HandlerContext): Promise<void> =>
    new Promise((resolve, reject) => {
      const value = record.value ?? '';
      this.begun.push(value);
      const end = (error?: Error): void => {
        this.open.delete(value);
        if (error === undefined) resolve();
        else reject(error);
      };
      this.open.set(value, { end, context });
      if (this.#isOver) end();
    });

  constructor() {
    gates.push(this);
  }

  end(value: string, error?: Error): void {
    this.open.get(value)?.end(error);
  }

  /** Those that begin later end at once. */
  endAll(): void {
    this.#isOver = true;
    for (const value of [...this.open.keys()]) this.end(value);
  }
}

describe('a run of a consumer', () => {
  it('handles every record once, commits all, and resolves when it is closed', async () => {
    await fill(numbers(500));
    const consumer = consume();
    const seen: string[] = [];
    const running = consumer.run((record) => void seen.push(record.value ?? ''));
    await until(() => server.committed('g', 't') === 500);
    await consumer.close();
    await running;
    assert.deepEqual(seen, numbers(500));
  });

  it('keeps the order of each key while keys overtake each other', async () => {
    const keyOf = (value: string): string => `k${Number(value) % 7}`;
    await fill(numbers(200), keyOf);
    const consumer = consume();
    const byKey = new Map<string, number[]>();
    let now = 0;
    let most = 0;
    const running = consumer.run(
      async ({ key, value }) => {
        most = Math.max(most, ++now);
        await sleep(Number(value) % 3);
        now -= 1;
        const all = byKey.get(key ?? '') ?? [];
        byKey.set(key ?? '', [...all, Number(value)]);
      },
      { concurrency: 5, orderBy: 'key' },
    );
    await until(() => server.committed('g', 't') === 200);
    await consumer.close();
    await running;
    assert.equal(most, 5);
    for (const [key, values] of byKey)
      assert.deepEqual(values, numbers(200).filter((value) => keyOf(value) === key).map(Number)); // prettier-ignore
  });

  it('commits nothing at or behind a record that is not finished, whatever is finished after it', async () => {
    await fill(numbers(10));
    const gate = new Gate();
    const consumer = consume({ commitIntervalMs: 1 });
    const running = consumer.run(gate.handler, { concurrency: 10, orderBy: 'none' });
    await until(() => gate.begun.length === 10);
    for (const value of ['0', '1', '3', '4', '9']) gate.end(value);
    await until(() => server.committed('g', 't') === 2);
    await sleep(30);
    assert.equal(server.committed('g', 't'), 2);
    gate.end('2');
    await until(() => server.committed('g', 't') === 5);
    for (const value of ['5', '6', '7', '8']) gate.end(value);
    await consumer.close();
    await running;
    assert.equal(server.committed('g', 't'), 10);
  });

  it('lives while handlers take long, and while one blocks its partition others go on', async () => {
    await fill(numbers(2), () => null, { topic: 'u', partition: 0 });
    await fill(numbers(30, 100), () => null, { topic: 'u', partition: 1 });
    const gate = new Gate();
    const consumer = consume({ topics: ['u'] });
    const running = consumer.run(
      (record, context) => (record.partition === 0 ? gate.handler(record, context) : undefined),
      { concurrency: 2 },
    );
    await until(() => server.committed('g', 'u', 1) === 30);
    const before = server.group('g').member?.heartbeats ?? 0;
    await until(() => (server.group('g').member?.heartbeats ?? 0) - before >= 5);
    assert.deepEqual([...gate.open.keys()], ['0']);
    gate.end('0');
    await until(() => gate.open.has('1'));
    gate.end('1');
    await consumer.close();
    await running;
    assert.equal(server.committed('g', 'u', 0), 2);
  });

  it('close waits for handlers, commits what they did, and nothing is called after it', async () => {
    await fill(numbers(10));
    const gate = new Gate();
    const consumer = consume();
    const running = consumer.run(gate.handler, { concurrency: 3, orderBy: 'none' });
    await until(() => gate.begun.length === 3);
    let closed = false;
    const closing = consumer.close().then(() => (closed = true));
    await sleep(30);
    assert.equal(closed, false);
    for (const value of ['0', '1', '2']) gate.end(value);
    await closing;
    await running;
    assert.equal(server.committed('g', 't'), 3);
    assert.equal(server.group('g').member, null);
    await sleep(30);
    assert.equal(gate.begun.length, 3);
  });

  it('close tells handlers that take too long, leaves without them, and resolves when they have ended', async () => {
    await fill(numbers(10));
    const gate = new Gate();
    const consumer = consume();
    const running = consumer.run(gate.handler, { concurrency: 2, orderBy: 'none' });
    await until(() => gate.begun.length === 2);
    const signals = [...gate.open.values()].map(({ context }) => context.signal);
    gate.end('0');
    await until(() => gate.begun.length === 3);
    let closed = false;
    const closing = consumer.close({ drainMs: 30 }).then(() => (closed = true));
    await until(() => server.group('g').member === null);
    assert.deepEqual([signals.every(({ aborted }) => aborted), closed], [true, false]);
    assert.equal(server.committed('g', 't'), 1);
    gate.end('1', new Error('aborted'));
    gate.end('2');
    await closing;
    await running;
    assert.equal(server.committed('g', 't'), 1, 'what ended after the group was left does not count');
  });

  it('ends with HANDLER_FAILED, having committed what was done before, and leaves the group', async () => {
    await fill(numbers(10));
    const consumer = consume({ commitIntervalMs: 60_000 });
    const cause = new Error('no');
    const handler = ({ value }: Texts): void => {
      if (value === '4') throw cause;
    };
    await assert.rejects(consumer.run(handler), { code: 'HANDLER_FAILED', cause, topic: 't', partition: 0 });
    await consumer.close().catch(() => undefined);
    assert.equal(server.group('g').member, null);
    assert.equal(server.committed('g', 't'), 4);
    await assert.rejects(consumer.run(handler), { code: 'HANDLER_FAILED' });
  });

  it('writes records that fail, or can not be read, to the dead-letter topic, and goes on', async () => {
    server.createTopic('dead');
    await fill(['0', 'x', '2', 'y', '4']);
    const seen: (number | null)[] = [];
    const numeric = {
      serialize: (value: number) => Buffer.from(String(value)),
      deserialize: (bytes: Uint8Array) => {
        const text = Buffer.from(bytes).toString();
        if (text === 'x') throw new Error('no number');
        return Number(text);
      },
    };
    const consumer = client.consumer<string, number>({ ...{ group: 'g', topics: ['t'], key: serdes.utf8 }, onNoOffset: 'earliest', value: numeric }); // prettier-ignore
    let tried = 0;
    const running = consumer.run(
      ({ value }) => {
        if (Number.isNaN(value)) throw new Error(`try ${++tried}`);
        seen.push(value);
      },
      { retry: { maxAttempts: 3, initialMs: 1 }, deadLetter: { topic: 'dead' } },
    );
    await until(() => server.committed('g', 't') === 5);
    await consumer.close();
    await running;
    assert.deepEqual([seen, tried], [[0, 2, 4], 3]);
    const letters: (string | undefined)[][] = [];
    for await (const letter of client.reader<string, string>({ topic: 'dead', ...texts, until: 'latest' }))
      letters.push([letter.value ?? '', letter.header('sluice-origin-offset'), letter.header('sluice-attempts'), letter.header('sluice-error')]); // prettier-ignore
    assert.deepEqual(letters, [
      ['x', '1', '1', 'SERDE_FAILED: The value could not be converted: no number'],
      ['y', '3', '3', 'Error: try 3'],
    ]);
  });

  it('pauses and resumes while handlers run', async () => {
    await fill(numbers(6));
    const gate = new Gate();
    const consumer = consume();
    const running = consumer.run(gate.handler, { concurrency: 2, orderBy: 'none' });
    await until(() => gate.begun.length === 2);
    consumer.pause();
    gate.end('0');
    gate.end('1');
    await until(() => server.committed('g', 't') === 2);
    await sleep(30);
    assert.equal(gate.begun.length, 2);
    consumer.resume();
    for (let n = 2; n < 6; n++) {
      await until(() => gate.open.has(String(n)));
      gate.end(String(n));
    }
    await until(() => server.committed('g', 't') === 6);
    assert.deepEqual(gate.begun, numbers(6));
    await consumer.close();
    await running;
  });

  it('can be moved while handlers run: what they still do counts no more, and nothing runs beside them', async () => {
    await fill(numbers(6));
    const gate = new Gate();
    const consumer = consume();
    const running = consumer.run(gate.handler, { concurrency: 3, orderBy: 'none' });
    await until(() => gate.begun.length === 3);
    await consumer.seek({ topic: 't', partition: 0 }, 1);
    gate.end('0');
    gate.end('2');
    await sleep(30);
    assert.deepEqual(gate.begun, ['0', '1', '2']);
    gate.end('1');
    await until(() => gate.begun.length === 6);
    assert.deepEqual(gate.begun.slice(3), ['1', '2', '3']);
    for (const value of ['1', '2', '3']) gate.end(value);
    await until(() => server.committed('g', 't') === 4);
    for (const value of ['4', '5']) await until(() => gate.open.has(value));
    for (const value of ['4', '5']) gate.end(value);
    await consumer.close();
    await running;
    assert.equal(server.committed('g', 't'), 6);
  });

  it('gives a partition away when its handlers have ended and what they did is committed', async () => {
    await fill(numbers(5), () => null, { topic: 'u', partition: 0 });
    await fill(numbers(5, 100), () => null, { topic: 'u', partition: 1 });
    const gate = new Gate();
    const revoked: number[] = [];
    const consumer = consume({
      topics: ['u'],
      commitIntervalMs: 60_000,
      onRevoked: (gone) => void revoked.push(...gone.map(({ partition }) => partition)),
    });
    const running = consumer.run(gate.handler, { concurrency: 4, orderBy: 'none' });
    await until(() => gate.begun.length === 4 && server.group('g').member !== null);
    for (const value of gate.begun.filter((each) => Number(each) < 100)) gate.end(value);
    await until(() => gate.begun.some((value) => Number(value) >= 100));
    server.group('g').member!.pending = [{ topic: 'u', topicId: '', partitions: [0] }];
    await sleep(100);
    assert.deepEqual(revoked, []);
    const theirs = gate.begun.filter((value) => Number(value) >= 100);
    for (const value of theirs) gate.end(value);
    await until(() => revoked.length > 0);
    assert.equal(server.committed('g', 'u', 1), theirs.length);
    for (const { end } of [...gate.open.values()]) end();
    await sleep(20);
    assert.deepEqual(gate.begun.filter((value) => Number(value) >= 100), theirs); // prettier-ignore
    const closing = consumer.close();
    for (const { end } of [...gate.open.values()]) end();
    await closing;
    await running;
  });

  it('tells handlers that their partition is lost, and begins anew from what is committed', async () => {
    await fill(numbers(4));
    const gate = new Gate();
    const consumer = consume({ commitIntervalMs: 1 });
    const running = consumer.run(gate.handler, { concurrency: 2, orderBy: 'none' });
    await until(() => gate.begun.length === 2);
    const signal = gate.open.get('1')?.context.signal;
    gate.end('0');
    await until(() => server.committed('g', 't') === 1 && gate.open.has('2'));
    server.group('g').member = null;
    await until(() => signal?.aborted === true);
    gate.end('1');
    gate.end('2');
    await until(() => gate.begun.length === 5);
    assert.deepEqual(gate.begun, ['0', '1', '2', '1', '2']);
    const closing = consumer.close();
    for (const { end } of [...gate.open.values()]) end();
    await closing;
    await running;
  });

  it('ends with the signal: handlers come to their end, the member stays, the rest is delivered again', async () => {
    await fill(numbers(6));
    const gate = new Gate();
    const consumer = consume({ commitIntervalMs: 1 });
    const aborter = new AbortController();
    const running = consumer.run(gate.handler, { concurrency: 3, orderBy: 'none', signal: aborter.signal });
    const rejected = assert.rejects(running, { code: 'ABORTED' });
    await until(() => gate.begun.length === 3);
    await assert.rejects(consumer.run(gate.handler), { code: 'INVALID_REQUEST' });
    await assert.rejects(consumer.records().next(), { code: 'INVALID_REQUEST' });
    aborter.abort();
    gate.end('0');
    gate.end('1');
    gate.end('2');
    await rejected;
    assert.equal(gate.begun.length, 3);
    const again: string[] = [];
    for await (const record of consumer.records()) {
      again.push(record.value ?? '');
      if (again.length === 3) break;
    }
    assert.deepEqual(again, ['3', '4', '5']);
  });

  it('leaves when one handler takes longer than it said, though others come on', async () => {
    await fill(numbers(50));
    const consumer = consume({ maxProcessingMs: 60 });
    let ended: () => void = () => undefined;
    const stuck = new Promise<void>((resolve) => (ended = resolve));
    const running = consumer.run(({ value }) => (value === '3' ? stuck : undefined), {
      concurrency: 2,
      orderBy: 'none',
    });
    const rejected = assert.rejects(running, { code: 'PROGRESS_EXPIRED' });
    await until(() => server.leaveReasons.length > 0);
    assert.deepEqual(server.leaveReasons, [LeaveReason.LEAVE_REASON_PROGRESS_EXPIRED]);
    ended();
    await rejected;
    assert.ok((server.committed('g', 't') ?? 0) <= 3);
  });

  it('commit() commits what lies before the oldest unfinished record', async () => {
    await fill(numbers(5));
    const gate = new Gate();
    const consumer = consume({ commit: 'manual' });
    const running = consumer.run(gate.handler, { concurrency: 5, orderBy: 'none' });
    await until(() => gate.begun.length === 5);
    for (const value of ['0', '1', '4']) gate.end(value);
    await sleep(5);
    await consumer.commit();
    assert.equal(server.committed('g', 't'), 2);
    const closing = consumer.close();
    for (const value of ['2', '3']) gate.end(value);
    await closing;
    await running;
    assert.equal(server.committed('g', 't'), 2, 'commit: manual');
  });

  it('goes on over lost connections, each record once in its key’s order', async () => {
    await fill(numbers(400), (value) => String(Number(value) % 20));
    const consumer = consume({ fetch: { maxBytes: 500 } });
    const seen: number[] = [];
    const running = consumer.run(
      async ({ value }) => {
        await sleep(1);
        seen.push(Number(value));
      },
      { concurrency: 8, orderBy: 'key' },
    );
    for (let round = 0; round < 4; round++) {
      await sleep(40);
      await server.dropConnections();
    }
    await until(() => server.committed('g', 't') === 400);
    await consumer.close();
    await running;
    assert.deepEqual(seen.sort((a, b) => a - b), numbers(400).map(Number)); // prettier-ignore
  });
});
