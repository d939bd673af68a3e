/** Three hosts and a spare one, of which some fall behind and are brought up by snapshots, on whatever logs. */
import assert from 'node:assert/strict';
import type { GroupNumber, Offset, ReplicaId } from '../../src/model/ids.ts';
import { toLogIndex, toOffset, toReplicaId } from '../../src/model/ids.ts';
import { GarbageMeter } from '../../src/log/garbage-meter.ts';
import { DurableGroupLogs } from '../../src/log/group-logs.ts';
import type { GroupKind, GroupLogs } from '../../src/log/log.ts';
import type { Store } from '../../src/log/store.ts';
import { TailCacheBudget } from '../../src/log/tail-cache-budget.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import type { DriverLimits } from '../../src/raft/driver-limits.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import type { RaftGroup } from '../../src/raft/group.ts';
import { logStartDraft } from '../../src/raft/log-start.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { MemoryLogs } from '../fakes/memory-log.ts';
import { MemoryNetwork } from '../fakes/memory-network.ts';
import { MemoryStore } from '../fakes/memory-store.ts';
import { withRocksdbStore } from '../fakes/reopenable-stores.ts';
import { Listening, RecordingCommands, RecordingData, Rig, batch, command, groupSeven, settle } from './rig.ts';

/** The logs of one broker, and what a crash leaves of them. */
export interface Backing {
  readonly logs: GroupLogs;
  /** Resolves when nothing waits for the disk: time stands still until then, however slow the machine is. */
  quiet?(): Promise<void>;
  crash(): Promise<Backing>;
}

export type Backings = (run: (open: () => Promise<Backing>) => Promise<void>) => Promise<void>;

const onMemory = (logs: MemoryLogs): Backing => ({ logs, crash: () => Promise.resolve(onMemory(logs.crash())) });

/** A small cache, so that followers and applies read from the store too. */
const logsOn = (store: Store): GroupLogs =>
  new DurableGroupLogs({ store, crc32c, cache: new TailCacheBudget(500), garbage: new GarbageMeter() });

export const memoryLogs: Backings = (run) => run(() => Promise.resolve(onMemory(new MemoryLogs())));

export interface StoreBacking extends Backing {
  readonly store: MemoryStore;
  crash(): Promise<StoreBacking>;
}

export const onStore = (store: MemoryStore): StoreBacking => ({
  store,
  logs: logsOn(store),
  crash: () => Promise.resolve(onStore(store.powerCut())),
});

export const memoryStores: Backings = (run) => run(() => Promise.resolve(onStore(new MemoryStore())));

export const rocksdbStores: Backings = async (run) => {
  const ends: (() => void)[] = [];
  const over: Promise<void>[] = [];
  const open = (): Promise<Backing> =>
    new Promise((resolve, reject) => {
      const life = withRocksdbStore(async ({ store, reopen }) => {
        const on = (current: Store): Backing => ({
          logs: logsOn(current),
          quiet: async () => {
            do await new Promise((next) => setTimeout(next, 1));
            while (current.queuedBytes > 0);
          },
          crash: async () => on(await reopen()),
        });
        resolve(on(store));
        await new Promise<void>((end) => ends.push(end));
      });
      over.push(life);
      life.catch(reject);
    });
  await run(open);
  for (const end of ends) end();
  await Promise.all(over);
};

export interface Member {
  readonly id: number;
  readonly backing: Backing;
  readonly rig: Rig;
  readonly machine: RecordingData | RecordingCommands;
  readonly group: RaftGroup;
}

/** Small, so that everything happens soon; a follower that is cut off counts as gone after a second. */
const limits: Partial<DriverLimits> = {
  checkpointEntriesMax: 5,
  commandEntriesMax: 5,
  commandEntriesKept: 2,
  followerLiveMs: 1_000,
  snapshotChunkBytes: 10,
};

export class Cluster {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly members = new Map<number, Member>();
  readonly kind: GroupKind;
  readonly #open: () => Promise<Backing>;
  readonly #limits: Partial<DriverLimits>;
  readonly #raft: Partial<RaftLimits>;
  #proposed = 0;

  constructor(
    kind: GroupKind,
    open: () => Promise<Backing>,
    more: Partial<DriverLimits> = {},
    raft: Partial<RaftLimits> = {},
  ) {
    this.#raft = raft;
    this.kind = kind;
    this.#open = open;
    this.#limits = { ...driverLimitsDefault, ...limits, ...more };
  }

  static async started(
    kind: GroupKind,
    open: () => Promise<Backing>,
    more?: Partial<DriverLimits>,
    raft?: Partial<RaftLimits>,
  ): Promise<Cluster> {
    const cluster = new Cluster(kind, open, more, raft);
    for (const id of [1, 2, 3]) await cluster.start(id);
    await cluster.until(() => cluster.serving !== undefined, 'somebody serves');
    return cluster;
  }

