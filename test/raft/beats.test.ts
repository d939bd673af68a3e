/** One frame for all groups of two brokers (design D3): reliability 2-F, and 2-E as far as frames prove leadership. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantViolation } from '../../src/model/assert.ts';
import type { BrokerId, GroupNumber, LogIndex } from '../../src/model/ids.ts';
import { toBrokerId, toGroupNumber, toLogIndex, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { BeatFrame, BeatLead, BeatReply, BeatRequest } from '../../src/raft/beat-frame.ts';
import { emptyConfiguration } from '../../src/raft/core/configuration.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import { GroupDriver } from '../../src/raft/driver.ts';
import type { RaftGroup } from '../../src/raft/group.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import type { MemoryLogs } from '../fakes/memory-log.ts';
import { MemoryNetwork } from '../fakes/memory-network.ts';
import { Listening, RecordingData, Rig, batch, groupSeven, settle } from './rig.ts';

const brokers = [1, 2, 3];
/** No two groups share a replica id: group 7 on broker 2 has 72. */
const replicaOf = (group: number, broker: number): number => group * 10 + broker;

interface Placed {
  readonly group: RaftGroup;
  readonly machine: RecordingData;
}

/** Three hosts with many groups. */
class Hosts {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly rigs = new Map<number, Rig>();
  readonly placed = new Map<number, Map<number, Placed>>();
  readonly numbers: readonly number[];

  constructor(groups: number) {
    this.numbers = Array.from({ length: groups }, (_, i) => i + 1);
  }

  static async started(groups: number): Promise<Hosts> {
    const hosts = new Hosts(groups);
    for (const broker of brokers) await hosts.start(broker);
    await hosts.pass(4_000);
    return hosts;
  }

  async start(broker: number, logs?: MemoryLogs): Promise<void> {
    const transport = this.network.transportOf(...this.numbers.map((group) => replicaOf(group, broker)));
    const rig = new Rig({ clock: this.clock, transport, seed: broker, ...(logs === undefined ? {} : { logs }) });
    this.rigs.set(broker, rig);
    this.placed.set(broker, new Map());
    for (const group of this.numbers) await this.place(broker, group);
  }

  async place(broker: number, number: number): Promise<void> {
    const machine = new RecordingData();
    // each broker is the preferred leader of as many groups
    const turned = brokers.map((_, at) => brokers[(at + number) % brokers.length] ?? 0);
    const voters = turned.map((one) => toReplicaId(replicaOf(number, one)));
    const spec = { group: toGroupNumber(number), replicaId: toReplicaId(replicaOf(number, broker)), voters };
    const group = await this.rigs.get(broker)!.host.start(spec, machine);
    this.placed.get(broker)!.set(number, { group, machine });
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(50);
      await settle();
    }
  }

  at(broker: number, group: number): Placed {
    return this.placed.get(broker)!.get(group)!;
  }

  leaderOf(group: number): number {
    const leader = brokers.find((broker) => this.at(broker, group).group.role.serving);
    assert.ok(leader !== undefined, `somebody leads group ${group}`);
    return leader;
  }

  ledBy(broker: number): number[] {
    return this.numbers.filter((group) => this.at(broker, group).group.role.serving);
  }

  /** A broker that leads something. */
  get someLeader(): number {
    return this.leaderOf(1);
  }

  terms(): number[] {
    return this.numbers.map((group) => Math.max(...brokers.map((broker) => this.at(broker, group).group.role.term)));
  }

  read(group: number, heard: (LogIndex | null)[]): void {
    const { group: leading } = this.at(this.leaderOf(group), group);
    assert.ok(leading instanceof GroupDriver);
    leading.readIndex((index) => heard.push(index));
  }

  /** The broker that `MemoryNetwork` names by its first replica. */
  brokerOf(name: number): number {
    return name - replicaOf(this.numbers[0]!, 0);
  }
}

test('pit-P77: idle groups send nothing of their own; two brokers exchange one frame and its answer a heartbeat', async () => {
  const hosts = await Hosts.started(30);
  const terms = hosts.terms();
  const { sent, beatsSent } = hosts.network;
  await hosts.pass(6_000);
  assert.equal(hosts.network.sent, sent);
  const pairs = brokers.filter((broker) => hosts.ledBy(broker).length > 0).length * 2;
  const frames = hosts.network.beatsSent - beatsSent;
  assert.ok(frames <= pairs * 2 * (6_000 / 150 + 1), `${frames} frames`);
  assert.ok(frames >= pairs * 2 * (6_000 / 200), `${frames} frames`);
  assert.deepEqual(hosts.terms(), terms);
});

