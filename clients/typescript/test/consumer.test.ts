import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../src/client.ts';
import type { Consumer } from '../src/consumer.ts';
import type { ConsumerOptions } from '../src/consumer-options.ts';
import { BrokerError } from '../src/errors.ts';
import { LeaveReason } from '../src/gen/sluice/v1/group.ts';
import type { InRecord } from '../src/record.ts';
import { resumeTokenFile } from '../src/resume-token.ts';
import type { ResumeTokenStorage } from '../src/resume-token.ts';
import { serdes, topic } from '../src/serde.ts';
import type { Bytes } from '../src/serde.ts';
import { ScriptedServer } from './scripted-server.ts';

let server: ScriptedServer;
let client: Client;
const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

beforeEach(async () => {
  server = new ScriptedServer();
  await server.start();
  server.createTopic('t');
  client = new Client({ brokers: server.address, backoff: { initialMs: 5, maxMs: 50 } });
});

afterEach(async () => {
  await client.close();
  server.stop();
  assert.deepEqual(unhandled, []);
});

const textOf = (record: InRecord): string => Buffer.from(record.value ?? []).toString();
const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, n) => String(from + n));

async function fill(values: readonly string[], name = 't', partition = 0, perBatch = 10): Promise<void> {
  const producer = client.producer({ batch: { maxRecords: perBatch } });
  await producer.sendMany(
    name,
    values.map((text) => ({ value: Buffer.from(text), partition })),
  );
  await producer.close();
}

const consume = (options: Partial<ConsumerOptions<Bytes, Bytes>> = {}): Consumer =>
  client.consumer({ group: 'g', topics: ['t'], onNoOffset: 'earliest', ...options });

/** Takes `count` records without finishing the last one. */
async function take(iterator: AsyncIterator<InRecord>, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) {
    const next = await iterator.next();
    if (next.done === true) break;
    taken.push(textOf(next.value));
  }
  return taken;
}

async function until(holds: () => boolean, withinMs = 3_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `not within ${withinMs} ms: ${holds.toString()}`);
    await sleep(5);
  }
}

const memoryStorage = (): ResumeTokenStorage & { token: Uint8Array | null } => ({
  token: null,
  load() {
    return Promise.resolve(this.token);
  },
  save(token) {
    this.token = token;
    return Promise.resolve();
  },
});

describe('a consumer', () => {
  it('reads what is there and what comes, in order, with every field', async () => {
    await fill(numbers(25));
    const producer = client.producer();
    const headers = [['h', 'text']] as const;
    await producer.send('t', { key: Buffer.from('k'), value: null, headers, timestampMs: 77 });
    const iterator = consume().records();
    assert.deepEqual(await take(iterator, 25), numbers(25));
    const { value: record } = await iterator.next();
    assert.ok(record !== undefined);
    assert.deepEqual(
      [record.topic, record.partition, record.offset, record.timestampMs, record.leaderEpoch],
      ['t', 0, 25, 77, 1],
    );
    assert.deepEqual([record.value, record.header('h'), record.header('x')], [null, 'text', undefined]);
    const waiting = iterator.next();
    await producer.send('t', { value: Buffer.from('late') });
    const late = await waiting;
    assert.equal(late.done === true ? '' : textOf(late.value), 'late');
  });

  it('reads every partition of every topic', async () => {
    server.createTopic('u', 3);
    await fill(numbers(3), 't');
    for (const partition of [0, 1, 2]) await fill(numbers(5, 10 * partition), 'u', partition);
    const consumer = consume({ topics: ['t', 'u'] });
    const taken = await take(consumer.records(), 18);
    assert.deepEqual(
      taken.map(Number).sort((a, b) => a - b),
      [...numbers(3), ...numbers(5), ...numbers(5, 10), ...numbers(5, 20)].map(Number).sort((a, b) => a - b),
    );
    assert.equal(consumer.assignment.length, 4);
  });

  it('uses serdes, per topic where the handle has its own', async () => {
    const typed = topic('t', { key: serdes.utf8, value: serdes.json((parsed) => parsed as { n: number }) });
    await client.producer<string, { n: number }>().send(typed, { key: 'k', value: { n: 5 } });
    const consumer = client.consumer<string, { n: number }>({ group: 'g', topics: [typed], onNoOffset: 'earliest' });
    for await (const record of consumer) {
      assert.deepEqual([record.key, record.value], ['k', { n: 5 }]);
      break;
    }
  });

  it('hands out batches of one partition, cut to size', async () => {
    await fill(numbers(25));
    const consumer = consume();
    const sizes: [number, number][] = [];
    for await (const batch of consumer.batches({ maxRecords: 7 })) {
      sizes.push([batch.records.length, batch.nextOffset]);
      assert.equal(batch.highWatermark, 25);
      assert.equal(consumer.position({ topic: 't', partition: 0 }), batch.nextOffset);
      if (batch.nextOffset === 25) break;
    }
    assert.deepEqual(sizes, [
      [7, 7],
      [3, 10],
      [7, 17],
      [3, 20],
      [5, 25],
    ]);
  });

  it('refuses options that make no sense', () => {
    assert.throws(() => consume({ group: '' }), { code: 'INVALID_GROUP_ID' });
    assert.throws(() => consume({ fetch: { prefetchBytes: 1 } }), { code: 'INVALID_REQUEST' });
    assert.throws(() => consume().batches({ maxRecords: 0 }), { code: 'INVALID_REQUEST' });
  });
});

