/**
 * Pods that are not who they say they are: a second one with an id that is in use, a volume that is attached twice, a copy
 * of a volume, a volume of another cluster. Each says what is wrong, and those that are right go on as if nothing were.
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { Client } from '../../clients/typescript/src/index.ts';
import type { BrokerProcess } from '../e2e/broker-process.ts';
import { dataDirectory, startBroker } from '../e2e/broker-process.ts';
import { Cluster, secret } from '../e2e/three-places.ts';

/** For a machine that does much else; nothing is proven by waiting this long. */
const patienceMs = 60_000;
const victim = 1;
const utf8 = new TextEncoder();

/** Resolves with the first line of the log that matches. */
async function said(broker: BrokerProcess, pattern: RegExp): Promise<string> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const line = broker.log.map((one) => JSON.stringify(one)).find((one) => pattern.test(one));
    if (line !== undefined) return line;
    assert.ok(performance.now() < deadline, `does not say ${String(pattern)}: ${JSON.stringify(broker.log.slice(-3))}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const isReady = (broker: BrokerProcess): boolean => broker.log.some(({ msg }) => msg === 'ready');

test('of two pods with one id the second one says so, and the first one does not notice', async (t) => {
  const cluster = await Cluster.plan(t);
  const { dataDir, clientPort } = cluster.place(victim);
  cluster.start(victim);
  await Promise.all([0, 2].map((id) => cluster.start(id).ready()));
  const { clusterId } = await cluster.broker(victim).ready();
  await cluster.broker(victim).kill('SIGTERM');
  const copy = path.join(dataDirectory(t), 'copy');
  cpSync(dataDir, copy, { recursive: true });
  await cluster.start(victim).ready();

  const client = new Client({ brokers: [`127.0.0.1:${clientPort}`] });
  t.after(() => client.close());
  await client.admin.createTopic({ name: 'orders', partitions: 3, replicationFactor: 3 });
  const producer = client.producer();
  let sent = 0;
  /** Writes through the one whose id was taken, and asks the others what they think of it. */
  const goesOn = async (): Promise<void> => {
    for (let n = 0; n < 6; n++) await producer.send('orders', { value: utf8.encode(`order ${sent++}`) });
    const { brokers } = await client.admin.describeCluster();
    assert.deepEqual(
      brokers.map(({ brokerId, address }) => [brokerId, address]),
      cluster.places.map(({ id }) => [id, cluster.address(id)]),
    );
    assert.equal(cluster.broker(victim).child.exitCode, null);
    assert.ok(!cluster.broker(victim).log.some(({ msg }) => String(msg).startsWith('set apart')));
  };
  await goesOn();
  const second = (dir: string): BrokerProcess => startIntruder(t, cluster, dir);

  await t.test('with an empty volume', async () => {
    const { code, stderr } = await second(dataDirectory(t)).ended;
    assert.equal(code, 1);
    assert.match(stderr, /the cluster refuses it: broker 1 is known with disk/);
    await goesOn();
  });

  await t.test('with the same volume', async () => {
    const { code, stderr } = await second(dataDir).ended;
    assert.equal(code, 1);
    assert.match(stderr, /in use by another process/);
    await goesOn();
  });

  await t.test('with a copy of the volume', async () => {
    const broker = second(copy);
    await said(broker, /runs on a copy|runs on an old copy|was rolled back|old copy/);
    assert.equal(isReady(broker), false);
    await goesOn();
    await broker.kill('SIGKILL');
    await goesOn();
  });

  await t.test('with a volume of another cluster', async () => {
    const elsewhere = dataDirectory(t);
    const alone = startBroker(t, { 'broker.id': victim, 'storage.dataDir': elsewhere, 'cluster.secret': secret });
    const other = await alone.ready();
    assert.notEqual(other.clusterId, clusterId);
    await alone.kill('SIGTERM');
    const broker = second(elsewhere);
    const line = await said(broker, /belongs to cluster/);
    assert.ok(line.includes(other.clusterId) && line.includes(clusterId), line);
    await goesOn();
    await broker.kill('SIGKILL');
  });

  await producer.close();
});

/** With the id of the victim, and the settings that all pods have, at an address of its own. */
function startIntruder(t: TestContext, cluster: Cluster, dataDir: string): BrokerProcess {
  return startBroker(t, {
    'broker.id': victim,
    'cluster.founders': cluster.founders,
    'cluster.secret': secret,
    'storage.dataDir': dataDir,
  });
}
