/** Replication and commit: reliability 2-B. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantViolation } from '../../../src/model/assert.ts';
import { toLogIndex, toOffset, toReplicaId, toTerm } from '../../../src/model/ids.ts';
import type { AppendReply, AppendRequest, Message } from '../../../src/raft/core/messages.ts';
import { Cluster, genesisChain, imageOf, lastOf, sealAfter } from './cluster.ts';
import type { Image } from './cluster.ts';

const appends = (messages: readonly Message[]): AppendRequest[] =>
  messages.filter((one) => one.kind === 'append-request');
const answers = (messages: readonly Message[]): AppendReply[] => messages.filter((one) => one.kind === 'append-reply');

/** A group of three in which everybody has these logs and nobody leads yet. */
function withLogs(logs: Readonly<Record<number, Image>>): Cluster {
  const cluster = new Cluster();
  for (const [id, image] of Object.entries(logs)) cluster.add(Number(id), image);
  return cluster;
}

test('a proposal is committed and applied everywhere, in order', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
  for (const node of cluster.nodes.values()) assert.deepEqual(node.applied, ['a', 'b', 'c']);
});

test("the leader's write and its messages leave together; followers need not wait for its disk", () => {
  const cluster = new Cluster();
  const leader = cluster.elect(1);
  leader.slowDisk = true;
  cluster.propose(1, 'a');
  assert.equal(leader.writes.length, 1, 'its own write is not durable');
  assert.deepEqual(cluster.node(2).applied, ['a'], 'the two others are a quorum');
});

test('pit-P17: entries of an older term are committed only with one of the present term', () => {
  // Figure 8 of the Raft paper: the entry of term 2 is on a majority, yet the log of another candidate may replace it
  const cluster = withLogs({
    1: imageOf([1, 2], { term: 2 }),
    2: imageOf([1, 2], { term: 2 }),
    3: imageOf([1], { term: 2 }),
  });
  cluster.loses = (message) => message.kind === 'append-request' && message.entries.some((entry) => entry.term >= 3);
  const leader = cluster.elect(1);
  const [probe] = appends(cluster.posted).filter((one) => one.to === 2);
  cluster.deliver({ ...probe!, entries: [] });
  cluster.settle();
  assert.equal(answers(cluster.posted).at(-1)?.result.kind, 'accepted');
  assert.equal(leader.core.commitIndex, 0);
  cluster.heal();
  cluster.pass(2_000);
  assert.equal(leader.core.commitIndex, 3);
});

test('pit-P18: a new leader commits what its predecessors left, without any proposal', () => {
  const cluster = withLogs({ 1: imageOf([1, 1], { term: 1 }), 2: imageOf([1, 1], { term: 1 }), 3: imageOf([], {}) });
  cluster.elect(1);
  for (const node of cluster.nodes.values()) assert.deepEqual(node.applied, ['1@1', '2@1']);
});

test('pit-P19: a heartbeat commits nothing that this leader did not verify', () => {
  const cluster = withLogs({
    1: imageOf([1, 2, 2], { term: 2 }),
    2: imageOf([1, 2, 2], { term: 2 }),
    3: imageOf([1, 1, 1], { term: 1 }),
  });
  cluster.loses = (message) => message.kind === 'append-request' && message.to === 3;
  cluster.elect(1);
  const { term } = cluster.node(1).core.role;
  const heartbeat = { kind: 'heartbeat-request', from: toReplicaId(1), to: toReplicaId(3), term } as const;
  cluster.deliver({ ...heartbeat, commit: toLogIndex(3), round: 1 });
  assert.equal(cluster.node(3).core.commitIndex, 0);
  assert.deepEqual(cluster.node(3).applied, []);
});

test('pit-P19: a leader tells a follower a commit index up to what that follower is known to have', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.loses = (message) => message.to === 3 && message.kind === 'append-request';
  cluster.propose(1, 'a');
  cluster.posted = [];
  cluster.pass(cluster.limits.heartbeatMs + 1);
  const told = cluster.posted.filter((one) => one.kind === 'heartbeat-request');
  assert.deepEqual(
    told.slice(0, 2).map(({ to, commit }) => [to, commit]),
    [
      [2, 2],
      [3, 1],
    ],
  );
});

