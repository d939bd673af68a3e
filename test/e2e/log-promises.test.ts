/** What produce and fetch promise (semantics A, I, H, R, O6, O7), asked over the wire of three real brokers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentials, status as Status } from '@grpc/grpc-js';
import { BrokerError, Client } from '../../clients/typescript/src/index.ts';
import type { NewTopic } from '../../clients/typescript/src/index.ts';
import { StallReason } from '../../src/gen/sluice/v1/cluster.ts';
import type {
  FetchPartition,
  FetchResponse,
  FoundOffset,
  InitProducerResponse,
  ListOffsetsRequest,
  ProduceRequest,
  ProduceResponse,
  ProduceStreamResponse,
} from '../../src/gen/sluice/v1/log.ts';
import { Acks, FetchFormat, LogServiceClient } from '../../src/gen/sluice/v1/log.ts';
import { must } from '../../src/model/assert.ts';
import { toProducerEpoch, toProducerId, toSequence } from '../../src/model/ids.ts';
import type { Answer } from '../api/rig.ts';
import { batchOf, call, codeName, codeOf, record, Replies } from '../api/rig.ts';
import { Cluster } from './three-places.ts';

/** For a machine that does much else; nothing is proven by waiting this long. */
const patienceMs = 60_000;
const yearMs = 365 * 24 * 3_600_000;
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const ids = [0, 1, 2] as const;

let cluster: Cluster;
let client: Client;
let doors: readonly LogServiceClient[];

const settingsOf = (id: number) => ({ 'broker.rack': `rack-${id}`, 'retention.checkInterval': '100ms' });
const door = (id: number): LogServiceClient => must(doors[id], 'there are three');

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await wait(50);
  }
}

/** A topic of one partition on all three brokers, led by somebody. */
async function topic(name: string, config: NewTopic['config'] = {}): Promise<void> {
  await until(`${name} is made`, async () => {
    try {
      await client.admin.createTopic({ name, partitions: 1, replicationFactor: 3, config });
      return true;
    } catch (error) {
      if (BrokerError.is(error, 'TOPIC_ALREADY_EXISTS')) return true;
      if (error instanceof BrokerError && error.retriable) return false;
      throw error;
    }
  });
  await settled(name, 'first');
}

/** The leader, once somebody says who leads and all three are in sync. */
async function leaderOf(name: string, inSync = 3): Promise<number> {
  let leader = -1;
  await until(`${name} is led`, async () => {
    const described = await client.admin.describeTopic(name);
    const [partition] = described.partitions;
    leader = partition?.leader ?? -1;
    return leader >= 0 && (partition?.inSyncReplicas?.length ?? 0) >= inSync;
  });
  return leader;
}

const request = (name: string, values: readonly string[], more: Partial<ProduceRequest> = {}): ProduceRequest => ({
  topic: name,
  partition: 0,
  payload: { $case: 'recordBatch', value: batchOf(values.map((value) => record(value))) },
  acks: Acks.ACKS_ALL,
  compression: 0,
  ...more,
});

const produce = (to: number, name: string, value: string, more: Partial<ProduceRequest> = {}) =>
  call<ProduceResponse>((reply) => door(to).produce(request(name, [value], more), reply));

/** Produces until it is taken: what was certainly not appended is sent again. */
async function settled(name: string, value: string, more: Partial<ProduceRequest> = {}): Promise<ProduceResponse> {
  const deadline = performance.now() + patienceMs;
  for (let n = 0; ; n++) {
    const answer = await produce(n % 3, name, value, more);
    if (answer.kind === 'ok') return answer.value;
    assert.ok(performance.now() < deadline && answer.detail?.retriable !== false, codeOf(answer));
    await wait(50);
  }
}

const fetch = (to: number, name: string, fetchOffset: number, more: Partial<FetchPartition> = {}, maxWaitMs = 0) => {
  const partitions = [{ topic: name, partition: 0, fetchOffset: BigInt(fetchOffset), ...more }];
  return call<FetchResponse>((reply) =>
    door(to).fetch({ partitions, maxWaitMs, format: FetchFormat.FETCH_FORMAT_RECORDS }, reply),
  );
};

