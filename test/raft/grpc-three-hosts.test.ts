/** Three hosts whose brokers talk over real sockets, through proxies that can be cut. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { GroupLogs } from '../../src/log/log.ts';
import { toBrokerId, toReplicaId } from '../../src/model/ids.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import type { RaftGroup } from '../../src/raft/group.ts';
import { MultiRaftHost } from '../../src/raft/host.ts';
import { endOfTurn } from '../../src/raft/turns.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { realClock } from '../../src/runtime/real-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { MemoryLogs } from '../fakes/memory-log.ts';
import { AddressBook, clusterId, CuttableProxy, loopback, PeerRig, until } from './peer-rig.ts';
import { batch, groupSeven, Listening, RecordingData } from './rig.ts';

const ids = [1, 2, 3] as const;
const voters = ids.map(toReplicaId);

class Member {
  readonly id: number;
  readonly machine = new RecordingData();
  readonly rig: PeerRig;
  readonly host: MultiRaftHost;
  readonly fatal: unknown[] = [];
  group!: RaftGroup;

  constructor(id: number, book: AddressBook) {
    this.id = id;
    // pings soon, so that a test with a connection that swallows everything does not take long
    const limits = { backoffMinMs: 10, backoffMaxMs: 200, keepaliveMs: 1_000, keepaliveTimeoutMs: 1_000 };
    this.rig = new PeerRig({ broker: id, book, limits });
    const logs: GroupLogs = new MemoryLogs();
    this.host = new MultiRaftHost({
      logs,
      clusterId,
      mayVote: true,
      clock: realClock,
      random: systemRandom,
      crc32c,
      raftLimits: raftLimitsDefault,
      driverLimits: driverLimitsDefault,
      transport: this.rig.peers,
      directory: this.rig.peers,
      schedule: endOfTurn,
      observer: {},
      fatal: (error) => this.fatal.push(error),
    });
  }
}

class Cluster {
  readonly members: Member[] = [];
  /** Who dials broker n goes through proxies[n]: cutting it cuts what n hears. */
  readonly proxies = new Map<number, CuttableProxy>();
  readonly #books = new Map<number, AddressBook>();

  static async started(): Promise<Cluster> {
    const cluster = new Cluster();
    for (const id of ids) {
      const book = new AddressBook();
      for (const replica of ids) book.replicas.set(toReplicaId(replica), toBrokerId(replica));
      cluster.#books.set(id, book);
      const member = new Member(id, book);
      const port = await member.rig.peers.listen(loopback, 0);
      cluster.proxies.set(id, await CuttableProxy.to(port));
      cluster.members.push(member);
    }
    for (const book of cluster.#books.values())
      for (const id of ids) book.addresses.set(toBrokerId(id), cluster.proxies.get(id)!.address);
    for (const member of cluster.members) {
      const spec = { group: groupSeven, replicaId: toReplicaId(member.id), voters };
      member.group = await member.host.start(spec, member.machine);
    }
    return cluster;
  }

  leaderAmong(members: readonly Member[]): Member | undefined {
    return members.find((member) => member.group.role.serving);
  }

  async leader(members: readonly Member[] = this.members): Promise<Member> {
    await until(() => this.leaderAmong(members) !== undefined);
    return this.leaderAmong(members)!;
  }

  /**
   * Proposes until something is committed, each time another text: on a machine that stands still for a second the leader
   * changes, and what it was about to commit has an unknown outcome.
   * @returns what was committed
   */
  async append(text: string, members: readonly Member[] = this.members): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      const record = `${text}.${attempt} `;
      const leader = await this.leader(members);
      const listening = new Listening();
      leader.group.propose(batch(record), listening);
      await until(() => listening.heard.some((line) => line === 'committed' || line.startsWith('unknown')));
      if (listening.heard.includes('committed')) return record;
    }
  }

  /** Waits until all have applied the same, and asserts that what was committed is in it once, in order. */
  async agreeOn(committed: readonly string[]): Promise<void> {
    const last = committed.at(-1) ?? '';
    await until(() => this.members.every(({ machine }) => machine.state.includes(last)));
    await until(() => new Set(this.members.map(({ machine }) => machine.state)).size === 1);
    const records = this.members[0]!.machine.state.split(/(?<= )/);
    assert.deepEqual(
      records.filter((record) => committed.includes(record)),
      committed,
    );
    assert.deepEqual(
      this.members.flatMap(({ fatal, rig }) => [...fatal, ...rig.defects]),
      [],
    );
  }

  async close(): Promise<void> {
    for (const { host, rig } of this.members) {
      await host.close();
      rig.peers.close();
    }
    for (const proxy of this.proxies.values()) await proxy.close();
  }
}

const open: Cluster[] = [];
after(async () => {
  for (const cluster of open) await cluster.close();
});

async function started(): Promise<Cluster> {
  const cluster = await Cluster.started();
  open.push(cluster);
  return cluster;
}

const options = { timeout: 90_000 };

test('three hosts over gRPC elect, replicate, and survive connections that are reset', options, async () => {
  const cluster = await started();
  const committed: string[] = [];
  for (let i = 0; i < 30; i++) {
    committed.push(await cluster.append(`${i}`));
    if (i % 10 === 5) for (const proxy of cluster.proxies.values()) proxy.reset();
  }
  await cluster.agreeOn(committed);
  const made = cluster.members.reduce((sum, { rig }) => sum + rig.connected.length, 0);
  assert.ok(made > 12, 'links were made more than once');
});

test(
  'a leader whose voice is swallowed is followed by another one, and comes back as a follower',
  options,
  async () => {
    const cluster = await started();
    const committed = [await cluster.append('before')];
    const old = await cluster.leader();
    const others = cluster.members.filter((member) => member !== old);
    for (const proxy of cluster.proxies.values()) proxy.swallow();
    await until(() => !old.group.role.serving);
    // the others hear everybody again; the old leader hears nothing, so nobody is heard to vote for it
    for (const { id } of others) cluster.proxies.get(id)!.reset();
    committed.push(await cluster.append('after', others));
    cluster.proxies.get(old.id)!.reset();
    await cluster.agreeOn(committed);
  },
);