test('pit-P20: an old append request that arrives again truncates nothing', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.propose(1, 'a');
  const old = appends(cluster.posted).filter((one) => one.to === 2);
  for (const text of ['b', 'c']) cluster.propose(1, text);
  const before = cluster.node(2).image.entries;
  for (const message of old) cluster.deliver(message);
  assert.deepEqual(cluster.node(2).image.entries, before);
  assert.deepEqual(cluster.node(2).texts, ['a', 'b', 'c']);
});

test('pit-P20: nor does one whose entries the follower acknowledged, committed or not', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.loses = (message) => message.kind === 'append-reply';
  cluster.posted = [];
  for (const text of ['a', 'b']) cluster.propose(1, text);
  const [first] = appends(cluster.posted).filter((one) => one.to === 2);
  const follower = cluster.node(2);
  assert.equal(follower.core.commitIndex, 1);
  follower.trace = [];
  cluster.deliver(first!);
  assert.deepEqual(follower.texts, ['a', 'b']);
  assert.deepEqual(
    follower.trace.filter((line) => line.startsWith('persist')),
    [],
  );
});

test('a conflicting tail is replaced in one write, down to the matching place and no further', () => {
  const cluster = withLogs({
    1: imageOf([1, 2, 2], { term: 2 }),
    2: imageOf([1, 2, 2], { term: 2 }),
    3: imageOf([1, 1, 1, 1], { term: 1 }),
  });
  const follower = cluster.node(3);
  follower.trace = [];
  cluster.elect(1);
  assert.deepEqual(follower.texts, ['1@1', '2@2', '3@2']);
  const writes = follower.trace.filter((line) => line.startsWith('persist') && line.includes('['));
  assert.deepEqual(writes, ['persist t3 vote 1 commit 4 truncate after 1 [2/2 batch@1+1, 3/2 batch@2+1, 4/3 no-op@3]']);
});

test('pit-P21: a request that would replace something committed breaks an invariant instead', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.propose(1, 'a');
  const [sent] = appends(cluster.posted).filter((one) => one.to === 2 && one.prevIndex === 1);
  const other = sealAfter({ index: 1, term: 1, offset: 0, chain: sent!.prevChain! }, 5, 'other');
  const node = cluster.node(2);
  assert.equal(node.core.commitIndex, 2);
  assert.throws(
    () => node.core.step({ kind: 'message', message: { ...sent!, term: toTerm(5), entries: [other] } }, cluster.now),
    (error) => error instanceof InvariantViolation && error.invariant === 'raft-4',
  );
});

test('pit-P22: a completion of a write that was overtaken by a truncation does not count (ABA)', () => {
  const cluster = new Cluster();
  const follower = cluster.node(2);
  follower.slowDisk = true;
  const send = (term: number, from: number, entryTerm: number): void => {
    const entry = sealAfter(
      { index: 0, term: 0, offset: 0, chain: genesisChain },
      entryTerm,
      `by ${from} in ${entryTerm}`,
    );
    const request: AppendRequest = {
      kind: 'append-request',
      from: toReplicaId(from),
      to: follower.id,
      term: toTerm(term),
      prevIndex: toLogIndex(0),
      prevTerm: toTerm(0),
      prevEndOffset: toOffset(0),
      prevChain: genesisChain,
      sequence: 1,
      entries: [entry],
      commit: toLogIndex(0),
    };
    follower.step({ kind: 'message', message: request });
  };
  send(1, 1, 1);
  send(2, 3, 2);
  send(3, 1, 1);
  assert.equal(follower.writes.length, 3);
  follower.sync(1);
  assert.deepEqual(
    answers(cluster.posted).map(({ to, term }) => [to, term]),
    [[1, 1]],
    'only the first leader hears of the first write',
  );
  follower.sync(1);
  assert.equal(answers(cluster.posted).length, 2);
  follower.sync(1);
  assert.deepEqual(
    answers(cluster.posted).map(({ to, term }) => [to, term]),
    [
      [1, 1],
      [3, 2],
      [1, 3],
    ],
  );
});

test('pit-P22: answers of an older term do not move the match of a leader', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(1);
  assert.equal(cluster.offer(1, 'a').kind, 'accepted');
  const lie: AppendReply = {
    kind: 'append-reply',
    from: toReplicaId(2),
    to: toReplicaId(1),
    term: toTerm(0),
    prevIndex: toLogIndex(1),
    sequence: 9,
    result: { kind: 'accepted', durableIndex: toLogIndex(2) },
  };
  cluster.deliver(lie);
  assert.equal(cluster.node(1).core.commitIndex, 1);
  cluster.deliver({ ...lie, term: toTerm(1), result: { kind: 'accepted', durableIndex: toLogIndex(9) } });
  assert.equal(cluster.node(1).core.commitIndex, 1, 'more than was ever sent');
  assert.equal(cluster.node(1).core.dropped.get('out-of-place'), 1);
});