/** What one partition answers: its code, the values from the offset on, and where it ends. */
async function read(to: number, name: string, offset: number, more: Partial<FetchPartition> = {}, maxWaitMs = 0) {
  const answer = await fetch(to, name, offset, more, maxWaitMs);
  assert.equal(answer.kind, 'ok', codeOf(answer));
  const one = must(answer.value.partitions[0], 'one was asked for');
  const records = one.payload?.$case === 'records' ? one.payload.value.records : [];
  const values = records.map(({ value }) => Buffer.from(value ?? []).toString());
  const code = one.error === undefined ? 'ok' : codeName(one.error);
  return { code, values, end: Number(one.highWatermark ?? -1n), preferred: one.preferredReplica?.brokerId ?? null };
}

/** Everything in the log, from a broker that has all that the group knows to be committed. */
async function logOf(name: string): Promise<readonly string[]> {
  let values: readonly string[] = [];
  await until(`${name} can be read`, async () => {
    const found = await read(await leaderOf(name, 2), name, 0);
    values = found.values;
    return found.code === 'ok' && found.values.length === found.end;
  });
  return values;
}

async function find(to: number, name: string, at: ListOffsetsRequest['queries'][number]['at']): Promise<FoundOffset> {
  const answer = await call<{ offsets: FoundOffset[] }>((reply) =>
    door(to).listOffsets({ queries: [{ topic: name, partition: 0, at }] }, reply),
  );
  assert.equal(answer.kind, 'ok', codeOf(answer));
  return must(answer.value.offsets[0], 'one was asked for');
}

async function newProducer(previous?: InitProducerResponse): Promise<InitProducerResponse> {
  let given: InitProducerResponse | null = null;
  await until('an identity is given', async () => {
    const identity = previous && { producerId: previous.producerId, producerEpoch: previous.producerEpoch };
    const asked = identity && { previous: { ...identity, baseSequence: 0 }, secret: previous.secret };
    const answer = await call<InitProducerResponse>((reply) => door(0).initProducer(asked ?? {}, reply));
    given = answer.kind === 'ok' ? answer.value : null;
    return given !== null;
  });
  return must(given as InitProducerResponse | null, 'it was waited for');
}

/** A batch of as many records as there are values, with its identity in its own header. */
const asOf = (who: InitProducerResponse, sequence: number, values: readonly string[]): Partial<ProduceRequest> => ({
  payload: {
    $case: 'recordBatch',
    value: batchOf(
      values.map((value) => record(value)),
      {
        producer: {
          id: toProducerId(Number(who.producerId)),
          epoch: toProducerEpoch(who.producerEpoch),
          baseSequence: toSequence(sequence),
        },
      },
    ),
  },
});

function refused(answer: Answer<unknown>): { code: string; status: number; indeterminate: boolean } {
  assert.equal(answer.kind, 'error', 'it was taken');
  return { code: codeOf(answer), status: answer.status, indeterminate: answer.detail?.indeterminate ?? true };
}

const stop = (id: number): boolean => cluster.broker(id).child.kill('SIGSTOP');
const goOn = (id: number): boolean => cluster.broker(id).child.kill('SIGCONT');
const others = (leader: number): number[] => ids.filter((id) => id !== leader);