test('a frame of idle groups names none of them', async () => {
  const hosts = await Hosts.started(30);
  const frames: BeatFrame[] = [];
  hosts.network.losesBeat = (_from, _to, frame) => {
    frames.push(frame);
    return false;
  };
  await hosts.pass(1_000);
  assert.ok(frames.length > 10);
  for (const frame of frames) {
    if (frame.kind === 'request') assert.deepEqual([frame.announced, frame.ended], [[], []]);
    else assert.deepEqual(frame.exceptions, []);
  }
});

test('pit-P73: one lost frame, or one lost answer, costs no election', async () => {
  const hosts = await Hosts.started(100);
  const terms = hosts.terms();
  for (const kind of ['request', 'reply'] as const) {
    for (const broker of brokers) {
      let lost = 0;
      hosts.network.losesBeat = (from, _to, frame) =>
        frame.kind === kind && hosts.brokerOf(from) === broker && lost++ < 1;
      await hosts.pass(1_500);
      assert.equal(lost > 0, true);
    }
  }
  assert.deepEqual(hosts.terms(), terms);
});

test('pit-P73: a broker whose frames are lost loses its own groups only, and not all at the same time', async () => {
  const hosts = await Hosts.started(60);
  const silent = hosts.someLeader;
  const led = hosts.ledBy(silent);
  assert.ok(led.length > 5 && led.length < 55, String(led.length));
  const before = hosts.terms();
  hosts.network.losesBeat = (from, _to, frame) => frame.kind === 'request' && hosts.brokerOf(from) === silent;
  const changedAt = new Map<number, number>();
  for (let ms = 0; ms < 4_000; ms += 50) {
    await hosts.pass(50);
    hosts.terms().forEach((term, i) => {
      if (term !== before[i] && !changedAt.has(i + 1)) changedAt.set(i + 1, ms);
    });
  }
  assert.deepEqual(
    [...changedAt.keys()].sort((a, b) => a - b),
    led,
  );
  assert.ok(Math.min(...changedAt.values()) >= 900, 'nobody campaigns before the time-out');
  assert.ok(new Set(changedAt.values()).size > led.length / 4, 'time-outs differ');
});

test('pit-P74: a group that is missing, set apart, or breaks while it hears takes no other group along', async () => {
  const hosts = await Hosts.started(30);
  const [leader] = [...brokers].sort((a, b) => hosts.ledBy(b).length - hosts.ledBy(a).length) as [number];
  const [missing, apart, broken, ...healthy] = hosts.ledBy(leader);
  assert.ok(healthy.length > 0);
  const [victim] = brokers.filter((broker) => broker !== leader);
  const rig = hosts.rigs.get(victim!)!;
  await rig.host.stop(toGroupNumber(missing!));
  const { group: quarantined } = hosts.at(victim!, apart!);
  assert.ok(quarantined instanceof GroupDriver);
  quarantined.setApart('example');
  hosts.at(victim!, broken!).machine.beforeApply = () => {
    throw new InvariantViolation('partition-1: example', 'here');
  };
  hosts.at(leader, broken!).group.propose(batch('a'), new Listening());
  const terms = hosts.terms();
  let last: BeatReply | null = null;
  hosts.network.losesBeat = (from, to, frame) => {
    if (hosts.brokerOf(from) === victim && hosts.brokerOf(to) === leader && frame.kind === 'reply') last = frame;
    return false;
  };
  await hosts.pass(5_000);
  assert.deepEqual(hosts.terms(), terms);
  const reply = last as BeatReply | null;
  assert.deepEqual(
    reply?.exceptions.map(({ group, why }) => `${group} ${why}`).sort(),
    [`${missing} unknown-group`, `${apart} quarantined`, `${broken} quarantined`].sort(),
  );
  for (const group of healthy) assert.equal(hosts.leaderOf(group), leader);
  assert.deepEqual(rig.fatal, []);
});

