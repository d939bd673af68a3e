/** Several whole brokers in one process: Raft hosts on stores in memory, a network that a test can cut, one clock. */
import assert from 'node:assert/strict';
import type { BrokerIdentity } from '../../src/broker/broker-identity.ts';
import { Broker } from '../../src/broker/broker.ts';
import { askToJoin } from '../../src/broker/cluster-entry.ts';
import type { ClusterMembership } from '../../src/broker/cluster-membership.ts';
import { foundingBrokers } from '../../src/broker/founding-agreement.ts';
import type { FoundingOutcome, GenesisStore, HeldGenesis } from '../../src/broker/founding-talk.ts';
import { beginGenesis, FoundingTalk } from '../../src/broker/founding-talk.ts';
import type { BrokerLimits } from '../../src/broker/limits.ts';
import { silentBrokerObserver } from '../../src/broker/observer.ts';
import { ReplicaDirectory } from '../../src/broker/replica-directory.ts';
import type { AppendReceipt, ClusterInfo, PartitionInfo, RequestContext } from '../../src/broker/requests.ts';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { DurableGroupLogs } from '../../src/log/group-logs.ts';
import { TailCacheBudget } from '../../src/log/tail-cache-budget.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { Result } from '../../src/model/errors.ts';
import type { BrokerId, GroupNumber } from '../../src/model/ids.ts';
import { catalogGroup, millisPlus, toBrokerId, toMillis, toOffset } from '../../src/model/ids.ts';
import { readBatchHeader } from '../../src/model/record-batch.ts';
import { raftLimitsDefault } from '../../src/raft/core/limits.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import type { RaftGroup, RaftHost } from '../../src/raft/group.ts';
import { PeerClocks } from '../../src/raft/peer-clocks.ts';
import { MultiRaftHost } from '../../src/raft/host.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { BrokerNetwork } from '../fakes/broker-network.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { MemoryStore } from '../fakes/memory-store.ts';
import { SeededRandom } from '../fakes/seeded-random.ts';
import { compression, text } from './batches.ts';
import { value } from './broker-fixture.ts';

/** What outlives a process. */
interface Disk {
  readonly incarnation: string;
  clusterId: string | null;
  store: MemoryStore;
  genesis: HeldGenesis | null;
}

export interface Beginning {
  /** What an empty disk claims to be. */
  readonly incarnation?: string;
  /** Ids of the brokers that found the cluster together, by this broker's settings. Default: broker 0 alone. */
  readonly founders?: readonly number[];
  /** Newest format that its software knows. Default: that of this software. */
  readonly formatVersion?: number;
  /** Dies there: before or after the step is on the disk. */
  readonly crashAt?: CrashPoint;
}

export type CrashPoint = 'before genesis' | 'after genesis' | 'after bound' | 'after created' | 'after begun';
export const crashPoints: readonly CrashPoint[] = [
  'before genesis',
  'after genesis',
  'after bound',
  'after created',
  'after begun',
];
export class Crash extends Error {}

export interface Member {
  readonly id: BrokerId;
  /** UUID of the process. */
  readonly process: string;
  readonly broker: Broker;
  readonly directory: ReplicaDirectory;
  readonly stop: AbortController;
  /** What runs on it. */
  readonly groups: Map<GroupNumber, RaftGroup>;
}

/** A host that tells which groups it started. */
function recording(host: RaftHost, groups: Map<GroupNumber, RaftGroup>): RaftHost {
  return {
    get apart() {
      return host.apart;
    },
    existing: () => host.existing(),
    create: (spec, kind) => host.create(spec, kind),
    start: async (spec, machine) => {
      const group = await host.start(spec, machine);
      groups.set(spec.group, group);
      return group;
    },
    stop: (group) => host.stop(group),
    remove: async (group) => {
      groups.delete(group);
      await host.remove(group);
    },
    close: () => host.close(),
  };
}

const testLimits: Partial<BrokerLimits> = { groupsPartitions: 1, producerIdBlock: 10 };
const stepMs = 50;
const strayMsMax = 10_000;

