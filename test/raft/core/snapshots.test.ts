/** Snapshots: reliability 2-C. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toLogIndex, toMillis, toReplicaId, toTerm } from '../../../src/model/ids.ts';
import { emptyConfiguration } from '../../../src/raft/core/configuration.ts';
import type { Message, SnapshotChunk } from '../../../src/raft/core/messages.ts';
import { Cluster, ids, textOf } from './cluster.ts';

const chunks = (messages: readonly Message[]): SnapshotChunk[] =>
  messages.filter((one) => one.kind === 'snapshot-chunk');

/** Replica 3 missed what replica 1 has dropped from its log. */
function behind(): Cluster {
  const cluster = new Cluster();
  cluster.elect(1);
  cluster.propose(1, 'first');
  cluster.isolate(3);
  for (const text of ['second', 'third']) cluster.propose(1, text);
  cluster.compact(1);
  cluster.propose(1, 'fourth');
  return cluster;
}

test('a replica that needs what the log no longer has gets a snapshot in chunks, then the entries after it', () => {
  const cluster = behind();
  cluster.posted = [];
  cluster.heal();
  cluster.pass(2_000);
  assert.deepEqual(cluster.node(3).applied, ['first', 'second', 'third', 'fourth']);
  assert.ok(chunks(cluster.posted).length >= 3, String(chunks(cluster.posted).length));
  assert.deepEqual(cluster.node(3).texts, ['fourth']);
  cluster.propose(1, 'fifth');
  assert.equal(cluster.node(3).applied.at(-1), 'fifth');
});

test('a learner that starts empty is brought up by a snapshot, and knows the configuration from it (pit-P44)', () => {
  const cluster = behind();
  cluster.heal();
  cluster.pass(2_000);
  cluster.add(4);
  assert.equal(cluster.configure(1, { revision: 1, learners: ids(4) }), 'accepted');
  cluster.compact(1);
  cluster.add(5);
  assert.equal(cluster.configure(1, { revision: 2, learners: ids(4, 5) }), 'accepted');
  assert.deepEqual(cluster.node(5).applied, ['first', 'second', 'third', 'fourth']);
  cluster.node(5).crash();
  cluster.node(5).restart();
  cluster.pass(1_000);
  assert.equal(cluster.configure(1, { revision: 3, voters: ids(1, 2, 3, 5), learners: ids(4) }), 'accepted');
  assert.equal(cluster.node(5).status, 'follower');
});

test('pit-P43: a snapshot that brings nothing new is not installed', () => {
  const cluster = behind();
  cluster.posted = [];
  cluster.heal();
  cluster.pass(2_000);
  const sent = chunks(cluster.posted);
  const node = cluster.node(3);
  const before = node.image;
  for (const chunk of [...sent, ...sent]) cluster.deliver(chunk);
  cluster.settle();
  assert.equal(node.image, before);
});

test('pit-P42: a log that holds the last entry of the snapshot keeps everything', () => {
  const cluster = behind();
  cluster.loses = (message) => message.to === 2 || message.from === 2;
  const meta = cluster.node(1).image.snapshot!;
  const term = cluster.node(1).core.role.term;
  const node = cluster.node(2);
  const entries = node.image.entries.length;
  const chunk: SnapshotChunk = {
    kind: 'snapshot-chunk',
    from: toReplicaId(1),
    to: node.id,
    term,
    meta,
    position: 0,
    bytes: Buffer.from('first,second,third'),
    last: true,
  };
  cluster.deliver(chunk);
  assert.equal(node.image.entries.length, entries);
  assert.deepEqual(node.applied, ['first', 'second', 'third', 'fourth'].slice(0, node.applied.length));
});

test('pit-P46: chunks of two snapshots never mix, and lost, repeated or reordered ones do no harm', () => {
  const cluster = behind();
  cluster.posted = [];
  let count = 0;
  cluster.loses = (message) => message.kind === 'snapshot-chunk' && ++count > 2;
  cluster.pass(500);
  const [first, second, third] = chunks(cluster.posted);
  cluster.heal();
  const node = cluster.node(3);
  node.trace = [];
  // exactly where the next chunk belongs, but of another snapshot
  cluster.deliver({ ...third!, meta: { ...third!.meta, id: 'another' } });
  cluster.deliver(second!);
  cluster.deliver(first!);
  assert.equal(node.core.dropped.get('out-of-place'), 3);
  assert.deepEqual(
    node.trace.filter((line) => line.startsWith('install')),
    [],
  );
  cluster.settle();
  cluster.pass(5_000);
  assert.deepEqual(node.applied, ['first', 'second', 'third', 'fourth']);
});

