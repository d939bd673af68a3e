/** The client and several brokers: nothing depends on the addresses that it was given, and requests go to who leads. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../src/client.ts';
import type { ClientOptions } from '../src/client.ts';
import { systemEnvironment } from '../src/environment.ts';
import type { ErrorCode } from '../../../src/model/errors.ts';
import { ScriptedServer } from './scripted-server.ts';

let servers: ScriptedServer[];
const clients: Client[] = [];
const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

beforeEach(async () => {
  servers = [];
  for (let n = 0; n < 3; n++) servers.push(new ScriptedServer(servers[0] ?? null));
  await Promise.all(servers.map((each) => each.start()));
  server(1).createTopic('t', 2);
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close().catch(() => undefined)));
  for (const each of servers) each.stop();
  assert.deepEqual(unhandled, []);
});

/** By broker id, from 1. */
function server(id: number): ScriptedServer {
  const found = servers[id - 1];
  assert.ok(found);
  return found;
}

/** Knows broker 1 only. */
function connect(options: Partial<ClientOptions> = {}): Client {
  const client = new Client({ brokers: server(1).address, backoff: { initialMs: 5, maxMs: 50 }, ...options });
  clients.push(client);
  return client;
}

/** Waits as long as a backoff can. */
const patient = {
  environment: { ...systemEnvironment, random: { ...systemEnvironment.random, below: (bound: number) => bound - 1 } },
  backoff: { initialMs: 60_000, maxMs: 60_000 },
};

const value = { value: Buffer.from('a') };
const calls = (id: number, method: string): number => server(id).calls.get(method) ?? 0;
const lead = (brokerId: number, epoch: number): void => {
  for (const each of servers) each.leader = () => ({ brokerId, epoch });
};
/** One partition of "t" is led elsewhere than before. */
const leadOne = (partition: number, brokerId: number, epoch: number): void => {
  for (const each of servers) {
    const before = each.leader;
    each.leader = (topic, which) => (which === partition ? { brokerId, epoch } : before(topic, which));
  }
};
const hintOf = (id: number, leaderEpoch = 1): { brokerId: number; address: string; leaderEpoch: number } => ({
  brokerId: id,
  address: server(id).address,
  leaderEpoch,
});

async function until(holds: () => boolean, withinMs = 10_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `in vain: ${holds.toString()}`);
    await sleep(5);
  }
}

/** Takes connections and never says anything on them. */
async function swallow(wanted: number): Promise<{ readonly port: number; close: () => Promise<void> }> {
  const held = new Set<{ destroy: () => void }>();
  const hole = createServer((socket) => held.add(socket)).listen(wanted, '127.0.0.1');
  await once(hole, 'listening');
  const address = hole.address();
  assert.ok(typeof address === 'object' && address !== null);
  const close = async (): Promise<void> => {
    for (const socket of held) socket.destroy();
    hole.close();
    await once(hole, 'close');
  };
  return { port: address.port, close };
}

/** Once a client has learnt where the brokers are. */
async function learnt(client: Client): Promise<void> {
  await client.admin.describeCluster();
}

describe('metadata and admin calls', () => {
  it('survive the loss of the only address that was given, and of each broker in turn', async () => {
    const client = connect();
    await learnt(client);
    for (const id of [1, 2, 3, 1]) {
      server(id).stop();
      assert.equal((await client.admin.listTopics()).length, 1, `without broker ${id}`);
      await client.admin.describeTopic('t');
      await server(id).start();
    }
  });

  it('learn the brokers behind the first answer, whatever was asked', async () => {
    const client = connect();
    await client.admin.listTopics();
    await until(() => calls(1, 'describeCluster') === 1);
    await sleep(20);
    server(1).stop();
    assert.equal((await client.admin.listTopics()).length, 1);
  });

  it('find a cluster whose brokers all moved, through the addresses that were given', async () => {
    server(2).advertised = '127.0.0.1:1';
    server(3).advertised = '127.0.0.1:2';
    const client = connect();
    await learnt(client);
    server(2).advertised = null;
    server(3).advertised = null;
    server(1).unaryFault = (method, attempt) => (method === 'listTopics' && attempt === 0 ? 'drop' : null);
    // a look after a failure is not taken more often than once a second
    await until(() => calls(1, 'describeCluster') > 1 || (void client.admin.listTopics(), false));
    await client.admin.listTopics();
    await sleep(20);
    server(1).stop();
    assert.equal((await client.admin.listTopics()).length, 1, 'it looked again after a failure');
  });

  it('do not spend all their time on an address that swallows everything', async (t) => {
    const hole = await swallow(0);
    t.after(() => hole.close());
    const client = connect({ brokers: [`127.0.0.1:${hole.port}`, server(2).address], timeouts: { connectMs: 2_000 } });
    assert.equal((await client.admin.listTopics()).length, 1);
  });

  it('follow a hint at once, and not for ever', async () => {
    const client = connect(patient);
    server(1).unaryFault = () => ({ code: 'LEADER_NOT_AVAILABLE', leaderHint: hintOf(2) });
    await client.admin.createTopic({ name: 'new' });
    assert.deepEqual([calls(1, 'createTopic'), calls(2, 'createTopic')], [1, 1]);
    server(2).unaryFault = () => ({ code: 'LEADER_NOT_AVAILABLE', leaderHint: hintOf(1) });
    await assert.rejects(client.admin.createTopic({ name: 'newer' }, { timeoutMs: 1_000 }), {
      code: 'LEADER_NOT_AVAILABLE',
    });
    assert.equal(calls(1, 'createTopic') + calls(2, 'createTopic'), 2 + 3, 'two hints at once, then it would wait');
  });

  for (const code of ['LEADER_NOT_AVAILABLE', 'COORDINATOR_LOAD_IN_PROGRESS', 'BROKER_SHUTTING_DOWN'] as ErrorCode[])
    it(`ask another broker after ${code}`, async () => {
      const client = connect();
      await learnt(client);
      server(1).unaryFault = () => code;
      assert.deepEqual(await client.admin.fetchCommitted('g', [], { timeoutMs: 5_000 }), []);
      assert.equal((await client.admin.listTopics({ timeoutMs: 5_000 })).length, 1);
    });
});

