/** Every stall has a typed reason. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExplainView, ReplicaView } from '../../src/broker/explain.ts';
import { explain } from '../../src/broker/explain.ts';
import { toBrokerId, toLogIndex, toReplicaId, toTerm } from '../../src/model/ids.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { FollowerStatus } from '../../src/raft/core/progress.ts';
import { text } from './batches.ts';
import { BrokerFixture, code, settle, value } from './broker-fixture.ts';
import { Cluster } from './cluster-fixture.ts';

const limits = { inSyncHeardMs: 2_000, inSyncLagMax: 1_000 };

const follower = (id: number, more: Partial<FollowerStatus> = {}): FollowerStatus => ({
  ...{ id: toReplicaId(id), state: 'replicate', match: toLogIndex(50), next: toLogIndex(51), heardMs: 9_900 },
  ...{ inFlightBytes: 0, reading: false },
  ...more,
});

/** Replica n is on broker n; replica 1 leads and everything is as it should be. */
const replica: ReplicaView = {
  role: { role: 'leader', term: toTerm(4), leader: toReplicaId(1), serving: true },
  configuration: { ...emptyConfiguration, voters: [1, 2, 3].map(toReplicaId) },
  followers: [follower(2), follower(3)],
  ...{ commitIndex: toLogIndex(50), appliedIndex: toLogIndex(50), lastIndex: toLogIndex(50) },
  ...{ firstIndex: toLogIndex(1), holders: 3, quarantine: null },
};

const seen = (of: Partial<ReplicaView>, more: Partial<ExplainView> = {}) =>
  explain(
    {
      replica: { ...replica, ...of },
      ...{ insyncMin: 0, live: 3, inFlight: { bytes: 0, bytesMax: 100 }, diskAdmits: true, nowMs: 10_000 },
      brokerOf: (id) => toBrokerId(id),
      hears: () => true,
      ...more,
    },
    limits,
  );

test('a partition where nothing is wrong waits for the next record only', () => {
  const [only, ...others] = seen({});
  assert.equal(others.length, 0);
  assert.equal(only?.reason, 'at-high-watermark');
  assert.deepEqual([only.blocksProduce, only.blocksFetch], [false, false]);
});

test('a leader that lacks a majority says which brokers are missing, and how many have what was appended', () => {
  const silent = { heardMs: 5_000, match: toLogIndex(48) };
  const [first] = seen({
    followers: [follower(2, silent), follower(3, silent)],
    lastIndex: toLogIndex(52),
    holders: 1,
  });
  assert.equal(first?.reason, 'waiting-for-quorum');
  assert.deepEqual([first.missing, first.progress, first.blocksProduce], [[2, 3], { done: 1, total: 2 }, true]);
  const moment = seen({ followers: [follower(2), follower(3)], lastIndex: toLogIndex(52), holders: 1 });
  assert.deepEqual(
    moment.map(({ reason, blocksProduce }) => [reason, blocksProduce]),
    [
      ['waiting-for-quorum', false],
      ['at-high-watermark', false],
    ],
    'with all replicas there it is a moment, and blocks nobody',
  );
});

test('each other reason is told by the leader that it concerns', () => {
  const reasons = (of: Partial<ReplicaView>, more: Partial<ExplainView> = {}): string[] =>
    seen(of, more).map(({ reason, blocksProduce, blocksFetch }) => {
      return `${reason}${blocksProduce ? ' produce' : ''}${blocksFetch ? ' fetch' : ''}`;
    });
  const silentThird = [follower(2), follower(3, { heardMs: 1_000 })];
  assert.deepEqual(reasons({ followers: silentThird }, { insyncMin: 3, live: 2 }), ['not-enough-replicas produce']);
  assert.deepEqual(reasons({}, { diskAdmits: false }), ['disk-reserve produce']);
  assert.deepEqual(reasons({}, { inFlight: { bytes: 100, bytesMax: 100 } }), ['throttled produce']);
  assert.deepEqual(reasons({ role: { ...replica.role, serving: false } }), ['leader-recovering produce fetch']);
  assert.deepEqual(reasons({ quarantine: 'log-4' }), ['quarantined produce fetch']);
  assert.deepEqual(reasons({}, { replica: null }), ['opening produce fetch']);
  const behind = [follower(2), follower(3, { state: 'snapshot', match: toLogIndex(7) })];
  assert.deepEqual(reasons({ followers: behind }), ['replica-catching-up', 'at-high-watermark']);
  const [catching] = seen({ followers: behind });
  assert.deepEqual([catching?.missing, catching?.progress], [[3], { done: 7, total: 50 }]);
});

test('a replica without a leader says who is not heard of', () => {
  const role = { role: 'follower', term: toTerm(5), leader: null, serving: false } as const;
  const [first] = seen({ role, followers: [] }, { hears: (broker) => broker === 1 });
  assert.equal(first?.reason, 'no-leader');
  assert.deepEqual([first.missing, first.progress], [[2, 3], { done: 1, total: 2 }]);
  assert.match(first.message, /1 of its replicas are heard, and 2 are needed/);
  const following = seen({ role: { ...role, leader: toReplicaId(2) }, followers: [] });
  assert.deepEqual(
    following.map(({ reason }) => reason),
    ['at-high-watermark'],
  );
});

test('a broker explains its partitions, and knows the topics that do not exist', async () => {
  const fixture = await BrokerFixture.started();
  const topicId = await fixture.topic('orders');
  value(await fixture.append('orders', text(['a'])));
  const at = (partition: number, topic = 'orders') => ({ topic, topicId: null, partition });
  const explained = value(await fixture.broker.explain(at(0), fixture.context()));
  assert.equal(explained.topicId, topicId);
  assert.equal(explained.leader?.brokerId, 0);
  assert.deepEqual(explained.marks, { logStart: 0, highWatermark: 1, endOffset: 1 });
  assert.deepEqual(
    explained.stalls.map(({ reason }) => reason),
    ['at-high-watermark'],
  );
  fixture.group().hold();
  void fixture.append('orders', text(['b']));
  fixture.diskHasRoom = false;
  await settle();
  const stalled = value(await fixture.broker.explain(at(0), fixture.context()));
  assert.deepEqual(
    stalled.stalls.map(({ reason }) => reason),
    ['disk-reserve', 'waiting-for-quorum'],
  );
  assert.equal(stalled.marks?.endOffset, 2);
  assert.equal(code(await fixture.broker.explain(at(9), fixture.context())), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.equal(code(await fixture.broker.explain(at(0, 'none'), fixture.context())), 'UNKNOWN_TOPIC_OR_PARTITION');
});

test('a leader that was cut off from the others names them', async () => {
  const cluster = await Cluster.started(3);
  await cluster.topic('orders', 1, 3);
  const { leader } = await cluster.append('orders', 'first');
  await cluster.pass(500);
  cluster.network.cutOff(cluster.member(leader).id);
  const { broker } = cluster.member(leader);
  const request = { topic: 'orders', topicId: null, partition: 0, batch: text(['x']), acks: 'all' } as const;
  void broker.append(request, cluster.context());
  await cluster.pass(300);
  const ask = { topic: 'orders', topicId: null, partition: 0 };
  const explained = value(await cluster.answer(broker.explain(ask, cluster.context())));
  const waiting = explained.stalls.find(({ reason }) => reason === 'waiting-for-quorum');
  assert.deepEqual(
    waiting?.missing,
    [0, 1, 2].filter((id) => id !== leader),
  );
  await cluster.pass(5_000);
  const later = value(await cluster.answer(broker.explain(ask, cluster.context())));
  assert.equal(later.stalls[0]?.reason, 'no-leader');
});
