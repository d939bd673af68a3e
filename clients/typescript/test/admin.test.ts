import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { ErrorCode } from '../../../src/model/errors.ts';
import { Client } from '../src/client.ts';
import { ScriptedServer } from './scripted-server.ts';

let server: ScriptedServer;
let client: Client;

beforeEach(async () => {
  server = new ScriptedServer();
  await server.start();
  client = new Client({ brokers: server.address, backoff: { initialMs: 5, maxMs: 50 } });
});

afterEach(async () => {
  await client.close();
  server.stop();
});

describe('admin', () => {
  it('goes through all pages of topics', async () => {
    for (const name of ['c', 'a', 'e', 'b', 'd']) server.createTopic(name, 2);
    const topics = await client.admin.listTopics();
    assert.deepEqual(
      topics.map(({ name }) => name),
      ['a', 'b', 'c', 'd', 'e'],
    );
    assert.deepEqual(topics[0], {
      name: 'a',
      topicId: server.topics.get('a')?.topicId,
      partitionCount: 2,
      replicationFactor: 1,
      internal: false,
      createdAtMs: 1_700_000_000_000,
      config: {
        retentionMs: null,
        retentionBytes: null,
        retentionRecords: null,
        minInsyncReplicas: null,
        timestampBeforeMaxMs: null,
        timestampAfterMaxMs: null,
      },
    });
  });

  it('asks again what does no harm, after lost answers and passing refusals', async () => {
    server.createTopic('t');
    const faults = ['drop', 'LEADER_NOT_AVAILABLE', 'LIMIT_REACHED'] as const;
    server.unaryFault = (_, attempt) => faults[attempt] ?? null;
    assert.equal((await client.admin.describeTopic('t')).name, 't');
    assert.equal(server.calls.get('describeTopic'), 4);
  });

  it('does not repeat what could take its own first attempt for somebody else’s', async () => {
    server.unaryFault = (_, attempt) => (attempt === 0 ? 'drop' : null);
    await assert.rejects(client.admin.createTopic({ name: 't' }), { code: 'UNAVAILABLE', indeterminate: true });
    assert.equal(server.calls.get('createTopic'), 1);
    server.unaryFault = (method, attempt) => (method === 'deleteTopic' && attempt < 2 ? 'LEADER_NOT_AVAILABLE' : null);
    await client.admin.deleteTopic('t');
    assert.equal(server.calls.get('deleteTopic'), 3, 'a certain refusal is tried again');
  });

  it('stays open once an attempt may have taken effect, whatever those after it were told (design D18)', async () => {
    server.createTopic('t');
    const consumer = client.consumer({ group: 'g', topics: ['t'], onNoOffset: 'earliest' });
    await consumer.start();
    const commit = (timeoutMs = 5_000): Promise<void> =>
      consumer.commit([{ topic: 't', partition: 0, offset: 1 }], { timeoutMs });
    let first = 'drop' as const as 'drop' | null;
    const after = (code: ErrorCode): void => {
      first = 'drop';
      server.unaryFault = (method) => {
        if (method !== 'commit') return null;
        const fault = first ?? code;
        first = null;
        return fault;
      };
    };
    after('LEADER_NOT_AVAILABLE');
    await assert.rejects(commit(2_000), { code: 'LEADER_NOT_AVAILABLE', indeterminate: true });
    after('FENCED_MEMBER_EPOCH');
    await assert.rejects(commit(), { code: 'FENCED_MEMBER_EPOCH', indeterminate: true });
    first = null;
    await assert.rejects(commit(), { code: 'FENCED_MEMBER_EPOCH', indeterminate: false });
    after('STALE_MEMBER_EPOCH');
    await assert.rejects(commit(), { code: 'STALE_MEMBER_EPOCH', indeterminate: true });
    after('LEADER_NOT_AVAILABLE');
    const aborted = consumer.commit([{ topic: 't', partition: 0, offset: 1 }], { signal: AbortSignal.timeout(500) });
    await assert.rejects(aborted, { code: 'ABORTED', indeterminate: true });
    const never = consumer.commit([{ topic: 't', partition: 0, offset: 1 }], { signal: AbortSignal.abort() });
    await assert.rejects(never, { code: 'ABORTED', indeterminate: false });
    server.unaryFault = null;
  });

  it('ends at its time limit, with the last reason', async () => {
    server.unaryFault = () => 'LEADER_NOT_AVAILABLE';
    const started = performance.now();
    await assert.rejects(client.admin.describeCluster({ timeoutMs: 1_500 }), { code: 'LEADER_NOT_AVAILABLE' });
    assert.ok(performance.now() - started < 10_000);
  });

  it('ends when it is aborted, while it waits for an answer and while it waits to try again', async () => {
    const aborted = AbortSignal.abort(new Error('enough'));
    await assert.rejects(client.admin.listTopics({ signal: aborted }), { code: 'ABORTED' });
    server.unaryFault = () => 'LEADER_NOT_AVAILABLE';
    const waiting = client.admin.listTopics({ signal: AbortSignal.timeout(50) });
    await assert.rejects(waiting, { code: 'ABORTED', indeterminate: false });
  });

  it('knows offsets and what groups committed', async () => {
    server.createTopic('t', 2);
    server.partition('t', 1).logStart = 3;
    server.partition('t', 1).endOffset = 9;
    const queries = (['earliest', 'latest'] as const).map((at) => ({ topic: 't', partition: 1, at }));
    assert.deepEqual(
      (await client.admin.listOffsets(queries)).map(({ offset }) => offset),
      [3, 9],
    );
    await assert.rejects(client.admin.listOffsets([{ topic: 't', partition: 7, at: 'latest' }]), {
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      topic: 't',
      partition: 7,
    });
    server.group('g').committed.set('t/1', { offset: 5n, leaderEpoch: 2 });
    const committed = await client.admin.fetchCommitted('g', [
      { topic: 't', partition: 1 },
      { topic: 't', partition: 0 },
    ]);
    assert.deepEqual(
      committed.map(({ partition, offset, leaderEpoch }) => [partition, offset, leaderEpoch]),
      [
        [0, null, null],
        [1, 5, 2],
      ],
    );
    assert.equal((await client.admin.fetchCommitted('g')).length, 1);
  });
});

describe('a client', () => {
  it('does no I/O before it is asked for something, and none after it is closed', async () => {
    const idle = new Client({ brokers: 'nowhere.invalid:1' });
    idle.producer();
    idle.consumer({ group: 'g', topics: ['t'] });
    await idle.close();
    assert.throws(() => idle.producer(), { code: 'CLOSED' });
    await assert.rejects(idle.admin.listTopics(), { code: 'CLOSED' });
  });

  it('asks the second of two brokers when the first is not there', async () => {
    const two = new Client({ brokers: `127.0.0.1:1,${server.address}` });
    assert.equal((await two.admin.describeCluster()).brokers.length, 1);
    server.createTopic('t');
    assert.equal((await two.producer().send('t', { value: Buffer.from('a') })).offset, 0);
    await two.close();
  });

  it('closes what came from it: producers when all is acknowledged, consumers after they left', async () => {
    server.createTopic('t');
    const producer = client.producer({ batch: { lingerMs: 60_000 } });
    const sent = producer.send('t', { value: Buffer.from('a') });
    const consumer = client.consumer({ group: 'g', topics: ['t'], onNoOffset: 'earliest' });
    await consumer.start();
    const next = consumer.records().next();
    await client.close();
    assert.equal((await sent).offset, 0);
    assert.equal((await next).done, true);
    assert.equal(server.group('g').member, null);
  });
});
