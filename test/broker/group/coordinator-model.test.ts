/**
 * Random histories of a group: members that join, come back, live on, lose answers, give up late, leave, are expelled and
 * commit, zombies that go on with old epochs, topics that come, grow and go, coordinators that restart. After each step
 * inv-B7 and inv-B8 hold; at the end the group comes to rest with every partition read exactly once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Assignment } from '../../../src/broker/group/assignment.ts';
import { assignmentOf, intersection, isDisjoint, nothing } from '../../../src/broker/group/assignment.ts';
import { phaseOf } from '../../../src/broker/group/membership.ts';
import type { TopicPartitions } from '../../../src/broker/group/membership.ts';
import { assignorNames } from '../../../src/broker/group/records.ts';
import { at, Bench, dump, groupRef, listed } from './bench.ts';

/** A process that believes to be a member. */
interface Client {
  readonly memberId: string;
  epoch: number;
  /** What it was told to read, or reads still. */
  owned: Assignment;
  /** What it was told last. */
  told: Assignment;
  sequence: number;
}

const topicNames = ['a', 'b', 'c'];
const isExpected =
  /^(FENCED_INSTANCE_ID|UNRELEASED_INSTANCE_ID|FENCED_MEMBER_EPOCH|STALE_MEMBER_EPOCH|UNKNOWN_MEMBER_ID|GROUP_ID_NOT_FOUND|GROUP_MAX_SIZE_REACHED|UNKNOWN_TOPIC_OR_PARTITION|NON_EMPTY_GROUP)$/;

class History {
  readonly bench = new Bench({ membersMax: 4 });
  readonly clients: Client[] = [];
  /** What the last commit in the order of the stamps left, for `topic id partition`. */
  readonly expected = new Map<string, { readonly offset: number; readonly epoch: number; readonly sequence: number }>();
  groupEpoch = 0;
  offset = 0;

  constructor(assignor: (typeof assignorNames)[number]) {
    this.bench.assignor = assignor;
    this.bench.topics.create('a', 3);
    this.bench.topics.create('b', 2);
  }

  /** Runs a call that may be refused for a reason that a client must expect; null: it was. */
  attempt<T>(call: () => T): T | null {
    try {
      return call();
    } catch (error) {
      if (error instanceof Error && isExpected.test(error.message)) return null;
      throw error;
    }
  }

  client(n: number): Client | undefined {
    return this.clients[n % Math.max(1, this.clients.length)];
  }

  /** The holder of a member that the coordinator knows: the one with the member's epoch, or one that missed an answer. */
  isCurrent(client: Client): boolean {
    const group = this.bench.coordinator.groups.find(groupRef);
    const member = group?.members.get(client.memberId);
    return member !== undefined && (member.epoch === client.epoch || member.previousEpoch === client.epoch);
  }

  join(n: number): void {
    const topics = topicNames.filter((_, i) => ((n >> i) & 1) === 1);
    const joined = this.attempt(() => this.bench.join(topics.length === 0 ? ['a'] : topics));
    if (joined !== null) this.adopt(joined.memberId, joined.memberEpoch, joined.assignment);
  }

  resume(n: number): void {
    const memberId = this.client(n)?.memberId;
    if (memberId === undefined || !this.bench.coordinator.groups.find(groupRef)?.members.has(memberId)) return;
    const topics = n % 3 === 0 ? [topicNames[n % 2] ?? 'a'] : undefined;
    const resumed = this.attempt(() => this.bench.resume(memberId, topics, this.bench.member(memberId).nonceHash));
    if (resumed !== null) this.adopt(resumed.memberId, resumed.memberEpoch, resumed.assignment);
  }

  /** A process of one of two static members: the first, the next life, or one too many. */
  joinStatic(n: number, missed: boolean): void {
    this.bench.silent = missed;
    const joined = this.attempt(() => this.bench.joinStatic(`i${n % 2}`, ['a', 'b']));
    this.bench.silent = false;
    if (joined !== null) this.adopt(joined.memberId, joined.memberEpoch, joined.assignment);
  }

  private adopt(memberId: string, epoch: number, assignment: readonly TopicPartitions[]): void {
    const told = toAssignment(assignment);
    this.clients.push({ memberId, epoch, owned: told, told, sequence: 0 });
  }

