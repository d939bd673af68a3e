import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupService } from '../../src/broker/group-service.ts';
import { errorTraits } from '../../src/model/errors.ts';
import type { BrokerError, LeaderHint } from '../../src/model/errors.ts';
import { toBrokerId, toMillis, toOffset, toTerm } from '../../src/model/ids.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';
import { TableTopics } from '../fakes/table-topics.ts';
import { epochOf, errorOf, nowOf, ServiceBench, settle, valueOf } from './group-bench.ts';

test('a consumer joins, commits, is killed, brings its token and goes on where it stopped', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  assert.equal(member.memberEpoch, 1);
  assert.equal(member.sessionTimeoutMs, 45_000);
  assert.equal(member.heartbeatIntervalMs, 5_000);
  assert.deepEqual(member.assignment[0]?.partitions, [0, 1]);
  assert.deepEqual(valueOf(await bench.commit(member, 1, 500)), [null]);

  const back = await bench.joined(member.resumeToken);
  assert.deepEqual([back.memberId, back.memberEpoch], [member.memberId, 2]);
  assert.deepEqual(back.resumeToken, member.resumeToken);
  assert.equal(await bench.committed(), 500);
  assert.equal(errorOf(await bench.heartbeat(member)).code, 'FENCED_MEMBER_EPOCH');
  assert.equal(errorOf(await bench.commit(member, 2, 600)).code, 'STALE_MEMBER_EPOCH');
  valueOf(await bench.service.leaveGroup({ group: 'g', ...back }, bench.context()));
  assert.equal((await bench.joined(member.resumeToken)).memberEpoch, 3);
});

test('pit-P108: nothing is answered before it is replicated', async () => {
  const bench = ServiceBench.serving();
  bench.raft.automatic = false;
  const joining = bench.join();
  assert.equal(await nowOf(joining), null);
  assert.equal(bench.machine.coordinator.groups.size, 0);
  bench.raft.commit();
  const member = valueOf(await joining);
  const committing = bench.commit(member, 1, 7);
  assert.equal(await nowOf(committing), null);
  assert.equal(await bench.committed(), null);
  bench.raft.commit();
  assert.deepEqual(valueOf(await committing), [null]);
  assert.equal(await bench.committed(), 7);
});

test('pit-P107: a coordinator that was deposed unnoticed tells no offset, neither an old one nor that there is none', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  valueOf(await bench.commit(member, 1, 7));
  bench.raft.confirming = false;
  const request = { group: 'g', partitions: [{ topic: 't', partitions: [0, 1] }] };
  const asked = bench.service.fetchCommitted(request, bench.context());
  assert.equal(await nowOf(asked), null, 'it waits until its leadership is confirmed');
  bench.raft.stepDown();
  assert.equal(errorOf(await asked).code, 'NOT_LEADER_OR_FOLLOWER');
  bench.raft.lead();
  const late = bench.service.fetchCommitted(request, bench.context(500));
  assert.equal(await nowOf(late), null);
  bench.clock.advance(500);
  const refused = errorOf(await late);
  assert.equal(refused.code, 'COORDINATOR_LOAD_IN_PROGRESS');
  assert.ok((refused.retryAfterMs ?? 0) > 0);
  const found = bench.service.fetchCommitted(request, bench.context());
  await settle();
  bench.raft.confirmReads();
  assert.deepEqual(valueOf(await found).map(({ offset }) => offset), [7, null]); // prettier-ignore
});