describe('where it begins', () => {
  it('is the committed offset, in the middle of a batch too', async () => {
    await fill(numbers(20));
    await client.close();
    client = new Client({ brokers: server.address });
    server.group('g').committed.set('t/0', { offset: 13n, leaderEpoch: 1 });
    assert.deepEqual(await take(consume({ onNoOffset: 'error' }).records(), 7), numbers(7, 13));
  });

  it('is an error without a committed offset, unless a policy was chosen (sem-O5)', async () => {
    await fill(numbers(3));
    await assert.rejects(consume({ onNoOffset: 'error' }).start(), {
      code: 'NO_COMMITTED_OFFSET',
      topic: 't',
      partition: 0,
    });
    await until(() => server.group('g').member === null);
    const iterator = consume({ onNoOffset: 'latest' }).records();
    const next = iterator.next();
    await until(() => (server.calls.get('fetchStream') ?? 0) > 0);
    await fill(['new']);
    const { value } = await next;
    assert.equal(value === undefined ? '' : textOf(value), 'new');
  });

  it('is the first record of a partition that is newer than the group, whatever the policy (sem-O5)', async () => {
    await fill(numbers(3));
    server.newerThanGroup = true;
    for (const onNoOffset of ['latest', 'error'] as const) {
      const consumer = consume({ onNoOffset, commit: 'manual' });
      assert.deepEqual(await take(consumer.records(), 3), numbers(3));
      await consumer.close();
    }
    server.group('g').committed.set('t/0', { offset: 2n, leaderEpoch: 1 });
    assert.deepEqual(await take(consume({ onNoOffset: 'latest' }).records(), 1), ['2']);
  });

  it('is never guessed when the committed offsets can not be read', async () => {
    await fill(numbers(5));
    server.group('g').committed.set('t/0', { offset: 3n, leaderEpoch: 1 });
    server.unaryFault = (method, attempt) =>
      method === 'fetchCommitted' && attempt < 3 ? 'COORDINATOR_LOAD_IN_PROGRESS' : null;
    const consumer = consume();
    assert.deepEqual(await take(consumer.records(), 2), ['3', '4']);
    await consumer.close();
    server.unaryFault = (method) => (method === 'fetchCommitted' ? 'QUARANTINED' : null);
    const stuck = consume();
    const first = stuck.records().next();
    await sleep(100);
    server.unaryFault = (method) => (method === 'fetchCommitted' ? 'STORAGE_CORRUPTION' : null);
    await assert.rejects(first, { code: 'STORAGE_CORRUPTION' });
  });

  it('is an error out of range, unless a policy was chosen (sem-O6)', async () => {
    await fill(numbers(20));
    server.partition('t').logStart = 10;
    server.group('g').committed.set('t/0', { offset: 3n, leaderEpoch: 1 });
    await assert.rejects(consume().records().next(), { code: 'OFFSET_OUT_OF_RANGE' });
    await until(() => server.group('g').member === null);
    assert.deepEqual(await take(consume({ onOutOfRange: 'earliest' }).records(), 3), ['10', '11', '12']);
  });
});

