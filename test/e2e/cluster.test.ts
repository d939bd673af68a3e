/** Three brokers as processes on one machine: they found a cluster, serve as one, and lose nothing when one of them dies. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Producer } from '../../clients/typescript/src/index.ts';
import { BrokerError, Client, serdes } from '../../clients/typescript/src/index.ts';
import type { BrokerProcess } from './broker-process.ts';
import { dataDirectory } from './broker-process.ts';
import { Cluster } from './three-places.ts';

const partitions = 6;
const pauseMs = 25;
/** For a machine that does much else; nothing is proven by waiting this long. */
const patienceMs = 40_000;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something holds; what is retriable counts as "not yet". */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      if (await holds()) return;
    } catch (error) {
      if (!(error instanceof BrokerError) || !error.retriable) throw error;
    }
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await wait(pauseMs);
  }
}

interface Acknowledged {
  readonly partition: number;
  readonly value: string;
}

/** Sends numbered records round the partitions until it is stopped; every one is a promise that is kept track of. */
class Writer {
  readonly acknowledged: Acknowledged[] = [];
  readonly #producer: Producer<Uint8Array, string>;
  readonly #topic: string;
  readonly #sends: Promise<void>[] = [];
  #next = 0;
  #stopped = false;
  readonly #loop: Promise<void>;

  constructor(client: Client, topic: string) {
    this.#producer = client.producer({ value: serdes.utf8 });
    this.#topic = topic;
    this.#loop = this.#run();
  }

  /** Rejects if a record was not acknowledged in the end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    await Promise.all(this.#sends);
    await this.#producer.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const value = String(this.#next++);
      const partition = Number(value) % partitions;
      this.#sends.push(
        this.#producer
          .send(this.#topic, { partition, value })
          .then(() => void this.acknowledged.push({ partition, value })),
      );
      await wait(2);
    }
  }
}

/** Everything that is committed, by partition. */
async function readAll(client: Client, topic: string): Promise<readonly string[][]> {
  const values = Array.from({ length: partitions }, (): string[] => []);
  await using reader = client.reader({ topic, value: serdes.utf8, until: 'latest' });
  for await (const { partition, value } of reader) values[partition]?.push(String(value));
  return values;
}

const isLed = async (client: Client, topic: string): Promise<boolean> => {
  const described = await client.admin.describeTopic(topic);
  return described.partitions.every(({ leader, replicas }) => leader !== null && replicas.length === 3);
};

/** Whether the broker at this address has on its own disk what was committed of each partition up to these offsets. */
async function holds(address: string, topic: string, ends: readonly (number | null)[]): Promise<boolean> {
  await using client = new Client({ brokers: address });
  const described = await client.admin.describeTopic(topic);
  return described.partitions.every(
    ({ highWatermark }, n) => highWatermark !== null && highWatermark >= (ends[n] ?? 0),
  );
}

async function endsOf(client: Client, topic: string): Promise<(number | null)[]> {
  const queries = Array.from({ length: partitions }, (_, partition) => ({ topic, partition, at: 'latest' as const }));
  return (await client.admin.listOffsets(queries)).map(({ offset }) => offset);
}

describe('cluster of three processes', { timeout: 85_000 }, () => {
  test('promise-cluster: it is founded, forwards, survives kill -9 of a leader, and keeps strangers out', async (t) => {
    const cluster = await Cluster.plan(t);
    cluster.start(0);
    cluster.start(1);

    // a founder with another secret is turned away, and both sides say why
    const stranger = cluster.start(2, { 'cluster.secret': 'another one, as long' });
    const saysSecret = (broker: BrokerProcess): boolean => broker.log.some(({ code }) => code === 'wrong-secret');
    await until('the stranger says that its secret is wrong', () => saysSecret(stranger));
    await until('a founder says whom it turned away', () => saysSecret(cluster.broker(0)));
    assert.ok(!stranger.log.some(({ msg }) => msg === 'ready'));
    await stranger.kill('SIGKILL');

    cluster.start(2);
    const ready = await Promise.all(cluster.places.map(({ id }) => cluster.broker(id).ready()));
    assert.equal(new Set(ready.map(({ clusterId }) => clusterId)).size, 1);

    // a client that knows one broker reaches all
    const client = new Client({ brokers: cluster.address(0) });
    t.after(() => client.close().catch(() => undefined));
    await until('a topic is created', async () => {
      await client.admin.createTopic({ name: 'orders', partitions, replicationFactor: 3 }).catch((error: unknown) => {
        if (!(error instanceof BrokerError) || error.code !== 'TOPIC_ALREADY_EXISTS') throw error;
      });
      return true;
    });
    await until('every partition has a leader', () => isLed(client, 'orders'));
    const writer = new Writer(client, 'orders');
    await until('all partitions acknowledge', () => {
      return new Set(writer.acknowledged.map(({ partition }) => partition)).size === partitions;
    });

    // the leader of a partition dies while records are on their way
    const { partitions: before } = await client.admin.describeTopic('orders');
    const victim = before.find(({ leader }) => leader !== null && leader !== 0)?.leader ?? 0;
    const ledBefore = before.filter(({ leader }) => leader === victim).map(({ partition }) => partition);
    await cluster.broker(victim).kill('SIGKILL');
    const acknowledgedThen = writer.acknowledged.length;
    await until('every partition that it led acknowledges again', () => {
      const since = new Set(writer.acknowledged.slice(acknowledgedThen).map(({ partition }) => partition));
      return ledBefore.every((partition) => since.has(partition));
    });

    // it comes back and catches up
    await cluster.start(victim).ready();
    await writer.stop();
    const ends = await endsOf(client, 'orders');
    await until('it has everything on its disk', () => holds(cluster.address(victim), 'orders', ends));
    await until('every broker tells that all replicas of every partition are in sync', async () => {
      for (const { id } of cluster.places) {
        await using one = new Client({ brokers: cluster.address(id) });
        const { partitions: told } = await one.admin.describeTopic('orders');
        if (!told.every(({ leader, inSyncReplicas }) => leader !== null && inSyncReplicas?.length === 3)) return false;
      }
      return true;
    });
    const stored = await readAll(client, 'orders');
    for (const [partition, values] of stored.entries()) {
      const promised = writer.acknowledged.filter((one) => one.partition === partition).map(({ value }) => value);
      assert.deepEqual(values, promised, `partition ${partition}: once each, in order`);
    }

    // a broker that lost its disk does not get its old id back unasked
    const old = [0, 1, 2].find((id) => id !== victim && id !== 0) ?? 1;
    await cluster.broker(old).kill('SIGKILL');
    const emptied = cluster.start(old, { 'storage.dataDir': dataDirectory(t) });
    const { code, stderr } = await emptied.ended;
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^sluice: the cluster refuses it: broker ${old} is known with disk .*\n$`));
  });
});