test('pit-P76: heartbeats wait neither for the disk nor for what carries the log', async () => {
  const hosts = await Hosts.started(6);
  const terms = hosts.terms();
  for (const rig of hosts.rigs.values()) for (const log of rig.logs.logs.values()) log.hold();
  for (const group of hosts.numbers) hosts.at(hosts.leaderOf(group), group).group.propose(batch('a'), new Listening());
  // shorter than the two time-outs after which a leader that gets nothing through steps down
  await hosts.pass(1_500);
  for (const rig of hosts.rigs.values()) for (const log of rig.logs.logs.values()) log.release();
  await hosts.pass(1_000);
  assert.deepEqual(hosts.terms(), terms);
  for (const group of hosts.numbers)
    for (const broker of brokers) assert.equal(hosts.at(broker, group).machine.state, 'a');
});

test('pit-P68: a read makes a frame leave at once, and is answered by what left after it', async () => {
  const hosts = await Hosts.started(3);
  const { beatsSent, sent } = hosts.network;
  const heard: (LogIndex | null)[] = [];
  for (let i = 0; i < 50; i++) hosts.read(1, heard);
  await settle();
  assert.equal(heard.length, 50);
  assert.equal(
    hosts.network.beatsSent - beatsSent,
    4,
    'one frame for each peer and its answer, for all reads of a turn',
  );
  assert.equal(hosts.network.sent, sent);
});

test('pit-P68: answers to frames that left before the read confirm nothing', async () => {
  const hosts = await Hosts.started(3);
  const leader = hosts.leaderOf(1);
  // answers are kept on their way
  const late: { to: number; deliver: () => void }[] = [];
  const receivers = hosts.network.beatReceivers;
  let keep = true;
  hosts.network.losesBeat = (from, to, frame) => {
    if (!keep || frame.kind !== 'reply' || hosts.brokerOf(to) !== leader) return false;
    late.push({ to, deliver: () => receivers.get(to)?.(toBrokerId(from), frame) });
    return true;
  };
  await hosts.pass(200);
  assert.ok(late.length >= 2);
  const old = late.splice(0);
  const heard: (LogIndex | null)[] = [];
  hosts.read(1, heard);
  await settle();
  for (const { deliver } of old) deliver();
  await settle();
  assert.deepEqual(heard, [], 'both followers answered, but earlier frames');
  keep = false;
  for (const { deliver } of late) deliver();
  await settle();
  assert.equal(heard.length, 1);
  assert.notEqual(heard[0], null);
});

test('pit-P16: a leader whose frames nobody answers confirms no read, steps down, and refuses it', async () => {
  const hosts = await Hosts.started(3);
  const leader = hosts.leaderOf(1);
  const { term } = hosts.at(leader, 1).group.role;
  hosts.network.losesBeat = (_from, to) => hosts.brokerOf(to) === leader;
  const heard: (LogIndex | null)[] = [];
  hosts.read(1, heard);
  await hosts.pass(500);
  assert.deepEqual(heard, []);
  await hosts.pass(2_500);
  assert.deepEqual(heard, [null]);
  assert.ok(hosts.at(leader, 1).group.role.term > term);
});

test('pit-P34: what a quiet group lost on the way is noticed by a frame, its commit index too', async () => {
  const hosts = await Hosts.started(1);
  const leader = hosts.leaderOf(1);
  const followers = brokers.filter((broker) => broker !== leader);
  for (const lost of ['entries', 'commit'] as const) {
    hosts.network.loses = (message) =>
      message.kind === 'append-request' && message.entries.length > 0 === (lost === 'entries');
    hosts.at(leader, 1).group.propose(batch(`${lost} `), new Listening());
    await settle();
    hosts.network.loses = () => false;
    await hosts.pass(1_500);
    for (const broker of followers) assert.ok(hosts.at(broker, 1).machine.state.endsWith(`${lost} `), lost);
  }
  const { sent } = hosts.network;
  await hosts.pass(2_000);
  assert.equal(hosts.network.sent, sent, 'and then it is quiet again');
});

