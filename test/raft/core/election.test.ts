/** Terms, votes and elections: reliability 2-A. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message, VoteReply } from '../../../src/raft/core/messages.ts';
import { emptyConfiguration } from '../../../src/raft/core/configuration.ts';
import { toLogIndex, toReplicaId, toTerm } from '../../../src/model/ids.ts';
import { Cluster, imageOf } from './cluster.ts';

const replies = (messages: readonly Message[]): VoteReply[] => messages.filter((one) => one.kind === 'vote-reply');
const requests = (messages: readonly Message[]): Message[] => messages.filter((one) => one.kind === 'vote-request');

/** A vote request of 1 to 2. */
function ask(fields: { term: number; lastIndex?: number; lastTerm?: number; from?: number; pre?: boolean }): Message {
  return {
    kind: 'vote-request',
    from: toReplicaId(fields.from ?? 1),
    to: toReplicaId(2),
    term: toTerm(fields.term),
    pre: fields.pre ?? false,
    lastIndex: toLogIndex(fields.lastIndex ?? 0),
    lastTerm: toTerm(fields.lastTerm ?? 0),
    transfer: false,
    configuration: emptyConfiguration,
  };
}

test('three replicas elect one leader by themselves, and keep it', () => {
  const cluster = new Cluster();
  cluster.pass(10_000);
  const { leader } = cluster;
  assert.equal(leader.core.role.serving, true);
  const { term } = leader.core.role;
  cluster.pass(60_000);
  assert.equal(cluster.leader.core.role.term, term);
  for (const node of cluster.nodes.values()) assert.equal(node.core.role.leader, leader.id);
});

test('pit-P1: a vote leaves only once it is durable, and a crash before that leaves no trace of it', () => {
  const cluster = new Cluster();
  const voter = cluster.node(2);
  voter.slowDisk = true;
  voter.step({ kind: 'message', message: ask({ term: 1 }) });
  assert.deepEqual(replies(cluster.posted), []);
  voter.crash();
  voter.restart();
  voter.step({ kind: 'message', message: ask({ term: 1, from: 3 }) });
  voter.sync();
  assert.deepEqual(
    replies(cluster.posted).map(({ to, granted }) => [to, granted]),
    [[3, true]],
  );
});

test('pit-P1: a vote is written also when its term was written before', () => {
  const cluster = new Cluster();
  const voter = cluster.add(2, imageOf([1], { term: 1 }));
  voter.step({ kind: 'message', message: ask({ term: 2 }) });
  assert.deepEqual(voter.synced.hardState, { term: 2, vote: null, commit: 0 }, 'the log of 1 is behind');
  voter.step({ kind: 'message', message: ask({ term: 2, from: 3, lastIndex: 1, lastTerm: 1 }) });
  assert.deepEqual(voter.synced.hardState, { term: 2, vote: 3, commit: 0 });
  voter.crash();
  voter.restart();
  voter.step({ kind: 'message', message: ask({ term: 2, lastIndex: 1, lastTerm: 1 }) });
  assert.deepEqual(
    replies(cluster.posted).map(({ to, granted }) => [to, granted]),
    [
      [1, false],
      [3, true],
      [1, false],
    ],
  );
});

test('pit-P2: a candidate counts its own vote only once it is durable', () => {
  const cluster = new Cluster();
  const candidate = cluster.node(1);
  candidate.slowDisk = true;
  cluster.freeze(10_000);
  candidate.step({ kind: 'tick' });
  cluster.settle();
  assert.equal(candidate.status, 'candidate', 'the pre-vote is won, the vote not yet asked for');
  assert.equal(requests(cluster.posted).filter((one) => one.kind === 'vote-request' && !one.pre).length, 0);
  candidate.sync(1);
  cluster.settle();
  assert.equal(candidate.status, 'leader');
});

test('pit-P3, pit-P4: term and vote survive a restart; stepping down in the same term keeps the vote', () => {
  const cluster = new Cluster();
  const voter = cluster.node(2);
  voter.step({ kind: 'message', message: ask({ term: 4 }) });
  voter.crash();
  voter.restart();
  assert.equal(voter.core.role.term, 4);
  voter.step({ kind: 'message', message: ask({ term: 4, from: 3 }) });
  voter.step({ kind: 'message', message: ask({ term: 4, from: 1 }) });
  assert.deepEqual(
    replies(cluster.posted).map(({ to, granted }) => [to, granted]),
    [
      [1, true],
      [3, false],
      [1, true],
    ],
  );
  const leader = new Cluster({ limits: { electionTimeoutMs: 1_000 } });
  leader.elect(1);
  leader.isolate(1);
  leader.pass(3_000);
  const old = leader.node(1);
  assert.notEqual(old.status, 'leader');
  assert.equal(old.synced.hardState.vote, 1, 'its own vote of that term stays');
});

