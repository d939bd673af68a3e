/** One node: the production host, driver and core on a virtual clock, network and disk. Dies and comes back. */
import { crc32c } from '../../src/runtime/crc32c.ts';
import { PeerMemoryFile } from '../../src/log/peer-memory-file.ts';
import { InvariantViolation, must } from '../../src/model/assert.ts';
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber, LogIndex, ReplicaId } from '../../src/model/ids.ts';
import { toBrokerId } from '../../src/model/ids.ts';
import type { StateMachine } from '../../src/raft/group.ts';
import { GroupDriver } from '../../src/raft/driver.ts';
import { MultiRaftHost } from '../../src/raft/host.ts';
import type { HandshakeContext } from '../../src/raft/grpc-handshake.ts';
import type { Refusal } from '../../src/raft/peer-admission.ts';
import type { RememberedPeer } from '../../src/raft/peer-memory.ts';
import type { Condemnation } from '../../src/raft/standing.ts';
import { isWelcomedBy, mayVote } from '../../src/raft/vote-gate.ts';
import type { SnapshotMeta } from '../../src/raft/core/snapshot.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';
import type { DriverLimits } from '../../src/raft/driver-limits.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import type { GroupImage } from './group-image.ts';
import { SimClock } from './sim-clock.ts';
import type { Keep } from './sim-disk.ts';
import { SimDisk } from './sim-disk.ts';
import { SimCommandMachine, SimDataMachine } from './sim-machine.ts';
import type { NodeNumber } from './sim-network.ts';
import type { SimPeersOptions } from './sim-peers.ts';
import { SimPeers } from './sim-peers.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimScheduler } from './sim-scheduler.ts';
import type { StreamFrame } from './sim-stream.ts';

export interface GroupPlan {
  readonly group: GroupNumber;
  readonly kind: 'data' | 'commands';
  /** Founding voters. */
  readonly voters: readonly ReplicaId[];
}

/** A replica that the catalog has put on a node. */
export interface Assignment {
  readonly plan: GroupPlan;
  readonly replicaId: ReplicaId;
  /** The founding voters if it is one of them; empty: it learns who votes from the leader (design D4). */
  readonly voters: readonly ReplicaId[];
}

export interface NodeEnvironment {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  /** The disks always take the same time. */
  readonly steady: boolean;
  readonly raftLimits: RaftLimits;
  readonly driverLimits: DriverLimits;
  readonly clusterId: string;
  /** The way to the others, as far as it is the same for all nodes. */
  readonly peers: Pick<SimPeersOptions, 'nodeOf' | 'diskOf' | 'newStream' | 'carry' | 'onMessage' | 'onBeat'>;
  /** UUID of the data directory that the catalog knows a node by. */
  readonly incarnationOf: (node: NodeNumber) => string | null;
  /** Something is about to happen on the node, in this event. */
  readonly onTouched: (node: SimNode) => void;
  readonly onRole: (node: SimNode, group: GroupNumber, state: RoleState) => void;
  readonly onApplied: (node: SimNode, group: GroupNumber, entry: Entry, hash: number) => void;
  readonly onInstalled: (node: SimNode, group: GroupNumber, meta: SnapshotMeta, hash: number) => void;
  readonly onQuarantined: (node: SimNode, group: GroupNumber, reason: string) => void;
  readonly onTruncate: (node: SimNode, image: GroupImage, after: LogIndex) => void;
  /** Another node has proven the disk of this one an old copy. */
  readonly onCondemned: (node: SimNode, condemnation: Condemnation) => void;
  /** The node would not speak with another one. */
  readonly onTurnedAway: (node: SimNode, refusal: Refusal) => void;
  /** A question of a candidate was not answered, because this node is not known as healthy yet. */
  readonly onVotePutOff: (node: SimNode) => void;
  readonly onFatal: (node: SimNode, error: unknown) => void;
}

/** Where a turn of the event loop takes its work from, in this order (P15). */
const phases = ['timers', 'input', 'turns'] as const;
type Phase = (typeof phases)[number];

export class SimNode {
  readonly number: NodeNumber;
  readonly disk: SimDisk;
  /** What the catalog has put here; survives the process, not the disk. */
  readonly assigned = new Map<GroupNumber, Assignment>();
  /** Groups that run, each with its assigned replica. */
  readonly groups = new Map<GroupNumber, GroupDriver>();
  alive = false;
  /** The event loop stands still: stalled, or stopped by a signal. */
  paused = false;
  /** Rises with every start. */
  life = 0;
  /** What arrived during a pause and was not read yet. */
  unread = 0;
  /** What is done in it now, or was done last. */
  phase: Phase = 'turns';
  /** How late the newest timer fired because of a pause, in ms. */
  timerLateMs = 0;
  clock: SimClock;
  #host: MultiRaftHost | null = null;
  readonly #environment: NodeEnvironment;
  readonly #random: SimRandom;
  readonly #machines = new Map<GroupNumber, SimDataMachine | SimCommandMachine>();
  #peers: SimPeers | null = null;
  /** Starts and removals of one group follow each other. */
  #following = new Map<GroupNumber, Promise<void>>();
  /** What came while the node was paused. */
  readonly #waiting: Record<Phase, (() => void)[]> = { timers: [], input: [], turns: [] };