test('a follower that began anew learns what is committed although its group stays idle', async () => {
  const hosts = await Hosts.started(4);
  for (const group of hosts.numbers) hosts.at(hosts.leaderOf(group), group).group.propose(batch('a'), new Listening());
  await hosts.pass(1_000);
  const [follower] = brokers.filter((broker) => broker !== hosts.someLeader);
  const terms = hosts.terms();
  const led = hosts.ledBy(follower!);
  const rig = hosts.rigs.get(follower!)!;
  await rig.host.close();
  await hosts.start(follower!, rig.logs.crash());
  await hosts.pass(4_000);
  for (const group of hosts.numbers) {
    assert.equal(hosts.at(follower!, group).machine.state, 'a');
    if (!led.includes(group)) assert.equal(hosts.terms()[group - 1], terms[group - 1]);
  }
});

test('a group that ends and starts between two frames is covered only once its leader has looked at it again', async () => {
  const hosts = await Hosts.started(2);
  const leader = hosts.leaderOf(1);
  hosts.at(leader, 1).group.propose(batch('a'), new Listening());
  await hosts.pass(1_000);
  const [follower] = brokers.filter((broker) => broker !== leader);
  await hosts.rigs.get(follower!)!.host.stop(toGroupNumber(1));
  const exceptions: string[] = [];
  hosts.network.losesBeat = (from, _to, frame) => {
    if (hosts.brokerOf(from) === follower && frame.kind === 'reply') {
      exceptions.push(...frame.exceptions.map(({ group, why }) => `${group} ${why}`));
    }
    return false;
  };
  await hosts.place(follower!, 1);
  await hosts.pass(1_000);
  assert.equal(hosts.at(follower!, 1).machine.state, 'a');
  assert.ok(exceptions.length > 0 && exceptions.every((line) => line === '1 behind'), exceptions.join());
});

test('a leader that does not know yet who holds a replica announces itself once it does', async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork();
  const known = new Set<number>();
  const groups: RaftGroup[] = [];
  for (const id of brokers) {
    const transport = network.transportOf(id);
    const hiding = {
      ...transport,
      brokerOf: (replica: never) => (known.has(replica) ? transport.brokerOf(replica) : null),
    };
    const rig = new Rig({ clock, transport: hiding, seed: id });
    const voters = brokers.map(toReplicaId);
    groups.push(await rig.host.start({ group: groupSeven, replicaId: toReplicaId(id), voters }, new RecordingData()));
  }
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(50);
      await settle();
    }
  };
  await pass(2_500);
  assert.equal(network.beatsSent, 0);
  for (const id of brokers) known.add(id);
  await pass(4_000);
  const terms = groups.map(({ role }) => role.term);
  await pass(5_000);
  assert.deepEqual(
    groups.map(({ role }) => role.term),
    terms,
  );
  assert.ok(groups.some(({ role }) => role.serving));
});

/** Broker 1 is real; broker 2 is played by the test. Group 7 has the voters 1, 2 and 3. */
class Stage {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly rig: Rig;
  readonly replies: BeatReply[] = [];
  readonly messages: Message[] = [];
  readonly group: RaftGroup;
  #sequence = 0;
  #revision = 0;
  readonly #send: (frame: BeatFrame) => void;

  static async set(): Promise<Stage> {
    const clock = new ManualClock();
    const network = new MemoryNetwork();
    const rig = new Rig({ clock, transport: network.transportOf(1) });
    // it is not the preferred leader, which would campaign as soon as it is started
    const voters = [2, 3, 1].map(toReplicaId);
    const group = await rig.host.start({ group: groupSeven, replicaId: toReplicaId(1), voters }, new RecordingData());
    return new Stage(clock, network, rig, group);
  }