test('pit-P5: a longer log of an older term gets no vote', () => {
  const cluster = new Cluster({ voters: [1, 2, 3] });
  const voter = cluster.add(2, imageOf([1, 1, 2], { term: 2 }));
  const outcomes = [
    ask({ term: 3, lastIndex: 9, lastTerm: 1 }),
    ask({ term: 4, lastIndex: 2, lastTerm: 2 }),
    ask({ term: 5, lastIndex: 3, lastTerm: 2 }),
    ask({ term: 6, lastIndex: 1, lastTerm: 3 }),
  ].map((message) => {
    voter.step({ kind: 'message', message });
    return replies(cluster.posted).at(-1)?.granted;
  });
  assert.deepEqual(outcomes, [false, false, true, true]);
});

test('pit-P9: a pre-vote for the present term takes no vote of it', () => {
  const cluster = new Cluster();
  const voter = cluster.add(2, imageOf([], { term: 2 }));
  voter.step({ kind: 'message', message: ask({ term: 2, pre: true }) });
  assert.equal(voter.synced.hardState.vote, null);
  voter.step({ kind: 'message', message: ask({ term: 2, from: 3 }) });
  assert.deepEqual(
    replies(cluster.posted).map(({ to, pre, granted }) => [to, pre, granted]),
    [
      [1, true, true],
      [3, false, true],
    ],
  );
});

test('pit-P6: a pre-vote that was granted for an earlier campaign is not counted in a later one', () => {
  const cluster = new Cluster();
  const candidate = cluster.add(1, imageOf([], { term: 1 }));
  cluster.freeze(10_000);
  candidate.step({ kind: 'tick' });
  const granted = { kind: 'vote-reply', from: toReplicaId(2), to: toReplicaId(1), pre: true, granted: true } as const;
  candidate.step({ kind: 'message', message: { ...granted, term: toTerm(1) } });
  assert.equal(candidate.status, 'pre-candidate');
  candidate.step({ kind: 'message', message: { ...granted, term: toTerm(2) } });
  assert.equal(candidate.status, 'candidate');
});

test('pit-P6: old, repeated and foreign votes are not counted', () => {
  const cluster = new Cluster({ voters: [1, 2, 3, 4, 5] });
  const candidate = cluster.node(1);
  cluster.loses = (message) => message.kind === 'vote-reply' && !message.pre;
  cluster.freeze(10_000);
  candidate.step({ kind: 'tick' });
  cluster.settle();
  assert.equal(candidate.status, 'candidate');
  const vote = (from: number, term: number, pre = false): void =>
    candidate.step({
      kind: 'message',
      message: {
        kind: 'vote-reply',
        from: toReplicaId(from),
        to: candidate.id,
        term: toTerm(term),
        pre,
        granted: true,
      },
    });
  vote(2, 1);
  vote(2, 1);
  vote(2, 1);
  vote(3, 0);
  vote(4, 2, true);
  vote(9, 1);
  assert.equal(candidate.status, 'candidate');
  assert.equal(candidate.core.dropped.get('unknown-source'), 1);
  vote(5, 1);
  assert.equal(candidate.status, 'leader');
});

test('pit-P7: a refused vote, or a message of an old leader, puts no election off', () => {
  const cluster = new Cluster();
  const voter = cluster.add(2, imageOf([1, 2], { term: 2 }));
  const before = voter.core.nextDeadline;
  cluster.freeze(500);
  voter.step({ kind: 'message', message: ask({ term: 7, lastIndex: 1, lastTerm: 1 }) });
  assert.equal(voter.core.role.term, 7);
  assert.equal(voter.core.nextDeadline, before);
  const heartbeat = { kind: 'heartbeat-request', from: toReplicaId(1), to: voter.id, term: toTerm(3) } as const;
  voter.step({ kind: 'message', message: { ...heartbeat, commit: toLogIndex(0), round: 1 } });
  assert.equal(voter.core.nextDeadline, before);
});

test('pit-P8: election time-outs differ between nodes and between rounds', () => {
  const cluster = new Cluster({ voters: [1, 2, 3, 4, 5] });
  const first = [...cluster.nodes.values()].map((node) => node.core.nextDeadline);
  assert.equal(new Set(first).size, 5);
  for (const deadline of first) assert.ok(deadline >= 1_000 && deadline < 2_000, String(deadline));
  cluster.isolate(1);
  const [node] = cluster.nodes.values();
  const waits = new Set<number>();
  for (let round = 0; round < 20; round++) {
    cluster.now = node!.core.nextDeadline as typeof cluster.now;
    node!.step({ kind: 'tick' });
    waits.add(node!.core.nextDeadline - cluster.now);
  }
  assert.ok(waits.size > 15, String(waits.size));
});

test('pit-P9: a pre-vote changes neither term nor vote at anybody', () => {
  const cluster = new Cluster();
  cluster.loses = (message) => message.kind === 'vote-reply';
  cluster.freeze(10_000);
  cluster.node(1).step({ kind: 'tick' });
  cluster.settle();
  assert.equal(cluster.node(1).status, 'pre-candidate');
  for (const node of cluster.nodes.values()) {
    assert.equal(node.core.role.term, 0);
    assert.deepEqual(node.image.hardState, { term: 0, vote: null, commit: 0 });
  }
});