test('pit-P23: a follower acknowledges what is durable, not what it received', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  for (const id of [2, 3]) cluster.node(id).slowDisk = true;
  cluster.propose(1, 'a');
  assert.equal(cluster.node(1).core.commitIndex, 1);
  cluster.node(2).crash();
  cluster.node(2).restart();
  assert.deepEqual(cluster.node(2).texts, [], 'what was not durable is gone');
  cluster.node(3).sync();
  cluster.settle();
  assert.equal(cluster.node(1).core.commitIndex, 2);
});

test('pit-P24: an acknowledgement waits for every write before its own', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  const follower = cluster.node(2);
  follower.slowDisk = true;
  cluster.propose(1, 'a');
  cluster.propose(1, 'b');
  cluster.posted = [];
  // an empty request needs no write of its own, but promises what the waiting ones hold
  cluster.pass(cluster.limits.heartbeatMs * 3);
  assert.deepEqual(answers(cluster.posted), []);
  follower.sync();
  cluster.settle();
  const durable = answers(cluster.posted).map((one) => one.result.kind === 'accepted' && one.result.durableIndex);
  assert.ok(durable.length >= 2 && durable.includes(toLogIndex(3)), String(durable));
});

test('pit-P25: back-off takes a step per term, not per entry', () => {
  const terms = (term: number, count: number): number[] => Array.from({ length: count }, () => term);
  const cluster = withLogs({
    1: imageOf([...terms(1, 5), ...terms(4, 40), ...terms(6, 40)], { term: 6 }),
    2: imageOf([...terms(1, 5), ...terms(4, 40), ...terms(6, 40)], { term: 6 }),
    3: imageOf([...terms(1, 5), ...terms(2, 60), ...terms(3, 60)], { term: 5 }),
  });
  cluster.elect(1);
  assert.equal(cluster.node(3).core.commitIndex, 86);
  const rejections = answers(cluster.posted).filter((one) => one.from === 3 && one.result.kind === 'mismatch');
  assert.ok(rejections.length <= 3, String(rejections.length));
});

test('pit-P26: a late rejection moves nothing back', () => {
  const cluster = withLogs({
    1: imageOf([1, 2, 2], { term: 2 }),
    2: imageOf([1, 2, 2], { term: 2 }),
    3: imageOf([1, 1, 1, 1], { term: 1 }),
  });
  cluster.elect(1);
  const rejections = answers(cluster.posted).filter((one) => one.result.kind === 'mismatch');
  assert.ok(rejections.length > 0);
  cluster.posted = [];
  for (const rejection of [...rejections, ...rejections]) cluster.deliver(rejection);
  cluster.settle();
  assert.deepEqual(appends(cluster.posted), []);
  assert.deepEqual(cluster.node(1).alarms, []);
});

test('pit-P27: a follower that lost what it acknowledged is reported, and neither counted nor fed', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
  const [old] = [cluster.node(3).synced];
  cluster.add(3, { ...old, entries: old.entries.slice(0, 2), hardState: { ...old.hardState, commit: toLogIndex(0) } });
  cluster.pass(1_000);
  assert.deepEqual(cluster.node(1).alarms, [{ kind: 'follower-lost-log', replica: 3, acknowledged: 4, found: 2 }]);
  cluster.isolate(2);
  cluster.posted = [];
  assert.equal(cluster.offer(1, 'd').kind, 'accepted');
  cluster.settle();
  assert.equal(cluster.node(1).core.commitIndex, 4, 'the one that forgets makes no majority');
  assert.deepEqual(
    appends(cluster.posted).filter((one) => one.to === 3),
    [],
  );
});