describe('commits', () => {
  it('follow what is processed, and close adds the rest', async () => {
    await fill(numbers(10));
    const consumer = consume({ commitIntervalMs: 20 });
    const iterator = consumer.records();
    await take(iterator, 4);
    await until(() => server.committed('g', 't') === 3);
    assert.deepEqual(await take(iterator, 1), ['4']);
    await consumer.close();
    assert.equal(server.committed('g', 't'), 4, 'the record in hand is not processed');
    assert.equal(server.group('g').member, null, 'it has left');
    assert.equal((await iterator.next()).done, true);
  });

  it('of a waiting consumer include everything when it is closed', async () => {
    await fill(numbers(10));
    const consumer = consume({ commit: 'interval' });
    const iterator = consumer.records();
    await take(iterator, 10);
    const waiting = iterator.next();
    await sleep(20);
    await consumer.close();
    assert.equal((await waiting).done, true);
    assert.equal(server.committed('g', 't'), 10);
  });

  it('are the application’s alone with commit: manual', async () => {
    await fill(numbers(10));
    const consumer = consume({ commit: 'manual' });
    let n = 0;
    for await (const record of consumer) {
      n += 1;
      if (n === 3) await consumer.commit(record);
      if (n === 5) await consumer.commit([{ topic: 't', partition: 0, offset: 4 }]);
      if (n === 6) break;
    }
    assert.equal(server.committed('g', 't'), 4);
  });

  it('of the record in hand survive leaving the loop', async () => {
    await fill(numbers(10));
    const consumer = consume();
    for await (const record of consumer) {
      if (record.offset < 4) continue;
      await consumer.commit(record);
      break;
    }
    assert.equal(server.committed('g', 't'), 5);
    await assert.rejects(consumer.commit(), { code: 'CLOSED' });
  });

  it('without an argument are everything handed out', async () => {
    await fill(numbers(10));
    const consumer = consume({ commit: 'manual' });
    await take(consumer.records(), 6);
    await consumer.commit();
    assert.equal(server.committed('g', 't'), 6);
  });

  it('are made again when a new member epoch overtakes them', async () => {
    await fill(numbers(10));
    const consumer = consume({ commit: 'manual' });
    await take(consumer.records(), 2);
    let refused = 0;
    server.unaryFault = (method) => (method === 'commit' && refused++ < 2 ? 'STALE_MEMBER_EPOCH' : null);
    await consumer.commit();
    assert.equal(server.committed('g', 't'), 2);
    assert.equal(refused, 3);
  });

  it('that fail for good reject the next call', async () => {
    await fill(numbers(10));
    const consumer = consume({ commitIntervalMs: 1 });
    const iterator = consumer.records();
    server.unaryFault = (method) => (method === 'commit' ? 'INVALID_REQUEST' : null);
    await take(iterator, 3);
    await until(() => (server.calls.get('leaveGroup') ?? 0) > 0);
    await assert.rejects(iterator.next(), { code: 'INVALID_REQUEST' });
    await assert.rejects(consumer.commit(), { code: 'INVALID_REQUEST' });
  });

  it('survive lost answers', async () => {
    await fill(numbers(10));
    const consumer = consume({ commit: 'manual' });
    await take(consumer.records(), 2);
    let dropped = false;
    server.unaryFault = (method) => {
      if (method !== 'commit' || dropped) return null;
      dropped = true;
      return 'drop';
    };
    await consumer.commit();
    assert.equal(server.committed('g', 't'), 2);
  });
});