test('pit-P9: a replica that is stuck in a higher term is heard, and the group goes on with it', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(3);
  // it was a candidate of a much later term before it was cut off, as older versions could leave it
  cluster.add(3, { ...imageOf([], { term: 9, vote: 3 }), entries: cluster.node(3).image.entries });
  cluster.heal();
  cluster.pass(10_000);
  assert.ok(cluster.leader.core.role.term >= 10);
  for (const node of cluster.nodes.values()) assert.equal(node.core.role.leader, cluster.leader.id);
});

test('pit-P10: with one link cut a leader stays, instead of two that depose each other', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.cut(1, 3);
  const { term } = cluster.leader.core.role;
  cluster.pass(60_000);
  assert.equal(cluster.leader.core.role.term, term);
  assert.equal(cluster.leader.id, 1);
});

test('pit-P10: in a chain of five with the leader at its end somebody who sees a quorum takes over, once', () => {
  const cluster = new Cluster({ voters: [1, 2, 3, 4, 5] });
  cluster.elect(1);
  // only 3 sees a quorum
  for (const [a, b] of [
    [1, 2],
    [1, 4],
    [1, 5],
    [2, 4],
    [2, 5],
    [4, 5],
  ] as const) {
    cluster.cut(a, b);
  }
  cluster.pass(30_000);
  assert.equal(cluster.leader.id, 3);
  const { term } = cluster.leader.core.role;
  cluster.pass(60_000);
  assert.equal(cluster.leader.core.role.term, term);
});

test('pit-P11: a leader that can send but hears nothing steps down, and somebody else leads', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.cut(2, 1, false);
  cluster.cut(3, 1, false);
  cluster.pass(10_000);
  assert.notEqual(cluster.node(1).status, 'leader');
  assert.ok([2, 3].includes(cluster.leader.id));
});

test('pit-P12: a replica that was cut off comes back without disturbing the leader', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.isolate(3);
  cluster.pass(30_000);
  const { term } = cluster.node(1).core.role;
  cluster.heal();
  cluster.pass(10_000);
  assert.equal(cluster.leader.id, 1);
  assert.equal(cluster.leader.core.role.term, term);
  assert.equal(cluster.node(3).core.role.leader, 1);
});

test('pit-P12: who is no member, and has nothing that this replica lacks, is not heard', () => {
  const cluster = new Cluster();
  const voter = cluster.add(2, imageOf([1, 1], { term: 1 }));
  voter.step({ kind: 'message', message: ask({ term: 50, from: 9, lastIndex: 2, lastTerm: 1 }) });
  assert.equal(voter.core.role.term, 1);
  assert.equal(voter.core.dropped.get('unknown-source'), 1);
  // but a member by a configuration that did not arrive here yet has a longer log, and needs the vote
  voter.step({ kind: 'message', message: ask({ term: 50, from: 9, lastIndex: 3, lastTerm: 1 }) });
  assert.deepEqual(replies(cluster.posted).at(-1)?.granted, true);
});

test('pit-P12: neither a leader nor who hears one is moved by a campaign that the leader did not ask for', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  const { lastIndex } = cluster.node(3).core.status;
  const { term } = cluster.node(3).core.role;
  for (const to of [1, 2]) {
    const request = ask({ term: term + 5, from: 3, lastIndex, lastTerm: term });
    cluster.deliver({ ...request, to: toReplicaId(to) });
    assert.equal(cluster.node(to).core.role.term, term);
    assert.equal(cluster.node(to).core.dropped.get('within-lease'), 1);
  }
  assert.equal(cluster.node(1).status, 'leader');
});

test('pit-P14: a leader that restarts is a follower until it is elected again', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.node(1).crash();
  cluster.node(1).restart();
  assert.equal(cluster.node(1).status, 'follower');
  assert.equal(cluster.node(1).core.role.serving, false);
});

test('messages for another replica, from this one, or from an impossible term are dropped and counted (D4)', () => {
  const cluster = new Cluster();
  const voter = cluster.node(2);
  voter.step({ kind: 'message', message: { ...ask({ term: 1 }), to: toReplicaId(3) } });
  voter.step({ kind: 'message', message: ask({ term: 1, from: 2 }) });
  voter.step({ kind: 'message', message: ask({ term: 2 ** 40 }) });
  assert.equal(voter.core.role.term, 0);
  assert.deepEqual(
    [...voter.core.dropped],
    [
      ['wrong-target', 2],
      ['out-of-place', 1],
    ],
  );
});

test('a second leader of one term is not believed', () => {
  const cluster = new Cluster();
  cluster.elect(1);
  const { term } = cluster.node(2).core.role;
  const heartbeat = { kind: 'heartbeat-request', from: toReplicaId(3), to: toReplicaId(2), term } as const;
  cluster.deliver({ ...heartbeat, commit: toLogIndex(0), round: 1 });
  assert.equal(cluster.node(2).core.role.leader, 1);
  assert.equal(cluster.node(2).core.dropped.get('out-of-place'), 1);
});