test('pit-P27: what a follower acknowledged before it lost its log counts no more', () => {
  const cluster = new Cluster({ voters: [1, 2, 3, 4, 5] });
  const leader = cluster.elect(1);
  for (const id of [2, 4, 5]) cluster.isolate(id);
  assert.equal(cluster.offer(1, 'a').kind, 'accepted');
  cluster.settle();
  const [old] = [cluster.node(3).synced];
  assert.equal(old.entries.length, 2, 'it has acknowledged the entry');
  cluster.add(3, { ...old, entries: old.entries.slice(0, 1), hardState: { ...old.hardState, commit: toLogIndex(0) } });
  cluster.pass(500);
  assert.deepEqual(leader.alarms, [{ kind: 'follower-lost-log', replica: 3, acknowledged: 2, found: 1 }]);
  cluster.heal();
  for (const id of [4, 5]) cluster.isolate(id);
  cluster.pass(400);
  assert.equal(lastOf(cluster.node(2).synced), 2, 'it is on 1 and 2');
  assert.equal(leader.core.commitIndex, 1, 'which are two of five');
});

test('pit-P28: nothing that was truncated is sent, applied or served again', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(1);
  assert.equal(cluster.offer(1, 'lost').kind, 'accepted');
  cluster.pass(5_000);
  const second = cluster.leader;
  assert.notEqual(second.id, 1);
  cluster.propose(second.id, 'kept');
  cluster.heal();
  cluster.pass(5_000);
  for (const node of cluster.nodes.values()) assert.deepEqual([node.texts, node.applied], [['kept'], ['kept']]);
  cluster.elect(1);
  cluster.propose(1, 'more');
  for (const node of cluster.nodes.values()) assert.deepEqual(node.applied, ['kept', 'more']);
});

test('pit-P30: a leader that steps down says what is committed; the rest is unknown', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.isolate(1);
  assert.equal(cluster.offer(1, 'b').kind, 'accepted');
  cluster.pass(5_000);
  assert.deepEqual(cluster.node(1).lost, [2]);
  assert.deepEqual(cluster.offer(1, 'c'), { kind: 'refused', why: 'not-leader' });
});

test('pit-P32: a leader takes proposals only once its own no-op is applied', () => {
  const cluster = new Cluster();
  cluster.loses = (message) => message.kind === 'append-reply';
  const leader = cluster.elect(1);
  assert.equal(leader.core.role.serving, false);
  assert.deepEqual(cluster.offer(1, 'a'), { kind: 'refused', why: 'leader-not-ready' });
  cluster.heal();
  cluster.pass(1_000);
  assert.equal(cluster.offer(1, 'a').kind, 'accepted');
});

test('pit-P33: without a quorum a leader takes a bounded number of bytes', () => {
  const cluster = new Cluster({ limits: { uncommittedBytesMax: 10_000 } });
  cluster.elect(1);
  cluster.isolate(1);
  let accepted = 0;
  while (accepted < 100 && cluster.offer(1, 'x'.repeat(500)).kind === 'accepted') accepted++;
  assert.equal(accepted, 17);
  assert.deepEqual(cluster.offer(1, 'x'.repeat(500)), { kind: 'refused', why: 'uncommitted-limit' });
});

test('pit-P34: lost requests and lost answers are made good by the next heartbeat', () => {
  const cluster = new Cluster({ limits: { inflightMessagesMax: 4 } });
  cluster.elect(1);
  cluster.cut(1, 3);
  for (let i = 0; i < 10; i++) cluster.propose(1, `request ${i}`);
  cluster.heal();
  cluster.pass(1_000);
  assert.equal(cluster.node(3).applied.length, 10);
  cluster.cut(3, 1, false);
  for (let i = 0; i < 10; i++) cluster.propose(1, `answer ${i}`);
  cluster.heal();
  cluster.pass(1_000);
  cluster.propose(1, 'z');
  assert.equal(cluster.node(3).applied.length, 21);
});

test('pit-P34: with a third of all messages lost everything arrives in the end', () => {
  const cluster = new Cluster({ limits: { inflightMessagesMax: 8, messageBytesMax: 200 } });
  cluster.elect(1);
  let chance = 1;
  cluster.loses = () => (chance = (chance * 48_271) % 2_147_483_647) % 3 === 0;
  const wanted = 100;
  for (let i = 0; i < wanted; i++) {
    cluster.pass(40);
    cluster.offer(cluster.leader.id, `${i}`);
  }
  cluster.heal();
  cluster.pass(10_000);
  const [first, ...others] = [...cluster.nodes.values()];
  assert.ok(first!.applied.length > wanted / 2, String(first!.applied.length));
  for (const node of others) assert.deepEqual(node.applied, first!.applied);
});

