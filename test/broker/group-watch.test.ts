/** Members with streams: they hear at once of what concerns them, and nobody else is disturbed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Refused } from '../../src/model/errors.ts';
import type { MemberEpoch } from '../../src/model/ids.ts';
import type { Membership, TopicPartitions } from '../../src/broker/requests.ts';
import { errorOf, ServiceBench, settle, valueOf } from './group-bench.ts';

/** A client: it follows its assignment, and sends a heartbeat when it is told to or every five seconds. */
class Member {
  readonly memberId: string;
  memberEpoch: MemberEpoch;
  owned: readonly TopicPartitions[];
  /** Partitions that it ever gave up. */
  lost = 0;
  told = 0;
  readonly ends: Refused[] = [];
  unwatch: () => void = () => undefined;
  readonly #bench: ServiceBench;
  #work: Promise<void> = Promise.resolve();

  constructor(bench: ServiceBench, joined: Membership) {
    this.#bench = bench;
    this.memberId = joined.memberId;
    this.memberEpoch = joined.memberEpoch;
    this.owned = joined.assignment;
  }

  get partitions(): number[] {
    return this.owned.flatMap(({ partitions }) => partitions);
  }

  watch(): void {
    const listener = {
      heartbeatNow: (): void => {
        this.told += 1;
        this.beat();
      },
      ended: (why: Refused): void => void this.ends.push(why),
    };
    const { memberId, memberEpoch } = this;
    const context = this.#bench.context();
    this.unwatch = valueOf(this.#bench.service.watchMember({ group: 'g', memberId, memberEpoch }, listener, context));
  }

  /** One heartbeat at a time; what it brings is done and told with the next one. */
  beat(): void {
    this.#work = this.#work.then(async () => {
      for (;;) {
        const answer = await this.#bench.heartbeat(this, this.owned);
        if (answer.kind === 'refused') return;
        this.memberEpoch = answer.value.memberEpoch;
        const { assignment } = answer.value;
        if (assignment === null) return;
        const next = new Set(assignment.flatMap(({ partitions }) => partitions));
        this.lost += this.partitions.filter((partition) => !next.has(partition)).length;
        this.owned = assignment;
      }
    });
  }
}

async function run(bench: ServiceBench, ms: number): Promise<void> {
  for (let past = 0; past < ms; past += 50) {
    bench.clock.advance(50);
    for (let turn = 0; turn < 4; turn++) await settle();
  }
}

async function membersOf(bench: ServiceBench, count: number): Promise<Member[]> {
  const members: Member[] = [];
  for (let n = 0; n < count; n++) {
    const member = new Member(bench, await bench.joined());
    member.watch();
    members.push(member);
  }
  return members;
}

const ownedByAll = (members: readonly Member[]): number[] =>
  members.flatMap(({ partitions }) => partitions).sort((a, b) => a - b);

test('100 members, 1,000 partitions, one leaves: within 2 s all is read again, and nobody who stays stops at all', async () => {
  const partitions = Array.from({ length: 1_000 }, (_, n) => n);
  const bench = ServiceBench.serving({}, {}, partitions.length);
  const members = await membersOf(bench, 100);
  await run(bench, 3_000);
  assert.deepEqual(ownedByAll(members), partitions, 'shared, each partition once');
  assert.deepEqual(new Set(members.map((member) => member.partitions.length)), new Set([10]));

  for (const member of members) {
    member.lost = 0;
    member.told = 0;
  }
  const [leaving, ...staying] = members;
  assert.ok(leaving);
  valueOf(
    await bench.service.leaveGroup(
      { group: 'g', memberId: leaving.memberId, memberEpoch: leaving.memberEpoch },
      bench.context(),
    ),
  );
  await run(bench, 2_000);
  assert.deepEqual(ownedByAll(staying), partitions, 'nothing waits for a heartbeat that is five seconds away');
  assert.deepEqual(new Set(staying.map(({ lost }) => lost)), new Set([0]), 'nobody gives up anything');
  const disturbed = staying.filter(({ told }) => told > 0).length;
  assert.ok(disturbed <= 10, `${disturbed} members were told, of whom ten have something to learn`);
  const last = bench.rebalances.at(-1);
  assert.deepEqual([last?.reason, last?.memberId, last?.memberCount], ['left', leaving.memberId, 99]);
  assert.ok((last?.membersAffected ?? 99) <= 10);
});