describe('a broker that is set apart', () => {
  /** Broker 1 led everything; broker 3 does now. */
  const setApart = (): void => {
    server(1).isSetApart = true;
    lead(3, 2);
  };

  it('holds no producer back that only knows it, though it answers when it is asked for the cluster', async () => {
    const client = connect();
    await learnt(client);
    const producer = client.producer({ deliveryTimeoutMs: 5_000 });
    await producer.send('t', { ...value, partition: 0 });
    setApart();
    for (let n = 0; n < 10; n++) await producer.send('t', { ...value, partition: n % 2 });
    assert.ok(calls(1, 'append') < 5, 'it is asked a time or two, not for each record');
    assert.ok(calls(3, 'append') > 0);
  });

  it('holds no consumer back', async () => {
    const client = connect();
    await learnt(client);
    const producer = client.producer({ deliveryTimeoutMs: 5_000 });
    const records = client.consumer({ group: 'g', topics: ['t'], onNoOffset: 'earliest' }).records();
    await producer.send('t', { ...value, partition: 0 });
    assert.equal((await records.next()).value?.offset, 0);
    setApart();
    await producer.send('t', { ...value, partition: 0 });
    assert.equal((await records.next()).value?.offset, 1);
  });

  it('in one partition is passed over for that one alone', async () => {
    const client = connect();
    await learnt(client);
    const producer = client.producer({ deliveryTimeoutMs: 5_000 });
    for (const partition of [0, 1]) await producer.send('t', { ...value, partition });
    let refused = 0;
    server(1).appendFault = (request) => {
      if (request.partition !== 0) return null;
      refused += 1;
      return { kind: 'refuse', code: 'QUARANTINED', fields: { scope: 'partition' } };
    };
    leadOne(0, 3, 2);
    const [before, after] = [calls(1, 'append'), 10];
    for (let n = 0; n < after; n++) for (const partition of [0, 1]) await producer.send('t', { ...value, partition });
    assert.ok(refused > 0 && refused < 5, `it is asked a time or two, not ${refused} times`);
    assert.equal(calls(1, 'append') - before - refused, after, 'the other partition stays where it is led');
    assert.equal(calls(3, 'append'), after);
  });

  it('does not make the others forgotten by telling of itself alone', async () => {
    const client = connect();
    await learnt(client);
    server(1).isSetApart = true;
    assert.equal((await client.admin.describeCluster()).brokers.length, 1);
    server(1).stop();
    assert.equal((await client.admin.listTopics()).length, 1);
  });
});

