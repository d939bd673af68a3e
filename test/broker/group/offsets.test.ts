import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toTerm } from '../../../src/model/ids.ts';
import { at, Bench, dump, groupRef, refuses } from './bench.ts';

const hour = 3_600_000;
const day = 24 * hour;

function benchWithMember(partitions = 3, limits = {}): Bench {
  const bench = new Bench(limits);
  bench.topics.create('t', partitions);
  bench.join(['t']);
  return bench;
}

test('sem-O1: what is committed is what is read next, with its leader epoch and metadata', () => {
  const bench = benchWithMember();
  assert.deepEqual(bench.commit('m1', 1, [at('t', 0, 5, { leaderEpoch: toTerm(3), metadata: 'note' })]), [null]);
  const found = bench.coordinator.fetchCommitted({ ...groupRef, partitions: null }, bench.context);
  assert.ok(found.kind === 'ok');
  const [one] = found.value;
  assert.deepEqual(
    [one?.topic, one?.partition, one?.committed?.offset, one?.committed?.leaderEpoch, one?.committed?.metadata],
    ['t', 0, 5, 3, 'note'],
  );
  assert.equal(one?.committed?.commitTimeMs, bench.nowMs);
});

test('sem-O2: a deliberate rewind takes effect', () => {
  const bench = benchWithMember();
  bench.commit('m1', 1, [at('t', 0, 50)]);
  bench.commit('m1', 2, [at('t', 0, 10)]);
  assert.equal(bench.offset('t', 0), 10);
});

test('sem-O2, pit-P113: a late duplicate is answered well and undoes nothing', () => {
  const bench = benchWithMember();
  bench.commit('m1', 1, [at('t', 0, 10)]);
  bench.commit('m1', 2, [at('t', 0, 20)]);
  const entries = bench.entries.length;
  assert.deepEqual(bench.commit('m1', 1, [at('t', 0, 10)]), [null]);
  assert.deepEqual(bench.commit('m1', 2, [at('t', 0, 20)]), [null]);
  assert.equal(bench.offset('t', 0), 20);
  assert.equal(bench.entries.length, entries);
});

test('pit-P113: commits that pass each other on their way through the log end in the order of their sequence', () => {
  const bench = benchWithMember();
  bench.commit('m1', 1, [at('t', 0, 1), at('t', 1, 1)]);
  const commit = (sequence: number, offset: number) => {
    const member = { memberId: 'm1', memberEpoch: bench.member('m1').epoch, sequence };
    return bench.coordinator.commit({ ...groupRef, member, offsets: [at('t', 0, offset)] }, bench.context);
  };
  const early = commit(2, 20);
  const late = commit(3, 30);
  assert.deepEqual(
    [early.kind === 'decided' && early.concurrent, late.kind === 'decided' && late.concurrent],
    [true, true],
  );
  bench.settle(late);
  bench.settle(early);
  assert.equal(bench.offset('t', 0), 30);
});

test('an older commit for another partition is not lost behind a newer one', () => {
  const bench = benchWithMember();
  bench.commit('m1', 2, [at('t', 0, 20)]);
  bench.commit('m1', 1, [at('t', 1, 7)]);
  assert.equal(bench.offset('t', 1), 7);
});

test('a sequence that is used again for something else is a mistake, and is said to be one', () => {
  const bench = benchWithMember();
  bench.commit('m1', 1, [at('t', 0, 10)]);
  assert.equal(bench.commit('m1', 1, [at('t', 0, 11)])[0]?.code, 'INVALID_REQUEST');
  assert.equal(bench.offset('t', 0), 10);
});

test('after a resumption the member counts its commits anew', () => {
  const bench = benchWithMember();
  bench.commit('m1', 1_000, [at('t', 0, 10)]);
  bench.resume('m1');
  bench.commit('m1', 0, [at('t', 0, 20)]);
  assert.equal(bench.offset('t', 0), 20);
});

test('sem-O2: where nothing was committed there is no offset, and no error', () => {
  const bench = benchWithMember();
  assert.equal(bench.offset('t', 2), null);
  const none = bench.coordinator.fetchCommitted({ ...groupRef, groupId: 'unknown', partitions: null }, bench.context);
  assert.deepEqual(none, { kind: 'ok', value: [] });
  const named = { ...groupRef, groupId: 'unknown', partitions: [{ topic: 't', partitions: [0] }] };
  const absent = bench.coordinator.fetchCommitted(named, bench.context);
  assert.equal(absent.kind === 'ok' && absent.value[0]?.committed, null);
});

test('pit-P117: offset 0 and leader epoch 0 are not "none"', () => {
  const bench = benchWithMember();
  bench.commit('m1', 0, [at('t', 0, 0, { leaderEpoch: toTerm(0) })]);
  const { fromState } = bench.restarted();
  const committed = fromState.groups.find(groupRef)?.offsets.get(bench.group.topics.get('t')?.topicId ?? '', 0);
  assert.deepEqual([committed?.offset, committed?.leaderEpoch, committed?.stamp.sequence], [0, 0, 0]);
});

