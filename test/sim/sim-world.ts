/** Everything of one run: nodes, network, catalog, clients, and the invariants that watch them. */
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber, LogIndex, ReplicaId } from '../../src/model/ids.ts';
import { toGroupNumber, toReplicaId } from '../../src/model/ids.ts';
import type { Configuration } from '../../src/raft/core/configuration.ts';
import { decodeConfiguration } from '../../src/raft/core/configuration.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';
import { Atlas } from './atlas.ts';
import { Catalog } from './catalog.ts';
import { CommittedLog } from './committed-log.ts';
import type { CounterName } from './counters.ts';
import { noCounts } from './counters.ts';
import type { GroupImage } from './group-image.ts';
import type { Invariant } from './invariant.ts';
import { SimViolation } from './invariant.ts';
import type { DiskCopy, Keep } from './sim-disk.ts';
import { SimDiskFault } from './sim-disk.ts';
import type { NodeNumber } from './sim-network.ts';
import { SimNetwork } from './sim-network.ts';
import type { GroupPlan } from './sim-node.ts';
import { SimNode } from './sim-node.ts';
import type { SimRandom } from './sim-random.ts';
import { SimScheduler } from './sim-scheduler.ts';
import type { StreamFrame } from './sim-stream.ts';
import { Trace } from './trace.ts';
import { Workload } from './workload.ts';
import type { WorldShape } from './world-shape.ts';

type Watch = {
  [Name in keyof Invariant as Name extends `on${string}` ? Name : never]-?: Extract<
    Invariant[Name],
    (...args: never[]) => void
  >;
};

/** As a kernel resends what a connection has lost, if less patiently. */
const resendMs = 200;
const resendsMax = 5;

/** Where a replica is, or was. */
export interface Place {
  readonly group: GroupNumber;
  readonly node: SimNode;
  /** UUID of the data directory that it is bound to. */
  readonly incarnation: string;
}

export class SimWorld {
  readonly scheduler = new SimScheduler();
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly groups: readonly GroupNumber[];
  readonly catalog: Catalog;
  readonly workload: Workload;
  readonly atlas: Atlas;
  readonly committed: CommittedLog;
  readonly trace = new Trace(this.scheduler);
  readonly counters = noCounts();
  /** All of them are there before the first event. */
  readonly invariants: Invariant[] = [];
  readonly #watches = new Map<keyof Watch, readonly ((...args: never[]) => void)[]>();
  readonly shape: WorldShape;
  /** Nodes that may be quarantined: their disk lost what it had acknowledged. */
  readonly lostDisks = new Set<NodeNumber>();
  /**
   * Those of them whose disk does not tell: only others know it to be an old copy, and none has said so yet. With those
   * who do not know.
   */
  readonly oldCopies = new Map<NodeNumber, readonly SimNode[]>();
  /** Nodes that come back by themselves when their process has ended; all of them while there are faults. */
  readonly returning = new Set<SimNode>();
  /** The first thing that went wrong. */
  violation: SimViolation | null = null;
  readonly #random: SimRandom;
  readonly #plans = new Map<GroupNumber, GroupPlan>();
  readonly #places = new Map<ReplicaId, Place>();
  readonly #replicas = new Map<GroupNumber, number>();
  /** Streams between nodes so far. */
  #streams = 0;
  /** Nodes on which something happened in this event. */
  readonly #touched = new Set<SimNode>();

