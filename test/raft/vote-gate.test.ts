/** Who may vote after a start, and what becomes of a broker whose disk others know to be an old copy (design D4). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaId } from '../../src/model/ids.ts';
import { toGroupNumber, toLogIndex, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { RaftGroup } from '../../src/raft/group.ts';
import type { Refusal } from '../../src/raft/peer-admission.ts';
import { mayVote } from '../../src/raft/vote-gate.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import type { MemoryLogs } from '../fakes/memory-log.ts';
import { MemoryNetwork } from '../fakes/memory-network.ts';
import { Listening, RecordingData, Rig, batch, groupSeven, settle } from './rig.ts';

const ids = (...numbers: readonly number[]): ReplicaId[] => numbers.map(toReplicaId);

interface Member {
  readonly id: number;
  readonly rig: Rig;
  readonly machine: RecordingData;
  readonly group: RaftGroup;
}

type Judgement = 'welcome' | Refusal | undefined;

/** Brokers 1 to n, each with a replica of one group; nobody is known to anybody unless `judges` says so. */
class Brokers {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly members = new Map<number, Member>();
  readonly voters: readonly ReplicaId[];
  /** Messages that left, oldest first. */
  readonly sent: Message[] = [];
  judges: (of: number, by: number) => Judgement = () => 'welcome';

  constructor(...voters: readonly number[]) {
    this.voters = ids(...voters);
    this.network.judges = (of, by) => this.judges(of, by);
    this.network.loses = (message) => {
      this.sent.push(message);
      return false;
    };
  }

  async start(id: number, logs?: MemoryLogs, voters = this.voters): Promise<Member> {
    const transport = this.network.transportOf(id);
    const rig = new Rig({ clock: this.clock, transport, seed: id, ...(logs === undefined ? {} : { logs }) });
    const machine = new RecordingData();
    const group = await rig.host.start({ group: groupSeven, replicaId: toReplicaId(id), voters }, machine);
    const member = { id, rig, machine, group };
    this.members.set(id, member);
    return member;
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(50);
      await settle();
    }
  }

  /** The broker ends, and starts again on what its disk held. */
  async restart(id: number, logs: MemoryLogs): Promise<Member> {
    await this.members.get(id)!.rig.host.close();
    return this.start(id, logs);
  }

  get leader(): Member | undefined {
    return [...this.members.values()].find(({ group }) => group.role.serving);
  }

  votesOf(id: number): Message[] {
    const campaigns = (message: Message): boolean => message.kind === 'vote-reply' || message.kind === 'vote-request';
    return this.sent.filter((message) => message.from === id && campaigns(message));
  }
}

const rolledBack: Refusal = { code: 'rolled-back', detail: 'the disk of broker 1 holds 4 writes and held 9' };

test('pit-P87: who is known as healthy by no majority neither campaigns nor votes, and still takes what it is sent', async () => {
  const brokers = new Brokers(1, 2, 3);
  brokers.judges = (of) => (of === 1 ? undefined : 'welcome');
  for (const id of brokers.voters) await brokers.start(id);
  await brokers.pass(4_000);
  assert.deepEqual(brokers.votesOf(1), []);
  const { leader } = brokers;
  assert.ok(leader !== undefined && leader.id !== 1, 'the others are enough');
  leader.group.propose(batch('a'), new Listening());
  await brokers.pass(300);
  assert.equal(brokers.members.get(1)!.machine.state, 'a');
  // alone with one that may, it is not enough: the group waits for whoever knows better
  brokers.network.cutOff.add(leader.id);
  await brokers.pass(10_000);
  assert.deepEqual(brokers.votesOf(1), []);
  assert.ok(brokers.members.get(1)!.rig.dropped.includes('7 not-known-healthy'));
  // and at once when one of the others knows it
  brokers.judges = () => 'welcome';
  await brokers.pass(5_000);
  assert.ok(brokers.leader !== undefined && brokers.leader.id !== leader.id);
  assert.notDeepEqual(brokers.votesOf(1), []);
});