test('a member that joins has its share within 2 s, although nobody has a heartbeat due', async () => {
  const bench = ServiceBench.serving({}, {}, 12);
  const members = await membersOf(bench, 3);
  await run(bench, 2_000);
  const [late] = await membersOf(bench, 1);
  assert.ok(late);
  for (const member of members) member.lost = 0;
  await run(bench, 2_000);
  assert.equal(late.partitions.length, 3);
  assert.deepEqual(
    members.map(({ lost }) => lost),
    [1, 1, 1],
    'only what moves is given up',
  );
});

test('who loses its stream is suspect at once, and out after its session; a token brings it back without a rebalance', async () => {
  const bench = ServiceBench.serving({}, {}, 2);
  const first = await bench.joined();
  const member = new Member(bench, first);
  const suspects = (): boolean[] =>
    valueOf(bench.service.describeGroup('g', bench.context())).members.map(({ suspect }) => suspect);
  assert.deepEqual(suspects(), [true]);
  member.watch();
  assert.deepEqual(suspects(), [false]);
  member.unwatch();
  assert.deepEqual(suspects(), [true]);
  await run(bench, 10_000);
  const rebalances = bench.rebalances.length;
  const back = new Member(bench, await bench.joined(first.resumeToken));
  assert.deepEqual(back.partitions, member.partitions);
  assert.equal(bench.rebalances.length, rebalances, 'nothing moved');
  back.watch();
  await run(bench, 44_900);
  assert.deepEqual(suspects(), [false], 'still a member');
  back.unwatch();
  await run(bench, 200);
  const report = valueOf(bench.service.describeGroup('g', bench.context()));
  assert.deepEqual([report.phase, report.members.length], ['empty', 0]);
  assert.deepEqual(
    report.rebalances.map(({ reason }) => reason),
    ['joined', 'session-expired'],
  );
});

test('a stream ends with its reason: a newer one, a newer holder of the token, the end of the session, of the coordinator', async () => {
  const bench = ServiceBench.serving({}, {}, 2);
  const joined = await bench.joined();
  const member = new Member(bench, joined);
  const codes = (): string[] => member.ends.map(({ error }) => error.code);
  member.watch();
  member.watch();
  assert.deepEqual(codes(), ['FENCED_MEMBER_EPOCH']);
  const next = await bench.joined(joined.resumeToken);
  assert.deepEqual(codes(), ['FENCED_MEMBER_EPOCH', 'FENCED_MEMBER_EPOCH']);
  const context = bench.context();
  const deaf = { heartbeatNow: () => undefined, ended: () => undefined };
  const old = bench.service.watchMember({ group: 'g', ...joined }, deaf, context);
  assert.equal(errorOf(old).code, 'FENCED_MEMBER_EPOCH');
  const stranger = bench.service.watchMember({ group: 'g', ...joined, memberId: 'x' }, deaf, context);
  assert.equal(errorOf(stranger).code, 'UNKNOWN_MEMBER_ID');
  member.memberEpoch = next.memberEpoch;
  member.watch();
  await run(bench, 46_000);
  assert.equal(codes().at(-1), 'UNKNOWN_MEMBER_ID');
  const again = new Member(bench, await bench.joined());
  again.watch();
  bench.service.close();
  assert.equal(again.ends[0]?.error.code, 'BROKER_SHUTTING_DOWN');
});

test('pit-P112: 500 members outlive a failover of their coordinator', async () => {
  const bench = ServiceBench.serving({}, {}, 500);
  const members = await membersOf(bench, 500);
  await run(bench, 1_000);
  assert.deepEqual(ownedByAll(members).length, 500);
  bench.clock.advance(40_000);
  bench.restart();
  bench.clock.advance(44_000);
  await settle();
  for (const member of members) member.beat();
  await run(bench, 500);
  assert.equal(bench.rebalances.filter(({ reason }) => reason === 'session-expired').length, 0);
  const report = valueOf(bench.service.describeGroup('g', bench.context()));
  assert.equal(report.members.length, 500);
  const committed = await bench.commit(members[0] ?? assert.fail(), 1, 5, members[0]?.partitions[0]);
  assert.deepEqual(valueOf(committed), [null]);
});