test('pit-P46: a new leader starts its own snapshot from the beginning', () => {
  const cluster = behind();
  cluster.compact(2);
  cluster.posted = [];
  let count = 0;
  cluster.loses = (message) => message.kind === 'snapshot-chunk' && ++count > 2;
  cluster.pass(1_000);
  cluster.heal();
  cluster.node(1).crash();
  cluster.elect(2);
  cluster.pass(5_000);
  assert.deepEqual(cluster.node(3).applied, ['first', 'second', 'third', 'fourth']);
});

test('a receiver that restarts in the middle gets the snapshot from the beginning', () => {
  const cluster = behind();
  let count = 0;
  cluster.loses = (message) => message.kind === 'snapshot-chunk' && ++count > 3;
  cluster.pass(1_000);
  cluster.heal();
  cluster.node(3).crash();
  cluster.node(3).restart();
  cluster.pass(5_000);
  assert.deepEqual(cluster.node(3).applied, ['first', 'second', 'third', 'fourth']);
});

test('pit-P47: two snapshots in short succession', () => {
  const cluster = behind();
  cluster.heal();
  cluster.pass(2_000);
  cluster.isolate(3);
  cluster.propose(1, 'fifth');
  cluster.compact(1);
  cluster.heal();
  cluster.pass(2_000);
  assert.deepEqual(cluster.node(3).applied, ['first', 'second', 'third', 'fourth', 'fifth']);
});

test('pit-P25: a probe that reaches the boundary of a cut log turns into a snapshot instead of probing for ever', () => {
  const cluster = behind();
  cluster.node(1).crash();
  cluster.node(1).restart();
  cluster.heal();
  cluster.elect(1);
  cluster.pass(3_000);
  assert.deepEqual(cluster.node(3).applied, ['first', 'second', 'third', 'fourth']);
});

test('a snapshot that was accepted is not mixed with entries while the disk takes it', () => {
  const cluster = behind();
  const { term } = cluster.node(1).core.role;
  const node = cluster.node(3);
  const meta = { ...cluster.node(1).image.snapshot!, lastTerm: toTerm(1) };
  const bytes = Buffer.from('first,second,third');
  const chunk = {
    kind: 'snapshot-chunk',
    from: toReplicaId(1),
    to: node.id,
    term,
    meta,
    position: 0,
    bytes,
    last: true,
  };
  node.core.step({ kind: 'message', message: chunk as SnapshotChunk }, cluster.now);
  const [append] = cluster.posted.filter((one) => one.kind === 'append-request' && one.to === 2).slice(-1);
  node.core.step({ kind: 'message', message: { ...append!, to: node.id } }, cluster.now);
  assert.equal(node.core.dropped.get('out-of-place'), 1);
  node.work();
  assert.deepEqual(node.applied, ['first', 'second', 'third']);
});

test('a receiver that refuses, or claims more than there is, is asked again after a while', () => {
  const cluster = behind();
  cluster.posted = [];
  cluster.loses = (message) => message.kind === 'snapshot-chunk';
  cluster.pass(500);
  const [chunk] = chunks(cluster.posted);
  const reply = { kind: 'snapshot-reply', from: toReplicaId(3), to: toReplicaId(1), term: chunk!.term } as const;
  const snapshotId = chunk!.meta.id;
  cluster.deliver({ ...reply, snapshotId, result: 'next', position: 10_000 });
  assert.equal(cluster.node(1).core.dropped.get('out-of-place'), 1);
  cluster.deliver({ ...reply, snapshotId, result: 'refused', position: 0 });
  cluster.deliver({ ...reply, from: toReplicaId(9), snapshotId, result: 'installed', position: 0 });
  assert.equal(cluster.node(1).core.dropped.get('unknown-source'), 1);
  assert.equal(cluster.node(1).core.status.followers.find((one) => one.id === 3)?.state, 'snapshot');
  cluster.heal();
  cluster.pass(5_000);
  assert.deepEqual(cluster.node(3).applied, ['first', 'second', 'third', 'fourth']);
});