test('pit-P35: requests are bounded in bytes, and one entry always goes', () => {
  const cluster = new Cluster({ limits: { messageBytesMax: 1_000 } });
  cluster.elect(1);
  cluster.isolate(3);
  for (let i = 0; i < 20; i++) cluster.propose(1, 'x'.repeat(300));
  cluster.propose(1, 'y'.repeat(5_000));
  cluster.heal();
  cluster.posted = [];
  cluster.pass(1_000);
  assert.equal(cluster.node(3).applied.length, 21);
  for (const { entries } of appends(cluster.posted)) {
    const bytes = entries.reduce((sum, entry) => sum + entry.payload.length + 64, 0);
    assert.ok(entries.length === 1 || bytes <= 1_000, `${entries.length} entries, ${bytes} bytes`);
  }
});

test('replication is pipelined: the next request leaves before the last is answered, within the window', () => {
  const cluster = new Cluster({ limits: { inflightMessagesMax: 3 } });
  cluster.elect(1);
  cluster.loses = (message) => message.kind === 'append-reply';
  cluster.posted = [];
  for (let i = 0; i < 6; i++) cluster.propose(1, `${i}`);
  assert.equal(appends(cluster.posted).filter((one) => one.to === 2).length, 3);
  cluster.heal();
  cluster.pass(1_000);
  assert.equal(cluster.node(2).applied.length, 6);
});

test('the window counts bytes too', () => {
  const cluster = new Cluster({ limits: { inflightBytesMax: 2_000 } });
  cluster.elect(1);
  cluster.loses = (message) => message.kind === 'append-reply';
  cluster.posted = [];
  for (let i = 0; i < 6; i++) cluster.propose(1, 'x'.repeat(900));
  assert.equal(appends(cluster.posted).filter((one) => one.to === 2).length, 3);
});

test('proposals of one turn travel in one request', () => {
  const cluster = new Cluster();
  const leader = cluster.elect(1);
  cluster.posted = [];
  for (const text of ['a', 'b', 'c']) {
    leader.core.propose({ kind: 'batch', count: 1, payload: Buffer.from(text), maxTimestampMs: null }, cluster.now);
  }
  leader.work();
  assert.deepEqual(
    appends(cluster.posted).map(({ to, entries }) => [to, entries.length]),
    [
      [2, 3],
      [3, 3],
    ],
  );
});

test('entries that left memory are read from the log for a follower that is behind', () => {
  const cluster = new Cluster({ limits: { memoryBytesMax: 500, messageBytesMax: 300 } });
  cluster.elect(1);
  cluster.isolate(3);
  for (let i = 0; i < 30; i++) cluster.propose(1, `entry ${i}`);
  cluster.node(1).trace = [];
  cluster.heal();
  cluster.pass(2_000);
  assert.equal(cluster.node(3).applied.length, 30);
  assert.ok(cluster.node(1).trace?.some((line) => line.startsWith('read log')));
});

test('a follower that restarts learns at once what is committed', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  for (const text of ['a', 'b']) cluster.propose(1, text);
  cluster.node(3).crash();
  cluster.node(3).restart();
  assert.ok(cluster.node(3).applied.length < 2);
  cluster.pass(500);
  assert.deepEqual(cluster.node(3).applied, ['a', 'b']);
});

test('raft-8: a base offset, or a chain, that disagrees where the logs match breaks an invariant (D7)', () => {
  for (const change of [{ prevEndOffset: toOffset(77) }, { prevChain: 77 }]) {
    const cluster = new Cluster();
    cluster.elect(1);
    cluster.propose(1, 'a');
    cluster.loses = (message) => message.to === 2;
    cluster.propose(1, 'b');
    const [message] = appends(cluster.posted).filter(
      (one) => one.to === 2 && one.prevIndex === 2 && one.entries.length > 0,
    );
    assert.ok(message !== undefined);
    const node = cluster.node(2);
    assert.throws(
      () => node.core.step({ kind: 'message', message: { ...message, ...change } }, cluster.now),
      (error) => error instanceof InvariantViolation && error.invariant === 'raft-8',
    );
  }
});

