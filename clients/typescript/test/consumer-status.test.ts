/** What a consumer tells of its background: statuses, stalls, tracing channels, and callbacks that take time. */
import assert from 'node:assert/strict';
import { subscribe as subscribeTo, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../src/client.ts';
import type { Consumer } from '../src/consumer.ts';
import type { ConsumerOptions } from '../src/consumer-options.ts';
import type { ConsumerStatus } from '../src/consumer-status.ts';
import { serdes } from '../src/serde.ts';
import type { ProcessTrace, ProduceTrace } from '../src/tracing.ts';
import { ScriptedServer } from './scripted-server.ts';

let server: ScriptedServer;
let client: Client;
const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

beforeEach(async () => {
  server = new ScriptedServer();
  server.heartbeatIntervalMs = 20;
  await server.start();
  server.createTopic('t');
  client = new Client({ brokers: server.address, backoff: { initialMs: 5, maxMs: 50 } });
});

afterEach(async () => {
  await client.close();
  server.stop();
  assert.deepEqual(unhandled, []);
});

const texts = { key: serdes.utf8, value: serdes.utf8 } as const;

async function fill(...values: string[]): Promise<void> {
  await using producer = client.producer<string, string>(texts);
  await producer.sendMany('t', values.map((value) => ({ value }))); // prettier-ignore
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

/** Collects what comes until the end. */
function heard(consumer: Consumer<string, string>): ConsumerStatus[] {
  const all: ConsumerStatus[] = [];
  void (async () => {
    for await (const status of consumer.status()) all.push(status);
  })();
  return all;
}

const types = (statuses: readonly ConsumerStatus[]): string[] => statuses.map(({ type }) => type);

describe('the status of a consumer', () => {
  it('tells of its life: joined, assigned, lost, joined again, closed', async () => {
    await fill('a');
    const consumer = consume();
    const all = heard(consumer);
    await consumer.start();
    server.group('g').member = null;
    await until(() => types(all).filter((type) => type === 'assigned').length === 2);
    await consumer.close();
    await until(() => types(all).at(-1) === 'closed');
    const told = types(all).filter((type) => type !== 'heartbeat-failed');
    assert.deepEqual(told, ['joined', 'assigned', 'lost', 'joined', 'assigned', 'closed']);
  });

  it('tells of commits and heartbeats that fail, of retries, and why it ended', async () => {
    await fill('a', 'b');
    const consumer = consume({ commitIntervalMs: 1 });
    const all = heard(consumer);
    let refused = 0;
    server.unaryFault = (method) =>
      (method === 'commit' || method === 'heartbeat') && refused++ < 200 ? 'COORDINATOR_LOAD_IN_PROGRESS' : null;
    const run = consumer.run(
      ({ value }) => {
        if (value === 'b') throw new Error('no');
      },
      { retry: { maxAttempts: 2, initialMs: 1 } },
    );
    await assert.rejects(run, { code: 'HANDLER_FAILED' });
    await until(() => types(all).includes('failed'));
    const retrying = all.find(({ type }) => type === 'retrying');
    assert.ok(retrying?.type === 'retrying');
    assert.deepEqual([retrying.offset, retrying.attempt, String(retrying.error)], [1, 1, 'Error: no']);
    const failed = all.find(({ type }) => type === 'failed');
    assert.ok(failed?.type === 'failed' && failed.error.code === 'HANDLER_FAILED');
  });

  it('reports an assigned partition whose records do not come, reads it anew, and says when it goes on', async () => {
    const consumer = consume({ stallAfterMs: 100 });
    const all = heard(consumer);
    const iterator = consumer.records();
    const next = iterator.next();
    await until(() => consumer.assignment.length === 1 && (server.calls.get('fetchStream') ?? 0) > 0);
    await sleep(250);
    assert.ok(!types(all).includes('stalled'), 'nothing waits: nothing is wrong');
    server.muteFetchers();
    await fill('a', 'b');
    await until(() => types(all).includes('stalled'));
    const stalled = all.find((status) => status.type === 'stalled');
    assert.ok(stalled !== undefined && stalled.forMs >= 100);
    assert.deepEqual([stalled.partition, stalled.position, stalled.lag], [{ topic: 't', partition: 0 }, 0, 2]);
    const { value } = await next;
    assert.equal(value?.value, 'a');
    await iterator.next();
    const waiting = iterator.next();
    await until(() => types(all).includes('recovered'));
    await consumer.close();
    assert.equal((await waiting).done, true);
  });

  it('is silent about a partition while its application takes long', async () => {
    await fill('a', 'b', 'c');
    const consumer = consume({ stallAfterMs: 100 });
    const all = heard(consumer);
    const iterator = consumer.records();
    await iterator.next();
    await fill('d');
    await sleep(400);
    assert.ok(!types(all).includes('stalled'));
  });
});

describe('callbacks of a consumer', () => {
  it('are awaited: reading begins where onAssigned sought, partitions go when onRevoked is done', async () => {
    server.createTopic('u', 2);
    await fill('a', 'b', 'c');
    const events: string[] = [];
    const consumer: Consumer<string, string> = consume({
      onAssigned: async (partitions) => {
        await sleep(20);
        for (const partition of partitions) await consumer.seek(partition, 2);
        events.push('assigned');
      },
      onRevoked: async () => {
        await sleep(50);
        events.push('revoked');
      },
    });
    const { value } = await consumer.records().next();
    assert.deepEqual([value?.value, events], ['c', ['assigned']]);
  });

  it('that fail end the consumer, and none runs after close', async () => {
    const failing = consume({ onAssigned: () => Promise.reject(new Error('not now')) });
    await assert.rejects(failing.records().next(), { code: 'INTERNAL', message: /not now/ });
    await failing.close().catch(() => undefined);
    let running = 0;
    const slow = consume({
      onLost: async () => {
        running += 1;
        await sleep(80);
        running -= 1;
      },
    });
    await slow.start();
    server.group('g').member = null;
    await until(() => running > 0);
    await slow.close();
    assert.equal(running, 0);
  });
});

describe('lag of a consumer', () => {
  it('counts what waits behind what was processed', async () => {
    await fill('a', 'b', 'c');
    const consumer = consume();
    const iterator = consumer.records();
    for (let n = 0; n < 2; n++) await iterator.next();
    assert.deepEqual(await consumer.lag(), new Map([['t/0', 2]]));
  });
});

describe('the status of a client', () => {
  it('tells of brokers that are reached and lost', async () => {
    const seen: string[] = [];
    const listening = (async () => {
      for await (const status of client.status()) seen.push(status.type);
    })();
    await client.admin.listTopics();
    server.stop();
    await client.admin.listTopics({ timeoutMs: 100 }).catch(() => undefined);
    await server.start();
    await client.admin.listTopics();
    await client.close();
    await listening;
    assert.deepEqual(seen, ['connected', 'disconnected', 'connected', 'closed']);
  });
});

describe('the tracing channels', () => {
  it('show produce, rpc, fetch, process and commit; a subscriber may add headers to what is sent', async () => {
    const seen: string[] = [];
    const subscriptions: [string, (message: unknown) => void][] = [];
    const subscribe = (name: string, listener: (message: unknown) => void): void => {
      subscribeTo(name, listener);
      subscriptions.push([name, listener]);
    };
    for (const name of ['produce', 'rpc', 'process', 'commit'])
      for (const event of ['asyncEnd', 'error']) subscribe(`tracing:sluice:${name}:${event}`, () => seen.push(`${name} ${event}`)); // prettier-ignore
    subscribe('tracing:sluice:fetch:end', () => seen.push('fetch end'));
    subscribe('tracing:sluice:produce:start', (message) => {
      const context = message as { -readonly [Key in keyof ProduceTrace]: ProduceTrace[Key] };
      context.record = { ...context.record, headers: [['traceparent', '00-1-2-01']] };
    });
    let trace: string | undefined;
    subscribe('tracing:sluice:process:start', (message) => {
      trace = (message as ProcessTrace).record.header('traceparent');
    });
    try {
      await fill('a');
      const consumer = consume({ commitIntervalMs: 1 });
      const run = consumer.run(() => undefined);
      await until(() => seen.includes('commit asyncEnd'));
      await consumer.close();
      await run;
    } finally {
      for (const [name, listener] of subscriptions) unsubscribe(name, listener);
    }
    // the close may cut a heartbeat short
    assert.deepEqual([...new Set(seen.filter((name) => name !== 'rpc error'))].sort(), ['commit asyncEnd', 'fetch end', 'process asyncEnd', 'produce asyncEnd', 'rpc asyncEnd']); // prettier-ignore
    assert.equal(trace, '00-1-2-01');
  });
});