  constructor(number: NodeNumber, environment: NodeEnvironment) {
    this.number = number;
    this.#environment = environment;
    this.#random = environment.random.split(`node ${number}`);
    const chance = this.#random.split('disk');
    chance.steady = environment.steady;
    this.disk = new SimDisk({
      scheduler: environment.scheduler,
      random: chance,
      crc32c,
      enter: (complete) => {
        this.enter('input', complete);
      },
      onTruncate: (image, after) => {
        environment.onTruncate(this, image, after);
      },
    });
    this.clock = this.#newClock(1);
  }

  /** UUID of its data directory. */
  get incarnation(): string {
    return uuidOf(this.number, this.disk.incarnation);
  }

  /** What is remembered durably here of a data directory: read by the oracles. */
  remembered(incarnation: string): RememberedPeer | null {
    const { clock, disk } = this;
    const options = { crc32c, clock, write: () => Promise.resolve(), onFault: () => undefined };
    return PeerMemoryFile.from(disk.peers, options)?.remembered(incarnation) ?? null;
  }

  /** Whether enough of the voters that its log knows have welcomed this process, so that its replica votes (design D4). */
  mayVote(group: GroupNumber): boolean {
    const raft = this.groups.get(group);
    const peers = this.#peers;
    if (raft === undefined || peers === null) return false;
    const own = this.assigned.get(group)?.replicaId;
    const isFine = (replica: ReplicaId): boolean => replica === own || isWelcomedBy(replica, peers.standing, peers);
    return mayVote(raft.membership.configuration, isFine);
  }

