/** Consumer groups on three real brokers: members share the partitions, and only what moves stops. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Consumer, TopicPartition } from '../../clients/typescript/src/index.ts';
import { BrokerError, Client, serdes } from '../../clients/typescript/src/index.ts';
import { Cluster } from './three-places.ts';

const partitions = 12;
/** For a machine that does much else; nothing is proven by waiting this long. */
const patienceMs = 40_000;
const text = { value: serdes.utf8 } as const;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      if (await holds()) return;
    } catch (error) {
      if (!(error instanceof BrokerError) || !error.retriable) throw error;
    }
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await wait(20);
  }
}

async function started(t: TestContext): Promise<{ readonly cluster: Cluster; readonly client: Client }> {
  const cluster = await Cluster.plan(t);
  await Promise.all([0, 1, 2].map((id) => cluster.start(id, { 'groups.heartbeatIntervalMs': '500ms' }).ready()));
  const client = new Client({ brokers: [0, 1, 2].map((id) => cluster.address(id)) });
  t.after(() => client.close());
  await until('the topic is made', async () => {
    await client.admin.createTopic({ name: 't', partitions, replicationFactor: 3 });
    return true;
  });
  return { cluster, client };
}

/** A member that reads all the time and remembers what it was given and what was taken from it. */
class Member {
  readonly consumer: Consumer<Uint8Array, string>;
  readonly seen: string[] = [];
  readonly revoked: TopicPartition[] = [];
  readonly ended: Promise<void>;

  constructor(client: Client, group: string) {
    this.consumer = client.consumer<Uint8Array, string>({
      ...{ group, topics: ['t'], ...text, onNoOffset: 'earliest' },
      onRevoked: (gone) => void this.revoked.push(...gone),
    });
    this.ended = this.#read();
  }

  get owned(): string[] {
    return this.consumer.assignment.map(({ partition }) => String(partition));
  }

  async #read(): Promise<void> {
    for await (const record of this.consumer) this.seen.push(record.value ?? '');
  }
}

const shares = (members: readonly Member[]): string => members.map(({ owned }) => owned.length).join(' ');

const sharedBy = (members: readonly Member[]): boolean => {
  const all = members.flatMap(({ owned }) => owned);
  return all.length === partitions && new Set(all).size === partitions;
};

test('sem-K1, sem-K3: members share the partitions, and one that leaves or joins stops only what moves', async (t) => {
  const { client } = await started(t);
  const members = [new Member(client, 'g'), new Member(client, 'g'), new Member(client, 'g')];
  await until('three members have four partitions each', () => sharedBy(members) && shares(members) === '4 4 4');
  const producer = client.producer<Uint8Array, string>(text);
  const values = Array.from({ length: 600 }, (_, n) => String(n));
  await producer.sendMany(
    't',
    values.map((value) => ({ value })),
  );
  await until('all is read', () => members.reduce((sum, { seen }) => sum + seen.length, 0) >= values.length);
  const read = members.flatMap(({ seen }) => seen).sort((a, b) => Number(a) - Number(b));
  assert.deepEqual(read, values, 'each record once, at one member');

  const [first, second, third] = members as [Member, Member, Member];
  const kept = [new Set(first.owned), new Set(second.owned)];
  for (const member of members) member.revoked.length = 0;
  await third.consumer.close();
  await third.ended;
  await until('two members have it all', () => sharedBy([first, second]) && shares([first, second]) === '6 6');
  for (const [n, member] of [first, second].entries()) {
    assert.deepEqual(member.revoked, [], 'who stays loses nothing');
    for (const partition of kept[n] ?? []) assert.ok(member.owned.includes(partition));
  }

  const fourth = new Member(client, 'g');
  await until('the new member has its share', () => sharedBy([first, second, fourth]) && fourth.owned.length === 4);
  assert.deepEqual([first.revoked.length, second.revoked.length], [2, 2], 'only what moves is given up');
  await Promise.all([first, second, fourth].map(({ consumer }) => consumer.close()));
});

test('sem-K6, sem-O1, sem-O3: what a member commits outlives the death of the coordinator, and nobody is expelled', async (t) => {
  const { cluster, client } = await started(t);
  const members = [new Member(client, 'g'), new Member(client, 'g')];
  await until('both have their share', () => sharedBy(members) && shares(members) === '6 6');
  const owned = members.map((member) => member.owned);
  const producer = client.producer<Uint8Array, string>(text);
  const values = Array.from({ length: 120 }, (_, n) => ({ value: String(n), partition: n % partitions }));
  await producer.sendMany('t', values);
  await until('all is read', () => members.reduce((sum, { seen }) => sum + seen.length, 0) >= values.length);
  await Promise.all(members.map(({ consumer }) => consumer.commit()));

  const groups = await client.admin.listTopics({ includeInternal: true });
  assert.ok(groups.some(({ name }) => name === '__groups'));
  const coordinators = await client.admin.describeTopic('__groups');
  const leaders = new Set(coordinators.partitions.map(({ leader }) => leader));
  const dead = [...leaders][0] ?? assert.fail();
  await cluster.broker(dead).kill('SIGKILL');
  await until('the commits are there', async () => {
    const committed = await client.admin.fetchCommitted('g');
    return committed.length === partitions && committed.every(({ offset }) => offset === 10);
  });
  await producer.sendMany('t', values);
  await until('reading goes on', () => members.reduce((sum, { seen }) => sum + seen.length, 0) >= 2 * values.length);
  assert.deepEqual(
    members.map((member) => member.owned),
    owned,
    'the same members read the same partitions',
  );
  await Promise.all(members.map(({ consumer }) => consumer.close()));
});