describe('listOffsets', () => {
  const queries = [0, 1].map((partition) => ({ topic: 't', partition, at: 'latest' as const }));

  it('asks again for partitions that have no leader yet, and only for them', async () => {
    const client = connect();
    const faults: ErrorCode[] = ['OFFSET_NOT_AVAILABLE', 'NOT_LEADER_OR_FOLLOWER', 'LEADER_NOT_AVAILABLE'];
    const asked: number[] = [];
    server(1).offsetFault = (_, partition) => {
      asked.push(partition);
      return partition === 1 ? (faults.shift() ?? null) : null;
    };
    server(1).partition('t', 1).endOffset = 7;
    assert.deepEqual(
      (await client.admin.listOffsets(queries)).map(({ partition, offset }) => [partition, offset]),
      [
        [0, 0],
        [1, 7],
      ],
    );
    assert.deepEqual(asked, [0, 1, 1, 1, 1]);
  });

  it('gives up at its time limit with the reason, and at once where asking again is in vain', async () => {
    const client = connect();
    server(1).offsetFault = (_, partition) => (partition === 1 ? 'OFFSET_NOT_AVAILABLE' : null);
    await assert.rejects(client.admin.listOffsets(queries, { timeoutMs: 1_000 }), {
      code: 'OFFSET_NOT_AVAILABLE',
      topic: 't',
      partition: 1,
    });
    server(1).offsetFault = (_, partition) => (partition === 1 ? 'STORAGE_CORRUPTION' : 'OFFSET_NOT_AVAILABLE');
    await assert.rejects(client.admin.listOffsets(queries), { code: 'STORAGE_CORRUPTION', partition: 1 });
  });
});

describe('a producer', () => {
  it('sends to the leader, and follows it after one answer that tells a later epoch', async () => {
    lead(2, 1);
    const producer = connect().producer();
    await producer.send('t', { ...value, partition: 0 });
    assert.deepEqual([1, 2, 3].map((id) => calls(id, 'append')), [0, 1, 0]); // prettier-ignore
    lead(3, 2);
    await producer.send('t', { ...value, partition: 0 });
    assert.deepEqual([1, 2, 3].map((id) => calls(id, 'append')), [0, 2, 0]); // prettier-ignore
    await until(() => [1, 2, 3].reduce((sum, id) => sum + calls(id, 'describeTopic'), 0) === 2);
    await sleep(20);
    await producer.send('t', { ...value, partition: 0 });
    assert.deepEqual([1, 2, 3].map((id) => calls(id, 'append')), [0, 2, 1]); // prettier-ignore
  });

  it('goes where a refusal points', async () => {
    const producer = connect().producer();
    server(1).appendFault = () => ({ kind: 'refuse', code: 'NOT_LEADER_OR_FOLLOWER', leaderHint: hintOf(3, 4) });
    await producer.send('t', { ...value, partition: 0 });
    await producer.send('t', { ...value, partition: 0 });
    assert.deepEqual([1, 2, 3].map((id) => calls(id, 'append')), [1, 0, 2]); // prettier-ignore
  });

  it('goes on through the others when the leader dies, and loses and doubles nothing', async () => {
    lead(2, 1);
    const producer = connect().producer();
    await producer.send('t', { ...value, partition: 0 });
    const sends = Array.from({ length: 50 }, (_, n) => producer.send('t', { ...value, partition: n % 2 }));
    server(2).stop();
    lead(3, 2);
    sends.push(producer.send('t', { ...value, partition: 0 }));
    await Promise.all(sends);
    assert.deepEqual([server(1).partition('t', 0).endOffset, server(1).partition('t', 1).endOffset], [27, 25]);
    await until(() => calls(3, 'append') > 0 || (void producer.send('t', { ...value, partition: 0 }), false));
  });

  it('goes to the leader that a receipt names, and waits first for what is on its way', async () => {
    const producer = connect().producer();
    server(1).namedLeader = () => hintOf(3, 4);
    const firsts = [1, 2, 3].map(() => producer.send('t', { ...value, partition: 0 }));
    await firsts[0];
    await producer.send('t', { ...value, partition: 0 });
    await Promise.all(firsts);
    assert.deepEqual([1, 2, 3].map((id) => calls(id, 'append')), [1, 0, 1]); // prettier-ignore
    assert.equal(calls(1, 'describeTopic'), 1, 'nobody had to be asked where it is');
  });

  it('leaves a broker that only passes on, though it is never without something on its way', async () => {
    const producer = connect().producer();
    await producer.send('t', { ...value, partition: 0 });
    server(1).namedLeader = () => hintOf(3, 4);
    let ended = false;
    const stream = async (): Promise<void> => {
      while (!ended) await producer.send('t', { ...value, partition: 0 });
    };
    const streams = [1, 2, 3, 4].map(stream);
    await until(() => calls(3, 'append') > 20);
    const before = calls(1, 'append');
    await until(() => calls(3, 'append') > 60);
    ended = true;
    await Promise.all(streams);
    assert.equal(calls(1, 'append'), before);
  });

  it('follows a leader that is named without waiting', async () => {
    const producer = connect(patient).producer();
    server(1).appendFault = () => ({ kind: 'refuse', code: 'NOT_LEADER_OR_FOLLOWER', leaderHint: hintOf(3, 4) });
    await producer.send('t', { ...value, partition: 0 });
    assert.deepEqual([1, 2, 3].map((id) => calls(id, 'append')), [1, 0, 1]); // prettier-ignore
  });

  it('gives brokers time that name each other', async () => {
    const { environment } = patient;
    const producer = connect({ environment, backoff: { initialMs: 60_000, maxMs: 60_000 } }).producer({
      deliveryTimeoutMs: 1_000,
    });
    for (const [id, other] of [[1, 3], [3, 1]] as const) // prettier-ignore
      server(id).appendFault = (_, attempt) => ({ kind: 'refuse', code: 'NOT_LEADER_OR_FOLLOWER', leaderHint: hintOf(other, 4 + attempt) }); // prettier-ignore
    await assert.rejects(producer.send('t', { ...value, partition: 0 }), { code: 'DELIVERY_TIMEOUT' });
    assert.equal(calls(1, 'append') + calls(3, 'append'), 3);
  });

  it('waits no longer and longer while a leader is looked for', async () => {
    const waits: number[] = [];
    const { environment } = patient;
    const below = (bound: number): number => {
      waits.push(bound);
      return 0;
    };
    const random = { ...environment.random, below };
    const backoff = { initialMs: 50, maxMs: 60_000 };
    const producer = connect({ environment: { ...environment, random }, backoff }).producer();
    server(1).appendFault = (_, attempt) => (attempt < 9 ? { kind: 'refuse', code: 'LEADER_NOT_AVAILABLE' } : null);
    await producer.send('t', { ...value, partition: 0 });
    assert.deepEqual(waits.slice(-9), [50, 100, 200, 200, 200, 200, 200, 200, 200]);
  });

  it('does not wait for a leader that was away and is named again, until there is a connection to it', async (t) => {
    lead(2, 1);
    const client = connect({ timeouts: { connectMs: 120_000 } });
    await learnt(client);
    const producer = client.producer({ deliveryTimeoutMs: 30_000 });
    const port = Number(server(2).address.split(':')[1]);
    await producer.send('t', { ...value, partition: 0 });
    server(2).stop();
    const hole = await swallow(port);
    t.after(() => hole.close().catch(() => undefined));
    server(1).namedLeader = () => hintOf(2, 5);
    server(3).namedLeader = () => hintOf(2, 5);
    // longer than a broker is passed over that was found away
    for (const end = Date.now() + 1_500; Date.now() < end;) {
      const sentMs = Date.now();
      await producer.send('t', { ...value, partition: 0 });
      assert.ok(Date.now() - sentMs < 5_000, 'it waited for a connection to the leader');
    }
    const before = calls(2, 'append');
    await hole.close();
    await server(2).start();
    await until(() => calls(2, 'append') > before || (void producer.send('t', { ...value, partition: 0 }), false));
  });

  it('leaves a leader that says it stops, and does not wait for it', async () => {
    lead(2, 1);
    const client = connect();
    await learnt(client);
    const producer = client.producer();
    server(2).appendFault = () => ({ kind: 'refuse', code: 'BROKER_SHUTTING_DOWN', retryAfterMs: 600_000 });
    await producer.send('t', { ...value, partition: 0 });
    assert.equal(calls(2, 'append'), 1);
  });
});