  async start(id: number, backing?: Backing, voters: readonly number[] = [1, 2, 3]): Promise<Member> {
    const on = backing ?? (await this.#open());
    const rig = new Rig({
      clock: this.clock,
      transport: this.network.transportOf(id),
      seed: id,
      groupLogs: on.logs,
      driver: this.#limits,
      raft: this.#raft,
    });
    const machine = this.kind === 'data' ? new RecordingData() : new RecordingCommands();
    const spec = { group: groupSeven, replicaId: toReplicaId(id), voters: voters.map(toReplicaId) };
    const member = { id, backing: on, rig, machine, group: await rig.host.start(spec, machine) };
    this.members.set(id, member);
    return member;
  }

  /** The power of a host goes, and comes back. */
  async crash(id: number): Promise<Member> {
    const { rig, backing } = this.member(id);
    this.network.cutOff.add(id);
    const after = await backing.crash();
    // its writes may never end; it only must not do anything any more
    void rig.host.close().catch(() => undefined);
    this.network.cutOff.delete(id);
    return this.start(id, after);
  }

  async close(): Promise<void> {
    for (const { rig } of this.members.values()) {
      await rig.host.close();
      assert.deepEqual(rig.fatal, []);
    }
  }

  member(id: number): Member {
    return this.members.get(id)!;
  }

  get serving(): Member | undefined {
    return [...this.members.values()].find(({ id, group }) => group.role.serving && !this.network.cutOff.has(id));
  }

  get leader(): Member {
    assert.ok(this.serving !== undefined, 'somebody serves');
    return this.serving;
  }

  /** Some follower of the present leader. */
  get follower(): Member {
    return [...this.members.values()].find((member) => member !== this.leader)!;
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(50);
      await settle();
      for (const { backing } of this.members.values()) await backing.quiet?.();
      await settle();
    }
  }

  /** Lets time pass until something holds; a real disk takes real time too. */
  async until(holds: () => boolean, what: string): Promise<void> {
    for (let step = 0; !holds(); step++) {
      assert.ok(step < 2_000, `${what}: ${this.describe()}`);
      await this.pass(50);
    }
  }

  async propose(count: number): Promise<void> {
    const { group } = this.leader;
    for (let i = 0; i < count; i++) {
      const text = `p${this.#proposed++}.`;
      const listening = new Listening();
      const draft = this.kind === 'data' ? batch(text) : command(text);
      assert.equal(group.propose(draft, listening).kind, 'accepted');
      await this.until(() => listening.heard.some((what) => what !== 'durable'), text);
      assert.ok(listening.heard.includes('committed'), `${text} ${this.describe()}`);
    }
  }

  /** Everything below `logStart` may go, and what comes after it lets it go. */
  async moveLogStart(logStart: Offset): Promise<void> {
    const listening = new Listening();
    assert.equal(this.leader.group.propose(logStartDraft(logStart), listening).kind, 'accepted');
    await this.until(() => listening.heard.includes('committed'), 'the log start moves');
  }

  /** The leader's log begins above what `member` has. */
  async outrun(member: Member): Promise<void> {
    this.network.cutOff.add(member.id);
    await this.until(() => this.serving !== undefined && this.serving !== member, 'somebody else serves');
    await this.pass(2_000);
    await this.propose(12);
    if (this.kind === 'data') await this.moveLogStart(toOffset(this.leader.group.highWatermark - 3));
    await this.propose(12);
    const { group } = this.leader;
    await this.until(() => group.log.firstIndex > member.group.log.lastIndex + 1, 'the log is cut');
  }

  async heal(): Promise<void> {
    this.network.cutOff.clear();
    this.network.loses = () => false;
    this.network.alters = (message) => message;
    await this.until(() => this.agrees(), 'all agree');
  }

  /** Everybody has applied everything, and is in the same state. */
  agrees(): boolean {
    const { serving } = this;
    if (serving === undefined) return false;
    return [...this.members.values()].every(
      ({ group, machine }) =>
        group.appliedIndex === serving.group.log.lastIndex && stateOf(machine) === stateOf(serving.machine),
    );
  }

  describe(): string {
    return [...this.members.values()]
      .map(({ id, group, rig }) => {
        const { role, term } = group.role;
        const { firstIndex, lastIndex } = group.log;
        const why = group.quarantine ?? '';
        return `${id} ${role} t${term} log ${firstIndex}-${lastIndex} applied ${group.appliedIndex} ${why}${rig.damaged.join()}`;
      })
      .join('; ');
  }
}

export const stateOf = (machine: RecordingData | RecordingCommands): string =>
  machine.kind === 'data' ? machine.state : JSON.stringify([...machine.state].sort());

export const groupOf = (member: Member): GroupNumber => member.group.group;
export const replica = (id: number): ReplicaId => toReplicaId(id);
export const indexOf = toLogIndex;
