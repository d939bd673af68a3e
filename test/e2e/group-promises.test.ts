/** What groups promise (semantics K and O), asked over the wire of three real brokers, whichever of them coordinates. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { BrokerError, Client, serdes } from '../../clients/typescript/src/index.ts';
import type {
  HeartbeatResponse,
  JoinGroupRequest,
  JoinGroupResponse,
  TopicPartitions,
} from '../../src/gen/sluice/v1/group.ts';
import { GroupServiceClient } from '../../src/gen/sluice/v1/group.ts';
import { call, codeOf } from '../api/rig.ts';
import { must } from '../../src/model/assert.ts';
import { Cluster } from './three-places.ts';

/** For a machine that does much else; nothing is proven by waiting this long. */
const patienceMs = 60_000;
const settings = {
  'groups.heartbeatIntervalMs': '1s',
  'groups.sessionTimeoutMs': '30s',
  'groups.revocationTimeoutMs': '2s',
  'groups.offsetsRetentionMs': '3s',
  'groups.sweepIntervalMs': '200ms',
};
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const text = { value: serdes.utf8 } as const;

let cluster: Cluster;
let client: Client;
let groups: GroupServiceClient;

type Reply<T> = (error: ServiceError | null, value: T) => void;

/** What a unary call says: its value, or the code of its refusal. What passes is asked again. */
async function ask<T>(run: (reply: Reply<T>) => unknown): Promise<{ readonly value: T | null; readonly code: string }> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const answer = await call<T>(run);
    if (answer.kind === 'ok') return { value: answer.value, code: 'ok' };
    const code = codeOf(answer);
    const passes = answer.detail?.retriable === true && code !== 'UNRELEASED_INSTANCE_ID';
    if (!passes || performance.now() >= deadline) return { value: null, code };
    await wait(100);
  }
}

/** A member that does only what it is told to. */
class Member {
  readonly group: string;
  memberId = '';
  memberEpoch = 0;
  owned: TopicPartitions[] = [];

  constructor(group: string) {
    this.group = group;
  }

  static async join(group: string, more: Partial<JoinGroupRequest> = {}): Promise<Member> {
    const member = new Member(group);
    const { value, code } = await joinAs(group, more);
    assert.ok(value !== null, code);
    Object.assign(member, { memberId: value.memberId, memberEpoch: value.memberEpoch, owned: value.assignment });
    return member;
  }

  get partitions(): number[] {
    return this.owned.flatMap(({ partitions }) => partitions);
  }

  /** Reports what it is given; takes over what it hears. Gives the code. */
  async beat(owned = this.owned, memberEpoch = this.memberEpoch): Promise<string> {
    const { group, memberId } = this;
    const { value, code } = await ask<HeartbeatResponse>((reply) =>
      groups.heartbeat({ group, memberId, memberEpoch, owned }, reply),
    );
    if (value === null) return code;
    this.memberEpoch = value.memberEpoch;
    if (value.assignment !== undefined) this.owned = value.assignment.partitions;
    return code;
  }

  async leave(keepPlace = false): Promise<string> {
    const { group, memberId, memberEpoch } = this;
    return (await ask((reply) => groups.leaveGroup({ group, memberId, memberEpoch, reason: 0, keepPlace }, reply)))
      .code;
  }

  async commit(partition: number, offset: bigint, sequence: bigint, memberEpoch = this.memberEpoch): Promise<string> {
    const { group, memberId } = this;
    const offsets = [{ topic: 't', partition, offset, metadata: '' }];
    return (await ask((reply) => groups.commit({ group, memberId, memberEpoch, sequence, offsets }, reply))).code;
  }
}

const joinAs = (group: string, more: Partial<JoinGroupRequest> = {}) =>
  ask<JoinGroupResponse>((reply) => groups.joinGroup({ group, topics: ['t'], clientId: 'test', ...more }, reply));

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await wait(50);
  }
}

const stateOf = async (group: string): Promise<string> => (await client.groups.describe(group)).state;

async function committed(group: string, partition = 0): Promise<number | null> {
  const found = await client.admin.fetchCommitted(group, [{ topic: 't', partition }]);
  return found[0]?.offset ?? null;
}