  /** Starts the process; the groups come up as their logs open. */
  start(): void {
    const environment = this.#environment;
    const life = ++this.life;
    this.alive = true;
    this.clock = this.#newClock(0.95 + this.#random.below(101) / 1000);
    const ifCurrent = (act: () => void): void => {
      if (this.life === life && this.alive) act();
    };
    const peers = this.#speak(life);
    this.#peers = peers;
    this.#host = new MultiRaftHost({
      logs: this.disk.mount(),
      clusterId: environment.clusterId,
      mayVote: !this.disk.lost,
      clock: this.clock,
      random: this.#random.split(`life ${life}`),
      crc32c,
      raftLimits: environment.raftLimits,
      driverLimits: environment.driverLimits,
      transport: peers,
      directory: peers,
      schedule: (run) => {
        this.#later(life, run);
      },
      observer: {
        snapshotInstalled: (group, meta) => {
          const hash = this.#machines.get(group)?.hash ?? 0;
          ifCurrent(() => environment.onInstalled(this, group, meta, hash));
        },
        dropped: (_group, why) => {
          if (why === 'not-known-healthy') ifCurrent(() => environment.onVotePutOff(this));
        },
      },
      condemned: (condemnation) => {
        this.disk.markLost();
        ifCurrent(() => environment.onCondemned(this, condemnation));
      },
      fatal: (error) => {
        ifCurrent(() => environment.onFatal(this, error));
      },
    });
    this.#following = new Map();
    for (const group of new Set([...this.disk.cached.keys(), ...this.assigned.keys()])) this.follow(group);
  }

  /** SIGKILL or a power cut: memory is gone, the disk keeps what `keep` says of what was not synced. */
  crash(keep: Keep): void {
    this.alive = false;
    this.paused = false;
    this.unread = 0;
    for (const phase of phases) this.#waiting[phase].length = 0;
    this.groups.clear();
    this.#host = null;
    this.#peers?.close();
    this.clock.stop();
    this.disk.crash(keep);
  }

  /** Starts the replica that is assigned, after removing the one that was before; a lost disk is never cleaned up. */
  follow(group: GroupNumber): void {
    const host = this.#host;
    if (!this.alive || host === null) return;
    const { life } = this;
    const after = (this.#following.get(group) ?? Promise.resolve()).then(() => this.#follow(host, group, life));
    this.#following.set(group, after);
    after.catch((error: unknown) => {
      if (this.life === life && this.alive) this.#environment.onFatal(this, error);
    });
  }

  deliver(frame: StreamFrame): void {
    const peers = this.#peers;
    if (!this.alive) return;
    this.enter('input', () => {
      peers?.take(frame);
    });
  }

  /** Its connections with that node break. */
  breakStreams(node: NodeNumber): void {
    const peers = this.#peers;
    if (!this.alive) return;
    this.enter('input', () => {
      peers?.breakStreams(node);
    });
  }

  /** Does something in the process, now or when it runs again. */
  enter(phase: Phase, act: () => void): void {
    if (this.paused) {
      this.#waiting[phase].push(act);
      return;
    }
    this.#environment.onTouched(this);
    this.phase = phase;
    act();
  }

  pause(): void {
    if (this.alive) this.paused = true;
  }

  /** The timers that expired meanwhile come first, then what arrived, as in Node's event loop (P15). */
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    const { life } = this;
    for (const phase of phases) {
      const waiting = this.#waiting[phase].splice(0);
      if (phase === 'input') this.unread = waiting.length;
      for (const act of waiting) {
        this.#environment.scheduler.after(0, () => {
          if (this.life !== life || !this.alive) return;
          if (phase === 'input') this.unread--;
          this.enter(phase, act);
        });
      }
    }
  }

  async #follow(host: MultiRaftHost, group: GroupNumber, life: number): Promise<void> {
    const wanted = this.assigned.get(group);
    const found = this.disk.cached.get(group)?.header.replicaId;
    if (found !== undefined && found !== wanted?.replicaId && !this.disk.lost) {
      this.groups.delete(group);
      await host.remove(group);
    }
    const isCurrent = (): boolean => this.life === life && this.alive && this.assigned.get(group) === wanted;
    if (wanted === undefined || this.groups.has(group) || !isCurrent()) return;
    const { plan, replicaId, voters } = wanted;
    const raft = await host.start({ group, replicaId, voters }, this.#machine(plan, life));
    if (this.life === life && this.alive && raft instanceof GroupDriver) this.groups.set(group, raft);
  }

  #newClock(rate: number): SimClock {
    const { scheduler } = this.#environment;
    return new SimClock(scheduler, rate, (fire) => {
      const due = scheduler.now;
      this.enter('timers', () => {
        this.timerLateMs = scheduler.now - due;
        fire();
      });
    });
  }

  #later(life: number, run: () => void): void {
    this.#environment.scheduler.after(0, () => {
      if (this.life === life && this.alive) this.enter('turns', run);
    });
  }

  /** Opens what is remembered of the others, and says who this is now. */
  #speak(life: number): SimPeers {
    const { peers, incarnationOf, clusterId, onFatal, onTurnedAway } = this.#environment;
    const { disk, clock, number } = this;
    const start = disk.open(uuidOf(number, life));
    const onFault = (error: unknown): void => {
      if (this.life === life && this.alive) onFatal(this, error);
    };
    const write = (bytes: Uint8Array): Promise<void> => disk.writePeers(bytes);
    const memory = PeerMemoryFile.from(disk.peers, { crc32c, clock, write, onFault });
    const { incarnation } = this;
    const identity = { brokerId: toBrokerId(number), clusterId, incarnation, peerAddress: null, ...start };
    const handshake: HandshakeContext = {
      own: () => ({ identity, durableCommit: disk.durableCommit }),
      secret: 'simulated',
      addresses: { addressesOf: () => [], incarnationOf, heard: () => false },
      memory: must(memory, 'sim: the file of peers is whole'),
      random: this.#random.split(`challenges ${life}`),
    };
    return new SimPeers({
      ...{ ...peers, number, handshake, clock, random: this.#random.split(`peers ${life}`) },
      later: (run) => {
        this.#later(life, run);
      },
      onTurnedAway: (refusal) => {
        onTurnedAway(this, refusal);
      },
      unremembered: (error) => {
        // that its disk has failed, the memory has told already
        if (error instanceof InvariantViolation) onFault(error);
      },
    });
  }

  #machine(plan: GroupPlan, life: number): StateMachine {
    const { group, kind } = plan;
    const environment = this.#environment;
    const ifCurrent = (act: () => void): void => {
      if (this.life === life && this.alive) act();
    };
    const events = {
      applied: (entry: Entry, hash: number): void => {
        ifCurrent(() => environment.onApplied(this, group, entry, hash));
      },
      roleChanged: (state: RoleState): void => {
        ifCurrent(() => environment.onRole(this, group, state));
      },
      committed: (): void => undefined,
      quarantined: (reason: string): void => {
        ifCurrent(() => environment.onQuarantined(this, group, reason));
      },
    };
    const machine = kind === 'data' ? new SimDataMachine(events) : new SimCommandMachine(events);
    this.#machines.set(group, machine);
    return machine;
  }
}

const uuidOf = (node: NodeNumber, which: number): string =>
  `${String(node).padStart(8, '0')}-0000-4000-8000-${String(which).padStart(12, '0')}`;