  constructor(shape: WorldShape, random: SimRandom) {
    this.shape = shape;
    this.#random = random.split('world events');
    const chance = random.split('network');
    chance.steady = shape.steady;
    this.network = new SimNetwork(this.scheduler, chance);
    this.nodes = Array.from({ length: shape.nodes }, (_, i) => this.#makeNode(i + 1, random));
    for (const node of this.nodes) this.returning.add(node);
    this.groups = Array.from({ length: shape.groups }, (_, i) => toGroupNumber(i));
    this.committed = new CommittedLog(this);
    this.committed.onCommitted.push((_node, group, entry) => {
      if (entry.kind === 'configuration') this.#onConfiguration(group, decodeConfiguration(entry.payload));
    });
    this.atlas = new Atlas(this);
    const placement = random.split('placement');
    for (const group of this.groups) this.#found(group, placement.shuffle(this.nodes).slice(0, shape.voters));
    this.catalog = new Catalog(this, random.split('catalog'));
    this.workload = new Workload(this, random.split('workload'), shape.workload);
  }

  planOf(group: GroupNumber): GroupPlan {
    const plan = this.#plans.get(group);
    if (plan === undefined) throw new RangeError(`group ${group}`);
    return plan;
  }

  placeOf(replica: ReplicaId): Place | undefined {
    return this.#places.get(replica);
  }

  /** A replica id that was never used, at this node. */
  newReplica(group: GroupNumber, node: SimNode): ReplicaId {
    const number = (this.#replicas.get(group) ?? 0) + 1;
    this.#replicas.set(group, number);
    const replica = toReplicaId(group * 1000 + number);
    this.#places.set(replica, { group, node, incarnation: node.incarnation });
    return replica;
  }

  count(name: CounterName): void {
    this.counters[name]++;
  }

  start(node: SimNode): void {
    this.trace.say(node.number, null, 'start', '');
    const restarted = node.life > 0;
    this.#touched.add(node);
    node.start();
    if (restarted) this.tell('onRestart', node);
  }

  crash(node: SimNode, keep: Keep): void {
    this.trace.say(node.number, null, 'crash', keep);
    this.count('crashes');
    this.#touched.add(node);
    this.tell('onCrashing', node);
    node.crash(keep);
    this.tell('onCrash', node);
    // the system closes the connections of a process that was killed; a machine without power tells nobody
    if (keep === 'all') this.#closeConnections(node);
  }

  /** Starts it after a while, unless it is to stay down by then. */
  startLater(node: SimNode, delayMs: number): void {
    this.scheduler.after(delayMs, () => {
      if (this.returning.has(node) && !node.alive) this.start(node);
    });
  }

  /** The node, which must be down, gets an empty disk: it is another incarnation, and its replicas are gone (P61). */
  wipe(node: SimNode): void {
    this.trace.say(node.number, null, 'wipe', '');
    if (!this.lostDisks.delete(node.number)) this.count('disksLost');
    this.oldCopies.delete(node.number);
    this.atlas.lose(node);
    node.assigned.clear();
    node.disk.wipe();
  }

  /** The node, which must be down, gets an old copy of its disk (P87); its floor tells it so, if that is not as old. */
  rollBack(node: SimNode, copy: DiskCopy, keepsFloor: boolean): void {
    this.trace.say(node.number, null, 'roll-back', keepsFloor ? '' : 'with its floor');
    this.count('disksLost');
    this.atlas.lose(node);
    this.lostDisks.add(node.number);
    node.disk.rollBack(copy, keepsFloor);
    if (node.disk.lost) return;
    this.oldCopies.set(node.number, this.atlas.strangersTo(node, copy));
    this.count('oldCopies');
  }

  /** Tells every invariant that wants to know. The first violation ends the run. */
  tell<Name extends keyof Watch>(name: Name, ...args: Parameters<Watch[Name]>): void {
    const watches = this.#watches.get(name) ?? this.#watchesOf(name);
    try {
      for (const watch of watches) (watch as (...args: Parameters<Watch[Name]>) => void)(...args);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Collected once: most invariants want to know little, and something happens all the time. */
  #watchesOf(name: keyof Watch): readonly ((...args: never[]) => void)[] {
    const watches = this.invariants.flatMap((invariant) => {
      const watch = Reflect.get(invariant, name) as ((...args: never[]) => void) | undefined;
      return watch === undefined ? [] : [watch.bind(invariant)];
    });
    this.#watches.set(name, watches);
    return watches;
  }

  fail(error: unknown): void {
    this.violation ??=
      error instanceof SimViolation ? error : new SimViolation('sim-bug', String((error as Error).stack));
  }

  /** Lets every invariant look at the nodes on which something happened. */
  afterEvent(): void {
    for (const node of this.#touched) this.tell('onTouched', node);
    this.#touched.clear();
    this.tell('onEventOver');
    if (this.violation !== null) throw this.violation;
  }

  #node(number: NodeNumber): SimNode | undefined {
    return this.nodes[number - 1];
  }

  #makeNode(number: NodeNumber, random: SimRandom): SimNode {
    const { raftLimits, driverLimits, steady } = this.shape;
    return new SimNode(number, {
      scheduler: this.scheduler,
      random,
      steady,
      raftLimits,
      driverLimits,
      clusterId: '7d3c0a52-64e5-4f07-9d4e-51d2a2a6a001',
      peers: {
        nodeOf: (replica) => this.#places.get(replica)?.node.number,
        diskOf: (replica) => this.#places.get(replica)?.incarnation,
        newStream: () => ++this.#streams,
        carry: (frame) => {
          this.#carry(frame);
        },
        onMessage: (delivery) => {
          this.tell('onSend', delivery);
          this.trace.message(delivery);
        },
        onBeat: (delivery) => {
          this.tell('onBeat', delivery);
          this.trace.beat(delivery);
        },
      },
      incarnationOf: (other) => this.#node(other)?.incarnation ?? null,
      onTouched: (node) => {
        this.#touched.add(node);
      },
      onRole: (node, group, state) => {
        this.#onRole(node, group, state);
      },
      onApplied: (node, group, entry, hash) => {
        this.#onApplied(node, group, entry, hash);
      },
      onInstalled: (node, group, meta, hash) => {
        this.count('snapshotsInstalled');
        this.trace.say(node.number, group, 'installed', `i${meta.lastIndex} t${meta.lastTerm}`);
        this.tell('onInstalled', node, group, meta, hash);
      },
      onQuarantined: (node, group, reason) => {
        this.count('quarantines');
        this.trace.say(node.number, group, 'quarantined', reason);
        if (!this.lostDisks.has(node.number))
          this.fail(new SimViolation('sim-quarantine', `n${node.number} ${reason}`));
      },
      onTruncate: (node, image, after) => {
        this.#onTruncate(node, image, after);
      },
      onCondemned: (node, { by, code }) => {
        this.#onCondemned(node, by, code);
      },
      onTurnedAway: (node, { code, detail }) => {
        this.trace.say(node.number, null, 'turns away', `${code}: ${detail}`);
        this.count('turnedAway');
      },
      onVotePutOff: (node) => {
        this.trace.say(node.number, null, 'no vote yet', '');
        this.count('votesPutOff');
      },
      onFatal: (node, error) => {
        this.#onFatal(node, error);
      },
    });
  }

  #carry(frame: StreamFrame, triesLeft = resendsMax): void {
    const { from, to, channel, body } = frame;
    const arrive = (): void => {
      const node = this.#node(to);
      if (node?.alive === true) node.deliver(frame);
      // the machine runs without the process
      else if (body.kind !== 'reset') this.#carry({ ...frame, from: to, to: from, body: { kind: 'reset' } });
    };
    if (body.kind === 'content') {
      this.network.post({ from, to, channel, arrive });
      return;
    }
    // while a connection is made, what is lost is sent again
    const lost = (): void => {
      if (triesLeft > 0) this.scheduler.after(resendMs, () => this.#carry(frame, triesLeft - 1));
    };
    this.network.post({ from, to, channel, inOrder: true, arrive, lost });
  }

  #closeConnections({ number: from }: SimNode): void {
    for (const other of this.nodes) {
      const arrive = (): void => {
        other.breakStreams(from);
      };
      if (other.number !== from) this.network.post({ from, to: other.number, channel: 'beat', inOrder: true, arrive });
    }
  }

  /** Others have found what is wrong with the node's disk: there must be something, and it is found for good. */
  #onCondemned(node: SimNode, by: number, code: string): void {
    this.trace.say(node.number, null, 'condemned', `by n${by}: ${code}`);
    if (!this.lostDisks.has(node.number)) {
      this.fail(new SimViolation('inv-I11', `n${by} calls the healthy disk of n${node.number} ${code}`));
    }
    this.oldCopies.delete(node.number);
    this.count(code === 'rolled-back' ? 'oldCopiesFoundByCommit' : 'oldCopiesFoundByBoot');
  }

