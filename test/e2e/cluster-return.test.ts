/** Three brokers as processes that are all stopped and come back elsewhere: other ports stand for other pod addresses. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import { BrokerError, Client, serdes } from '../../clients/typescript/src/index.ts';
import { freePort } from '../system/broker/broker-process.ts';
import type { BrokerProcess } from './broker-process.ts';
import { dataDirectory, startBroker } from './broker-process.ts';

const ids = [0, 1, 2] as const;
type Id = (typeof ids)[number];
/** For a machine that does much else; nothing is proven by waiting this long. */
const patienceMs = 40_000;

interface Place {
  readonly clientPort: number;
  readonly peerPort: number;
}

const plan = async (): Promise<Record<Id, Place>> => {
  const place = async (): Promise<Place> => ({ clientPort: await freePort(), peerPort: await freePort() });
  return { 0: await place(), 1: await place(), 2: await place() };
};

const listed = (places: Record<Id, Place>): string =>
  ids.map((id) => `${id}@127.0.0.1:${places[id].peerPort}`).join(',');

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** True: the health service says SERVING. */
function isServing(port: number): Promise<boolean> {
  const client = new GrpcClient(`127.0.0.1:${port}`, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise<boolean>((resolve, reject) => {
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, Buffer.alloc(0), (error, answer) => {
      client.close();
      // field 1 of the answer: 1 is SERVING, 2 is NOT_SERVING
      if (error === null) resolve(answer?.equals(Buffer.from([8, 1])) === true);
      else reject(error);
    });
  });
}

const says = (broker: BrokerProcess, text: string): boolean => broker.log.some(({ msg }) => msg === text);

describe('a cluster whose brokers all move', { timeout: 85_000 }, () => {
  test('promise-cluster: it finds itself again by its founders or by one seed, and holds what it held', async (t) => {
    const directories = { 0: dataDirectory(t), 1: dataDirectory(t), 2: dataDirectory(t) };
    const running = new Map<Id, BrokerProcess>();
    const start = (id: Id, places: Record<Id, Place>, settings: Readonly<Record<string, string>>): BrokerProcess => {
      const broker = startBroker(t, {
        'broker.id': id,
        'cluster.secret': 'of brokers that move',
        'listen.client.port': places[id].clientPort,
        'listen.broker.port': places[id].peerPort,
        'storage.dataDir': directories[id],
        ...settings,
      });
      running.set(id, broker);
      return broker;
    };
    const stopAll = async (): Promise<void> => {
      const ended = await Promise.all([...running.values()].map((broker) => broker.kill('SIGTERM')));
      assert.deepEqual(ended.map(({ code }) => code), [0, 0, 0]); // prettier-ignore
    };

    const first = await plan();
    for (const id of ids) start(id, first, { 'cluster.founders': listed(first) });
    await Promise.all([...running.values()].map((broker) => broker.ready()));
    // nobody but these three was ever there
    for (const { log } of running.values()) assert.deepEqual(log.filter(({ level }) => level === 'error' || level === 50), []); // prettier-ignore
    await append(t, first[0], 'a');
    await stopAll();

    // by the founders of the settings, which name the new places
    const second = await plan();
    for (const id of ids) start(id, second, { 'cluster.founders': listed(second) });
    await Promise.all([...running.values()].map((broker) => broker.ready()));
    await append(t, second[1], 'b');
    await stopAll();

    // by one seed; the founders are where they were once
    const third = await plan();
    const settings = { 'cluster.founders': listed(first), 'cluster.seeds': `127.0.0.1:${third[0].peerPort}` };
    const lonely = start(1, third, settings);
    await until('a broker without the others says what it waits for', () => says(lonely, 'waits for the catalog'));
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(!says(lonely, 'ready'));
    assert.equal(await isServing(third[1].clientPort), false);
    start(2, third, settings);
    start(0, third, settings);
    await Promise.all([...running.values()].map((broker) => broker.ready()));
    for (const id of ids) assert.equal(await isServing(third[id].clientPort), true);
    await append(t, third[2], 'c');
    assert.deepEqual(await values(third[0]), ['a', 'b', 'c']);
  });
});

async function append(t: TestContext, place: Place, value: string): Promise<void> {
  const client = new Client({ brokers: `127.0.0.1:${place.clientPort}` });
  t.after(() => client.close().catch(() => undefined));
  await until('the topic is there', async () => {
    try {
      await client.admin.createTopic({ name: 'orders', partitions: 1, replicationFactor: 3 });
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      return error.code === 'TOPIC_ALREADY_EXISTS';
    }
    return true;
  });
  const producer = client.producer({ value: serdes.utf8 });
  await producer.send('orders', { partition: 0, value });
  await producer.close();
  await client.close();
}

async function values(place: Place): Promise<readonly (string | null)[]> {
  await using client = new Client({ brokers: `127.0.0.1:${place.clientPort}` });
  await using reader = client.reader({ topic: 'orders', value: serdes.utf8, until: 'latest' });
  const found: (string | null)[] = [];
  for await (const { value } of reader) found.push(value);
  return found;
}