  constructor(clock: ManualClock, network: MemoryNetwork, rig: Rig, group: RaftGroup) {
    this.clock = clock;
    this.network = network;
    this.rig = rig;
    this.group = group;
    const transport = network.transportOf(2);
    transport.onMessage((_group: GroupNumber, message: Message) => this.messages.push(message));
    transport.onBeat((_from: BrokerId, frame) => {
      if (frame.kind === 'reply') this.replies.push(frame);
    });
    this.#send = (frame) => {
      transport.sendBeat(toBrokerId(1), frame);
    };
  }

  lead(term: number, more: Partial<BeatLead> = {}): BeatLead {
    return { group: groupSeven, target: toReplicaId(1), leader: toReplicaId(2), term: toTerm(term), ...more };
  }

  /** Sends the next request, without waiting for its answer. */
  post(announced: readonly BeatLead[], more: Partial<BeatRequest> = {}): void {
    const base = this.#revision;
    this.#revision += announced.length;
    const sequence = ++this.#sequence;
    const frame = {
      kind: 'request',
      process: 5,
      sequence,
      base,
      revision: this.#revision,
      announced,
      ended: [],
    } as const;
    this.#send({ ...frame, ...more });
  }

  /** The answer to the next request, one word an exception. */
  async ask(announced: readonly BeatLead[], more: Partial<BeatRequest> = {}): Promise<string[] | null> {
    const before = this.replies.length;
    this.post(announced, more);
    await settle();
    const reply = this.replies[before];
    return reply === undefined ? null : reply.exceptions.map(({ why }) => why);
  }

  async pass(ms: number, everyMs: number, act: () => void): Promise<void> {
    for (let left = ms; left > 0; left -= everyMs) {
      act();
      await settle();
      this.clock.advance(everyMs);
      await settle();
    }
  }
}

test('who is behind takes the frame as a heartbeat, answers for itself, and is covered once announced anew', async () => {
  const stage = await Stage.set();
  assert.deepEqual(await stage.ask([stage.lead(5)]), ['behind']);
  const { term, leader } = stage.group.role;
  assert.deepEqual([term, leader], [5, 2]);
  assert.deepEqual(
    stage.messages.map((message) => [message.kind, message.term, 'round' in message ? message.round : null]),
    [['heartbeat-reply', 5, 1]],
  );
  assert.deepEqual(await stage.ask([]), ['behind'], 'its leader has not looked at it since');
  assert.deepEqual(await stage.ask([stage.lead(5)]), []);
  stage.messages.length = 0;
  // from then on frames that name nobody keep its time-out from passing
  await stage.pass(6_000, 150, () => {
    stage.post([]);
  });
  assert.deepEqual(stage.messages, []);
  assert.equal(stage.group.role.term, 5);
  assert.ok(stage.replies.every(({ exceptions }, i) => i < 3 || exceptions.length === 0));
});

test('a covered replica campaigns one to two time-outs after the last frame, not after the last it was told of', async () => {
  const stage = await Stage.set();
  for (let i = 0; i < 3; i++) await stage.ask([stage.lead(5)]);
  await stage.pass(3_000, 150, () => {
    stage.post([]);
  });
  const last = stage.clock.monotonicMs() - 150;
  while (stage.messages.at(-1)?.kind !== 'vote-request') {
    stage.clock.advance(10);
    await settle();
    assert.ok(stage.clock.monotonicMs() - last < 2_100, 'it campaigns');
  }
  assert.ok(stage.clock.monotonicMs() - last >= 1_000, String(stage.clock.monotonicMs() - last));
});

test('a covered replica refuses a candidate by when the last frame came', async () => {
  const stage = await Stage.set();
  for (let i = 0; i < 3; i++) await stage.ask([stage.lead(5)]);
  await stage.pass(900, 150, () => {
    stage.post([]);
  });
  const transport = stage.network.transportOf(3);
  const answers: Message[] = [];
  transport.onMessage((_group, message) => answers.push(message));
  const request = {
    kind: 'vote-request',
    from: toReplicaId(3),
    to: toReplicaId(1),
    pre: true,
    transfer: false,
    configuration: emptyConfiguration,
  } as const;
  stage.clock.advance(300);
  transport.send(groupSeven, { ...request, term: toTerm(6), lastIndex: toLogIndex(9), lastTerm: toTerm(5) });
  await settle();
  assert.deepEqual(answers, [], 'within the lease of a leader that was heard 450 ms ago');
});

test('pit-P15: after a stall a frame that has arrived is read before the time-outs act', async () => {
  const stage = await Stage.set();
  for (let i = 0; i < 3; i++) await stage.ask([stage.lead(5)]);
  stage.messages.length = 0;
  for (let i = 0; i < 5; i++) {
    stage.post([]);
    stage.clock.stall(10_000);
    stage.clock.advance(0);
    await settle();
  }
  assert.deepEqual(stage.messages, []);
  assert.deepEqual([stage.group.role.term, stage.group.role.leader], [5, 2]);
});