test('inv-I9: append times do not go back behind a snapshot that was installed', () => {
  const cluster = new Cluster();
  cluster.pass(5_000);
  cluster.elect(1);
  cluster.isolate(3);
  cluster.propose(1, 'first');
  cluster.compact(1);
  cluster.heal();
  cluster.pass(2_000);
  const { appendTimeMs } = cluster.node(1).image.snapshot!;
  assert.ok(appendTimeMs >= 5_000);
  const clock = cluster.now;
  cluster.elect(3);
  const node = cluster.node(3);
  const draft = { kind: 'batch', count: 1, payload: Buffer.from('x'), maxTimestampMs: null } as const;
  const answer = node.core.propose(draft, toMillis(17));
  assert.ok(answer.kind === 'accepted' && answer.entry.appendTimeMs >= appendTimeMs, `wall clock at ${clock}`);
});

test('pit-P48: a snapshot that can not be taken is refused, changes nothing, and is asked for again after a while', () => {
  const cluster = behind();
  cluster.posted = [];
  let count = 0;
  cluster.loses = (message) => message.kind === 'snapshot-chunk' && ++count > 2;
  cluster.pass(500);
  cluster.heal();
  const node = cluster.node(3);
  const before = node.image;
  const { id } = chunks(cluster.posted)[0]!.meta;
  cluster.posted = [];
  node.step({ kind: 'snapshot-refused', id: 'another' });
  assert.equal(node.core.dropped.get('damaged'), undefined);
  node.step({ kind: 'snapshot-refused', id });
  cluster.settle();
  assert.equal(node.core.dropped.get('damaged'), 1);
  assert.deepEqual(node.image, before);
  const [reply, ...more] = cluster.posted.filter((message) => message.kind === 'snapshot-reply');
  assert.deepEqual([reply?.result, more], ['refused', []]);
  assert.deepEqual(chunks(cluster.posted), [], 'not at once: it would be refused again and again');
  cluster.pass(5_000);
  assert.deepEqual(node.applied, ['first', 'second', 'third', 'fourth']);
});

test('chunks that were read for nobody, and installs that nobody asked for, change nothing', () => {
  const cluster = behind();
  const leader = cluster.node(1);
  const follower = cluster.node(2);
  const meta = leader.image.snapshot!;
  cluster.posted = [];
  const bytes = new Uint8Array(meta.byteLength);
  for (const node of [leader, follower]) {
    for (const to of [2, 9]) {
      node.step({ kind: 'snapshot-read', to: toReplicaId(to), meta, position: 0, bytes, last: true });
    }
  }
  follower.step({ kind: 'snapshot-installed', meta });
  follower.step({ kind: 'snapshot-refused', id: meta.id });
  assert.deepEqual(cluster.posted, []);
  assert.equal(follower.core.status.firstIndex, 1);
});

test('pit-P46: a chunk that was read from another place than the receiver has reached is not sent', () => {
  const cluster = behind();
  cluster.heal();
  cluster.loses = (message) => message.kind === 'snapshot-chunk';
  cluster.pass(2_000);
  const leader = cluster.node(1);
  const meta = leader.image.snapshot!;
  cluster.posted = [];
  const read = { kind: 'snapshot-read', to: toReplicaId(3), meta, bytes: new Uint8Array(1), last: false } as const;
  leader.step({ ...read, position: 1 });
  assert.deepEqual(chunks(cluster.posted), []);
  leader.step({ ...read, position: 0 });
  assert.equal(chunks(cluster.posted).length, 1);
});

test('pit-P46: chunks of two snapshots that arrive in one turn are taken one at a time', () => {
  const cluster = behind();
  cluster.posted = [];
  cluster.loses = (message) => message.kind === 'snapshot-chunk';
  cluster.pass(500);
  const [first] = chunks(cluster.posted);
  const node = cluster.node(3);
  const another = { ...first!, meta: { ...first!.meta, id: 'another' } };
  node.core.step({ kind: 'message', message: first! }, cluster.now);
  node.core.step({ kind: 'message', message: another }, cluster.now);
  node.core.step({ kind: 'message', message: first! }, cluster.now);
  assert.equal(node.core.dropped.get('out-of-place'), 2);
  node.trace = [];
  node.work();
  assert.equal(node.trace.filter((line) => line.startsWith('install')).length, 1);
  cluster.heal();
  cluster.pass(5_000);
  assert.deepEqual(node.applied, ['first', 'second', 'third', 'fourth']);
});