test('pit-P87: an order to campaign is dropped as well', async () => {
  const brokers = new Brokers(1, 2, 3);
  brokers.judges = (of) => (of === 1 ? undefined : 'welcome');
  for (const id of brokers.voters) await brokers.start(id);
  await brokers.pass(3_000);
  const leader = brokers.leader!;
  leader.group.transferLeadership(toReplicaId(1));
  await brokers.pass(2_000);
  assert.ok(brokers.sent.some(({ kind, to }) => kind === 'timeout-now' && to === 1));
  assert.equal(brokers.leader, leader);
  assert.deepEqual(brokers.votesOf(1), []);
});

test('a campaign that was put off begins as soon as enough others know the broker', async () => {
  const brokers = new Brokers(1, 2, 3);
  brokers.judges = () => undefined;
  const alone = await brokers.start(1);
  // one that gives votes and asks for none: it never learns that it is known
  await brokers.start(2);
  brokers.network.loses = (message) => {
    brokers.sent.push(message);
    return message.kind === 'vote-request' && message.from === 2;
  };
  await brokers.pass(20_000);
  assert.deepEqual(brokers.sent, [], 'nobody speaks of votes');
  brokers.judges = () => 'welcome';
  // asked at most an election time-out later, since nobody tells that the answer would be another one now
  await brokers.pass(1_100);
  assert.ok(brokers.votesOf(1).some(({ kind }) => kind === 'vote-request'));
  // the other one may not have known yet that it may vote when it was asked first
  await brokers.pass(5_000);
  assert.equal(alone.group.role.serving, true);
});

test('all brokers start at once, or a minority stays away: somebody is elected', async () => {
  for (const up of [ids(1, 2, 3, 4, 5), ids(2, 4, 5)]) {
    const brokers = new Brokers(1, 2, 3, 4, 5);
    for (const id of up) await brokers.start(id);
    await brokers.pass(6_000);
    assert.ok(brokers.leader !== undefined, `${up.length} are up`);
  }
  const alone = new Brokers(1);
  alone.judges = () => undefined;
  await alone.start(1);
  await alone.pass(100);
  assert.equal(alone.leader?.id, 1, 'a sole voter needs nobody else');
});

test('a minority of welcomes is not enough, and both halves of a joint configuration are asked', () => {
  const fine = (...who: readonly number[]): ((id: ReplicaId) => boolean) => {
    return (id) => who.includes(id);
  };
  const five = { ...emptyConfiguration, voters: ids(1, 2, 3, 4, 5) };
  assert.equal(mayVote(five, fine(1, 2)), false);
  assert.equal(mayVote(five, fine(1, 2, 5)), true);
  const joint = { ...emptyConfiguration, voters: ids(1, 4, 5), outgoing: ids(1, 2, 3) };
  assert.equal(mayVote(joint, fine(1, 4, 5)), false);
  assert.equal(mayVote(joint, fine(1, 2)), false);
  assert.equal(mayVote(joint, fine(1, 2, 4)), true);
  assert.equal(mayVote(emptyConfiguration, fine(1, 2)), false, 'where nobody is known nobody decides');
});

/** What stands in place of a candidate: asks replica 1 for its vote in an election of these voters. */
function ask(brokers: Brokers, from: number, configuration: Configuration): void {
  const position = { term: toTerm(50), lastIndex: toLogIndex(50), lastTerm: toTerm(49) };
  const request = { kind: 'vote-request', pre: false, transfer: true, configuration, ...position } as const;
  brokers.network.transportOf(from).send(groupSeven, { ...request, from: toReplicaId(from), to: toReplicaId(1) });
}

const grants = (brokers: Brokers): Message[] =>
  brokers.votesOf(1).filter((message) => message.kind === 'vote-reply' && message.granted);