test('pit-P107: a coordinator that was deposed unnoticed refuses nobody for good', async () => {
  const bench = ServiceBench.serving({}, { membersMax: 1 });
  const member = await bench.joined();
  const stranger = { memberId: 'm', memberEpoch: epochOf(1) };
  const leave = { group: 'g', ...member, memberEpoch: epochOf(7) };
  const calls = [
    { code: 'UNKNOWN_MEMBER_ID', ask: () => bench.heartbeat(stranger) },
    { code: 'FENCED_MEMBER_EPOCH', ask: () => bench.heartbeat({ ...member, memberEpoch: epochOf(7) }) },
    { code: 'FENCED_MEMBER_EPOCH', ask: () => bench.service.leaveGroup(leave, bench.context()) },
    { code: 'STALE_MEMBER_EPOCH', ask: () => bench.commit({ ...member, memberEpoch: epochOf(7) }, 1, 5) },
    { code: 'GROUP_MAX_SIZE_REACHED', ask: () => bench.join() },
    { code: 'NON_EMPTY_GROUP', ask: () => bench.service.deleteGroup('g', bench.context()) },
    { code: 'GROUP_ID_NOT_FOUND', ask: () => bench.service.deleteGroup('h', bench.context()) },
  ];
  bench.raft.confirming = false;
  for (const { code, ask } of calls) {
    const asked = ask();
    assert.equal(await nowOf<unknown>(asked), null, `${code}: it waits until its leadership is confirmed`);
    bench.raft.confirmReads();
    assert.equal(errorOf(await asked).code, code);
  }
  const refused = calls.map(({ ask }) => ask());
  await settle();
  bench.raft.stepDown();
  for (const each of refused) assert.equal(errorOf(await each).code, 'NOT_LEADER_OR_FOLLOWER');
});

test('what was committed while a refusal was confirmed is decided upon', async () => {
  const bench = ServiceBench.serving({}, { membersMax: 1 });
  const member = await bench.joined();
  bench.raft.confirming = false;
  const joining = bench.join();
  await settle();
  valueOf(await bench.service.leaveGroup({ group: 'g', ...member }, bench.context()));
  bench.raft.confirmReads();
  assert.equal(valueOf(await joining).memberEpoch, 2, 'the place is free by now');
});

test('a confirmed read waits for what was committed before it and is not applied here yet', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  bench.raft.confirming = false;
  bench.raft.automatic = false;
  const committing = bench.commit(member, 1, 7);
  const request = { group: 'g', partitions: [{ topic: 't', partitions: [0] }] };
  const asked = bench.service.fetchCommitted(request, bench.context());
  const other = bench.service.fetchCommitted(request, bench.context());
  await settle();
  bench.raft.confirmReads(1);
  assert.equal(await nowOf(asked), null);
  bench.raft.commit(1);
  assert.equal(valueOf(await asked)[0]?.offset, 7);
  valueOf(await other);
  valueOf(await committing);
  const last = bench.service.fetchCommitted(request, bench.context());
  await settle();
  bench.raft.confirmReads(5);
  bench.raft.stepDown();
  assert.equal(errorOf(await last).code, 'NOT_LEADER_OR_FOLLOWER');
  bench.raft.lead();
  const waiting = bench.service.fetchCommitted(request, bench.context());
  await settle();
  bench.raft.confirmReads(5);
  assert.equal(await nowOf(waiting), null);
  bench.raft.stepDown();
  assert.equal(errorOf(await waiting).code, 'NOT_LEADER_OR_FOLLOWER', 'who waits for what is applied hears it too');
});

test('pit-P110: a coordinator that does not serve yet answers nobody', async () => {
  const bench = new ServiceBench();
  bench.topics.create('t', 1);
  const calls = () => [
    bench.join(),
    bench.heartbeat({ memberId: 'm', memberEpoch: epochOf(1) }),
    bench.commit({ memberId: 'm', memberEpoch: epochOf(1) }, 1, 1),
    bench.service.fetchCommitted({ group: 'g', partitions: null }, bench.context()),
    bench.service.leaveGroup({ group: 'g', memberId: 'm', memberEpoch: epochOf(1) }, bench.context()),
  ];
  const codes = async () => (await Promise.all<{ kind: string }>(calls())).map((one) => errorOf(one as never).code);
  assert.deepEqual(new Set(await codes()), new Set(['COORDINATOR_LOAD_IN_PROGRESS']));
  bench.raft.lead(false);
  assert.deepEqual(new Set(await codes()), new Set(['COORDINATOR_LOAD_IN_PROGRESS']));
  assert.ok(errorOf(await bench.join()).retryAfterMs);
  bench.raft.serve();
  assert.equal((await bench.joined()).memberEpoch, 1);
  bench.raft.stepDown();
  assert.deepEqual(new Set(await codes()), new Set(['NOT_LEADER_OR_FOLLOWER']));
});