test('a group is deleted with its offsets once it has no members', async () => {
  const bench = ServiceBench.serving({}, {}, 2);
  const member = await bench.joined();
  valueOf(await bench.commit(member, 1, 5));
  assert.equal(errorOf(await bench.service.deleteGroup('g', bench.context())).code, 'NON_EMPTY_GROUP');
  valueOf(await bench.service.leaveGroup({ group: 'g', ...member, reason: 'progress-expired' }, bench.context()));
  assert.equal(bench.rebalances.at(-1)?.reason, 'progress-expired');
  const page = (): string[] =>
    valueOf(bench.service.listGroups({ after: '', limit: 10 }, bench.context())).groups.map(({ group }) => group);
  assert.deepEqual(page(), ['g']);
  bench.restart();
  assert.equal(valueOf(bench.service.describeGroup('g', bench.context())).rebalances.length, 2, 'history is kept');
  valueOf(await bench.service.deleteGroup('g', bench.context()));
  assert.deepEqual(page(), []);
  assert.equal(await bench.committed(), null);
  for (const call of [
    bench.service.deleteGroup('g', bench.context()),
    bench.service.describeGroup('g', bench.context()),
  ])
    assert.equal(errorOf(await call).code, 'GROUP_ID_NOT_FOUND');
  bench.restart('log');
  assert.deepEqual(page(), []);
});

test('sem-K7: the place of a static member is free once its stream has ended, or once it has missed two heartbeats', async () => {
  const bench = ServiceBench.serving();
  const join = (resumeToken: Uint8Array | null = null) =>
    bench.service.joinGroup(
      { group: 'g', topics: ['t'], resumeToken, clientId: 'c', joinId: null, instanceId: 'i' },
      bench.context(),
    );
  const first = new Member(bench, valueOf(await join()));
  first.watch();
  await run(bench, 30_000);
  const refused = errorOf(await join());
  assert.deepEqual([refused.code, refused.retryAfterMs], ['UNRELEASED_INSTANCE_ID', 100]);
  first.unwatch();
  const joined = valueOf(await join());
  assert.equal(joined.memberId, first.memberId);
  assert.equal(errorOf(await bench.heartbeat(first)).code, 'FENCED_INSTANCE_ID');
  assert.equal(errorOf(await join()).code, 'UNRELEASED_INSTANCE_ID', 'who has just come is not missed');

  const second = new Member(bench, joined);
  await run(bench, 4_000);
  valueOf(await bench.heartbeat(second, second.owned));
  await run(bench, 9_900);
  assert.equal(errorOf(await join()).code, 'UNRELEASED_INSTANCE_ID');
  await run(bench, 150);
  const third = valueOf(await join());
  assert.equal(third.memberId, first.memberId);

  const resumed = valueOf(await join(third.resumeToken));
  assert.deepEqual([resumed.memberId, resumed.resumeToken], [third.memberId, third.resumeToken]);
  bench.restart();
  assert.equal(
    errorOf(await join()).code,
    'UNRELEASED_INSTANCE_ID',
    'a new coordinator waits for it as if it were heard',
  );
});

test('a static member that said that it will be back keeps its place for a session, also with a new coordinator', async () => {
  const bench = ServiceBench.serving();
  const join = () =>
    bench.service.joinGroup(
      { group: 'g', topics: ['t'], resumeToken: null, clientId: 'c', joinId: null, instanceId: 'i' },
      bench.context(),
    );
  const member = new Member(bench, valueOf(await join()));
  member.watch();
  const { memberId, memberEpoch } = member;
  const leave = { group: 'g', memberId, memberEpoch, keepPlace: true };
  valueOf(await bench.service.leaveGroup(leave, bench.context()));
  assert.deepEqual(member.ends.map(({ error }) => error.code), ['FENCED_MEMBER_EPOCH']); // prettier-ignore
  const described = () => valueOf(bench.service.describeGroup('g', bench.context())).members;
  assert.deepEqual(described().map(({ instanceId, away }) => [instanceId, away]), [['i', true]]); // prettier-ignore
  await run(bench, 40_000);
  bench.restart();
  await run(bench, 40_000);
  const back = valueOf(await join());
  assert.equal(back.memberId, memberId);
  valueOf(await bench.service.leaveGroup({ ...leave, memberEpoch: back.memberEpoch }, bench.context()));
  await run(bench, 46_000);
  assert.deepEqual(described(), []);
});