test('an error is never mistaken for "no offset": unknown topics and partitions refuse the call', () => {
  const bench = benchWithMember();
  refuses('UNKNOWN_TOPIC_OR_PARTITION', () => bench.offset('missing', 0));
  refuses('UNKNOWN_TOPIC_OR_PARTITION', () => bench.offset('t', 3));
});

test('sem-O3: metadata above 4,096 bytes of UTF-8 is refused, for that partition alone', () => {
  const bench = benchWithMember();
  const offsets = [at('t', 0, 1, { metadata: 'é'.repeat(2_049) }), at('t', 1, 1, { metadata: 'é'.repeat(2_048) })];
  const answer = bench.commit('m1', 1, offsets);
  assert.deepEqual([answer[0]?.code, answer[1]], ['OFFSET_METADATA_TOO_LARGE', null]);
  assert.deepEqual(answer[0]?.fields, { topic: 't', partition: '0', limit: '4096', actual: '4098' });
  assert.equal(bench.offset('t', 0), null);
});

test('sem-K6, pit-P109: only the current epoch of a member may commit', () => {
  const bench = benchWithMember();
  bench.commit('m1', 1, [at('t', 0, 1)]);
  bench.resume('m1');
  refuses('STALE_MEMBER_EPOCH', () => bench.commit('m1', 2, [at('t', 0, 9)], 1));
  refuses('STALE_MEMBER_EPOCH', () => bench.commit('m1', 2, [at('t', 0, 9)], 3));
  bench.expire('m1');
  refuses('UNKNOWN_MEMBER_ID', () => bench.commit('m1', 2, [at('t', 0, 9)], 2));
  assert.equal(bench.offset('t', 0), 1);
});

test('a commit for an unknown group is refused if it names a member', () => {
  const bench = new Bench();
  bench.topics.create('t', 1);
  refuses('GROUP_ID_NOT_FOUND', () => bench.commit('m1', 1, [at('t', 0, 1)], 1));
});

test('a tool may commit while there are no members, and creates the group', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  assert.deepEqual(bench.commitAsTool([at('t', 0, 5)]), [null]);
  bench.commitAsTool([at('t', 0, 3)]);
  assert.equal(bench.offset('t', 0), 3);
  bench.join(['t']);
  refuses('NON_EMPTY_GROUP', () => bench.commitAsTool([at('t', 0, 1)]));
  bench.commit('m1', 0, [at('t', 0, 4)]);
  assert.equal(bench.offset('t', 0), 4);
  bench.leave('m1');
  bench.commitAsTool([at('t', 0, 1)]);
  assert.equal(bench.offset('t', 0), 1);
});

test('each offset gets the error that is its own', () => {
  const bench = benchWithMember(2);
  bench.topics.create('other', 1);
  const answer = bench.commit('m1', 1, [
    at('t', 0, 1),
    at('t', 2, 1),
    at('missing', 0, 1),
    at('other', 0, 1),
    at('t', 0, 2),
    at('t', 1, 1, { topicId: 'of another time' }),
  ]);
  assert.deepEqual(
    answer.map((error) => error?.code ?? 'stored'),
    [
      'stored',
      'UNKNOWN_TOPIC_OR_PARTITION',
      'UNKNOWN_TOPIC_OR_PARTITION',
      'PARTITION_NOT_OWNED',
      'INVALID_REQUEST',
      'INCONSISTENT_TOPIC_ID',
    ],
  );
  assert.equal(bench.offset('t', 0), 1);
});

test('pit-P118: a topic that was created again has no committed offsets, and its predecessor’s are dropped', () => {
  const bench = benchWithMember();
  const before = bench.topics.find(0, 't')?.topicId ?? '';
  bench.commit('m1', 1, [at('t', 0, 50)]);
  bench.topics.delete('t');
  bench.topics.create('t', 3);
  assert.equal(bench.offset('t', 0), null);
  assert.equal(bench.commit('m1', 2, [at('t', 0, 60)])[0]?.code, 'PARTITION_NOT_OWNED');
  assert.equal(bench.commit('m1', 2, [at('t', 0, 60, { topicId: before })])[0]?.code, 'INCONSISTENT_TOPIC_ID');
  assert.equal(bench.sweep(), true);
  assert.equal(bench.group.offsets.count, 0);
  assert.equal(bench.sweep(), false);
});

test('offsets are dropped only if the catalog is new enough to know that the topic is gone', () => {
  const bench = benchWithMember();
  bench.commit('m1', 1, [at('t', 0, 50)]);
  const { revision } = bench.topics;
  bench.topics.delete('t');
  bench.topics.revision = revision - 1;
  assert.equal(bench.sweep(), false);
  bench.topics.revision = revision;
  assert.equal(bench.sweep(), true);
});