  #found(group: GroupNumber, nodes: readonly SimNode[]): void {
    const voters = nodes.map((node) => this.newReplica(group, node));
    const plan: GroupPlan = { group, kind: group === 0 ? 'commands' : 'data', voters };
    this.#plans.set(group, plan);
    nodes.forEach((node, i) => {
      const replicaId = voters[i];
      if (replicaId !== undefined) node.assigned.set(group, { plan, replicaId, voters });
    });
  }

  /** The process ends when a write fails, and is started again (P83); anything else is a defect. */
  #onFatal(node: SimNode, error: unknown): void {
    if (error instanceof SimDiskFault) {
      this.trace.say(node.number, null, 'process ends', error.message);
      this.count(node.disk.mood.space === 'full' ? 'fullDisks' : 'failedWrites');
      this.crash(node, this.#random.pick(['none', 'prefix', 'per-group', 'all']));
      this.startLater(node, 100 + this.#random.exponential(1_000));
      return;
    }
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.fail(new SimViolation('sim-fatal', `n${node.number} ${detail}`));
  }

  #onRole(node: SimNode, group: GroupNumber, state: RoleState): void {
    if (state.role === 'candidate') this.count('elections');
    if (state.role === 'leader' && state.serving) this.count('leaderChanges');
    this.trace.say(node.number, group, state.role, state.serving ? `t${state.term} serving` : `t${state.term}`);
    this.tell('onRole', node, group, state);
  }

  #onApplied(node: SimNode, group: GroupNumber, entry: Entry, hash: number): void {
    this.trace.applied(node.number, group, entry);
    try {
      this.committed.applied(node, group, entry);
    } catch (error) {
      this.fail(error);
    }
    this.tell('onApplied', node, group, entry, hash);
  }

  /** Called before it takes the place of the one before. */
  #onConfiguration(group: GroupNumber, next: Configuration): void {
    const { configuration: before } = this.committed.membership(group);
    this.count('configurations');
    if (this.network.isCutAnywhere) this.count('configurationsUnderPartition');
    if (next.outgoing.length > 0) this.count('jointConfigurations');
    for (const voter of next.voters) if (!before.voters.includes(voter)) this.count('promotions');
    const goes = (voter: ReplicaId): boolean => ![...next.voters, ...next.outgoing].includes(voter);
    for (const voter of [...new Set([...before.voters, ...before.outgoing])]) {
      if (goes(voter) && this.atlas.isLost(voter)) this.count('replacements');
    }
  }

  #onTruncate(node: SimNode, image: GroupImage, after: LogIndex): void {
    const { group } = image.header;
    const dropped = image.entries.slice(Math.max(0, after - image.before.index));
    this.trace.say(node.number, group, 'truncate', `after ${after}, ${dropped.length} entries`);
    if (dropped.length > 1) this.count('truncations');
    const { voters } = this.committed.membership(group).configuration;
    const [first] = dropped;
    if (first === undefined) return;
    const holders = voters.filter((voter) => this.atlas.imageOf(voter)?.at(first.index)?.chain === first.chain);
    if (holders.length * 2 > voters.length) this.count('figureEights');
  }
}