test('a broker without a replica of the group says who coordinates it, if it was told', async () => {
  const topics = new TableTopics();
  topics.create('t', 1);
  const hint: LeaderHint = { brokerId: toBrokerId(2), address: 'told:9400', leaderEpoch: toTerm(4) };
  const hints: LeaderHint[] = [];
  const service = new GroupService({
    ...{ clock: new ManualClock(), random: new SeededRandom(1), topics, partitionCount: 1 },
    ...{ catalogRevision: () => topics.revision, elsewhere: () => hints[0] ?? null },
  });
  const deadlineMs = toMillis(10_000);
  const context = { principal: 'test', tenant: 0, deadlineMs, signal: new AbortController().signal };
  const ask = async (): Promise<BrokerError> => errorOf(await service.fetchCommitted({ group: 'g', partitions: null }, context)); // prettier-ignore
  assert.deepEqual([(await ask()).code, (await ask()).leaderHint], ['COORDINATOR_LOAD_IN_PROGRESS', undefined]);
  hints.push(hint);
  assert.deepEqual([(await ask()).code, (await ask()).leaderHint], ['NOT_LEADER_OR_FOLLOWER', hint]);
});

test('what was proposed when leadership ends is unknown, what only waited was not begun', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  bench.raft.automatic = false;
  const first = bench.commit(member, 1, 10);
  const waits = bench.commit(member, 2, 20, 1);
  assert.equal(bench.raft.pending, 1, 'a commit that adds an offset goes alone');
  bench.raft.stepDown();
  const unknown = errorOf(await first);
  assert.equal(unknown.code, 'LEADERSHIP_LOST');
  assert.equal(errorTraits[unknown.code].indeterminate, true);
  const refused = errorOf(await waits);
  assert.equal(errorTraits[refused.code].indeterminate, false);
});

test('what was proposed when the broker stops is unknown', async () => {
  const bench = ServiceBench.serving();
  bench.raft.automatic = false;
  const joining = bench.join();
  bench.service.close();
  bench.raft.stop();
  const { code } = errorOf(await joining);
  assert.equal(code, 'APPEND_INTERRUPTED');
  assert.equal(errorTraits[code].indeterminate, true);
  assert.equal(errorOf(await bench.join()).code, 'BROKER_SHUTTING_DOWN');
  assert.equal(bench.clock.timers, 0);
});

test('what Raft refuses is refused', async () => {
  const bench = ServiceBench.serving();
  bench.raft.refusal = 'uncommitted-limit';
  assert.equal(errorOf(await bench.join()).code, 'LIMIT_REACHED');
  bench.raft.refusal = null;
  assert.equal((await bench.joined()).memberEpoch, 1);
});

test('a quarantined coordinator says so', async () => {
  const bench = ServiceBench.serving();
  bench.raft.automatic = false;
  const joining = bench.join();
  const waits = bench.join();
  bench.machine.quarantined('group-1 is broken');
  assert.equal(errorOf(await waits).code, 'QUARANTINED');
  assert.equal(await nowOf(joining), null);
  assert.match(errorOf(await bench.join()).message, /group-1 is broken/);
});

test('commits that only replace offsets go side by side; a resumption waits for them and fences what follows', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  await bench.commit(member, 1, 1);
  bench.raft.automatic = false;
  const commits = [2, 3, 4].map((sequence) => bench.commit(member, sequence, sequence * 10));
  const resuming = bench.join(member.resumeToken);
  const late = bench.commit(member, 5, 99);
  assert.equal(bench.raft.pending, 3);
  bench.raft.commit(3);
  for (const commit of commits) assert.deepEqual(valueOf(await commit), [null]);
  await settle();
  assert.equal(bench.raft.pending, 1);
  bench.raft.commit();
  assert.equal(valueOf(await resuming).memberEpoch, 2);
  assert.equal(errorOf(await late).code, 'STALE_MEMBER_EPOCH');
  assert.equal(await bench.committed(), 40);
});

test('pit-P109: a member that was expelled while its commit waited does not commit', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  bench.raft.automatic = false;
  bench.clock.advance(45_000);
  assert.equal(bench.raft.pending, 1);
  const late = bench.commit(member, 1, 99);
  bench.raft.commit();
  assert.equal(errorOf(await late).code, 'UNKNOWN_MEMBER_ID');
  assert.equal(await bench.committed(), null);
});

