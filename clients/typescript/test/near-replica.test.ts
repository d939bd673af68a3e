import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../src/client.ts';
import type { Reader } from '../src/reader.ts';
import { ScriptedServer } from './scripted-server.ts';

let leader: ScriptedServer;
let near: ScriptedServer;
let client: Client;

beforeEach(async () => {
  leader = new ScriptedServer();
  near = new ScriptedServer(leader);
  await leader.start();
  await near.start();
  leader.createTopic('t');
  client = new Client({ brokers: leader.address, rack: 'b', backoff: { initialMs: 5, maxMs: 50 } });
});

afterEach(async () => {
  await client.close();
  leader.stop();
  near.stop();
});

async function fill(from: number, count: number): Promise<void> {
  const producer = client.producer();
  const values = Array.from({ length: count }, (_, n) => ({ value: Buffer.from(String(from + n)), partition: 0 }));
  await producer.sendMany('t', values);
  await producer.close();
}

async function take(records: AsyncIterator<{ readonly value: Uint8Array | null }>, count: number): Promise<number[]> {
  const taken: number[] = [];
  while (taken.length < count) {
    const next = await records.next();
    if (next.done === true) break;
    taken.push(Number(Buffer.from(next.value.value ?? []).toString()));
  }
  return taken;
}

const streams = (server: ScriptedServer): number => server.calls.get('fetchStream') ?? 0;

describe('kip-392: a client that says its rack', () => {
  it('reads where the leader sends it, and produces to the leader', async () => {
    await fill(0, 5);
    leader.nearReplica = (rack) => (rack === 'b' ? near : null);
    const reader: Reader = client.reader({ topic: 't' });
    const records = reader.records();
    assert.deepEqual(await take(records, 5), [0, 1, 2, 3, 4]);
    assert.equal(leader.fetchedBytes, 0);
    assert.ok(near.fetchedBytes > 0);
    assert.deepEqual([leader.racks, near.racks], [['b'], ['b']]);
    assert.equal(near.calls.get('append') ?? 0, 0);
    await fill(5, 5);
    assert.deepEqual(await take(records, 5), [5, 6, 7, 8, 9]);
    assert.equal(leader.fetchedBytes, 0, 'it stays there');
  });

  it('reads from the leader where nobody is sent elsewhere', async () => {
    await fill(0, 3);
    assert.deepEqual(await take(client.reader({ topic: 't' }).records(), 3), [0, 1, 2]);
    assert.ok(leader.fetchedBytes > 0);
    assert.equal(streams(near), 0);
  });

  it('asks the leader for whatever the replica can not serve, before anybody hears of it (fetch-3)', async () => {
    await fill(0, 5);
    leader.nearReplica = () => near;
    for (const code of ['OFFSET_OUT_OF_RANGE', 'QUARANTINED', 'LEADER_NOT_AVAILABLE'] as const) {
      near.fetchFault = () => code;
      leader.racks.length = 0;
      const reader = client.reader({ topic: 't' });
      assert.deepEqual(await take(reader.records(), 5), [0, 1, 2, 3, 4], code);
      assert.deepEqual(leader.racks, ['b', null], `${code}: without the rack the second time`);
      await reader.close();
    }
    near.fetchFault = null;
    await assert.rejects(client.reader({ topic: 't', from: 9 }).records().next(), { code: 'OFFSET_OUT_OF_RANGE' });
  });

  it('goes on at the leader when the replica is away, losing and repeating nothing', async () => {
    await fill(0, 5);
    leader.nearReplica = () => near;
    const records = client.reader({ topic: 't' }).records();
    assert.deepEqual(await take(records, 5), [0, 1, 2, 3, 4]);
    near.stop();
    await sleep(20);
    await fill(5, 5);
    assert.deepEqual(await take(records, 5), [5, 6, 7, 8, 9]);
    assert.ok(leader.fetchedBytes > 0);
  });

  it('is not led in a circle by a leader that names itself', async () => {
    await fill(0, 3);
    leader.nearReplica = () => leader;
    assert.deepEqual(await take(client.reader({ topic: 't' }).records(), 3), [0, 1, 2]);
    assert.deepEqual(leader.racks, ['b', null]);
  });

  it('refuses a rack without a name', () => {
    assert.throws(() => new Client({ brokers: 'x', rack: '' }), { code: 'INVALID_REQUEST' });
    assert.throws(() => new Client({ brokers: 'x', rack: 'r'.repeat(250) }), { code: 'INVALID_REQUEST' });
  });
});