  /** A heartbeat; `manner` decides whether the client is slow to give up, and whether the answer is lost. */
  beat(n: number, manner: number): void {
    const client = this.client(n);
    if (client === undefined) return;
    if (manner % 3 !== 0) client.owned = client.told;
    const answer = this.attempt(() => this.bench.heartbeat(client.memberId, client.epoch, listed(client.owned)));
    if (answer === null || manner % 4 === 0) return;
    assert.ok(answer.memberEpoch >= client.epoch, 'inv-B7: a client never sees its epoch fall');
    client.epoch = answer.memberEpoch;
    if (answer.assignment === null) return;
    client.told = toAssignment(answer.assignment);
    const gained = assignmentOf([...client.owned, ...client.told]);
    client.owned = gained;
  }

  leave(n: number): void {
    const client = this.client(n);
    if (client === undefined) return;
    this.attempt(() => {
      const known = this.bench.coordinator.groups.find(groupRef)?.members.get(client.memberId);
      const keepPlace = n % 2 === 0 && typeof known?.instanceId === 'string';
      this.bench.leave(client.memberId, client.epoch, keepPlace);
    });
  }

  expire(n: number, cause: 'session-expired' | 'revocation-expired'): void {
    const client = this.client(n);
    const members = this.bench.coordinator.groups.find(groupRef)?.members;
    if (client !== undefined && members?.has(client.memberId) === true) this.bench.expire(client.memberId, cause);
  }

  /** Commits a partition of any topic; a late one repeats an old sequence. */
  commit(n: number, partition: number, isLate: boolean): void {
    const client = this.client(n);
    const topic = topicNames[partition % 3] ?? 'a';
    const topicId = this.bench.topics.find(0, topic)?.topicId;
    if (client === undefined || topicId === undefined) return;
    const place = partition % 4;
    const sequence = isLate ? Math.max(0, client.sequence - 1) : ++client.sequence;
    const before = this.expected.get(`${topicId} ${place}`);
    const again = before?.epoch === client.epoch && before.sequence === sequence;
    const offset = again ? before.offset : ++this.offset;
    const answer = this.attempt(() =>
      this.bench.commit(client.memberId, sequence, [at(topic, place, offset)], client.epoch),
    );
    if (answer?.[0] !== null) return;
    assert.ok(this.isCurrent(client), 'inv-B7: only the current holder commits');
    const isNewer =
      before === undefined ||
      client.epoch > before.epoch ||
      (client.epoch === before.epoch && sequence > before.sequence);
    if (isNewer) this.expected.set(`${topicId} ${place}`, { offset, epoch: client.epoch, sequence });
  }

  commitAsTool(partition: number): void {
    const topicId = this.bench.topics.find(0, 'a')?.topicId;
    if (topicId === undefined) return;
    const epoch = this.bench.coordinator.groups.find(groupRef)?.epoch ?? 0;
    const offset = ++this.offset;
    const answer = this.attempt(() => this.bench.commitAsTool([at('a', partition % 3, offset)]));
    if (answer?.[0] === null) this.expected.set(`${topicId} ${partition % 3}`, { offset, epoch, sequence: 0 });
  }

  changeTopics(n: number): void {
    const name = topicNames[n % 3] ?? 'a';
    const { topics } = this.bench;
    if (n % 5 === 0 && topics.names().length > 1) topics.delete(name);
    else topics.create(name, Math.min(6, (topics.find(0, name)?.partitionCount ?? 0) + 1));
  }

  sweep(): void {
    this.attempt(() => this.bench.sweep());
  }

  restart(from: 'fromState' | 'fromLog'): void {
    this.bench.restart(from);
  }

  check(): void {
    const { coordinator, topics } = this.bench;
    const group = coordinator.groups.find(groupRef);
    const epoch: number = group?.epoch ?? this.groupEpoch;
    assert.ok(epoch >= this.groupEpoch, 'inv-B7: the epoch of the group never falls');
    this.groupEpoch = epoch;
    this.checkOwners();
    for (const [place, { offset }] of this.expected) {
      const [topicId = '', partition = ''] = place.split(' ');
      if (!topics.exists(topicId)) continue;
      const committed = group?.offsets.get(topicId, Number(partition));
      assert.equal(committed?.offset, offset, `inv-B8: ${place}`);
    }
  }

