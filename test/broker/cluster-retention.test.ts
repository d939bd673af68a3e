/** Retention where a partition has three replicas: one decision, which all of them follow, whoever was away meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TopicConfig } from '../../src/broker/topic-config.ts';
import type { BrokerLimits } from '../../src/broker/limits.ts';
import type { AppendReceipt } from '../../src/broker/requests.ts';
import type { Result } from '../../src/model/errors.ts';
import { toGroupNumber } from '../../src/model/ids.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import { idempotent } from './batches.ts';
import { value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

const checkMs = 1_000;
const year = 365 * 86_400_000;

async function started(limits: Partial<BrokerLimits> = {}): Promise<Cluster> {
  return Cluster.started(3, { retentionCheckMs: checkMs, ...limits });
}

async function alter(cluster: Cluster, set: Partial<TopicConfig>): Promise<void> {
  const change = { name: 'orders', topicId: null, config: { set, reset: [] }, dryRun: false };
  const { broker } = cluster.member([...cluster.members.keys()][0] ?? 0);
  value(await cluster.answer(broker.alterTopic(change, cluster.context())));
}

/** Where the partition starts and ends on each broker that runs. */
async function bounds(cluster: Cluster): Promise<readonly (readonly [number | null, number | null])[]> {
  const found: [number | null, number | null][] = [];
  for (const id of [...cluster.members.keys()].sort()) {
    const [partition] = await cluster.describe(id, 'orders');
    found.push([partition?.logStart ?? null, partition?.highWatermark ?? null]);
  }
  return found;
}

test('pit-P50: the log starts at the same record everywhere, and a new leader goes on from there', async () => {
  const cluster = await started();
  await cluster.topic('orders', 1, 3);
  await alter(cluster, { 'retention.ms': 5_000 });
  for (const line of ['a', 'b', 'c']) await cluster.append('orders', line);
  await cluster.pass(8_000);
  assert.deepEqual(await bounds(cluster), [[3, 3], [3, 3], [3, 3]]); // prettier-ignore
  const { leader } = await cluster.append('orders', 'd');
  await cluster.crash(leader);
  await cluster.append('orders', 'e');
  assert.deepEqual(await bounds(cluster), [[3, 5], [3, 5]], 'B6: it never falls'); // prettier-ignore
  await cluster.pass(8_000);
  assert.deepEqual(await bounds(cluster), [[5, 5], [5, 5]]); // prettier-ignore
  assert.deepEqual(cluster.faults, []);
});

test('pit-P120: a leader whose clock jumps a year ahead lets go of nothing by age until it is set right', async () => {
  const cluster = await started();
  await cluster.topic('orders', 1, 3);
  await alter(cluster, { 'retention.ms': 3_600_000 });
  const { leader } = await cluster.append('orders', 'a');
  cluster.wallAheadMs.set(leader, year);
  for (const line of ['b', 'c']) assert.equal((await cluster.append('orders', line)).leader, leader);
  await cluster.pass(10_000);
  assert.deepEqual(await bounds(cluster), [[0, 3], [0, 3], [0, 3]]); // prettier-ignore
  await alter(cluster, { 'retention.records': 2, 'min.insync.replicas': null });
  await cluster.pass(3_000);
  assert.deepEqual((await bounds(cluster))[0], [1, 3], 'what needs no clock goes on');
  cluster.wallAheadMs.delete(leader);
  await alter(cluster, { 'retention.ms': 30_000, 'retention.records': null, 'min.insync.replicas': null });
  await cluster.pass(60_000);
  assert.deepEqual((await bounds(cluster))[0], [3, 3], 'D23: the stamps of that year are no year ahead');
  assert.deepEqual(cluster.faults, []);
});

test('a follower that was away while retention passed it takes the state, then what follows', async () => {
  const cluster = await started();
  await cluster.topic('orders', 1, 3);
  await alter(cluster, { 'retention.ms': null, 'retention.records': 2, 'min.insync.replicas': null });
  const { leader } = await cluster.append('orders', 'a');
  const away = [0, 1, 2].find((id) => id !== leader)!;
  await cluster.crash(away);
  for (let n = 0; n < 10; n++) await cluster.append('orders', `${n}`);
  // a follower that was heard lately is waited for (driver limit followerLiveMs)
  await cluster.pass(driverLimitsDefault.followerLiveMs + 5_000);
  for (let n = 0; n < 5; n++) await cluster.append('orders', `later ${n}`);
  await cluster.pass(3_000);
  const group = toGroupNumber(2);
  const ahead = cluster.member(leader).groups.get(group)!;
  assert.ok(ahead.log.firstIndex > 3, `the entries that it lacks are gone: ${ahead.log.firstIndex}`);
  await cluster.start(away);
  await cluster.pass(5_000);
  const back = cluster.member(away).groups.get(group)!;
  assert.ok(back.log.firstIndex > 3, `it began anew after a state: ${back.log.firstIndex}`);
  assert.equal(back.log.endOffset, ahead.log.endOffset);
  const [[start, end] = [], ...others] = await bounds(cluster);
  for (const other of others) assert.deepEqual(other, [start, end]);
  assert.deepEqual(cluster.faults, []);
});

test('promise-not-duplicated: a producer is known though retention took its last batch, also to a replica that took the state', async () => {
  const cluster = await started();
  await cluster.topic('orders', 1, 3);
  await alter(cluster, { 'retention.ms': 5_000 });
  const append = async (id: number, sequence: number): Promise<Result<AppendReceipt>> => {
    const batch = idempotent(7, 0, sequence);
    const request = { topic: 'orders', topicId: null, partition: 0, batch, acks: 'all' } as const;
    return cluster.answer(cluster.member(id).broker.append(request, cluster.context()));
  };
  /** By whoever leads. */
  const send = async (sequence: number): Promise<Omit<AppendReceipt, 'leader'> & { readonly leader: number }> => {
    for (let attempt = 0; attempt < 100; attempt++) {
      for (const id of cluster.members.keys()) {
        const answer = await append(id, sequence);
        if (answer.kind === 'ok') return { ...answer.value, leader: id };
      }
      await cluster.pass(100);
    }
    assert.fail('nobody takes the batch');
  };
  const { leader } = await send(0);
  const away = [0, 1, 2].find((id) => id !== leader)!;
  await cluster.crash(away);
  await send(1);
  await cluster.pass(driverLimitsDefault.followerLiveMs + 10_000);
  assert.deepEqual(await bounds(cluster), [[2, 2], [2, 2]]); // prettier-ignore
  assert.deepEqual(pick(await send(1)), { duplicate: true, baseOffset: 1 }, 'the batch is gone, its answer is not');
  await cluster.start(away);
  await cluster.pass(5_000);
  await cluster.crash(leader);
  await cluster.pass(5_000);
  assert.deepEqual(pick(await send(1)), { duplicate: true, baseOffset: 1 });
  assert.deepEqual(pick(await send(2)), { duplicate: false, baseOffset: 2 });
  assert.deepEqual(cluster.faults, []);
});

type Told = Pick<AppendReceipt, 'duplicate' | 'baseOffset'>;
const pick = ({ duplicate, baseOffset }: Told): Told => ({ duplicate, baseOffset });