describe('membership', () => {
  it('lives while the application is busy', async () => {
    server.heartbeatIntervalMs = 20;
    await fill(numbers(5));
    const iterator = consume().records();
    await take(iterator, 1);
    const before = server.group('g').member?.heartbeats ?? 0;
    await until(() => (server.group('g').member?.heartbeats ?? 0) - before >= 5);
  });

  it('is taken up again at once with a resume token, and refused without', async () => {
    await fill(numbers(10));
    const storage = memoryStorage();
    const killed = consume({ resumeToken: storage });
    await take(killed.records(), 3);
    await killed.commit();
    killed.abandon();
    await assert.rejects(consume().start(), { code: 'GROUP_MAX_SIZE_REACHED' });
    const next = consume({ resumeToken: storage });
    assert.deepEqual(await take(next.records(), 7), numbers(7, 3));
    assert.equal(server.group('g').member?.epoch, 2);
  });

  it('keeps its partitions however long it takes over a record, while its heartbeats flow', async () => {
    server.heartbeatIntervalMs = 10;
    await fill(numbers(5));
    const iterator = consume().records();
    await take(iterator, 1);
    const before = server.group('g').member?.heartbeats ?? 0;
    await until(() => (server.group('g').member?.heartbeats ?? 0) - before >= 30);
    assert.deepEqual(await take(iterator, 1), ['1']);
  });

  it('leaves when its application takes longer than it said, says why, and commits nothing of it', async () => {
    server.heartbeatIntervalMs = 10;
    await fill(numbers(5));
    const lost: number[] = [];
    const slow = consume({
      maxProcessingMs: 60,
      onLost: (gone) => void lost.push(...gone.map((each) => each.partition)),
    });
    const iterator = slow.records();
    for (let n = 0; n < 2; n++) assert.deepEqual(await take(iterator, 1), [String(n)]);
    await slow.commit([{ topic: 't', partition: 0, offset: 1 }]);
    await until(() => server.leaveReasons.length > 0);
    assert.deepEqual(server.leaveReasons, [LeaveReason.LEAVE_REASON_PROGRESS_EXPIRED]);
    assert.deepEqual(lost, [0]);
    await assert.rejects(iterator.next(), { code: 'PROGRESS_EXPIRED' });
    const next = consume();
    assert.deepEqual(await take(next.records(), 1), ['1'], 'what it had in hand is read again');
  });

  it('joins once though the answers to its join are lost, and names each join by an id of its own', async () => {
    server.heartbeatIntervalMs = 20;
    await fill(numbers(4));
    const before = server.calls.get('joinGroup') ?? 0;
    server.unaryFault = (method, attempt) => (method === 'joinGroup' && attempt < before + 2 ? 'drop' : null);
    const consumer = consume();
    assert.deepEqual(await take(consumer.records(), 4), numbers(4));
    assert.equal(server.calls.get('joinGroup'), before + 3);
    const first = server.group('g').member;
    assert.equal(first?.epoch, 1);
    assert.match(first.joinId ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    server.group('g').member = null;
    await until(() => server.group('g').member !== null);
    assert.notEqual(server.group('g').member?.joinId, first.joinId);
  });

  it('keeps its place for its next life if it has an instance id, and gives it up if it is told to, or has taken too long', async () => {
    server.heartbeatIntervalMs = 10;
    await fill(numbers(4));
    const storage = memoryStorage();
    const first = consume({ instanceId: 'pod-0', resumeToken: storage });
    await first.start();
    assert.equal(server.group('g').member?.instanceId, 'pod-0');
    await first.close();
    assert.notEqual(storage.token, null, 'the token of a place that is kept is still good');
    const second = consume({ instanceId: 'pod-0' });
    await second.start();
    await second.close({ leave: true });
    const slow = consume({ instanceId: 'pod-0', maxProcessingMs: 30 });
    await take(slow.records(), 1);
    await until(() => server.placesKept.length === 3);
    const plain = consume();
    await plain.start();
    await plain.close();
    assert.deepEqual(server.placesKept, [true, false, false, false]);
  });

  it('fails for good when another process has taken its instance id', async () => {
    server.heartbeatIntervalMs = 10;
    await fill(numbers(2));
    const consumer = consume({ instanceId: 'pod-0' });
    const iterator = consumer.records();
    await take(iterator, 2);
    server.unaryFault = (method) => (method === 'heartbeat' ? 'FENCED_INSTANCE_ID' : null);
    await assert.rejects(iterator.next(), { code: 'FENCED_INSTANCE_ID' });
    assert.equal(server.calls.get('joinGroup'), 1, 'it does not join again');
  });

  it('begins anew when the token is not known any more', async () => {
    await fill(numbers(2));
    const storage = memoryStorage();
    await storage.save(Buffer.from('old'));
    assert.deepEqual(await take(consume({ resumeToken: storage }).records(), 2), ['0', '1']);
    assert.equal(Buffer.from((await storage.load()) ?? []).toString(), server.group('g').member?.token);
  });

  it('keeps its token in a file, whole or not at all, until it leaves', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-token-'));
    const storage = resumeTokenFile(path.join(folder, 'deep/token'));
    assert.equal(await storage.load(), null);
    const consumer = consume({ resumeToken: storage });
    await consumer.start();
    assert.equal(Buffer.from((await storage.load()) ?? []).toString(), server.group('g').member?.token);
    assert.deepEqual(await readdir(path.join(folder, 'deep')), ['token']);
    await consumer.close();
    assert.equal(await storage.load(), null);
    await rm(folder, { recursive: true });
  });

  it('says that the token could not be kept', async () => {
    const failing: ResumeTokenStorage = {
      load: () => Promise.resolve(null),
      save: () => Promise.reject(new Error('disk full')),
    };
    await assert.rejects(consume({ resumeToken: failing }).start(), { code: 'RESUME_TOKEN_STORAGE_FAILED' });
  });

  it('is taken up again after it was forgotten, from what is committed', async () => {
    server.heartbeatIntervalMs = 20;
    await fill(numbers(10));
    const lost: string[] = [];
    const consumer = consume({
      commit: 'manual',
      onLost: (partitions) => void lost.push(...partitions.map((p) => `${p.topic}/${p.partition}`)),
    });
    const iterator = consumer.records();
    await take(iterator, 3);
    await consumer.commit();
    await take(iterator, 4);
    server.group('g').member = null;
    await until(() => lost.length > 0 && consumer.assignment.length === 1);
    assert.deepEqual(lost, ['t/0']);
    assert.deepEqual(await take(iterator, 2), ['3', '4']);
  });

  it('is fought for once, then left to the other process with the same token', async () => {
    server.heartbeatIntervalMs = 20;
    await fill(numbers(10));
    const storage = memoryStorage();
    const older = consume({ resumeToken: storage });
    const newer = consume({ resumeToken: storage });
    await take(older.records(), 1);
    await take(newer.records(), 1);
    const results = await Promise.allSettled(
      [older, newer]
        .map((consumer) => take(consumer.records(), 100))
        .map((taking) => Promise.race([taking, sleep(500)])),
    );
    const failed = results.filter((result) => result.status === 'rejected');
    assert.equal(failed.length, 1);
    assert.ok(BrokerError.is(failed[0]?.reason, 'FENCED_MEMBER_EPOCH'));
    assert.notEqual(server.group('g').member, null);
  });

  it('gives partitions away only after what was processed of them is committed', async () => {
    server.heartbeatIntervalMs = 20;
    server.createTopic('u', 2);
    await fill(numbers(3), 'u', 0);
    await fill(numbers(3, 10), 'u', 1);
    const events: string[] = [];
    const consumer = consume({
      topics: ['u'],
      commit: 'interval',
      onAssigned: (partitions) => void events.push(`+${partitions.map((p) => p.partition).join()}`),
      onRevoked: (partitions) => void events.push(`-${partitions.map((p) => p.partition).join()}`),
    });
    const iterator = consumer.records();
    assert.equal((await take(iterator, 6)).length, 6);
    const member = server.group('g').member;
    assert.ok(member !== null);
    const waiting = iterator.next();
    member.pending = [{ topic: 'u', topicId: '', partitions: [0] }];
    await until(() => events.includes('-1'));
    assert.equal(server.committed('g', 'u', 1), 3);
    await until(() => server.owned[0]?.partitions.join() === '0');
    assert.deepEqual(events, ['+0,1', '-1']);
    await fill(['x'], 'u', 1);
    await fill(['y'], 'u', 0);
    const { value } = await waiting;
    assert.equal(value === undefined ? '' : textOf(value), 'y');
  });
});

