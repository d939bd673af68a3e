/** The driver and the host with peers: three hosts in one process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantViolation } from '../../src/model/assert.ts';
import type { ReplicaId } from '../../src/model/ids.ts';
import { toGroupNumber, toLogIndex, toMillis, toOffset, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { RaftGroup } from '../../src/raft/group.ts';
import type { NewerEntry } from '../../src/raft/transport.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import type { MemoryLogs } from '../fakes/memory-log.ts';
import { MemoryNetwork } from '../fakes/memory-network.ts';
import { Listening, RecordingData, Rig, batch, groupSeven, settle } from './rig.ts';

interface Member {
  readonly rig: Rig;
  readonly machine: RecordingData;
  readonly group: RaftGroup;
}

const voters = [1, 2, 3].map(toReplicaId);

class Three {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly members = new Map<number, Member>();

  async start(id: number, logs?: MemoryLogs): Promise<Member> {
    const transport = this.network.transportOf(id);
    const rig = new Rig({ clock: this.clock, transport, seed: id, ...(logs === undefined ? {} : { logs }) });
    const machine = new RecordingData();
    const group = await rig.host.start({ group: groupSeven, replicaId: toReplicaId(id), voters }, machine);
    const member = { rig, machine, group };
    this.members.set(id, member);
    return member;
  }

  static async started(): Promise<Three> {
    const three = new Three();
    for (const id of voters) await three.start(id);
    await three.pass(3_000);
    return three;
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(50);
      await settle();
    }
  }

  get leader(): Member {
    const leader = [...this.members.values()].find((member) => member.group.role.serving);
    assert.ok(leader !== undefined, 'somebody serves');
    return leader;
  }

  get followers(): Member[] {
    return [...this.members.values()].filter((member) => member !== this.leader);
  }
}

test('three hosts elect a leader; what it commits is applied by all, and its outcome told once', async () => {
  const three = await Three.started();
  const listening = [new Listening(), new Listening()];
  for (const [i, one] of listening.entries()) three.leader.group.propose(batch(`record ${i} `), one);
  await three.pass(300);
  for (const { machine, group } of three.members.values()) {
    assert.equal(machine.state, 'record 0 record 1 ');
    assert.equal(group.highWatermark, 2);
  }
  for (const one of listening) assert.deepEqual(one.heard, ['durable', 'committed']);
});

test('a new group is led by its first voter as soon as a second one runs, and one that is started alone keeps trying', async () => {
  const three = new Three();
  await three.start(1);
  await three.pass(500);
  assert.equal(three.members.get(1)?.group.role.term, 0, 'asking for pre-votes moves no term');
  await three.start(2);
  await three.pass(450);
  assert.deepEqual(three.leader.group.role, { role: 'leader', term: 1, leader: 1, serving: true });
});

test('a first voter that comes back ends nobody else’s leadership', async () => {
  const three = await Three.started();
  const first = three.leader;
  assert.equal(first, three.members.get(1));
  await first.rig.host.close();
  await three.pass(3_000);
  const { role } = three.leader.group;
  await three.start(1, first.rig.logs);
  await three.pass(3_000);
  assert.deepEqual(three.leader.group.role, role);
});

test('when the connections of a leader break, the others have another one in half of the least time-out', async () => {
  const three = await Three.started();
  const old = three.leader;
  const { term } = old.group.role;
  three.network.cutOff.add(1);
  three.network.reset(1);
  await three.pass(250);
  assert.deepEqual(three.followers, [...three.members.values()].slice(1), 'a leader that lives has time to come back');
  await three.pass(350);
  const [leader, ...others] = [...three.members.values()].slice(1).filter(({ group }) => group.role.serving);
  assert.equal(others.length, 0);
  assert.equal(leader?.group.role.term, term + 1);
});

test('a leader to whom the way broke is not told as one until it is heard again', async () => {
  const three = await Three.started();
  const followers = [...three.members.values()].slice(1);
  const leaders = (): (number | null)[] => followers.map(({ group }) => group.role.leader);
  const told = (): number[] => followers.map(({ machine }) => machine.of('role').length);
  const before = told();
  three.network.reset(1);
  await settle();
  assert.deepEqual(leaders(), [null, null]);
  assert.deepEqual(told(), before.map((count) => count + 1), 'the machine hears it'); // prettier-ignore
  await three.pass(200);
  assert.deepEqual(leaders(), [1, 1], 'the next frame says that it lives');
  assert.deepEqual(told(), before.map((count) => count + 2)); // prettier-ignore
});

test('pit-P123: a leader of whom nothing arrives is given up by those who follow it, and by nobody else', async () => {
  const three = await Three.started();
  await three.pass(10_000);
  assert.deepEqual(three.network.givenUp, [], 'idle groups hear of each other');
  three.network.cutOff.add(1);
  three.network.losesBeat = (from, to) => from === 1 || to === 1;
  await three.pass(4_000);
  assert.deepEqual(three.network.givenUp.toSorted(), ['2 1', '3 1']);
  await three.pass(10_000);
  assert.equal(three.network.givenUp.length, 2, 'once');
  three.network.cutOff.clear();
  three.network.losesBeat = () => false;
  await three.pass(5_000);
  assert.equal(three.network.givenUp.length, 2);
});

test('pit-P12: connections that break and are made again cost no election', async () => {
  const three = await Three.started();
  const { term } = three.leader.group.role;
  for (let i = 0; i < 30; i++) {
    for (const id of voters) three.network.reset(id);
    await three.pass(200);
  }
  for (const { group } of three.members.values()) assert.deepEqual([group.role.term, group.role.leader], [term, 1]);
});

test("an entry is committed by the two others while the leader's own disk waits; `durable` is then left out", async () => {
  const three = await Three.started();
  const { rig, group } = three.leader;
  rig.log().hold();
  const listening = new Listening();
  group.propose(batch('a'), listening);
  await three.pass(300);
  assert.deepEqual(listening.heard, ['committed']);
  rig.log().release();
  await three.pass(100);
  assert.deepEqual(listening.heard, ['committed']);
});

test('pit-P30: proposals of a leader that is cut off become unknown, and the others go on', async () => {
  const three = await Three.started();
  const old = three.leader;
  three.network.cutOff.add(old.group.role.leader!);
  const listening = new Listening();
  old.group.propose(batch('lost'), listening);
  await three.pass(6_000);
  assert.deepEqual(listening.heard, ['durable', 'unknown leadership-lost']);
  const next = three.leader;
  assert.notEqual(next, old);
  next.group.propose(batch('kept'), new Listening());
  three.network.cutOff.clear();
  await three.pass(3_000);
  for (const { machine } of three.members.values()) assert.equal(machine.state, 'kept');
});

test('a host that crashed comes back with what was durable and catches up', async () => {
  const three = await Three.started();
  const [follower] = three.followers;
  const id = [...three.members].find(([, member]) => member === follower)![0];
  three.leader.group.propose(batch('a'), new Listening());
  await three.pass(200);
  three.network.cutOff.add(id);
  await follower!.rig.host.close();
  three.leader.group.propose(batch('b'), new Listening());
  await three.pass(200);
  three.network.cutOff.clear();
  const again = await three.start(id, follower!.rig.logs.crash());
  await three.pass(1_000);
  assert.equal(again.machine.state, 'ab');
});

test('a follower whose log diverges is set apart, and the group goes on without it (D7)', async () => {
  const three = await Three.started();
  const [broken, healthy] = three.followers;
  broken!.machine.beforeApply = () => {
    throw new InvariantViolation('partition-1: example', 'here');
  };
  const listening = new Listening();
  three.leader.group.propose(batch('a'), listening);
  await three.pass(3_000);
  assert.equal(broken!.group.quarantine, 'partition-1: example (here)');
  assert.deepEqual(listening.heard, ['durable', 'committed']);
  assert.equal(healthy!.machine.state, 'a');
});

test("pit-P31: the leader's own durable write makes nothing visible", async () => {
  const three = await Three.started();
  for (const { rig } of three.followers) rig.log().hold();
  const { group, machine } = three.leader;
  const listening = new Listening();
  group.propose(batch('a'), listening);
  await three.pass(300);
  assert.deepEqual([listening.heard, group.highWatermark, machine.state], [['durable'], 0, '']);
  for (const { rig } of three.followers) rig.log().release();
  await three.pass(300);
  assert.deepEqual([listening.heard, group.highWatermark, machine.state], [['durable', 'committed'], 1, 'a']);
});

test('pit-P71: the wall clock causes no election, wherever it jumps', async () => {
  const three = await Three.started();
  const { term } = three.leader.group.role;
  for (const jump of [3_600_000, -7_200_000]) {
    three.clock.wallOffsetMs += jump;
    three.leader.group.propose(batch('a'), new Listening());
    await three.pass(2_000);
  }
  assert.equal(three.leader.group.role.term, term);
  assert.equal(three.leader.machine.state, 'aa');
});

test('pit-P79: a message for a group that is not here is dropped and creates nothing', async () => {
  const three = await Three.started();
  const [follower] = three.followers;
  await follower!.rig.host.remove(groupSeven);
  await three.pass(500);
  assert.ok(follower!.rig.dropped.length > 0);
  assert.ok(follower!.rig.dropped.every((line) => line === '7 unknown-group'));
  assert.deepEqual([...follower!.rig.logs.logs.keys()], []);
});

test('a fourth replica joins as a learner, votes once it has caught up, and leads when it is asked to', async () => {
  const three = await Three.started();
  three.leader.group.propose(batch('a'), new Listening());
  const four = toReplicaId(4);
  const rig = new Rig({ clock: three.clock, transport: three.network.transportOf(4), seed: 4 });
  const machine = new RecordingData();
  const group = await rig.host.start({ group: groupSeven, replicaId: four, voters: [] }, machine);
  three.members.set(4, { rig, machine, group });
  await three.pass(5_000);
  assert.equal(group.role.role, 'learner', 'nobody asked it to take part');
  const change = async (target: Partial<Configuration> & { revision: number }): Promise<string[]> => {
    const leading = three.leader.group;
    const listening = new Listening();
    const configuration = { voters, outgoing: [], learners: [], ...target };
    assert.equal(leading.changeConfiguration(configuration, listening).kind, 'accepted');
    await three.pass(1_000);
    return listening.heard;
  };
  assert.deepEqual(await change({ revision: 1, learners: [four] }), ['durable', 'committed']);
  assert.equal(machine.state, 'a');
  assert.deepEqual(await change({ revision: 2, voters: [...voters, four] }), ['durable', 'committed']);
  const leading = three.leader.group;
  assert.deepEqual(leading.membership.configuration.voters, [...voters, four]);
  assert.ok(leading.membership.index <= leading.commitIndex, 'committed');
  const told = leading.followers.find((one) => one.id === four);
  assert.deepEqual([told?.state, told?.match], ['replicate', leading.log.lastIndex]);
  assert.ok(told !== undefined && told.heardMs > three.clock.monotonicMs() - 1_000);
  leading.transferLeadership(four);
  await three.pass(500);
  assert.equal(group.role.serving, true);
});

test('a replica that was created takes no part before it is started, across a restart', async () => {
  const three = new Three();
  const [first] = voters;
  const created = new Rig({ clock: three.clock, transport: three.network.transportOf(first!), seed: 1 });
  await created.host.create({ group: groupSeven, replicaId: first!, voters }, 'data');
  for (const id of voters.slice(1)) await three.start(id);
  await three.pass(3_000);
  assert.deepEqual(await created.host.existing(), [{ group: groupSeven, replicaId: first }]);
  assert.ok(created.dropped.length > 0 && created.dropped.every((line) => line === '7 unknown-group'));
  await assert.rejects(created.host.create({ group: groupSeven, replicaId: first!, voters }, 'data'), /host-6/);
  // what it is started with later has no say: the log knows its genesis
  const again = new Rig({
    clock: three.clock,
    transport: three.network.transportOf(first!),
    logs: created.logs.crash(),
  });
  const group = await again.host.start({ group: groupSeven, replicaId: first!, voters: [] }, new RecordingData());
  assert.deepEqual(group.membership, { index: 0, configuration: { ...emptyConfiguration, voters } });
  await three.pass(1_000);
  assert.equal(group.role.leader, three.leader.group.role.leader);
});

test('the deadlines of many groups share one timer a host', async () => {
  const three = new Three();
  for (const id of voters) await three.start(id);
  for (let group = 100; group < 130; group++) {
    for (const { rig } of three.members.values()) {
      const [id] = [...three.members].find(([, member]) => member.rig === rig)!;
      const spec = { group: toGroupNumber(group), replicaId: toReplicaId(id), voters };
      await rig.host.start(spec, new RecordingData());
    }
  }
  await three.pass(3_000);
  assert.ok(three.clock.timers <= 3, String(three.clock.timers));
});

test('promise-D7: entries that only a newer version can read set the group apart, and say why; not those of an old leader', async () => {
  const three = await Three.started();
  const [behind, other] = three.followers;
  const idOf = ({ group }: Member): ReplicaId => voters.find((id) => three.members.get(id)?.group === group)!;
  const [replicaId, { role }] = [idOf(behind!), behind!.group];
  const tell = (fields: Partial<NewerEntry>): void => {
    const newer = { group: groupSeven, from: idOf(three.leader), to: replicaId, term: role.term, what };
    three.network.newerReceivers.get(replicaId)!({ ...newer, ...fields });
  };
  const what = 'entry 9 of the leader is of kind 99, unknown here: upgrade this broker';
  tell({ term: toTerm(role.term - 1) });
  tell({ to: idOf(other!) });
  tell({ group: toGroupNumber(8) });
  assert.equal(behind!.group.quarantine, null);
  assert.deepEqual(behind!.rig.dropped, ['7 stale-term', '7 unknown-group', '8 unknown-group']);
  tell({});
  assert.equal(behind!.group.quarantine, what);
  assert.deepEqual(behind!.machine.of('quarantined'), [`quarantined ${what}`]);
  // the others are a majority, and the broker takes part in its other groups
  three.leader.group.propose(batch('a'), new Listening());
  await three.pass(2_000);
  assert.deepEqual([three.leader.machine.state, other!.machine.state, behind!.machine.state], ['a', 'a', '']);
  assert.deepEqual(behind!.rig.fatal, []);
});

test('promise-D7: a base offset that disagrees after matching sets that one group apart on that one broker', async () => {
  const three = await Three.started();
  const [wronged] = three.followers;
  const id = voters.find((one) => three.members.get(one) === wronged)!;
  const sound = new RecordingData();
  const other = await wronged!.rig.host.start(
    { group: toGroupNumber(8), replicaId: toReplicaId(80), voters: [toReplicaId(80)] },
    sound,
  );
  three.network.alters = (message) =>
    message.kind === 'append-request' && message.to === id && message.prevIndex > 0
      ? { ...message, prevEndOffset: toOffset(message.prevEndOffset + 1) }
      : message;
  three.leader.group.propose(batch('a'), new Listening());
  await three.pass(500);
  assert.match(wronged!.group.quarantine ?? '', /^raft-8: /);
  assert.equal(wronged!.machine.of('quarantined').length, 1);
  assert.equal(wronged!.machine.state, '', 'nothing of it is taken');
  other.propose(batch('b'), new Listening());
  three.network.alters = (message) => message;
  three.leader.group.propose(batch('c'), new Listening());
  await three.pass(500);
  assert.deepEqual([three.leader.machine.state, sound.state], ['ac', 'b']);
  assert.equal(wronged!.machine.state, '', 'and nothing later, until somebody has looked at it');
  assert.deepEqual(wronged!.rig.fatal, []);
});

test('pit-P79: whatever is said of a group that is not here is dropped and counted, is never fatal, and makes nothing', async () => {
  const three = await Three.started();
  const [here] = voters;
  const transport = three.network.transportOf(9);
  const heard: Message[] = [];
  transport.onMessage((_group, message) => heard.push(message));
  const { rig } = three.members.get(here!)!;
  const address = { from: toReplicaId(9), to: here!, term: toTerm(1_000) };
  const [index, term] = [toLogIndex(5), toTerm(4)];
  const position = { lastIndex: index, lastTerm: term, endOffset: toOffset(0), chain: 1 };
  const size = {
    appendTimeMs: toMillis(0),
    maxTimestampMs: null,
    payloadBytes: 0,
    logStart: toOffset(0),
    byteLength: 1,
  };
  const meta = { id: 's', configuration: emptyConfiguration, terms: [], checksum: 0, ...position, ...size };
  const place = { prevIndex: index, prevTerm: term, prevEndOffset: toOffset(0), prevChain: null, sequence: 1 };
  const vote = { lastIndex: index, lastTerm: term, transfer: false, configuration: emptyConfiguration };
  const messages: readonly Message[] = [
    { ...address, kind: 'vote-request', pre: false, ...vote },
    { ...address, kind: 'vote-request', pre: true, ...vote },
    { ...address, kind: 'vote-reply', pre: false, granted: true },
    { ...address, kind: 'append-request', ...place, entries: [], commit: index },
    {
      ...address,
      kind: 'append-reply',
      prevIndex: index,
      sequence: 1,
      result: { kind: 'accepted', durableIndex: index },
    },
    { ...address, kind: 'heartbeat-request', commit: index, round: 1 },
    { ...address, kind: 'heartbeat-reply', round: 1, verified: index },
    { ...address, kind: 'snapshot-chunk', meta, position: 0, bytes: new Uint8Array(1), last: true },
    { ...address, kind: 'snapshot-reply', snapshotId: 's', result: 'installed', position: 1 },
    { ...address, kind: 'timeout-now' },
  ];
  const before = rig.dropped.length;
  for (const message of messages) transport.send(toGroupNumber(99), message);
  await three.pass(1_000);
  assert.deepEqual(
    rig.dropped.slice(before),
    Array.from(messages, () => '99 unknown-group'),
  );
  assert.deepEqual(heard, [], 'nobody answers');
  assert.deepEqual(await rig.host.existing(), [{ group: groupSeven, replicaId: here }]);
  assert.deepEqual([rig.fatal, three.leader.group.quarantine], [[], null]);
});