test('pit-P47: a late chunk of an older snapshot does not make a replica forget the one that is coming in', () => {
  const cluster = behind();
  cluster.heal();
  let held: SnapshotChunk[] = [];
  cluster.loses = (message) => {
    if (message.kind !== 'snapshot-chunk' || message.position === 0) return false;
    held = [...held, message];
    return true;
  };
  cluster.pass(900);
  const receiver = cluster.node(3);
  const [second] = held;
  assert.ok(second !== undefined, 'the first chunk has arrived, the second has not');
  const older = { ...second.meta, id: 'older', lastIndex: toLogIndex(1), byteLength: 4 };
  cluster.loses = () => true;
  cluster.posted = [];
  cluster.deliver({ ...second, meta: older, position: 0, bytes: Buffer.from('x') });
  cluster.deliver(second);
  assert.deepEqual(
    cluster.posted.map((message) =>
      message.kind === 'snapshot-reply' ? [message.snapshotId, message.result] : message,
    ),
    [
      ['older', 'installed'],
      [second.meta.id, 'next'],
    ],
  );
  assert.equal(
    cluster.posted.map((message) => (message.kind === 'snapshot-reply' ? message.position : 0)).at(-1),
    second.position + second.bytes.length,
    'it goes on, and does not begin again',
  );
  assert.equal(receiver.core.status.firstIndex, 1);
});

test('inv-I13: a vote that is written while a snapshot is being installed counts, although the log ends elsewhere by then', () => {
  const cluster = behind();
  const { term } = cluster.node(1).core.role;
  const node = cluster.node(3);
  const meta = cluster.node(1).image.snapshot!;
  const bytes = Buffer.from('first,second,third');
  const from = toReplicaId(1);
  const chunk: SnapshotChunk = {
    kind: 'snapshot-chunk',
    from,
    to: node.id,
    term,
    meta,
    position: 0,
    bytes,
    last: true,
  };
  node.core.step({ kind: 'message', message: chunk }, cluster.now);
  assert.ok(node.core.takeReady()?.install);
  const later = toTerm(term + 1);
  const request = {
    pre: false,
    lastIndex: toLogIndex(9),
    lastTerm: term,
    transfer: true,
    configuration: emptyConfiguration,
    from: toReplicaId(2),
    to: node.id,
  };
  node.core.step({ kind: 'message', message: { kind: 'vote-request', term: later, ...request } }, cluster.now);
  const ready = node.core.takeReady()!;
  assert.deepEqual(ready.persist?.hardState, { term: later, vote: 2, commit: node.core.commitIndex });
  const { lastIndex, lastTerm } = meta;
  node.core.step({ kind: 'persisted', lastIndex, lastTerm, readyNumber: ready.number }, cluster.now);
  node.core.step({ kind: 'snapshot-installed', meta }, cluster.now);
  assert.deepEqual([node.core.status.lastIndex, node.core.status.vote], [meta.lastIndex, 2]);
  assert.deepEqual(
    ready.messagesAfterPersist.map((message) => message.kind),
    ['vote-reply'],
  );
});

test('inv-raft-8 a leader knows the chain value before a log that it cut, so that a follower can compare and truncate there', () => {
  const cluster = new Cluster({ limits: { memoryBytesMax: 0 } });
  cluster.elect(1);
  cluster.propose(1, 'first');
  cluster.isolate(3);
  cluster.offer(3, 'nobody leads here');
  for (const text of ['second', 'third']) cluster.propose(1, text);
  const [cut] = cluster.node(1).image.entries.filter((entry) => textOf(entry) === 'first');
  const { index, chain } = cut!;
  cluster.node(1).step({ kind: 'compacted', firstIndex: toLogIndex(index + 1), chain });
  cluster.posted = [];
  cluster.heal();
  cluster.pass(3_000);
  const appends = cluster.posted.filter((message) => message.kind === 'append-request' && message.to === 3);
  const boundary = appends.filter((message) => message.kind === 'append-request' && message.prevIndex === index);
  assert.ok(boundary.length > 0, 'it is asked about the place before the log');
  for (const message of boundary) assert.equal(message.kind === 'append-request' && message.prevChain, chain);
  assert.deepEqual(cluster.node(3).applied, ['first', 'second', 'third']);
});