test("promise-D4: whom the group has left behind votes once a majority of the candidate's voters knows it, and not before", async () => {
  const brokers = new Brokers(1, 2, 3);
  const welcomes = new Set<number>();
  // brokers 2 and 3, the only voters that its log knows, are gone for good; 4 and 5 came after them
  brokers.judges = (of, by) => (of !== 1 || welcomes.has(by) ? 'welcome' : undefined);
  await brokers.start(1);
  for (const id of [4, 5]) await brokers.start(id, undefined, []);
  const present = { ...emptyConfiguration, revision: 2, voters: ids(1, 4, 5) };
  const asked = async (): Promise<number> => {
    ask(brokers, 4, present);
    await settle();
    return grants(brokers).length;
  };
  assert.equal(await asked(), 0, 'itself is no majority of three');
  welcomes.add(5);
  assert.equal(await asked(), 0, 'whom to ask is not known before the first question, and the word was not there then');
  assert.equal(await asked(), 1, 'broker 5 and itself are two of three, whoever the candidate is');
  // it has voted in this term, and is asked no more than that: it may not stand for election among voters that are gone
  await brokers.pass(10_000);
  assert.deepEqual(
    brokers.votesOf(1).filter(({ kind }) => kind === 'vote-request'),
    [],
  );
});

test('pit-P87: voters of a candidate that do not know this disk count for nothing, and both halves of them must', async () => {
  const brokers = new Brokers(1, 2, 3);
  brokers.judges = (of, by) => (of !== 1 || by === 4 ? 'welcome' : undefined);
  await brokers.start(1);
  for (const id of [4, 5, 6]) await brokers.start(id, undefined, []);
  const asked = async (voters: readonly ReplicaId[], outgoing: readonly ReplicaId[]): Promise<number> => {
    for (let i = 0; i < 3; i++) {
      ask(brokers, 4, { ...emptyConfiguration, voters, outgoing });
      await settle();
    }
    return grants(brokers).length;
  };
  assert.equal(await asked(ids(1, 4, 5, 6), []), 0, 'two of four');
  assert.equal(await asked(ids(1, 4, 5), ids(1, 2, 3)), 0, 'nobody of those that leave');
  assert.equal(await asked([], []), 0, 'an older version tells no voters');
  assert.equal(await asked(ids(1, 4, 5), []), 3, 'two of three');
});

test('pit-P61: a broker whose disk was replaced does not speak for the voter that was on the former one', async () => {
  const brokers = new Brokers(1, 2, 3);
  for (const id of brokers.voters) brokers.network.bound.set(id, `disk of ${id}`);
  brokers.network.disks.set(2, 'another disk').set(3, 'another disk');
  brokers.judges = (of) => (of === 1 ? 'welcome' : undefined);
  await brokers.start(1);
  for (const id of [2, 3]) await brokers.start(id);
  await brokers.pass(5_000);
  assert.deepEqual([...brokers.network.standings.get(1)!.welcomedBy.values()], ['another disk', 'another disk']);
  assert.deepEqual(brokers.votesOf(1), [], 'nobody who was a voter knows it');
  // the one with the disk of voter 3 comes back, and is asked again
  brokers.network.disks.set(3, 'disk of 3');
  brokers.network.standings.get(1)!.meet(brokers.network.brokerOf(toReplicaId(3))!);
  await brokers.pass(5_000);
  assert.ok(brokers.votesOf(1).some(({ kind }) => kind === 'vote-request'));
});

test("pit-P57: a replica that knows of no voters votes once a majority of the candidate's knows it", async () => {
  const brokers = new Brokers(2, 3);
  const welcomes = new Set<number>([2]);
  brokers.judges = (of, by) => (of !== 1 || welcomes.has(by) ? 'welcome' : undefined);
  await brokers.start(1, undefined, []);
  for (const id of [2, 3, 4]) await brokers.start(id, undefined, []);
  const asked = async (): Promise<number> => {
    for (let i = 0; i < 2; i++) {
      ask(brokers, 2, { ...emptyConfiguration, voters: ids(1, 2, 3, 4) });
      await settle();
    }
    return grants(brokers).length;
  };
  assert.equal(await asked(), 0, 'the candidate alone is not enough');
  welcomes.add(3);
  assert.ok((await asked()) > 0);
});