describe('a consumer', () => {
  it('reads from the leaders, and goes where they go', async () => {
    lead(2, 1);
    const client = connect();
    const producer = client.producer();
    await producer.send('t', { ...value, partition: 0 });
    const records = client.consumer({ group: 'g', topics: ['t'], onNoOffset: 'earliest' }).records();
    assert.equal((await records.next()).value?.offset, 0);
    assert.deepEqual([1, 2, 3].map((id) => calls(id, 'fetchStream')), [0, 1, 0]); // prettier-ignore
    lead(3, 2);
    await producer.send('t', { ...value, partition: 0 });
    assert.equal((await records.next()).value?.offset, 1);
    await until(() => calls(3, 'fetchStream') === 1);
    await producer.send('t', { ...value, partition: 0 });
    assert.equal((await records.next()).value?.offset, 2);
  });

  it('stays a member, commits and reads on when the broker dies that it was told of', async () => {
    const client = connect();
    const consumer = client.consumer({ group: 'g', topics: ['t'], onNoOffset: 'earliest' });
    const records = consumer.records();
    const producer = client.producer();
    await producer.send('t', { ...value, partition: 0 });
    assert.equal((await records.next()).value?.offset, 0);
    await learnt(client);
    const member = server(1).group('g').member?.id;
    server(1).stop();
    lead(2, 2);
    const beats = server(2).group('g').member?.heartbeats ?? 0;
    await producer.send('t', { ...value, partition: 0 });
    assert.equal((await records.next()).value?.offset, 1);
    await consumer.commit();
    assert.equal(server(2).committed('g', 't'), 2);
    await until(() => (server(2).group('g').member?.heartbeats ?? 0) > beats);
    assert.equal(server(2).group('g').member?.id, member);
  });
});