test('pit-P79: a frame for an unknown group or another replica creates nothing and moves no term', async () => {
  const stage = await Stage.set();
  const strangers = [
    stage.lead(9, { group: toGroupNumber(99), target: toReplicaId(991) }),
    stage.lead(9, { target: toReplicaId(4) }),
  ];
  assert.deepEqual(await stage.ask(strangers), ['unknown-group', 'other-replica']);
  assert.deepEqual([...stage.rig.logs.logs.keys()], [groupSeven]);
  assert.equal(stage.group.role.term, 0);
  assert.deepEqual(stage.rig.dropped, ['99 unknown-group', '7 other-replica']);
  await stage.ask([stage.lead(5)]);
  const sameLeader = stage.lead(5, { target: toReplicaId(4) });
  assert.ok((await stage.ask([sameLeader]))!.includes('other-replica'), 'it is another replica that follows');
});

test('a leadership of an earlier term is told the later one; an impossible term moves nothing', async () => {
  const stage = await Stage.set();
  await stage.ask([stage.lead(5)]);
  await stage.ask([stage.lead(4, { leader: toReplicaId(3) })]);
  const [exception] = stage.replies.at(-1)!.exceptions;
  assert.deepEqual(exception, { group: groupSeven, target: toReplicaId(1), why: 'higher-term', term: 5 });
  await stage.ask([stage.lead(5 + 10_000_000)]);
  assert.equal(stage.group.role.term, 5);
});

test('a leader that hears of a later term in an answer steps down', async () => {
  const hosts = await Hosts.started(1);
  const leader = hosts.leaderOf(1);
  const { group } = hosts.at(leader, 1);
  const { term } = group.role;
  let told = false;
  hosts.network.losesBeat = (from, to, frame) => {
    if (frame.kind !== 'reply' || hosts.brokerOf(to) !== leader || told) return false;
    told = true;
    const target = toReplicaId(replicaOf(1, hosts.brokerOf(from)));
    const why = { why: 'higher-term', term: toTerm(term + 3) } as const;
    const exception = { group: toGroupNumber(1), target, ...why };
    hosts.network.beatReceivers.get(to)?.(toBrokerId(from), { ...frame, exceptions: [exception] });
    return true;
  };
  await hosts.pass(200);
  assert.equal(group.role.term, term + 3);
  assert.equal(group.role.serving, false);
});

test('a quarantined group answers nothing, and is no sign of life for its leader', async () => {
  const stage = await Stage.set();
  for (let i = 0; i < 3; i++) await stage.ask([stage.lead(5)]);
  assert.ok(stage.group instanceof GroupDriver);
  stage.group.setApart('example');
  stage.messages.length = 0;
  assert.deepEqual(await stage.ask([]), ['quarantined']);
  assert.deepEqual(await stage.ask([stage.lead(6)]), ['quarantined']);
  assert.deepEqual(stage.messages, []);
});

test('a request that is late, doubled or rests on nothing is not taken as a sign of life', async () => {
  const stage = await Stage.set();
  for (let i = 0; i < 3; i++) await stage.ask([stage.lead(5)]);
  assert.equal(await stage.ask([], { sequence: 3 }), null);
  await stage.ask([], { process: 6, sequence: 1 });
  assert.deepEqual([stage.replies.at(-1)!.holds, stage.replies.at(-1)!.asker], [0, 6]);
  await stage.pass(2_500, 50, () => {
    stage.post([], { process: 6, sequence: 1 });
  });
  assert.ok(stage.messages.some(({ kind }) => kind === 'vote-request'));
});

type Answer = Pick<BeatReply, 'holds' | 'exceptions'>;

/** Broker 1 is real and leads group 7; brokers 2 and 3 are played: they vote and acknowledge, and answer frames as told. */
class LeadingStage {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly requests: BeatRequest[] = [];
  readonly appends: Message[] = [];
  group: RaftGroup | null = null;
  answer: (broker: number, request: BeatRequest) => Answer = (_broker, { revision }) => ({
    holds: revision,
    exceptions: [],
  });