test('a member that is silent for the session timeout is out; heartbeats and commits keep it in', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  for (let i = 0; i < 5; i++) {
    bench.clock.advance(40_000);
    if (i % 2 === 0) valueOf(await bench.heartbeat(member, member.assignment));
    else valueOf(await bench.commit(member, i, i));
  }
  bench.clock.advance(44_999);
  await settle();
  assert.equal(bench.machine.coordinator.groups.find({ tenant: 0, groupId: 'g' })?.members.size, 1);
  bench.clock.advance(1);
  await settle();
  assert.deepEqual(bench.events.at(-1), {
    kind: 'member-left',
    group: bench.events.at(-1)?.group,
    memberId: member.memberId,
    reason: 'session-expired',
  });
  assert.equal(errorOf(await bench.heartbeat(member)).code, 'UNKNOWN_MEMBER_ID');
  const again = await bench.joined(member.resumeToken);
  assert.notEqual(again.memberId, member.memberId);
  assert.notDeepEqual(again.resumeToken, member.resumeToken);
});

test('a fenced heartbeat or commit keeps nobody in', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  await bench.joined(member.resumeToken);
  bench.clock.advance(30_000);
  await bench.heartbeat(member);
  await bench.commit(member, 1, 1);
  bench.clock.advance(15_000);
  await settle();
  assert.equal(bench.events.at(-1)?.kind, 'member-left');
});

test('the second member of a group of one is told how long the session of the first can last', async () => {
  const bench = ServiceBench.serving({}, { membersMax: 1 });
  const member = await bench.joined();
  bench.clock.advance(15_000);
  const error = errorOf(await bench.join());
  assert.equal(error.code, 'GROUP_MAX_SIZE_REACHED');
  assert.deepEqual(error.fields, { limit: '1', memberId: member.memberId, sessionRemainingMs: '30000' });
});

test('pit-P112: after a restart or failover of the coordinator nobody is expelled before a full session', async () => {
  for (const how of ['restart', 'failover'] as const) {
    const bench = ServiceBench.serving();
    const members = [];
    for (let i = 0; i < 500; i++) members.push(await bench.joined(null, `g${i}`));
    bench.clock.advance(44_000);
    if (how === 'restart') bench.restart();
    else {
      bench.raft.stepDown();
      assert.equal(bench.machine.timers.size, 0);
      bench.clock.advance(100_000);
      bench.raft.lead();
    }
    bench.clock.advance(44_999);
    await settle();
    assert.equal(bench.machine.timers.size, 500);
    assert.equal(bench.events.filter(({ kind }) => kind === 'member-left').length, 0);
    const [first] = members;
    assert.ok(first);
    assert.equal(valueOf(await bench.heartbeat(first, first.assignment, 'g0')).assignment, null);
    bench.clock.advance(1);
    await settle();
    assert.equal(bench.machine.timers.size, 1, how);
  }
});

test('pit-P112: a coordinator that led, lost and won again without a pause between gives full sessions too', async () => {
  const bench = ServiceBench.serving();
  await bench.joined();
  bench.clock.advance(44_000);
  bench.machine.roleChanged({ ...bench.raft.role, term: toTerm(bench.raft.role.term + 2) });
  bench.clock.advance(44_999);
  await settle();
  assert.equal(bench.machine.timers.size, 1);
  bench.machine.roleChanged({ ...bench.raft.role, term: toTerm(bench.raft.role.term + 2) });
  bench.clock.advance(1);
  await settle();
  assert.equal(bench.machine.timers.size, 0, 'being told the same again changes nothing');
});

test('a stall of the broker expels nobody: who was not read yet gets its turn', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  bench.clock.advance(40_000);
  bench.clock.stall(60_000);
  bench.clock.advance(0);
  await settle();
  valueOf(await bench.heartbeat(member, member.assignment));
  bench.clock.advance(44_999);
  await settle();
  assert.equal(bench.machine.timers.size, 1);
  bench.clock.stall(10_000);
  bench.clock.advance(9_998);
  assert.equal(bench.machine.timers.size, 1);
  bench.clock.advance(2);
  await settle();
  assert.equal(bench.machine.timers.size, 0, 'silence after the stall counts');
});

