/** How a pod starts whose peers, or their names, are not there yet, or whose number somebody else has. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { freePort } from '../system/broker/broker-process.ts';
import type { BrokerProcess } from './broker-process.ts';
import { dataDirectory, startBroker } from './broker-process.ts';

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