test('sem-O4: offsets outlive the last member by the retention, then the group goes too', () => {
  const bench = benchWithMember();
  bench.commit('m1', 1, [at('t', 0, 5)]);
  bench.advance(30 * day);
  assert.equal(bench.sweep(), false, 'pit-P115: not while a member subscribes, however old the commit');
  bench.leave('m1');
  bench.advance(7 * day);
  assert.equal(bench.sweep(), false);
  assert.equal(bench.offset('t', 0), 5);
  bench.advance(1);
  assert.equal(bench.sweep(), true);
  assert.equal(bench.coordinator.groups.size, 0);
  assert.deepEqual(bench.state, []);
  assert.equal(bench.coordinator.groups.bytes, 0);
});

test('sem-O4: a tool’s commit starts the retention anew', () => {
  const bench = new Bench();
  bench.topics.create('t', 2);
  bench.commitAsTool([at('t', 0, 1)]);
  bench.advance(5 * day);
  bench.commitAsTool([at('t', 1, 1)]);
  bench.advance(3 * day);
  assert.equal(bench.sweep(), true);
  assert.deepEqual([bench.offset('t', 0), bench.offset('t', 1)], [null, 1]);
  bench.advance(5 * day);
  assert.equal(bench.sweep(), true);
  assert.equal(bench.coordinator.groups.size, 0);
});

test('sem-O4: offsets of a topic that nobody subscribes to any more expire while the group lives', () => {
  const bench = new Bench();
  bench.topics.create('a', 1);
  bench.topics.create('b', 1);
  bench.join(['a', 'b']);
  bench.commit('m1', 1, [at('a', 0, 1), at('b', 0, 1)]);
  bench.resume('m1', ['a']);
  bench.advance(7 * day + 1);
  assert.equal(bench.sweep(), true);
  assert.deepEqual([bench.offset('a', 0), bench.offset('b', 0)], [1, null]);
});

test('a group without offsets is forgotten too', () => {
  const bench = benchWithMember();
  bench.leave('m1');
  bench.advance(7 * day + 1);
  assert.equal(bench.sweep(), true);
  assert.equal(bench.coordinator.groups.size, 0);
});

test('a commit has 1 to offsetsPerCommitMax offsets, and its bytes a limit', () => {
  const bench = benchWithMember(3, { offsetsPerCommitMax: 2, entryBytesMax: 1_000 });
  refuses('INVALID_REQUEST', () => bench.commit('m1', 1, []));
  refuses('INVALID_REQUEST', () => bench.commit('m1', 1, [at('t', 0, 1), at('t', 1, 1), at('t', 2, 1)]));
  refuses('MESSAGE_TOO_LARGE', () => bench.commit('m1', 1, [at('t', 0, 1, { metadata: 'x'.repeat(999) })]));
});

test('a group has a limit of offsets; replacing one needs no room', () => {
  const bench = benchWithMember(3, { offsetsPerGroupMax: 2 });
  const answer = bench.commit('m1', 1, [at('t', 0, 1), at('t', 1, 1), at('t', 2, 1)]);
  assert.deepEqual(
    answer.map((error) => error?.code ?? null),
    [null, null, 'LIMIT_REACHED'],
  );
  assert.deepEqual(bench.commit('m1', 2, [at('t', 1, 2)]), [null]);
});

test('a coordinator whose memory is used up takes no new offsets, and still replaces them', () => {
  const bench = benchWithMember(3, { stateBytesMax: 2_500 });
  assert.deepEqual(bench.commit('m1', 1, [at('t', 0, 1, { metadata: 'x'.repeat(500) })]), [null]);
  refuses('LIMIT_REACHED', () => bench.commit('m1', 2, [at('t', 1, 1)]));
  assert.deepEqual(bench.commit('m1', 3, [at('t', 0, 2)]), [null]);
  assert.deepEqual(bench.commit('m1', 4, [at('t', 1, 1)]), [null]);
});

test('an answer that would be too large says to ask for less', () => {
  const bench = benchWithMember(3, { answerBytesMax: 500 });
  bench.commit('m1', 1, [at('t', 0, 1, { metadata: 'x'.repeat(400) })]);
  const all = bench.coordinator.fetchCommitted({ ...groupRef, partitions: null }, bench.context);
  assert.equal(all.kind === 'refused' && all.error.code, 'MESSAGE_TOO_LARGE');
  assert.equal(bench.offset('t', 1), null);
});

test('a coordinator that was restarted holds what the one before it held', () => {
  const bench = benchWithMember();
  bench.commit('m1', 1, [at('t', 0, 5, { metadata: 'é' }), at('t', 2, 7, { leaderEpoch: toTerm(1) })]);
  const { fromState, fromLog } = bench.restarted();
  assert.deepEqual(dump(fromState), dump(bench.coordinator));
  assert.deepEqual(dump(fromLog), dump(bench.coordinator));
});