test('an expiry that can not be replicated is tried again, and heartbeats that come meanwhile count', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  bench.raft.refusal = 'uncommitted-limit';
  bench.clock.advance(45_000);
  assert.equal(bench.machine.timers.size, 1);
  bench.raft.refusal = null;
  bench.clock.advance(1_000);
  await settle();
  assert.equal(bench.machine.timers.size, 0);
  assert.equal(errorOf(await bench.heartbeat(member)).code, 'UNKNOWN_MEMBER_ID');

  const other = ServiceBench.serving();
  const living = await other.joined();
  other.raft.automatic = false;
  void other.commit(living, 1, 1);
  other.clock.advance(44_999);
  const beat = other.heartbeat(living, living.assignment);
  other.clock.advance(1);
  other.raft.commit();
  valueOf(await beat);
  await settle();
  assert.equal(other.raft.pending, 0, 'the expiry saw the heartbeat');
});

test('an expiry waits in the log only once, however long it takes', async () => {
  const bench = ServiceBench.serving({ waitingPerGroupMax: 2 });
  const member = await bench.joined();
  bench.raft.automatic = false;
  void bench.commit(member, 1, 1, 0, bench.context(1_000_000));
  bench.clock.advance(120_000);
  const joining = bench.join(null);
  assert.equal(await nowOf(joining), null, 'there is still room to wait');
  bench.raft.commit();
  assert.equal(bench.raft.pending, 1);
  bench.raft.commit();
  assert.equal(bench.events.at(-1)?.kind, 'member-left');
  bench.raft.commit();
  assert.equal(valueOf(await joining).memberEpoch, 2);
  assert.equal(bench.raft.pending, 0);
});

test('sem-K5: who does not give up a partition in time is expelled; the time starts anew with a new coordinator', async () => {
  const bench = ServiceBench.serving({ revocationTimeoutMs: 20_000 }, { membersMax: 2 });
  const first = await bench.joined();
  const second = await bench.joined();
  const told = valueOf(await bench.heartbeat(first, first.assignment));
  assert.equal(told.assignment?.[0]?.partitions.length, 1);
  assert.equal(told.heartbeatIntervalMs, 500);
  bench.clock.advance(19_000);
  valueOf(await bench.heartbeat(first, first.assignment));
  bench.restart();
  bench.clock.advance(19_999);
  await settle();
  assert.equal(bench.machine.timers.size, 2);
  bench.clock.advance(1);
  await settle();
  assert.equal(errorOf(await bench.heartbeat(first, first.assignment)).code, 'UNKNOWN_MEMBER_ID');
  const granted = valueOf(await bench.heartbeat(second));
  assert.deepEqual(granted.assignment?.[0]?.partitions, [0, 1]);
  assert.equal(granted.heartbeatIntervalMs, 5_000);
});

test('a revocation that is acknowledged in time ends its timer', async () => {
  const bench = ServiceBench.serving({ revocationTimeoutMs: 20_000 }, { membersMax: 2 });
  const first = await bench.joined();
  const second = await bench.joined();
  const { timers } = bench.clock;
  const told = valueOf(await bench.heartbeat(first, first.assignment));
  assert.equal(bench.clock.timers, timers + 1);
  const acknowledged = valueOf(await bench.heartbeat(first, told.assignment ?? []));
  assert.equal(bench.clock.timers, timers);
  bench.clock.advance(44_000);
  await settle();
  valueOf(await bench.heartbeat({ ...first, memberEpoch: acknowledged.memberEpoch }, told.assignment ?? []));
  assert.equal(valueOf(await bench.heartbeat(second)).assignment?.[0]?.partitions.length, 1);
});

test('who is told to give up more while it owes gets no more time', async () => {
  const bench = ServiceBench.serving({ revocationTimeoutMs: 20_000 }, { membersMax: 3 }, 6);
  const first = await bench.joined();
  await bench.joined();
  valueOf(await bench.heartbeat(first, first.assignment));
  bench.clock.advance(15_000);
  await bench.joined();
  assert.equal(valueOf(await bench.heartbeat(first, first.assignment)).assignment?.[0]?.partitions.length, 2);
  bench.clock.advance(5_000);
  await settle();
  assert.equal(errorOf(await bench.heartbeat(first, first.assignment)).code, 'UNKNOWN_MEMBER_ID');
});

