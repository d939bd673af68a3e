/** Reads from a replica in the reader's rack, on whole brokers (KIP-392; semantics H2, O6; design D13). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FetchCursor, FetchedPartition } from '../../src/broker/requests.ts';
import { toOffset, toTerm } from '../../src/model/ids.ts';
import { value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

const racks = ['a', 'b', 'c'];

interface Where {
  readonly cluster: Cluster;
  readonly leader: number;
  /** A follower, and one more. */
  readonly near: number;
  readonly other: number;
}

/** Three brokers in three racks, and a topic of one partition on all of them, with three records. */
async function started(): Promise<Where> {
  const cluster = await Cluster.started(3, {}, racks);
  const wish = { name: 'orders', partitions: 1, replicationFactor: 3 };
  value(await cluster.answer(cluster.member(0).broker.createTopic(wish, cluster.context(20_000))));
  for (const line of ['zero', 'one', 'two']) await cluster.append('orders', line);
  await cluster.pass(1_000);
  const leader = [...cluster.members.values()].find(({ broker }) => leads(broker))?.id;
  assert(leader !== undefined);
  const [near, other] = [0, 1, 2].filter((id) => id !== leader);
  assert(near !== undefined && other !== undefined);
  return { cluster, leader, near, other };
}

const ref = { topic: 'orders', topicId: null, partition: 0 };
const leads = ({
  routes,
}: {
  readonly routes: { leaderOf: (tenant: number, which: typeof ref) => unknown };
}): boolean => routes.leaderOf(0, ref) === null;

const wanted = (offset: number, rack: string | null, leaderEpoch: number | null = null) => ({
  ...ref,
  fetchOffset: toOffset(offset),
  leaderEpoch: leaderEpoch === null ? null : toTerm(leaderEpoch),
  bytesMax: 100_000,
  rack,
});

async function fetch(
  cluster: Cluster,
  at: number,
  partition: ReturnType<typeof wanted>,
  waitMsMax = 0,
): Promise<FetchedPartition> {
  const request = { partitions: [partition], waitMsMax, bytesMin: 1, bytesMax: 100_000 };
  const answer = value(await cluster.answer(cluster.member(at).broker.fetch(request, cluster.context(20_000))));
  assert(answer.partitions[0] !== undefined);
  return answer.partitions[0];
}

function cursorAt(cluster: Cluster, at: number, partition: ReturnType<typeof wanted>): FetchCursor {
  return value(cluster.member(at).broker.openCursor([partition], cluster.context(60_000)));
}

test('kip-392: the leader sends a reader to the replica in its rack, at once and with nothing else', async () => {
  const { cluster, leader, near } = await started();
  const sent = await fetch(cluster, leader, wanted(0, racks[near]!), 30_000);
  assert.deepEqual(sent.preferred, { brokerId: near, address: `host-${near}:9400` });
  assert.deepEqual([sent.error, sent.batches, sent.nextOffset, sent.highWatermark], [null, [], 0, 3]);
  for (const rack of [racks[leader]!, 'elsewhere', null]) {
    const served = await fetch(cluster, leader, wanted(0, rack));
    assert.deepEqual([served.preferred, served.batches.length], [undefined, 3], `rack ${rack}`);
  }
  const cursor = cursorAt(cluster, leader, wanted(0, racks[near]!));
  const told = await cluster.answer(cursor.next(1_000));
  assert.deepEqual(
    told?.partitions.map(({ preferred }) => preferred?.brokerId),
    [near],
  );
  assert.equal(await cluster.answer(cursor.next(1_000)), null, 'the partition is not read on there');
});

test('kip-392: the replica serves up to the high watermark that it knows, and sends others to the leader', async () => {
  const { cluster, leader, near, other } = await started();
  const served = await fetch(cluster, near, wanted(0, racks[near]!));
  assert.deepEqual([served.error, served.batches.length, served.highWatermark], [null, 3, 3]);
  const strayed = await fetch(cluster, near, wanted(0, racks[other]!));
  assert.equal(strayed.error?.code, 'NOT_LEADER_OR_FOLLOWER');
  assert.equal(strayed.error.leaderHint?.brokerId, leader);
  // what is committed reaches a reader that waits there
  const waiting = fetch(cluster, near, wanted(3, racks[near]!), 10_000);
  await cluster.pass(200);
  await cluster.append('orders', 'three');
  assert.equal((await waiting).batches.length, 1);
  // above what it knows it does not say that nothing is there
  assert.equal((await fetch(cluster, near, wanted(9, racks[near]!))).error?.code, 'OFFSET_NOT_AVAILABLE');
  assert.equal((await fetch(cluster, leader, wanted(9, null))).error?.code, 'OFFSET_OUT_OF_RANGE');
});

test('kip-392 sem-H2: the replica fences by leader epoch as the leader does', async () => {
  const { cluster, near } = await started();
  const { leaderEpoch } = await fetch(cluster, near, wanted(0, racks[near]!));
  assert(leaderEpoch !== null);
  const asOf = async (epoch: number) => (await fetch(cluster, near, wanted(0, racks[near]!, epoch))).error?.code;
  assert.equal(await asOf(leaderEpoch), undefined);
  assert.equal(await asOf(leaderEpoch - 1), 'FENCED_LEADER_EPOCH');
  assert.equal(await asOf(leaderEpoch + 1), 'UNKNOWN_LEADER_EPOCH');
});

test('kip-392: a reader waits at no replica that hears of no leader, and goes to none that is not in sync', async () => {
  const { cluster, leader, near } = await started();
  const cursor = cursorAt(cluster, near, wanted(3, racks[near]!));
  const told = cursor.next(1_000);
  await cluster.pass(500);
  cluster.network.cutOff(cluster.member(near).id);
  const ended = await cluster.answer(told);
  assert.deepEqual(
    ended?.partitions.map(({ error }) => error?.code),
    ['LEADER_NOT_AVAILABLE'],
  );
  await cluster.pass(2_500);
  const served = await fetch(cluster, leader, wanted(0, racks[near]!));
  assert.deepEqual([served.preferred, served.batches.length], [undefined, 3]);
  // what it has it still gives
  assert.equal((await fetch(cluster, near, wanted(0, racks[near]!))).batches.length, 3);
  cluster.network.heal();
  await cluster.pass(3_000);
  assert.equal((await fetch(cluster, leader, wanted(0, racks[near]!))).preferred?.brokerId, near);
});