test('a request whose bytes changed on the way is dropped, counted, and sent again', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.loses = (message) => message.to === 2;
  cluster.propose(1, 'a');
  const [sent] = appends(cluster.posted).filter((one) => one.to === 2 && one.entries.length > 0 && one.prevIndex === 1);
  const [entry] = sent!.entries;
  const node = cluster.node(2);
  const damaged = [
    { ...entry!, payload: Buffer.from('b') },
    { ...entry!, chain: entry!.chain ^ 1 },
    { ...entry!, baseOffset: toOffset(9) },
    { ...entry!, index: toLogIndex(9) },
    { ...entry!, term: toTerm(9) },
  ];
  for (const one of damaged) node.step({ kind: 'message', message: { ...sent!, entries: [one] } });
  assert.equal(node.core.dropped.get('damaged'), 5);
  assert.deepEqual(node.texts, []);
  cluster.heal();
  cluster.pass(1_000);
  assert.deepEqual(node.texts, ['a']);
});

test('a leader whose heartbeats live while its bulk channel is dead steps down (D3)', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  const bulk = new Set(['append-request', 'append-reply']);
  cluster.loses = (message) => (message.from === 1 || message.to === 1) && bulk.has(message.kind);
  cluster.pass(10_000);
  assert.equal(cluster.node(1).status, 'leader', 'nothing waits, so nothing is missed');
  assert.equal(cluster.offer(1, 'a').kind, 'accepted');
  cluster.pass(1_900);
  assert.equal(cluster.node(1).status, 'leader');
  cluster.pass(1_200);
  assert.notEqual(cluster.node(1).status, 'leader');
});

test('a peer that can not be reached is probed from what it acknowledged, not from what was sent', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(3);
  for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
  const leader = cluster.node(1);
  const three = (): object | undefined => leader.core.status.followers.find((one) => one.id === 3);
  const told = { id: 3, state: 'replicate', match: 1, next: 5, inFlightBytes: 195, reading: false };
  assert.deepEqual(three(), { ...told, heardMs: cluster.now });
  cluster.heal();
  leader.step({ kind: 'peer-unreachable', to: toReplicaId(3) });
  assert.equal(leader.core.status.followers.find((one) => one.id === 3)?.state, 'probe');
  cluster.settle();
  assert.deepEqual(cluster.node(3).applied, ['a', 'b', 'c']);
});

test('a heartbeat answer from a stranger, or to a round that never was, is dropped and counted', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  const { term } = cluster.node(1).core.role;
  const reply = { kind: 'heartbeat-reply', to: toReplicaId(1), term, verified: toLogIndex(0) } as const;
  cluster.deliver({ ...reply, from: toReplicaId(9), round: 1 });
  cluster.deliver({ ...reply, from: toReplicaId(2), round: 99 });
  cluster.deliver({ ...reply, from: toReplicaId(1), to: toReplicaId(2), round: 1 });
  assert.deepEqual(
    [...cluster.node(1).core.dropped],
    [
      ['unknown-source', 1],
      ['out-of-place', 1],
    ],
  );
  assert.equal(cluster.node(2).core.dropped.get('late'), 1);
});

test('what only Raft itself may append, or what has another count than its kind, is refused', () => {
  const cluster = new Cluster();
  const { core } = cluster.elect(1);
  const payload = new Uint8Array(0);
  const offer = (kind: 'no-op' | 'configuration' | 'batch' | 'command', count: number): unknown =>
    core.propose({ kind, count, payload, maxTimestampMs: null }, cluster.now);
  const invalid = { kind: 'refused', why: 'invalid' };
  for (const [kind, count] of [
    ['no-op', 0],
    ['configuration', 0],
    ['batch', 0],
    ['batch', -1],
    ['command', 1],
  ] as const) {
    assert.deepEqual(offer(kind, count), invalid, `${kind} with ${count}`);
  }
  assert.equal(core.status.lastIndex, 1);
});

test('completions and reads that nobody waits for change nothing', () => {
  const cluster = new Cluster();
  const leader = cluster.elect(1);
  const follower = cluster.node(2);
  const before = [leader, follower].map(({ core }) => core.status);
  const posted = cluster.posted.length;
  for (const node of [leader, follower]) {
    const { lastIndex } = node.core.status;
    node.step({ kind: 'persisted', lastIndex, lastTerm: toTerm(1), readyNumber: 0 });
    node.step({ kind: 'entries-read', token: 99, entries: node.image.entries });
    node.step({ kind: 'peer-unreachable', to: toReplicaId(9) });
  }
  cluster.settle();
  assert.deepEqual(
    [leader, follower].map(({ core }) => core.status),
    before,
  );
  assert.equal(cluster.posted.length, posted);
});