/** Both of two members have half of the partitions. */
async function settled(one: Member, two: Member): Promise<void> {
  await until('two members share', async () => {
    assert.equal(await one.beat(), 'ok');
    assert.equal(await two.beat(), 'ok');
    return one.partitions.length === 2 && two.partitions.length === 2;
  });
}

test('groups on three brokers', async (t) => {
  // one cluster for all of it
  cluster = await Cluster.plan(t);
  await Promise.all([0, 1, 2].map((id) => cluster.start(id, settings).ready()));
  client = new Client({ brokers: [0, 1, 2].map((id) => cluster.address(id)) });
  groups = new GroupServiceClient(cluster.address(0), credentials.createInsecure());
  t.after(async () => {
    groups.close();
    await client.close();
  });
  await until('the topic is made', async () => {
    try {
      await client.admin.createTopic({ name: 't', partitions: 4, replicationFactor: 3 });
      return true;
    } catch (error) {
      if (error instanceof BrokerError && error.retriable) return false;
      throw error;
    }
  });

  await t.test('sem-K2: a group is stable, reconciling while partitions move, stable again, and empty', async () => {
    const one = await Member.join('k2');
    assert.equal(await stateOf('k2'), 'stable');
    const two = await Member.join('k2');
    assert.equal(await stateOf('k2'), 'reconciling');
    await settled(one, two);
    assert.equal(await stateOf('k2'), 'stable');
    assert.deepEqual([await one.leave(), await two.leave()], ['ok', 'ok']);
    assert.equal(await stateOf('k2'), 'empty');
  });

  await t.test(
    'sem-K4: epochs above and below the known one are fenced; the one before is answered after a lost answer',
    async () => {
      const one = await Member.join('k4');
      assert.equal(await one.beat(one.owned, one.memberEpoch + 1), 'FENCED_MEMBER_EPOCH');
      const two = await Member.join('k4');
      assert.equal(await one.beat(), 'ok');
      const before = { epoch: one.memberEpoch, owned: one.owned };
      assert.equal(await one.beat(), 'ok', 'it has given up what it was told to');
      const newest = one.memberEpoch;
      assert.ok(newest > before.epoch);
      assert.equal(await one.beat(before.owned, before.epoch), 'ok', 'as if the answer had been lost');
      assert.equal(one.memberEpoch, newest);
      assert.equal(await one.commit(one.partitions[0] ?? 0, 1n, 1n, before.epoch), 'STALE_MEMBER_EPOCH');
      await settled(one, two);
      const elsewhere = [{ topic: 't', topicId: '', partitions: two.partitions }];
      assert.equal(await one.beat(elsewhere, before.epoch), 'FENCED_MEMBER_EPOCH', 'it reads what it was not given');
    },
  );

  await t.test('sem-K5: who does not give up what it must in time is out, and others get its partitions', async () => {
    const one = await Member.join('k5');
    const all = one.owned;
    const two = await Member.join('k5');
    await until(
      'the one that holds on is out',
      async () => (await one.beat(all, one.memberEpoch)) === 'UNKNOWN_MEMBER_ID',
    );
    await until('the other one has it all', async () => {
      assert.equal(await two.beat(), 'ok');
      return two.partitions.length === 4;
    });
    const { rebalances } = await client.groups.describe('k5');
    assert.ok(rebalances.some(({ reason }) => reason === 'revocation-expired'));
  });

  await t.test(
    'sem-K7: an instance id is one member’s; its place waits for its next life; an unknown assignor is refused',
    async () => {
      const living = client.consumer({ group: 'k7', topics: ['t'], instanceId: 'i', onNoOffset: 'earliest' });
      await living.start();
      const described = async () =>
        must(
          (await client.groups.describe('k7')).members.find((each) => each.instanceId === 'i'),
          'the member is there',
        );
      await until('it has a stream', async () => !(await described()).suspect);
      const two = await Member.join('k7');
      await until('two members share', async () => {
        assert.equal(await two.beat(), 'ok');
        return two.partitions.length === 2 && living.assignment.length === 2;
      });
      assert.equal((await joinAs('k7', { instanceId: 'i' })).code, 'UNRELEASED_INSTANCE_ID');
      const [{ memberId, memberEpoch }, had] = [await described(), living.assignment.map(({ partition }) => partition)];
      await living.close();
      const back = await Member.join('k7', { instanceId: 'i' });
      assert.deepEqual([back.memberId, back.partitions], [memberId, had.sort((a, b) => a - b)]);
      const old = Object.assign(new Member('k7'), { memberId, memberEpoch });
      assert.equal(await old.beat(), 'FENCED_INSTANCE_ID');
      const kept = two.partitions;
      assert.equal(await two.beat(), 'ok');
      assert.deepEqual(two.partitions, kept, 'the other one noticed nothing');
      assert.equal((await joinAs('k7', { assignor: 'sticky' })).code, 'UNSUPPORTED_ASSIGNOR');
      assert.equal((await joinAs('k7', { assignor: 'range' })).code, 'INCONSISTENT_GROUP_PROTOCOL');
    },
  );

  await t.test(
    'sem-O2: where nothing was committed there is no offset; a rewind takes effect, and a late duplicate does not',
    async () => {
      assert.equal(await committed('o2'), null);
      const one = await Member.join('o2');
      assert.equal(await committed('o2'), null);
      assert.equal(await one.commit(0, 10n, 1n), 'ok');
      assert.equal(await one.commit(0, 4n, 2n), 'ok');
      assert.equal(await committed('o2'), 4, 'deliberately back');
      assert.equal(await one.commit(0, 10n, 1n), 'ok');
      assert.equal(await committed('o2'), 4, 'what comes late undoes nothing');
    },
  );

  await t.test('sem-O4: offsets outlive the group by their retention, and the group goes with them', async () => {
    const one = await Member.join('o4');
    assert.equal(await one.commit(0, 7n, 1n), 'ok');
    const untilMs = performance.now() + 4_000;
    while (performance.now() < untilMs) {
      assert.equal(await one.beat(), 'ok');
      await wait(200);
    }
    assert.equal(await committed('o4'), 7, 'a group that lives keeps them');
    assert.equal(await one.leave(), 'ok');
    await until('they are forgotten', async () => (await committed('o4')) === null);
    await until('the group is gone', async () => {
      const left = await client.groups.list();
      return !left.groups.some(({ group }) => group === 'o4');
    });
  });

  await t.test(
    'sem-O5: without an offset it is an error unless a policy was chosen; what is newer than the group is read from its beginning',
    async () => {
      await assert.rejects(client.consumer({ group: 'o5-error', topics: ['t'] }).start(), {
        code: 'NO_COMMITTED_OFFSET',
      });
      await until('another topic is made', async () => {
        await client.admin.createTopic({ name: 'grows', partitions: 1, replicationFactor: 3 });
        return true;
      });
      const producer = client.producer<Uint8Array, string>(text);
      await producer.send('grows', { value: 'before', partition: 0 });
      const seen: string[] = [];
      const consumer = client.consumer<Uint8Array, string>({
        ...{ group: 'o5', topics: ['grows'], ...text, onNoOffset: 'latest' },
      });
      await consumer.start();
      const reading = (async () => {
        for await (const record of consumer) seen.push(record.value ?? '');
      })();
      await client.admin.addPartitions('grows', 2);
      // there before the member has the new partition: the policy would leave it out
      const later = new Client({ brokers: [0, 1, 2].map((id) => cluster.address(id)) });
      await until('the new partition is known', async () => {
        try {
          await later.producer<Uint8Array, string>(text).send('grows', { value: 'in the new one', partition: 1 });
          return true;
        } catch (error) {
          if (BrokerError.is(error, 'UNKNOWN_TOPIC_OR_PARTITION')) return false;
          throw error;
        }
      });
      await later.close();
      await producer.send('grows', { value: 'after', partition: 0 });
      await until('both are read', () => Promise.resolve(seen.length >= 2));
      assert.deepEqual([...seen].sort(), ['after', 'in the new one']);
      await producer.close();
      await consumer.close();
      await reading;
    },
  );
});