  /** What two processes that are not fenced read never overlaps, and each reads only what it holds. */
  private checkOwners(): void {
    const current = this.clients.filter((client) => this.isCurrent(client));
    for (const [i, one] of current.entries()) {
      for (const two of current.slice(i + 1)) {
        if (one.memberId === two.memberId) continue;
        assert.ok(isDisjoint(one.owned, two.owned), `inv-B7: ${one.memberId} and ${two.memberId} read the same`);
      }
    }
  }

  /** Everybody is honest from now on: after a few rounds each partition is read exactly once. */
  comeToRest(): void {
    const group = this.bench.coordinator.groups.find(groupRef);
    if (group === null) return;
    for (const { memberId, away } of [...group.members.values()]) if (away) this.bench.expire(memberId);
    const current = [...group.members.keys()].map((memberId) =>
      this.clients.findLast((one) => one.memberId === memberId),
    );
    for (let round = 0; round < 6; round++) {
      for (const client of current) {
        assert.ok(client);
        client.epoch = this.bench.member(client.memberId).epoch;
        client.owned = client.told;
        const answer = this.bench.heartbeat(client.memberId, client.epoch, listed(client.owned));
        client.epoch = answer.memberEpoch;
        if (answer.assignment !== null) client.told = toAssignment(answer.assignment);
        client.owned = intersection(client.owned, client.told);
      }
    }
    const rested = this.bench.group;
    assert.notEqual(phaseOf(rested), 'reconciling');
    for (const { topicId, partitionCount } of rested.topics.values()) {
      for (let partition = 0; partition < partitionCount && current.length > 0; partition++) {
        assert.equal(current.filter((one) => one?.told.get(topicId)?.includes(partition)).length, 1);
      }
    }
    for (const member of rested.members.values()) assert.deepEqual(member.revoking, nothing);
  }

  checkRestarts(): void {
    const { fromState, fromLog } = this.bench.restarted();
    assert.deepEqual(dump(fromState), dump(this.bench.coordinator));
    assert.deepEqual(dump(fromLog), dump(this.bench.coordinator));
  }
}

const toAssignment = (lists: readonly TopicPartitions[]): Assignment =>
  assignmentOf(lists.map(({ topicId, partitions }) => [topicId, partitions]));

type Step = readonly [name: keyof typeof steps, n: number, m: number];
const steps = {
  join: (history: History, n: number) => {
    history.join(n);
  },
  resume: (history: History, n: number) => {
    history.resume(n);
  },
  static: (history: History, n: number, m: number) => {
    history.joinStatic(n, m % 2 === 0);
  },
  beat: (history: History, n: number, m: number) => {
    history.beat(n, m);
  },
  leave: (history: History, n: number) => {
    history.leave(n);
  },
  expire: (history: History, n: number, m: number) => {
    history.expire(n, m % 2 === 0 ? 'session-expired' : 'revocation-expired');
  },
  commit: (history: History, n: number, m: number) => {
    history.commit(n, m >> 2, m % 4 === 0);
  },
  tool: (history: History, n: number) => {
    history.commitAsTool(n);
  },
  topics: (history: History, n: number) => {
    history.changeTopics(n);
  },
  sweep: (history: History) => {
    history.sweep();
  },
  restart: (history: History, n: number) => {
    history.restart(n % 2 === 0 ? 'fromState' : 'fromLog');
  },
} satisfies Record<string, (history: History, n: number, m: number) => void>;

const often: (keyof typeof steps)[] = [
  'beat',
  'beat',
  'beat',
  'beat',
  'commit',
  'commit',
  'commit',
  'join',
  'join',
  'resume',
];
const rarely: (keyof typeof steps)[] = ['static', 'leave', 'expire', 'tool', 'topics', 'sweep', 'restart'];
const anyStep: fc.Arbitrary<Step> = fc.tuple(fc.constantFrom(...often, ...rarely), fc.nat(255), fc.nat(255));

test('inv-B7, inv-B8, inv-I12: random histories keep the invariants, restart equal, and come to rest', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...assignorNames),
      fc.array(anyStep, { minLength: 10, maxLength: 80, size: 'max' }),
      (assignor, history) => {
        const run = new History(assignor);
        for (const [name, n, m] of history) {
          steps[name](run, n, m);
          run.check();
        }
        run.checkRestarts();
        run.comeToRest();
        run.checkRestarts();
      },
    ),
    { numRuns: Number(process.env['SLUICE_MODEL_RUNS'] ?? 300) },
  );
});
