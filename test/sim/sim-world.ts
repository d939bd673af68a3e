/** Everything of one run: nodes, network, clients, and the invariants that watch them. */
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import { toGroupNumber, toReplicaId } from '../../src/model/ids.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';
import type { DriverLimits } from '../../src/raft/driver-limits.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import type { Invariant } from './invariant.ts';
import { SimViolation } from './invariant.ts';
import { CommittedLog } from './committed-log.ts';
import type { Delivery, NodeNumber } from './sim-network.ts';
import { SimNetwork } from './sim-network.ts';
import type { GroupPlan } from './sim-node.ts';
import { SimNode } from './sim-node.ts';
import type { SimRandom } from './sim-random.ts';
import { SimScheduler } from './sim-scheduler.ts';
import { Trace } from './trace.ts';
import type { WorkloadSettings } from './workload.ts';
import { Workload } from './workload.ts';

export interface WorldSettings {
  readonly nodes: number;
  readonly groups: number;
  readonly raftLimits: RaftLimits;
  readonly driverLimits: DriverLimits;
  readonly workload: WorkloadSettings;
}

/** How often something happened that a run must reach to be worth anything ("sometimes" assertions). */
export interface Counters {
  acked: number;
  refused: number;
  elections: number;
  leaderChanges: number;
  crashes: number;
  truncations: number;
  quarantines: number;
  snapshotsInstalled: number;
}

type Watch = {
  [Name in keyof Invariant as Name extends `on${string}` ? Name : never]-?: Extract<
    Invariant[Name],
    (...args: never[]) => void
  >;
};

export class SimWorld {
  readonly scheduler = new SimScheduler();
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly groups: readonly GroupNumber[];
  readonly workload: Workload;
  readonly committed: CommittedLog;
  readonly trace = new Trace(this.scheduler);
  readonly counters: Counters = {
    acked: 0,
    refused: 0,
    elections: 0,
    leaderChanges: 0,
    crashes: 0,
    truncations: 0,
    quarantines: 0,
    snapshotsInstalled: 0,
  };
  readonly invariants: Invariant[] = [];
  /** Nodes that may be quarantined: their disk lost what it had acknowledged. */
  readonly lostDisks = new Set<NodeNumber>();
  readonly #plans = new Map<GroupNumber, GroupPlan>();
  readonly #replicas = new Map<ReplicaId, NodeNumber>();
  /** The first thing that went wrong. */
  violation: SimViolation | null = null;

  readonly settings: WorldSettings;

  constructor(settings: WorldSettings, random: SimRandom) {
    this.settings = settings;
    this.network = new SimNetwork(this.scheduler, random.split('network'), {
      message: (delivery) => this.#node(delivery.to)?.deliver(delivery),
      beat: (delivery) => this.#node(delivery.to)?.deliverBeat(delivery),
    });
    const numbers = Array.from({ length: settings.nodes }, (_, i) => i + 1);
    this.groups = Array.from({ length: settings.groups }, (_, i) => toGroupNumber(i));
    for (const group of this.groups) {
      const voters = numbers.map((node) => this.replicaOf(group, node));
      voters.forEach((replica, i) => this.#replicas.set(replica, numbers[i] ?? 0));
      this.#plans.set(group, { group, kind: group === 0 ? 'commands' : 'data', voters });
    }
    this.nodes = numbers.map(
      (number) =>
        new SimNode(number, {
          scheduler: this.scheduler,
          random,
          raftLimits: settings.raftLimits,
          driverLimits: settings.driverLimits,
          clusterId: '7d3c0a52-64e5-4f07-9d4e-51d2a2a6a001',
          transport: (from) =>
            this.network.transport((replica) => this.#replicas.get(toReplicaId(replica)), from, {
              message: (delivery) => {
                this.#onSend(delivery);
              },
              beat: (delivery) => {
                this.tell('onBeat', delivery);
                this.trace.beat(delivery);
              },
            }),
          onRole: (node, group, state) => {
            this.#onRole(node, group, state);
          },
          onApplied: (node, group, entry, hash) => {
            this.#onApplied(node, group, entry, hash);
          },
          onQuarantined: (node, group, reason) => {
            this.counters.quarantines++;
            this.trace.say(node.number, group, 'quarantined', reason);
            if (!this.lostDisks.has(node.number))
              this.fail(new SimViolation('sim-quarantine', `n${node.number} ${reason}`));
          },
          onFatal: (node, error) => {
            const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
            this.fail(new SimViolation('sim-fatal', `n${node.number} ${detail}`));
          },
        }),
    );
    this.committed = new CommittedLog(this);
    this.workload = new Workload(this, random.split('workload'), settings.workload);
  }

  planOf(group: GroupNumber): GroupPlan {
    const plan = this.#plans.get(group);
    if (plan === undefined) throw new RangeError(`group ${group}`);
    return plan;
  }

  replicaOf(group: GroupNumber, node: NodeNumber): ReplicaId {
    return toReplicaId(group * 100 + node);
  }

  nodeOf(replica: ReplicaId): SimNode | undefined {
    return this.#node(this.#replicas.get(replica) ?? 0);
  }

  start(node: SimNode): void {
    this.trace.say(node.number, null, 'start', '');
    const restarted = node.life > 0;
    node.start(
      this.groups.map((group) => ({ plan: this.planOf(group), replicaId: this.replicaOf(group, node.number) })),
    );
    if (restarted) this.tell('onRestart', node);
  }

  crash(node: SimNode, keep: 'none' | 'prefix' | 'all'): void {
    this.trace.say(node.number, null, 'crash', keep);
    this.counters.crashes++;
    node.crash(keep);
    this.tell('onCrash', node);
  }

  /** Tells every invariant that wants to know. The first violation ends the run. */
  tell<Name extends keyof Watch>(name: Name, ...args: Parameters<Watch[Name]>): void {
    for (const invariant of this.invariants) {
      const watch = invariant[name] as ((...args: Parameters<Watch[Name]>) => void) | undefined;
      if (watch === undefined) continue;
      try {
        watch.apply(invariant, args);
      } catch (error) {
        this.fail(error);
      }
    }
  }

  fail(error: unknown): void {
    this.violation ??=
      error instanceof SimViolation ? error : new SimViolation('sim-bug', String((error as Error).stack));
  }

  afterEvent(): void {
    for (const invariant of this.invariants) {
      try {
        invariant.afterEvent?.();
      } catch (error) {
        this.fail(error);
      }
    }
    if (this.violation !== null) throw this.violation;
  }

  #node(number: NodeNumber): SimNode | undefined {
    return this.nodes[number - 1];
  }

  #onSend(delivery: Delivery): void {
    this.tell('onSend', delivery);
    this.trace.message(delivery);
  }

  #onRole(node: SimNode, group: GroupNumber, state: RoleState): void {
    if (state.role === 'candidate') this.counters.elections++;
    if (state.role === 'leader' && state.serving) this.counters.leaderChanges++;
    this.trace.say(node.number, group, state.role, `t${state.term}${state.serving ? ' serving' : ''}`);
    this.tell('onRole', node, group, state);
  }

  #onApplied(node: SimNode, group: GroupNumber, entry: Entry, hash: number): void {
    this.trace.say(node.number, group, 'apply', `i${entry.index} t${entry.term}`);
    try {
      this.committed.applied(node, group, entry);
    } catch (error) {
      this.fail(error);
    }
    this.tell('onApplied', node, group, entry, hash);
  }
}