test('a learner that became a voter votes once a majority of those voters knows it', async () => {
  const brokers = new Brokers(1, 2);
  brokers.judges = (of) => (of === 3 ? undefined : 'welcome');
  for (const id of brokers.voters) await brokers.start(id);
  await brokers.start(3, undefined, []);
  await brokers.pass(3_000);
  const { leader } = brokers;
  const two = { ...emptyConfiguration, voters: ids(1, 2) };
  leader!.group.changeConfiguration({ ...two, revision: 1, learners: ids(3) }, new Listening());
  await brokers.pass(1_000);
  leader!.group.changeConfiguration({ ...two, revision: 2, voters: ids(1, 2, 3) }, new Listening());
  await brokers.pass(1_000);
  assert.deepEqual(brokers.members.get(3)!.group.membership.configuration.voters, ids(1, 2, 3));
  brokers.network.cutOff.add(leader!.id);
  await brokers.pass(8_000);
  assert.deepEqual(brokers.votesOf(3), []);
  brokers.judges = () => 'welcome';
  await brokers.pass(8_000);
  assert.ok(brokers.leader !== undefined && brokers.leader !== leader);
  assert.notDeepEqual(brokers.votesOf(3), []);
});

test('pit-P87 pit-P61: one peer that knows the disk as an old copy ends the part of all groups, and of those to come', async () => {
  const brokers = new Brokers(1, 2, 3);
  for (const id of brokers.voters) await brokers.start(id);
  await brokers.pass(3_000);
  const old = brokers.members.get(1)!.rig.logs.crash();
  // broker 2 remembers; broker 3, which never heard of anything newer, can not outvote it
  brokers.judges = (of, by) => (of === 1 && by === 2 ? rolledBack : 'welcome');
  brokers.sent.length = 0;
  const again = await brokers.restart(1, old);
  await brokers.pass(3_000);
  const why = 'broker 2 refuses this one as rolled-back: the disk of broker 1 holds 4 writes and held 9';
  assert.equal(again.group.quarantine, why);
  assert.deepEqual(again.machine.of('quarantined'), [`quarantined ${why}`]);
  assert.deepEqual(again.rig.condemned, [{ by: 2, code: 'rolled-back', detail: rolledBack.detail }]);
  const { sent } = brokers;
  sent.length = 0;
  const refused = again.group.propose(batch('lost'), new Listening());
  assert.deepEqual(refused, { kind: 'refused', why: 'quarantined' });
  brokers.leader!.group.propose(batch('a'), new Listening());
  await brokers.pass(5_000);
  assert.deepEqual(
    sent.filter(({ from }) => from === 1),
    [],
    'nothing leaves it any more',
  );
  assert.ok(brokers.leader !== undefined, 'the others go on');
  // a group that starts later does not take part either
  const later = await again.rig.startData(new RecordingData(), toGroupNumber(8));
  assert.equal(later.quarantine, why);
});

test('pit-P87: a leader that is found to run on an old copy leads no more, and what it had proposed is unknown', async () => {
  const brokers = new Brokers(1, 2, 3);
  for (const id of brokers.voters) await brokers.start(id);
  await brokers.pass(3_000);
  const old = brokers.leader!;
  const by = brokers.voters.find((id) => id !== old.id)!;
  const listening = new Listening();
  old.group.propose(batch('a'), listening);
  brokers.judges = (of) => (of === old.id ? rolledBack : 'welcome');
  brokers.network.standings.get(old.id)!.meet(brokers.network.brokerOf(by)!);
  await settle();
  assert.notEqual(old.group.quarantine, null);
  assert.ok(listening.heard.some((line) => line === 'unknown quarantined' || line === 'committed'));
  await brokers.pass(5_000);
  assert.ok(brokers.leader !== undefined && brokers.leader !== old);
});