export class Cluster {
  readonly clock = new ManualClock();
  readonly network = new BrokerNetwork();
  readonly members = new Map<number, Member>();
  readonly disks = new Map<number, Disk>();
  /** Processes on their way into the cluster, and those that are in. */
  readonly starting: { readonly id: number; readonly stop: AbortController }[] = [];
  /** What kept brokers waiting on their way into the cluster. */
  readonly waits: string[] = [];
  /** What made a process end. */
  readonly faults: unknown[] = [];
  /** Where a broker's next process runs, if not on `host-<id>`. */
  readonly hosts = new Map<number, string>();
  /** How far the wall clocks of brokers are ahead of the others, milliseconds. */
  readonly wallAheadMs = new Map<number, number>();
  readonly #limits: Partial<BrokerLimits>;
  readonly #racks: readonly string[];
  #seed = 0;

  constructor(limits: Partial<BrokerLimits> = {}, racks: readonly string[] = []) {
    this.#limits = { ...testLimits, ...limits };
    this.#racks = racks;
  }

  /** Broker 0 founds, the others join it. */
  static async started(
    count: number,
    limits: Partial<BrokerLimits> = {},
    racks: readonly string[] = [],
  ): Promise<Cluster> {
    const cluster = new Cluster(limits, racks);
    for (let id = 0; id < count; id++) await cluster.start(id);
    await cluster.pass(3_000);
    return cluster;
  }