test('resume tokens: damaged, cut, of another group or another version', async () => {
  const bench = ServiceBench.serving();
  const { resumeToken } = await bench.joined();
  const bad = [
    new Uint8Array(0),
    resumeToken.subarray(1),
    resumeToken.with(0, 2),
    resumeToken.with(5, (resumeToken[5] ?? 0) ^ 1),
    resumeToken.with(60, (resumeToken[60] ?? 0) ^ 1),
    Uint8Array.from([...resumeToken, 0]),
  ];
  for (const token of bad) assert.equal(errorOf(await bench.join(token)).code, 'INVALID_RESUME_TOKEN');
  assert.equal(errorOf(await bench.join(resumeToken, 'another')).code, 'INVALID_RESUME_TOKEN');
  assert.equal((await bench.joined(resumeToken)).memberEpoch, 2);
});

test('a token is nowhere stored: neither in the log nor in the state', async () => {
  const bench = ServiceBench.serving();
  const { resumeToken } = await bench.joined();
  const nonce = Buffer.from(resumeToken.subarray(1, 17));
  const named = valueOf(await bench.joinAs(joinId, 10_000, 'another'));
  assert.equal(named.memberId.includes(joinId), false);
  for (const { payload } of bench.raft.committed) {
    assert.equal(Buffer.from(payload).indexOf(nonce), -1);
    assert.equal(Buffer.from(payload).indexOf(named.resumeToken.subarray(1, 17)), -1);
    assert.equal(Buffer.from(payload).indexOf(joinId), -1);
  }
  for (const { value } of bench.raft.state) assert.equal(Buffer.from(value).indexOf(nonce), -1);
});

test('who waits longer than its deadline hears that the outcome is unknown', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  bench.raft.automatic = false;
  const commit = bench.commit(member, 1, 5, 0, bench.context(1_000));
  bench.clock.advance(1_000);
  const error = errorOf(await commit);
  assert.equal(error.code, 'REQUEST_TIMED_OUT');
  assert.equal(errorTraits[error.code].indeterminate, true);
  bench.raft.commit();
  assert.equal(await bench.committed(), 5);
});

test('a call whose time is over before its turn, or whose caller is gone, has no effect', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  bench.raft.automatic = false;
  const first = bench.commit(member, 1, 5);
  const late = bench.commit(member, 2, 6, 1, bench.context(1_000));
  const gone = new AbortController();
  const abandoned = bench.commit(member, 3, 7, 1, bench.context(10_000, gone.signal));
  gone.abort();
  bench.clock.advance(1_000);
  bench.raft.commit();
  await settle();
  assert.deepEqual(valueOf(await first), [null]);
  assert.equal(errorOf(await late).code, 'REQUEST_TIMED_OUT');
  assert.equal(errorOf(await abandoned).code, 'REQUEST_TIMED_OUT');
  assert.equal(bench.raft.pending, 0);
  assert.equal(await bench.committed(1), null);

  const before = bench.raft.committed.length;
  const past = { ...bench.context(), deadlineMs: toMillis(0) };
  assert.equal(errorOf(await bench.commit(member, 4, 8, 0, past)).code, 'REQUEST_TIMED_OUT');
  assert.equal(bench.raft.pending + bench.raft.committed.length, before);
});

test('a member whose caller had gone before it was one keeps nobody out', async () => {
  const bench = ServiceBench.serving();
  bench.raft.automatic = false;
  const request = { group: 'g', topics: ['t'], resumeToken: null, clientId: '', joinId: null };
  const late = bench.service.joinGroup(request, bench.context(1_000));
  bench.clock.advance(1_000);
  assert.equal(errorOf(await late).code, 'REQUEST_TIMED_OUT');
  bench.raft.automatic = true;
  bench.raft.commit();
  const next = await bench.joined();
  assert.deepEqual(
    bench.events.map(({ kind }) => kind).filter((kind) => kind !== 'member-assigned' && kind !== 'rebalanced'),
    ['member-joined', 'member-left', 'member-joined'],
  );

  bench.raft.automatic = false;
  const resuming = bench.service.joinGroup({ ...request, resumeToken: next.resumeToken }, bench.context(1_000));
  bench.clock.advance(1_000);
  assert.equal(errorOf(await resuming).code, 'REQUEST_TIMED_OUT');
  bench.raft.automatic = true;
  bench.raft.commit();
  assert.equal((await bench.joined(next.resumeToken)).memberId, next.memberId, 'who has the token has the place');
});