describe('reading', () => {
  it('goes on where it was after every lost connection', async () => {
    await fill(numbers(300), 't', 0, 7);
    const consumer = consume({ fetch: { maxBytes: 500 } });
    const iterator = consumer.records();
    const taken: string[] = [];
    for (let round = 0; round < 5; round++) {
      taken.push(...(await take(iterator, 40)));
      await server.dropConnections();
    }
    taken.push(...(await take(iterator, 100)));
    assert.deepEqual(taken, numbers(300));
  });

  it('goes on after a broker was away', async () => {
    await fill(numbers(5));
    const iterator = consume().records();
    await take(iterator, 5);
    const waiting = iterator.next();
    server.stop();
    await sleep(200);
    await server.start();
    await fill(['more']);
    const { value } = await waiting;
    assert.equal(value === undefined ? '' : textOf(value), 'more');
  });

  it('tries a partition again after a passing error, and only that', async () => {
    server.createTopic('u', 2);
    await fill(numbers(3), 'u', 0);
    await fill(numbers(3, 10), 'u', 1);
    let errors = 0;
    server.fetchFault = (_, partition) => (partition === 1 && errors++ < 3 ? 'LEADER_NOT_AVAILABLE' : null);
    const taken = await take(consume({ topics: ['u'] }).records(), 6);
    assert.deepEqual(taken, [...numbers(3), ...numbers(3, 10)]);
  });

  it('ends with an error that does not pass', async () => {
    await fill(numbers(3));
    const iterator = consume().records();
    await take(iterator, 3);
    server.topics.delete('t');
    await server.dropConnections();
    await assert.rejects(iterator.next(), { code: 'UNKNOWN_TOPIC_OR_PARTITION', topic: 't' });
  });

  it('ends at a batch that is damaged, and does not pass over it', async () => {
    await fill(numbers(20));
    const second = server.partition('t').batches[1];
    assert.ok(second !== undefined);
    second.bytes[70] = (second.bytes[70] ?? 0) ^ 1;
    const consumer = consume();
    const iterator = consumer.records();
    assert.deepEqual(await take(iterator, 10), numbers(10));
    await assert.rejects(iterator.next(), { code: 'CORRUPT_MESSAGE', topic: 't', partition: 0 });
    await until(() => server.group('g').member === null);
    assert.equal(server.committed('g', 't'), 10);
  });

  it('takes no more than it granted (fetch-1)', async () => {
    const mib = 1024 * 1024;
    await fill(
      numbers(80).map((text) => text.padEnd(100_000)),
      't',
      0,
      1,
    );
    const iterator = consume({ fetch: { prefetchBytes: 2 * mib, maxBytes: 200_000 } }).records();
    await take(iterator, 1);
    await sleep(100);
    assert.ok(server.fetchedBytes <= 2.2 * mib, `${server.fetchedBytes}`);
    assert.equal((await take(iterator, 79)).length, 79);
  });

  it('pauses and resumes partitions, losing and repeating nothing', async () => {
    server.createTopic('u', 2);
    await fill(numbers(30), 'u', 0);
    await fill(numbers(30, 100), 'u', 1);
    const consumer = consume({ topics: ['u'], fetch: { maxBytes: 300 } });
    const iterator = consumer.records();
    const taken = await take(iterator, 5);
    const first = { topic: 'u', partition: 0 };
    consumer.pause([first]);
    const paused = await take(iterator, 30 - taken.filter((text) => Number(text) >= 100).length);
    assert.ok(paused.every((text) => Number(text) >= 100));
    consumer.resume([first]);
    const all = [...taken, ...paused, ...(await take(iterator, 60 - taken.length - paused.length))];
    assert.deepEqual(
      all.filter((text) => Number(text) < 100),
      numbers(30),
    );
    assert.deepEqual(
      all.filter((text) => Number(text) >= 100),
      numbers(30, 100),
    );
  });

  it('can be moved, back and forth', async () => {
    await fill(numbers(30));
    const consumer = consume({ commitIntervalMs: 1 });
    const iterator = consumer.records();
    const here = { topic: 't', partition: 0 };
    await take(iterator, 12);
    await consumer.seek(here, 5);
    assert.deepEqual(await take(iterator, 2), ['5', '6']);
    await consumer.seek(here, 'earliest');
    assert.deepEqual(await take(iterator, 2), ['0', '1']);
    await consumer.seek(here, 28);
    assert.deepEqual(await take(iterator, 2), ['28', '29']);
    await assert.rejects(consumer.seek({ topic: 't', partition: 1 }, 0), { code: 'PARTITION_NOT_OWNED' });
    await consumer.seek(here, 2);
    await consumer.close();
    assert.equal(server.committed('g', 't'), 2, 'a deliberate rewind is committed');
  });

  it('waits no longer than the signal says, and stays a member', async () => {
    const consumer = consume();
    await assert.rejects(consumer.records({ signal: AbortSignal.timeout(50) }).next(), { code: 'ABORTED' });
    await fill(['a']);
    assert.deepEqual(await take(consumer.records(), 1), ['a']);
  });

  it('refuses a second next() while one is waiting', async () => {
    const iterator = consume().records();
    const first = iterator.next();
    await assert.rejects(iterator.next(), { code: 'INVALID_REQUEST' });
    await fill(['a']);
    assert.equal((await first).done, false);
  });
});