test('produce and fetch on three brokers', async (t) => {
  // what fails leaves nobody stopped, so that it fails alone
  t.afterEach(() => {
    for (const id of ids) goOn(id);
  });
  // one cluster for all of it
  cluster = await Cluster.plan(t);
  await Promise.all(ids.map((id) => cluster.start(id, settingsOf(id)).ready()));
  client = new Client({ brokers: ids.map((id) => cluster.address(id)) });
  // connections of their own, which come back soon after a broker did
  doors = ids.map(
    (id) =>
      new LogServiceClient(cluster.address(id), credentials.createInsecure(), {
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 200,
      }),
  );
  t.after(async () => {
    for (const each of doors) each.close();
    await client.close();
  });

  await t.test('sem-A1: other levels of acknowledgement than three are refused, and nothing is appended', async () => {
    await topic('a1');
    const { code, status, indeterminate } = refused(await produce(0, 'a1', 'x', { acks: 9 as Acks }));
    assert.deepEqual([code, status, indeterminate], ['INVALID_REQUIRED_ACKS', Status.INVALID_ARGUMENT, false]);
    assert.deepEqual(await logOf('a1'), ['first']);
  });

  await t.test('sem-A2: acks=none is silent unless it fails, and a failure does not end the stream', async () => {
    await topic('a2');
    const stream = door(1).produceStream();
    const replies = new Replies<ProduceStreamResponse>(stream);
    stream.write({ correlationId: 1n, produce: request('a2', ['silent'], { acks: Acks.ACKS_NONE }) });
    stream.write({ correlationId: 2n, produce: request('a2', ['no'], { acks: Acks.ACKS_NONE, partition: 77 }) });
    stream.write({ correlationId: 3n, produce: request('a2', ['told']) });
    const said = await replies.take(2);
    assert.deepEqual(said.map(({ correlationId, result }) => `${correlationId} ${result?.$case}`).sort(), [
      '2 error',
      '3 produced',
    ]);
    stream.end();
    assert.equal(await replies.ended(), null);
    assert.deepEqual(await logOf('a2'), ['first', 'silent', 'told']);
    assert.equal(codeOf(await produce(0, 'a2', 'x', { acks: Acks.ACKS_NONE })), 'INVALID_REQUIRED_ACKS');
  });

  await t.test('sem-A9: too large, damaged, and a year ahead are refused, each with its own code', async () => {
    await topic('a9');
    const large = batchOf([record('v'.repeat((1 << 20) + 1_000))], {}, 2 << 20);
    const damaged = Uint8Array.from(batchOf([record('x')]));
    damaged[damaged.length - 2] = (damaged[damaged.length - 2] ?? 0) ^ 1;
    const ahead = batchOf([record('x', null, Date.now() + yearMs)]);
    for (const [value, code] of [
      [large, 'MESSAGE_TOO_LARGE'],
      [damaged, 'CORRUPT_MESSAGE'],
      [ahead, 'INVALID_TIMESTAMP'],
    ] as const) {
      const answer = refused(await produce(2, 'a9', '', { payload: { $case: 'recordBatch', value } }));
      assert.deepEqual([answer.code, answer.indeterminate], [code, false]);
    }
    assert.deepEqual(await logOf('a9'), ['first']);
  });

  await t.test(
    'sem-I1 sem-I3 sem-I4 sem-I5: the five newest batches are answered as they were, older ones as duplicates, gaps and overlaps refused',
    async () => {
      await topic('i3');
      const who = await newProducer();
      const offsets: number[] = [];
      for (let n = 0; n < 7; n++)
        offsets.push(Number((await settled('i3', '', asOf(who, n * 2, [`${n}a`, `${n}b`]))).baseOffset));
      for (const [n, base] of offsets.entries()) {
        const again = await settled('i3', '', asOf(who, n * 2, [`${n}a`, `${n}b`]));
        assert.equal(again.duplicate, true, 'a success, and no DUPLICATE_SEQUENCE_NUMBER');
        assert.equal(again.baseOffset, n < 2 ? undefined : BigInt(base), `batch ${n}`);
      }
      for (const [sequence, values] of [[15, ['gap']] as const, [13, ['over', 'lap']] as const]) {
        const answer = refused(await produce(0, 'i3', '', asOf(who, sequence, values)));
        assert.deepEqual([answer.code, answer.indeterminate], ['OUT_OF_ORDER_SEQUENCE_NUMBER', false]);
      }
      assert.equal((await logOf('i3')).length, 1 + 14);
    },
  );

  await t.test('sem-I6 sem-I7 sem-I8: epochs fence, a new epoch and an unknown producer start at 0', async () => {
    await topic('i6');
    const old = await newProducer();
    await settled('i6', '', asOf(old, 0, ['old']));
    const raised = await newProducer(old);
    assert.deepEqual([raised.producerId, raised.producerEpoch], [old.producerId, old.producerEpoch + 1]);
    assert.equal(codeOf(await produce(1, 'i6', '', asOf(raised, 1, ['x']))), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    await settled('i6', '', asOf(raised, 0, ['new']));
    assert.equal(codeOf(await produce(2, 'i6', '', asOf(old, 1, ['x']))), 'INVALID_PRODUCER_EPOCH');
    assert.equal(codeOf(await produce(0, 'i6', '', asOf(await newProducer(), 5, ['x']))), 'UNKNOWN_PRODUCER_ID');
    assert.deepEqual(await logOf('i6'), ['first', 'old', 'new']);
  });

  await t.test('sem-I11: a producer identity requires acks=all', async () => {
    await topic('i11');
    const who = await newProducer();
    const answer = await produce(0, 'i11', '', { ...asOf(who, 0, ['x']), acks: Acks.ACKS_LEADER });
    assert.equal(refused(answer).status, Status.INVALID_ARGUMENT);
    assert.deepEqual(await logOf('i11'), ['first']);
  });

  await t.test(
    'sem-O6: below the start and above the end is out of range; at the end it waits as long as asked',
    async () => {
      await topic('o6');
      await settled('o6', 'second');
      const leader = await leaderOf('o6');
      await client.admin.deleteRecords({ topic: 'o6', partition: 0 }, { before: 1 });
      assert.equal((await read(leader, 'o6', 0)).code, 'OFFSET_OUT_OF_RANGE');
      assert.equal((await read(leader, 'o6', 3)).code, 'OFFSET_OUT_OF_RANGE');
      const startMs = performance.now();
      assert.deepEqual(await read(leader, 'o6', 2, {}, 300), { code: 'ok', values: [], end: 2, preferred: null });
      assert.ok(performance.now() - startMs >= 290);
    },
  );

  await t.test(
    'sem-R1 sem-R2 sem-R3 sem-R4: what is kept: 7 days by default, never less than the limits say',
    async () => {
      await topic('r1');
      const { config } = await client.admin.describeTopic('r1');
      assert.deepEqual([config.retentionMs, config.retentionBytes], [7 * 24 * 3_600_000, null]);
      await topic('r2', { retentionRecords: 3 });
      for (let n = 0; n < 6; n++) await settled('r2', `${n}`);
      const earliest = async (): Promise<number> =>
        Number((await find(await leaderOf('r2'), 'r2', { $case: 'earliest', value: {} })).offset);
      await until('the look, which is a setting, has come by', async () => (await earliest()) === 4);
      await wait(300);
      assert.equal(await earliest(), 4, 'three are kept, and not one less');
      const logStart = await client.admin.deleteRecords({ topic: 'r2', partition: 0 });
      assert.equal(logStart, 7, 'everything that is committed, and nothing above');
      const beyond = client.admin.deleteRecords({ topic: 'r2', partition: 0 }, { before: 8 });
      await assert.rejects(beyond, { code: 'OFFSET_OUT_OF_RANGE' });
    },
  );

  await t.test('sem-H2: a leader epoch that is over is fenced, one that has not begun is not known', async () => {
    await topic('h2');
    const { leaderEpoch } = await settled('h2', 'x');
    const leader = await leaderOf('h2');
    const at = async (epoch: number) => (await read(leader, 'h2', 0, { leaderEpoch: epoch })).code;
    assert.deepEqual(
      [await at(leaderEpoch - 1), await at(leaderEpoch), await at(leaderEpoch + 1)],
      ['FENCED_LEADER_EPOCH', 'ok', 'UNKNOWN_LEADER_EPOCH'],
    );
  });

  await t.test('readers in the rack of a follower are sent to it, and it serves what is committed', async () => {
    await topic('rack');
    await settled('rack', 'x');
    const leader = await leaderOf('rack');
    const [near = -1] = others(leader);
    await until('the leader sends the reader to its rack', async () => {
      const { preferred, values } = await read(leader, 'rack', 0, { rack: `rack-${near}` });
      assert.ok(preferred === null || values.length === 0);
      return preferred === near;
    });
    await until('the follower knows what is committed', async () => {
      const { code, values } = await read(near, 'rack', 0, { rack: `rack-${near}` }, 500);
      return code === 'ok' && values.join() === 'first,x';
    });
    const { code } = await read(near, 'rack', 0, { rack: 'elsewhere' });
    assert.equal(code, 'NOT_LEADER_OR_FOLLOWER', 'it serves its own rack only');
  });

  await t.test('sem-A5: committed on fewer replicas than asked for is told so, and can be read', async () => {
    await topic('a5', { minInsyncReplicas: 3 });
    const leader = await leaderOf('a5');
    const [victim = -1] = others(leader);
    stop(victim);
    const answer = refused(await produce(leader, 'a5', 'few', { timeoutMs: 1_000 }));
    assert.deepEqual(answer, { code: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', status: Status.ABORTED, indeterminate: true });
    assert.deepEqual((await read(leader, 'a5', 0, {}, 5_000)).values, ['first', 'few']);
    await until('too few are in sync', async () => {
      const next = await produce(leader, 'a5', 'none', { timeoutMs: 1_000 });
      return codeOf(next) === 'NOT_ENOUGH_REPLICAS';
    });
    goOn(victim);
  });

  await t.test('sem-A4: with too few in sync nothing is appended; acks=leader is not held back', async () => {
    await topic('a4', { minInsyncReplicas: 3 });
    const leader = await leaderOf('a4');
    const [victim = -1] = others(leader);
    stop(victim);
    let answer = refused(await produce(leader, 'a4', 'x', { timeoutMs: 500, expectedEndOffset: 99n }));
    await until('the follower is missed', async () => {
      answer = refused(await produce(leader, 'a4', 'x', { timeoutMs: 500, expectedEndOffset: 99n }));
      return answer.code === 'NOT_ENOUGH_REPLICAS';
    });
    assert.deepEqual([answer.status, answer.indeterminate], [Status.UNAVAILABLE, false]);
    const one = await produce(leader, 'a4', 'leader only', { acks: Acks.ACKS_LEADER });
    assert.ok(one.kind === 'ok' && !one.value.committed, codeOf(one));
    goOn(victim);
    assert.deepEqual(await logOf('a4'), ['first', 'leader only']);
  });

  await t.test(
    'sem-A6: what times out is unknown, a stream says what it waits for, and the record may commit later',
    async () => {
      await topic('a6');
      const leader = await leaderOf('a6');
      const who = await newProducer();
      const stream = door(leader).produceStream();
      const replies = new Replies<ProduceStreamResponse>(stream);
      for (const id of others(leader)) stop(id);
      const batch = asOf(who, 0, ['late']);
      stream.write({
        correlationId: 1n,
        explainAfterMs: 100,
        produce: request('a6', ['x'], { ...batch, timeoutMs: 400 }),
      });
      const said = await replies.next();
      assert.ok(said.result?.$case === 'waiting', 'it says why before it gives up');
      const [stall] = said.result.value.stalls;
      assert.deepEqual(
        [said.correlationId, said.result.value.topic, stall?.reason],
        [1n, 'a6', StallReason.STALL_REASON_WAITING_FOR_QUORUM],
      );
      assert.deepEqual(stall?.missingBrokers, others(leader));
      let last = await replies.next();
      while (last.result?.$case === 'waiting') last = await replies.next();
      assert.ok(last.result?.$case === 'error' && last.result.value.indeterminate, 'unknown, not failed');
      assert.match(
        codeName(last.result.value),
        /^(REQUEST_TIMED_OUT|NOT_LEADER_OR_FOLLOWER_AFTER_APPEND|LEADERSHIP_LOST)/,
      );
      stream.cancel();
      for (const id of others(leader)) goOn(id);
      await settled('a6', '', batch);
      assert.deepEqual(await logOf('a6'), ['first', 'late'], 'once, whichever of the two attempts it was');
    },
  );

  await t.test('sem-A10: a leader without a majority takes nothing any more, acks=leader included', async () => {
    await topic('a10');
    const leader = await leaderOf('a10');
    for (const id of others(leader)) stop(id);
    let answer: Answer<ProduceResponse> | null = null;
    await until('it gives up', async () => {
      answer = await produce(leader, 'a10', 'x', { acks: Acks.ACKS_LEADER, timeoutMs: 300 });
      return answer.kind === 'error' && answer.detail?.indeterminate === false;
    });
    assert.equal(refused(must(answer as Answer<ProduceResponse> | null, 'it was asked')).status, Status.UNAVAILABLE);
    for (const id of others(leader)) goOn(id);
    await settled('a10', 'y');
  });

  await t.test(
    'sem-A3 sem-H3 sem-H5: acks=leader may be lost and its offset given anew; who read on in a lost epoch can tell',
    async () => {
      await topic('a3');
      const leader = await leaderOf('a3');
      for (const id of others(leader)) stop(id);
      const lost = await produce(leader, 'a3', 'lost', { acks: Acks.ACKS_LEADER });
      assert.ok(lost.kind === 'ok', codeOf(lost));
      assert.deepEqual([lost.value.committed, lost.value.baseOffset], [false, 1n]);
      // all of them, for what the two were sent waits in their sockets
      await Promise.all(ids.map((id) => cluster.broker(id).kill('SIGKILL')));
      await Promise.all(others(leader).map((id) => cluster.start(id, settingsOf(id)).ready()));
      const kept = await settled('a3', 'kept');
      assert.deepEqual([kept.committed, kept.baseOffset], [true, 1n], 'the same offset, another record');
      assert.ok(kept.leaderEpoch > lost.value.leaderEpoch);
      await cluster.start(leader, settingsOf(leader)).ready();
      await until('the old leader has what the others agreed on', async () => {
        const { code, values } = await read(leader, 'a3', 0, {}, 500);
        assert.ok(!values.includes('lost'));
        return code === 'ok' && values.join() === 'first,kept';
      });
      const now = await leaderOf('a3');
      const ended = await find(now, 'a3', { $case: 'endOfLeaderEpoch', value: lost.value.leaderEpoch });
      assert.deepEqual([ended.offset, ended.endedEpoch], [1n, lost.value.leaderEpoch]);
      // a reader that had committed offset 2 of that epoch: it ends at 1, so what was read is in no log
      const newest = await find(now, 'a3', { $case: 'endOfLeaderEpoch', value: kept.leaderEpoch });
      assert.deepEqual([newest.offset, newest.endedEpoch], [2n, kept.leaderEpoch]);
      const never = await find(now, 'a3', { $case: 'endOfLeaderEpoch', value: 2 ** 31 - 1 });
      assert.equal(never.offset, undefined);
    },
  );

  await t.test(
    'sem-I3 sem-I10 sem-O7: after a leader died its successor knows the producers, and the latest offset never goes back',
    async () => {
      await topic('o7');
      const who = await newProducer();
      const first = await settled('o7', '', asOf(who, 0, ['x', 'y']));
      const leader = await leaderOf('o7');
      await cluster.broker(leader).kill('SIGKILL');
      const [one = -1, two = -1] = others(leader);
      let answered = 0;
      await until('somebody tells the latest offset again', async () => {
        for (const id of [one, two]) {
          const found = await find(id, 'o7', { $case: 'latest', value: {} });
          if (found.error === undefined) {
            assert.ok(Number(found.offset) >= 3, `it went back to ${found.offset}`);
            answered++;
          }
        }
        return answered >= 4;
      });
      let again: Answer<ProduceResponse> | null = null;
      await until('the retry is answered', async () => {
        again = await produce(one, 'o7', '', asOf(who, 0, ['x', 'y']));
        return again.kind === 'ok';
      });
      const told = must(again as Answer<ProduceResponse> | null, 'it was asked');
      assert.ok(told.kind === 'ok' && told.value.duplicate);
      assert.deepEqual([told.value.baseOffset, told.value.appendTimeMs], [first.baseOffset, first.appendTimeMs]);
      await cluster.start(leader, settingsOf(leader)).ready();
      const restarted = await settled('o7', '', asOf(who, 0, ['x', 'y']));
      assert.deepEqual([restarted.duplicate, restarted.baseOffset], [true, first.baseOffset]);
      assert.deepEqual(await logOf('o7'), ['first', 'x', 'y']);
    },
  );
});
