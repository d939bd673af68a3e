/** One node: the production host, driver and core on a virtual clock, network and disk. Dies and comes back. */
import { crc32c } from '../../src/runtime/crc32c.ts';
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber, ReplicaId } from '../../src/model/ids.ts';
import type { RaftGroup, StateMachine } from '../../src/raft/group.ts';
import { MultiRaftHost } from '../../src/raft/host.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';
import type { DriverLimits } from '../../src/raft/driver-limits.ts';
import type { RaftLimits } from '../../src/raft/core/limits.ts';
import { SimClock } from './sim-clock.ts';
import { SimDisk } from './sim-disk.ts';
import { SimCommandMachine, SimDataMachine } from './sim-machine.ts';
import type { BeatDelivery, Delivery, NodeNumber, SimTransport } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimScheduler } from './sim-scheduler.ts';

export interface GroupPlan {
  readonly group: GroupNumber;
  readonly kind: 'data' | 'commands';
  readonly voters: readonly ReplicaId[];
}

export interface NodeEnvironment {
  readonly scheduler: SimScheduler;
  readonly random: SimRandom;
  readonly raftLimits: RaftLimits;
  readonly driverLimits: DriverLimits;
  readonly clusterId: string;
  transport(node: NodeNumber): SimTransport;
  onRole(node: SimNode, group: GroupNumber, state: RoleState): void;
  onApplied(node: SimNode, group: GroupNumber, entry: Entry, hash: number): void;
  onQuarantined(node: SimNode, group: GroupNumber, reason: string): void;
  onFatal(node: SimNode, error: unknown): void;
}

export class SimNode {
  readonly number: NodeNumber;
  readonly disk: SimDisk;
  readonly groups = new Map<GroupNumber, RaftGroup>();
  alive = false;
  /** Rises with every start. */
  life = 0;
  clock: SimClock;
  host: MultiRaftHost | null = null;
  readonly #environment: NodeEnvironment;
  readonly #random: SimRandom;
  #transport: SimTransport | null = null;

  constructor(number: NodeNumber, environment: NodeEnvironment) {
    this.number = number;
    this.#environment = environment;
    this.#random = environment.random.split(`node ${number}`);
    this.disk = new SimDisk(environment.scheduler, this.#random.split('disk'), crc32c);
    this.clock = new SimClock(environment.scheduler, 1);
  }

  /** Starts the process; the groups come up as their logs open. */
  start(plans: readonly { readonly plan: GroupPlan; readonly replicaId: ReplicaId }[]): void {
    const environment = this.#environment;
    const life = ++this.life;
    this.alive = true;
    this.clock = new SimClock(environment.scheduler, 0.95 + this.#random.below(101) / 1000);
    this.#transport = environment.transport(this.number);
    const host = new MultiRaftHost({
      logs: this.disk.mount(),
      clusterId: environment.clusterId,
      mayVote: !this.disk.lost,
      clock: this.clock,
      random: this.#random.split(`life ${life}`),
      crc32c,
      raftLimits: environment.raftLimits,
      driverLimits: environment.driverLimits,
      transport: this.#transport,
      directory: this.#transport,
      schedule: (run) => {
        environment.scheduler.after(0, () => {
          if (this.life === life && this.alive) run();
        });
      },
      observer: {},
      fatal: (error) => {
        if (this.life === life) environment.onFatal(this, error);
      },
    });
    this.host = host;
    for (const { plan, replicaId } of plans) {
      const { group, voters } = plan;
      host.start({ group, replicaId, voters }, this.#machine(plan, life)).then(
        (raft) => {
          if (this.life === life && this.alive) this.groups.set(group, raft);
        },
        (error: unknown) => {
          if (this.life === life && this.alive) environment.onFatal(this, error);
        },
      );
    }
  }

  /** SIGKILL or a power cut: memory is gone, the disk keeps what `keep` says of what was not synced. */
  crash(keep: 'none' | 'prefix' | 'all'): void {
    this.alive = false;
    this.groups.clear();
    this.host = null;
    this.#transport?.close();
    this.clock.stop();
    this.disk.crash(keep);
  }

  deliver({ group, message }: Delivery): void {
    if (this.alive) this.#transport?.deliver(group, message);
  }

  deliverBeat({ from, frame }: BeatDelivery): void {
    if (this.alive) this.#transport?.deliverBeat(from, frame);
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
    return kind === 'data' ? new SimDataMachine(events) : new SimCommandMachine(events);
  }
}