describe('a reader', () => {
  it('reads all partitions to their present end, without a group', async () => {
    server.createTopic('u', 3);
    await fill(numbers(15), 'u', 0);
    await fill(numbers(15, 100), 'u', 2);
    const taken: string[] = [];
    for await (const record of client.reader({ topic: 'u', until: 'latest' })) taken.push(textOf(record));
    assert.deepEqual(
      taken.map(Number).sort((a, b) => a - b),
      [...numbers(15), ...numbers(15, 100)].map(Number),
    );
    assert.equal(server.groups.size, 0);
  });

  it('reads one partition from an offset until another', async () => {
    await fill(numbers(30));
    const options = { topic: 't', partition: 0, from: 7, until: 23 };
    assert.deepEqual(await take(client.reader(options).records(), 100), numbers(16, 7));
    const batches: number[] = [];
    for await (const batch of client.reader(options).batches()) batches.push(batch.records.length);
    assert.deepEqual(batches, [3, 10, 3]);
  });

  it('waits for more at the end, until it is closed', async () => {
    await fill(numbers(2));
    const reader = client.reader({ topic: 't', from: 'latest' });
    const iterator = reader.records();
    const next = iterator.next();
    await until(() => (server.calls.get('fetchStream') ?? 0) > 0);
    await fill(['new']);
    const { value } = await next;
    assert.equal(value === undefined ? '' : textOf(value), 'new');
    const waiting = iterator.next();
    await sleep(5);
    await reader.close();
    assert.equal((await waiting).done, true);
  });

  it('says what is wrong', async () => {
    await assert.rejects(client.reader({ topic: 'nowhere' }).start(), { code: 'UNKNOWN_TOPIC_OR_PARTITION' });
    await assert.rejects(client.reader({ topic: 't', partition: 4 }).start(), { code: 'UNKNOWN_TOPIC_OR_PARTITION' });
    await assert.rejects(client.reader({ topic: 't', from: 9 }).records().next(), { code: 'OFFSET_OUT_OF_RANGE' });
  });
});
