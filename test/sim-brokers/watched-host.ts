/** A host of Raft groups that tells what is made, applied, led and removed on it; else the production host. */
import type { Entry } from '../../src/model/entry.ts';
import type { GroupNumber, Offset, ReplicaId } from '../../src/model/ids.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';
import type { GroupSpec, RaftGroup, RaftHost, StateMachine } from '../../src/raft/group.ts';

export interface HostEvents {
  /** The replica is about to be made on this disk. */
  creating(group: GroupNumber, replica: ReplicaId): void;
  applied(group: GroupNumber, entry: Entry): void;
  /** Another replica's state was taken over. */
  installed(group: GroupNumber): void;
  /** What is below it is visible. */
  committed(group: GroupNumber, highWatermark: Offset): void;
  role(group: GroupNumber, role: RoleState): void;
  quarantined(group: GroupNumber, reason: string): void;
  /** The data of a group is about to go. */
  removing(group: GroupNumber): void;
}

export class WatchedHost implements RaftHost {
  /** What runs. */
  readonly groups = new Map<GroupNumber, RaftGroup>();
  readonly #host: RaftHost;
  readonly #events: HostEvents;

  constructor(host: RaftHost, events: HostEvents) {
    this.#host = host;
    this.#events = events;
  }

  get apart(): string | null {
    return this.#host.apart;
  }

  existing(): ReturnType<RaftHost['existing']> {
    return this.#host.existing();
  }

  create(spec: GroupSpec, kind: StateMachine['kind']): Promise<void> {
    this.#events.creating(spec.group, spec.replicaId);
    return this.#host.create(spec, kind);
  }

  async start(spec: GroupSpec, machine: StateMachine): Promise<RaftGroup> {
    if (!(await this.#host.existing()).some(({ group }) => group === spec.group))
      this.#events.creating(spec.group, spec.replicaId);
    const group = await this.#host.start(spec, watched(spec.group, machine, this.#events));
    this.groups.set(spec.group, group);
    return group;
  }

  async stop(group: GroupNumber): Promise<void> {
    await this.#host.stop(group);
    this.groups.delete(group);
  }

  async remove(group: GroupNumber): Promise<void> {
    this.#events.removing(group);
    this.groups.delete(group);
    await this.#host.remove(group);
  }

  async close(): Promise<void> {
    await this.#host.close();
    this.groups.clear();
  }
}

function watched(group: GroupNumber, machine: StateMachine, events: HostEvents): StateMachine {
  let wasRestored = false;
  const common = {
    roleChanged: (role: RoleState): void => {
      machine.roleChanged(role);
      events.role(group, role);
    },
    committed: (highWatermark: Offset): void => {
      machine.committed?.(highWatermark);
      events.committed(group, highWatermark);
    },
    quarantined: (reason: string): void => {
      machine.quarantined(reason);
      events.quarantined(group, reason);
    },
  };
  switch (machine.kind) {
    case 'data':
      return {
        ...common,
        kind: 'data',
        restore: (state) => {
          machine.restore(state);
          if (wasRestored) events.installed(group);
          wasRestored = true;
        },
        apply: (entry) => {
          machine.apply(entry);
          events.applied(group, entry);
        },
        checkpoint: () => machine.checkpoint(),
      };
    case 'commands':
      return {
        ...common,
        kind: 'commands',
        reset: () => {
          machine.reset();
        },
        load: (page) => {
          machine.load(page);
        },
        loaded: () => {
          machine.loaded();
        },
        apply: (entry) => {
          const changes = machine.apply(entry);
          events.applied(group, entry);
          return changes;
        },
      };
  }
}
