/** How a pod starts whose peers, or their names, are not there yet, or with a volume of another; and what its preStop hook waits for. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Client } from '../../clients/typescript/src/index.ts';
import { SluiceProcess } from '../cli/sluice-process.ts';
import { freePort } from '../system/broker/broker-process.ts';
import type { BrokerProcess } from '../e2e/broker-process.ts';
import { dataDirectory, startBroker } from '../e2e/broker-process.ts';

/** For a machine that does much else; nothing is proven by waiting this long. */
const patienceMs = 60_000;

async function until<T>(what: string, look: () => Promise<T | null> | T | null): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const probe = async (port: number, name: string): Promise<{ status: number; text: string } | null> => {
  const answer = await fetch(`http://127.0.0.1:${port}/${name}`).catch(() => null);
  return answer === null ? null : { status: answer.status, text: await answer.text() };
};

const waits = (broker: BrokerProcess): string | null => {
  const line = broker.log.find(({ msg }) => msg === 'waits to come into a cluster');
  return line === undefined ? null : String(line['why']);
};

describe('a pod that starts', () => {
  test('waits for DNS: it lives, is not ready, says for whom it waits, and ends in order', async (t) => {
    const http = await freePort();
    const broker = startBroker(t, {
      'broker.id': 0,
      'broker.advertisedPeerAddress': 'sluice-0.sluice-headless.invalid:9401',
      'cluster.founders': [0, 1, 2].map((id) => `${id}@sluice-${id}.sluice-headless.invalid:9401`).join(','),
      'listen.http.port': http,
      'storage.dataDir': dataDirectory(t),
    });
    const why = await until('it says what it waits for', () => waits(broker));
    assert.match(why, /\b[12]\b/, 'it names a founder that is missing');
    assert.equal((await probe(http, 'livez'))?.status, 200, 'it is not restarted');
    assert.deepEqual((await probe(http, 'readyz'))?.status, 503);
    // nothing is founded alone meanwhile
    assert.equal(
      broker.log.some(({ msg }) => msg === 'ready'),
      false,
    );
    assert.equal((await broker.kill('SIGTERM')).code, 0);
  });

  test('refuses a ConfigMap with an unknown key before it touches the volume', async (t) => {
    const dataDir = path.join(dataDirectory(t), 'data');
    const broker = startBroker(t, { 'storage.dataDir': dataDir, 'retention.checkIntervall': '30s' });
    const { code, stderr } = await broker.ended;
    assert.equal(code, 2);
    assert.match(stderr, /unknown setting retention\.checkIntervall .*did you mean retention\.checkInterval\?/);
    assert.equal(existsSync(dataDir), false);
  });

  test('refuses the volume of another pod, and leaves it as it was', async (t) => {
    const dataDir = dataDirectory(t);
    const first = startBroker(t, { 'broker.id': 1, 'storage.dataDir': dataDir });
    const { clusterId } = await first.ready();
    assert.equal((await first.kill('SIGTERM')).code, 0);
    const other = await startBroker(t, { 'broker.id': 2, 'storage.dataDir': dataDir }).ended;
    assert.equal(other.code, 1);
    assert.match(other.stderr, /\b1\b.*\b2\b|\b2\b.*\b1\b/, 'both numbers are named');
    const stranger = '00000000-0000-4000-8000-00000000000f';
    const moved = await startBroker(t, { 'broker.id': 1, 'storage.dataDir': dataDir, 'cluster.id': stranger }).ended;
    assert.equal(moved.code, 1);
    assert.ok(moved.stderr.includes(clusterId) && moved.stderr.includes(stranger), moved.stderr);
    const again = await startBroker(t, { 'broker.id': 1, 'storage.dataDir': dataDir }).ready();
    assert.equal(again.clusterId, clusterId);
  });
});

test('the preStop hook waits while a stop would cost the quorum, says so when its time is over, and may run again', async (t) => {
  const ports = await Promise.all([0, 1, 2].map(async () => ({ client: await freePort(), peer: await freePort() })));
  const founders = ports.map(({ peer }, id) => `${id}@127.0.0.1:${peer}`).join(',');
  const brokers = ports.map(({ client, peer }, id) =>
    startBroker(t, {
      'broker.id': id,
      'cluster.founders': founders,
      'listen.client.port': client,
      'listen.broker.port': peer,
      'storage.dataDir': dataDirectory(t),
    }),
  );
  await Promise.all(brokers.map((broker) => broker.ready()));
  const address = `127.0.0.1:${ports[1]?.client ?? 0}`;
  const client = new Client({ brokers: [address] });
  t.after(() => client.close());
  await client.admin.createTopic({ name: 'orders', partitions: 2, replicationFactor: 3 });
  const hook = (within: string) =>
    new SluiceProcess(['--brokers', address, 'broker', 'await-quorum', '1', '--within', within], {}).ended;
  assert.equal((await hook('60s')).code, 0);
  brokers[2]?.child.kill('SIGSTOP');
  const noticed = await until('the cluster misses broker 2', async () => {
    const ended = await hook('1s');
    return ended.code === 6 ? ended : null;
  });
  assert.match(noticed.stderr, /can not do without broker 1 yet/);
  brokers[2]?.child.kill('SIGCONT');
  assert.equal((await hook('60s')).code, 0);
  const { duty } = (await client.admin.describeBroker(1)).broker;
  assert.equal(duty, 'active', 'it has changed nothing');
});