  static async set(): Promise<LeadingStage> {
    const stage = new LeadingStage();
    const { clock, network } = stage;
    const rig = new Rig({ clock, transport: network.transportOf(1) });
    for (const broker of [2, 3]) stage.#play(broker);
    const voters = brokers.map(toReplicaId);
    stage.group = await rig.host.start({ group: groupSeven, replicaId: toReplicaId(1), voters }, new RecordingData());
    await stage.pass(3_000);
    assert.equal(stage.group.role.serving, true);
    return stage;
  }

  #play(broker: number): void {
    const transport = this.network.transportOf(broker);
    transport.onMessage((group, message) => {
      const reply = { from: message.to, to: message.from, term: message.term };
      if (message.kind === 'vote-request') {
        transport.send(group, { ...reply, kind: 'vote-reply', pre: message.pre, granted: true });
      }
      if (message.kind !== 'append-request') return;
      this.appends.push(message);
      const { prevIndex, sequence, entries } = message;
      const result = { kind: 'accepted', durableIndex: toLogIndex(prevIndex + entries.length) } as const;
      transport.send(group, { ...reply, kind: 'append-reply', prevIndex, sequence, result });
    });
    transport.onBeat((from, frame) => {
      if (frame.kind !== 'request') return;
      this.requests.push(frame);
      const { process: asker, sequence } = frame;
      transport.sendBeat(from, { kind: 'reply', process: 9, asker, sequence, ...this.answer(broker, frame) });
    });
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(50);
      await settle();
    }
  }

  get term(): number {
    return this.group!.role.term;
  }
}

const except = (broker: number, why: 'behind' | 'unknown-group'): BeatReply['exceptions'][number] => {
  return { group: groupSeven, target: toReplicaId(broker), why };
};

test('answers that cover the leadership keep it; those that list it as an exception do not', async () => {
  const stage = await LeadingStage.set();
  const { term } = stage;
  await stage.pass(5_000);
  assert.deepEqual([stage.term, stage.group!.role.serving], [term, true]);
  stage.answer = (broker, { revision }) => ({ holds: revision, exceptions: [except(broker, 'unknown-group')] });
  await stage.pass(2_100);
  assert.ok(stage.term > term || !stage.group!.role.serving, 'nobody follows');
});

test('an answer that holds an earlier revision of the set covers nothing that changed since', async () => {
  const stage = await LeadingStage.set();
  const { term } = stage;
  stage.answer = () => ({ holds: 0, exceptions: [] });
  await stage.pass(2_100);
  assert.ok(stage.term > term || !stage.group!.role.serving, 'nobody holds it');
});

test('a leadership whose follower is behind is announced anew, and the follower asked again for what it has', async () => {
  const stage = await LeadingStage.set();
  await stage.pass(500);
  assert.deepEqual(stage.requests.at(-1)!.announced, []);
  stage.requests.length = 0;
  stage.appends.length = 0;
  let left = 1;
  stage.answer = (broker, { revision }) => {
    return { holds: revision, exceptions: broker === 2 && left-- > 0 ? [except(2, 'behind')] : [] };
  };
  await stage.pass(600);
  const again = stage.requests.flatMap(({ announced }) => announced).map(({ target }) => target);
  assert.deepEqual(again, [2]);
  assert.deepEqual(
    stage.appends.map(({ kind, to }) => `${kind} ${to}`),
    ['append-request 2'],
  );
});

test('a replica follows one leader in one term, and only for itself', async () => {
  const hosts = await Hosts.started(1);
  const leading = hosts.leaderOf(1);
  const other = brokers.find((broker) => broker !== leading)!;
  const third = brokers.find((broker) => broker !== leading && broker !== other)!;
  const { group } = hosts.at(other, 1);
  assert.ok(group instanceof GroupDriver);
  const [target, leader] = [toReplicaId(replicaOf(1, other)), toReplicaId(replicaOf(1, leading))];
  const { term } = group.role;
  const lead = { group: toGroupNumber(1), target, leader, term };
  assert.equal(group.follows(lead), true);
  assert.equal(group.follows({ ...lead, term: toTerm(term - 1) }), false);
  assert.equal(group.follows({ ...lead, term: toTerm(term + 1) }), false);
  assert.equal(group.follows({ ...lead, leader: toReplicaId(replicaOf(1, third)) }), false);
  assert.equal(group.follows({ ...lead, target: leader }), false);
  group.setApart('for the test');
  assert.equal(group.follows(lead), false);
});