const joinId = '0b1e3f52-6f0a-4c6e-9d1b-2f3a4c5d6e7f';

for (const from of ['state', 'log'] as const) {
  test(`a first join whose answer was lost is answered again, also after a restart from the ${from}`, async () => {
    const bench = ServiceBench.serving({}, { membersMax: 1 });
    const lost = valueOf(await bench.joinAs(joinId));
    const entries = bench.raft.committed.length;
    assert.deepEqual(valueOf(await bench.joinAs(joinId)), lost);
    assert.equal(bench.raft.committed.length, entries, 'nothing is written for it');
    assert.equal(errorOf(await bench.join()).code, 'GROUP_MAX_SIZE_REACHED');
    bench.restart(from);
    const member = valueOf(await bench.joinAs(joinId));
    assert.deepEqual(member, lost);
    valueOf(await bench.heartbeat(member));
    assert.equal((await bench.joined(member.resumeToken)).memberId, member.memberId, 'its token works');
  });
}

test('a join id holds while its member lives, for one group and one subscription', async () => {
  const bench = ServiceBench.serving();
  bench.topics.create('u', 1);
  const member = valueOf(await bench.joinAs(joinId));
  const request = { group: 'g', topics: ['t', 'u'], resumeToken: null, clientId: 'client', joinId };
  assert.equal(errorOf(await bench.service.joinGroup(request, bench.context())).code, 'INVALID_REQUEST');
  const elsewhere = valueOf(await bench.joinAs(joinId, 10_000, 'another'));
  assert.notEqual(elsewhere.memberId, member.memberId);
  assert.equal(errorOf(await bench.join(elsewhere.resumeToken)).code, 'INVALID_RESUME_TOKEN');
  valueOf(await bench.service.leaveGroup({ group: 'g', ...member }, bench.context()));
  assert.equal(valueOf(await bench.joinAs(joinId)).memberEpoch, 2, 'another membership');
});

test('a retried join keeps the member that the first try made, and the session starts in full', async () => {
  const bench = ServiceBench.serving();
  bench.raft.automatic = false;
  const late = bench.joinAs(joinId, 1_000);
  const retry = bench.joinAs(joinId);
  bench.clock.advance(1_000);
  assert.equal(errorOf(await late).code, 'REQUEST_TIMED_OUT');
  bench.raft.automatic = true;
  bench.raft.commit();
  const member = valueOf(await retry);
  bench.clock.advance(44_000);
  await settle();
  assert.deepEqual(valueOf(await bench.joinAs(joinId)), member);
  bench.clock.advance(44_000);
  await settle();
  valueOf(await bench.heartbeat(member));
  const kinds = bench.events.map(({ kind }) => kind);
  assert.equal(kinds.includes('member-left'), false);

  bench.raft.automatic = false;
  valueOf(await bench.heartbeat(member));
  const leaving = bench.service.leaveGroup({ group: 'g', ...member }, bench.context());
  const unheard = bench.joinAs(joinId, 1_000);
  bench.raft.commit();
  valueOf(await leaving);
  bench.clock.advance(1_000);
  assert.equal(errorOf(await unheard).code, 'REQUEST_TIMED_OUT');
  bench.raft.automatic = true;
  bench.raft.commit();
  assert.equal((await bench.joined()).memberId === member.memberId, false, 'that nobody retried keeps nobody out');
});

test('calls leave no timers behind', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  const idle = bench.clock.timers;
  await bench.commit(member, 1, 1);
  await bench.heartbeat(member);
  assert.equal(bench.clock.timers, idle);
});