  async settle(turns = 12): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(stepMs);
      await this.settle();
    }
  }

  /** Lets time pass until there is an answer. */
  async answer<T>(promise: Promise<T>, msMax = 60_000): Promise<T> {
    let done = false;
    const settled = promise.finally(() => {
      done = true;
    });
    settled.catch(() => undefined);
    await this.settle();
    for (let passed = 0; !done; passed += stepMs) {
      assert.ok(passed < msMax, `no answer within ${msMax} ms`);
      await this.pass(stepMs);
    }
    return settled;
  }

  /** Lets time pass until it holds. */
  async until(what: string, holds: () => boolean, msMax = 30_000): Promise<void> {
    for (let passed = 0; !holds(); passed += stepMs) {
      assert.ok(passed < msMax, `${what}: not within ${msMax} ms`);
      await this.pass(stepMs);
    }
  }

  /** A new process on the broker's disk, or on an empty one; resolves when it has started. */
  async start(id: number, how: Beginning = {}): Promise<Member> {
    const member = await this.begin(id, how);
    await this.answer(member.broker.start());
    return member;
  }

  /** A new process, up to where its broker is to be started; with an empty disk it may claim an old one's identity. */
  async begin(id: number, { incarnation, founders = [0], crashAt, formatVersion }: Beginning = {}): Promise<Member> {
    const brokerId = toBrokerId(id);
    const seed = ++this.#seed;
    const disk = this.disks.get(id) ?? {
      incarnation: incarnation ?? `disk-${id}-${seed}`,
      clusterId: null,
      store: new MemoryStore(),
      genesis: null,
    };
    this.disks.set(id, disk);
    const directory = new ReplicaDirectory();
    const place = {
      brokerId,
      incarnation: disk.incarnation,
      address: `${this.host(id)}:9400`,
      peerAddress: `${this.host(id)}:9401`,
      rack: this.#racks[id] ?? null,
      version: '0.1.0',
      ...(formatVersion === undefined ? {} : { formatVersion }),
    };
    const rpc = this.network.rpcOf(brokerId, place.peerAddress, () => {
      const { incarnation, clusterId } = disk;
      return {
        brokerId,
        clusterId,
        incarnation,
        bootNumber: seed,
        processNonce: `process-${seed}`,
        recoveredCommit: 0,
        earlierStarts: [],
        peerAddress: place.peerAddress,
      };
    });
    const stop = new AbortController();
    this.starting.push({ id, stop });
    const seeds = [...this.disks.keys()].filter((other) => other !== id).map((other) => `${this.host(other)}:9401`);
    const crash = (at: CrashPoint): void => {
      if (crashAt === at) throw new Crash(at);
    };
    const store: GenesisStore = {
      read: () => Promise.resolve(disk.genesis),
      write: async (held) => {
        crash('before genesis');
        await new Promise((resolve) => setImmediate(resolve));
        if (held.begun) crash('after created');
        disk.genesis = held;
        crash(held.begun ? 'after begun' : 'after genesis');
      },
    };
    const shell = { self: place, store, rpc, clock: this.clock, signal: stop.signal };
    const list = founders.map((founder) => ({
      brokerId: toBrokerId(founder),
      peerAddress: `${this.host(founder)}:9401`,
    }));
    const waiting = (why: string): void => void this.waits.push(`${id} ${why}`);
    const random = new SeededRandom(seed);
    const talk = new FoundingTalk({ ...shell, founders: list, clusterId: () => disk.clusterId, random, waiting });
    await talk.open();
    let outcome: FoundingOutcome | null = null;
    if (disk.clusterId === null || disk.genesis !== null) {
      outcome = founders.includes(id) ? await this.answer(talk.settle()) : null;
      if (outcome?.kind === 'founds') disk.clusterId = outcome.genesis.clusterId;
      crash('after bound');
    }
    let admitted: Pick<ClusterMembership, 'catalogReplica' | 'catalogVoters' | 'founders'> | null = null;
    if (disk.clusterId === null) {
      const entry = { identity: place, rpc, seeds, clock: this.clock, waiting, signal: stop.signal };
      const { clusterId, catalogReplica } = await this.answer(askToJoin(entry));
      disk.clusterId = clusterId;
      admitted = { catalogReplica, catalogVoters: [], founders: [] };
    }
    const { clusterId } = disk;
    const onFault = (error: unknown): void => {
      // a process that crashed finds its store closed; nobody is there to hear of it
      if (!stop.signal.aborted) this.faults.push(error);
    };
    const clock: Clock = {
      wallMs: () => toMillis(this.clock.wallMs() + (this.wallAheadMs.get(id) ?? 0)),
      monotonicMs: () => this.clock.monotonicMs(),
      setTimer: (delayMs, fire) => this.clock.setTimer(delayMs, fire),
    };
    const clocks = new PeerClocks(clock, strayMsMax);
    const host = new MultiRaftHost({
      logs: new DurableGroupLogs({
        store: disk.store,
        crc32c,
        cache: new TailCacheBudget(1_000_000),
        garbage: new GarbageMeter(),
      }),
      clusterId,
      mayVote: true,
      clock,
      clocks,
      random: new SeededRandom(seed),
      crc32c,
      raftLimits: raftLimitsDefault,
      driverLimits: driverLimitsDefault,
      transport: this.network.transportOf(brokerId, directory),
      directory,
      schedule: (run) => setImmediate(run),
      observer: {},
      fatal: onFault,
    });
    if (outcome?.kind === 'founds') await beginGenesis(host, store, place);
    if (admitted === null) {
      const [own] = await host.existing();
      assert.ok(own?.group === catalogGroup, 'the disk has its replica of the catalog');
      const began = outcome?.kind === 'founds' ? foundingBrokers(outcome.genesis) : [];
      for (const founder of began) directory.teach(founder.catalogReplica, founder.brokerId);
      admitted = { catalogReplica: own.replicaId, catalogVoters: [], founders: began };
    }
    const identity: BrokerIdentity = { ...place, clusterId };
    const processOf = (other: BrokerId): string | null => this.members.get(other)?.process ?? null;
    const groups = new Map<GroupNumber, RaftGroup>();
    const broker = new Broker({
      identity,
      host: recording(host, groups),
      clock,
      clocks,
      random: new SeededRandom(seed),
      compression,
      disk: { admit: () => true },
      onFault,
      limits: this.#limits,
      observer: { ...silentBrokerObserver, waitsForCatalog: waiting },
      cluster: { ...admitted, seeds, rpc, processOf, directory },
    });
    const member = { id: brokerId, process: `process-${seed}`, broker, directory, stop, groups };
    this.members.set(id, member);
    return member;
  }

  /** The process ends at once; what was synced is on its disk. */
  async crash(id: number): Promise<void> {
    const member = this.member(id);
    this.network.gone(member.id);
    this.network.cutOff(member.id);
    this.members.delete(id);
    const disk = this.disks.get(id)!;
    disk.store = disk.store.powerCut();
    member.stop.abort();
    await this.settle();
    // nothing of the old process may act any more: its timers are the only thing that could
    member.broker.close().catch(() => undefined);
    await this.settle();
    this.network.heal(member.id);
  }

  /** An orderly stop. */
  async stop(id: number): Promise<void> {
    const member = this.member(id);
    await this.answer(member.broker.handOver());
    await this.answer(member.broker.close());
    this.network.gone(member.id);
    this.members.delete(id);
  }

  /** The disk is gone; the next start is on an empty one. */
  wipe(id: number): void {
    assert.ok(!this.members.has(id), 'wiped while it is down');
    this.disks.delete(id);
  }

  host(id: number): string {
    return this.hosts.get(id) ?? `host-${id}`;
  }

  member(id: number): Member {
    const member = this.members.get(id);
    assert.ok(member, `broker ${id} runs`);
    return member;
  }

  context(waitMs = 5_000): RequestContext {
    const deadlineMs = millisPlus(this.clock.monotonicMs(), waitMs);
    return { principal: 'tester', tenant: 0, deadlineMs, signal: new AbortController().signal };
  }

  async topic(name: string, partitions = 1, replicationFactor: number | null = null, at = 0): Promise<string> {
    const wish = { name, partitions, replicationFactor };
    for (let attempt = 0; attempt < 100; attempt++) {
      const created = await this.answer(this.member(at).broker.createTopic(wish, this.context(10_000)));
      // certainly not created: as a client does, ask again while the catalog elects
      if (created.kind === 'ok' || created.error.code !== 'LEADER_NOT_AVAILABLE') return value(created).topic.topicId;
      await this.pass(100);
    }
    assert.fail(`${name} is not created`);
  }

  describe(at: number, name: string): Promise<readonly PartitionInfo[]> {
    const described = this.answer(this.member(at).broker.describeTopic(name, this.context()));
    return described.then((one) => value(one).partitions);
  }

  async cluster(at: number): Promise<ClusterInfo> {
    return value(await this.answer(this.member(at).broker.describeCluster(this.context())));
  }

  /** Appends through whoever leads, as a client does that follows hints; gives back the offset and who led. */
  async append(
    topic: string,
    line: string,
    partition = 0,
  ): Promise<{ readonly offset: number; readonly leader: number }> {
    for (let attempt = 0; attempt < 200; attempt++) {
      for (const [id, { broker }] of [...this.members]) {
        const request = { topic, topicId: null, partition, batch: text([line]), acks: 'all' } as const;
        const result: Result<AppendReceipt> = await this.answer(broker.append(request, this.context()));
        if (result.kind === 'ok') return { offset: result.value.baseOffset ?? -1, leader: id };
      }
      await this.pass(100);
    }
    assert.fail(`nobody takes records for ${topic}/${partition}`);
  }

  /** How many records are visible on one broker, each batch read. */
  async visible(id: number, topic: string, partition = 0): Promise<number> {
    const at = { topic, topicId: null, partition, fetchOffset: toOffset(0), leaderEpoch: null, bytesMax: 1_000_000 };
    const request = { partitions: [at], waitMsMax: 0, bytesMin: 1, bytesMax: 1_000_000 };
    const answer = value(await this.answer(this.member(id).broker.fetch(request, this.context())));
    const [fetched] = answer.partitions;
    assert.equal(fetched?.error ?? null, null);
    return (fetched?.batches ?? []).reduce((sum, batch) => sum + value(readBatchHeader(batch)).count, 0);
  }
}