test('calls that wait are limited for each group and in all', async () => {
  const bench = ServiceBench.serving({ waitingPerGroupMax: 2, waitingMax: 3 }, { membersMax: 1 });
  bench.raft.automatic = false;
  const calls = Array.from({ length: 4 }, () => bench.join());
  const fourth = calls[3] ?? assert.fail();
  const refused = errorOf(await fourth);
  assert.deepEqual([refused.code, refused.fields?.['limit']], ['LIMIT_REACHED', '2']);
  void bench.join(null, 'other');
  void bench.join(null, 'other');
  const total = errorOf(await bench.join(null, 'third'));
  assert.deepEqual([total.code, total.fields?.['limit']], ['LIMIT_REACHED', '3']);
  assert.ok(total.retryAfterMs);
  bench.raft.automatic = true;
  bench.raft.commit();
  await settle();
  valueOf(await (calls[0] ?? assert.fail()));
  assert.equal(errorOf(await (calls[1] ?? assert.fail())).code, 'GROUP_MAX_SIZE_REACHED');
  valueOf(await bench.join(null, 'third'));
});

test('groups that are being created count against the limit', async () => {
  const bench = ServiceBench.serving({}, { groupsMax: 1 });
  bench.raft.automatic = false;
  const first = bench.join(null, 'one');
  assert.equal(errorOf(await bench.join(null, 'two')).code, 'LIMIT_REACHED');
  bench.raft.commit();
  valueOf(await first);
});

test('a group of another tenant is another group', async () => {
  const bench = ServiceBench.serving();
  await bench.joined();
  const context = { ...bench.context(), tenant: 7 };
  const request = { group: 'g', memberId: 'm', memberEpoch: epochOf(1), owned: [] };
  assert.equal(errorOf(await bench.service.heartbeat(request, context)).code, 'GROUP_ID_NOT_FOUND');
});

test('offsets of a deleted topic are dropped soon, and old ones by and by', async () => {
  const bench = ServiceBench.serving();
  const member = await bench.joined();
  await bench.commit(member, 1, 5);
  bench.topics.delete('t');
  bench.clock.advance(0);
  await settle();
  const removed = bench.events.at(-1);
  assert.deepEqual(
    [removed?.kind, removed?.kind === 'offsets-removed' && removed.reason],
    ['offsets-removed', 'topic-deleted'],
  );

  bench.topics.create('t', 1);
  valueOf(await bench.service.leaveGroup({ group: 'g', ...member }, bench.context()));
  bench.clock.advance(7 * 24 * 3_600_000 + 60_000);
  await settle();
  bench.clock.advance(60_000);
  await settle();
  assert.equal(bench.machine.coordinator.groups.size, 0);
  assert.deepEqual(bench.raft.state, []);
});

test('a sweep of many groups lets others have the event loop', async () => {
  const bench = ServiceBench.serving({ sweepGroupsMax: 2 });
  for (let i = 0; i < 5; i++) {
    const offsets = [{ topic: 't', topicId: null, partition: 0, offset: toOffset(1), leaderEpoch: null, metadata: '' }];
    valueOf(await bench.service.commitOffsets({ group: `g${i}`, member: null, offsets }, bench.context()));
  }
  bench.topics.delete('t');
  for (let turns = 0; turns < 3; turns++) bench.clock.advance(0);
  await settle();
  assert.equal(bench.events.filter(({ kind }) => kind === 'offsets-removed').length, 5);
});

test('a group of which nobody knows anything is coordinated by the same partition everywhere', () => {
  const bench = new ServiceBench();
  assert.equal(bench.service.partitionOf('g'), 0);
  // Kafka's murmur2 of "21" is -973932308.
  const sixteen = new ServiceBench();
  Object.assign(sixteen.service, { options: { partitionCount: 16 } });
  assert.equal(sixteen.service.partitionOf('21'), (-973932308 & 0x7fff_ffff) % 16);
});

test('a restart from the state keys and one by replay end in the same place', async () => {
  for (const from of ['state', 'log'] as const) {
    const bench = ServiceBench.serving();
    const member = await bench.joined();
    await bench.commit(member, 1, 5);
    bench.raft.automatic = false;
    const open = bench.commit(member, 2, 6);
    bench.restart(from, true);
    assert.equal(errorOf(await open).code, 'APPEND_INTERRUPTED');
    bench.raft.automatic = true;
    assert.equal(await bench.committed(), 6);
    assert.deepEqual(valueOf(await bench.commit(member, 2, 6)), [null]);
    assert.deepEqual(valueOf(await bench.heartbeat(member, member.assignment)).assignment, null);
  }
});
