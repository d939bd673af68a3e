/**
 * Makes this broker's disk follow the catalog: starts the groups that are placed here, removes those that were deleted,
 * and leaves alone what nobody knows (design D5).
 *
 * Invariants:
 * - local-1: a group's data is removed only under a committed tombstone that names this broker's replica.
 * - local-2: a group that was here once is never created anew: an empty one would pass for all there ever was.
 * - local-3: a replica belongs to the disk that it was placed on (its incarnation), not to the broker's number.
 */
import type { GroupNumber, ReplicaId } from '../model/ids.ts';
import { catalogGroup } from '../model/ids.ts';
import type { RaftGroup, RaftHost, StateMachine } from '../raft/group.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import type { PartitionPlace, ReplicaPlace, TopicEntry } from './catalog-commands.ts';
import type { CatalogState } from './catalog-state.ts';
import { Gate } from './gate.ts';
import type { BrokerLimits } from './limits.ts';
import type { BrokerObserver } from './observer.ts';

/** A state machine and what shall happen once its group runs. */
export interface Startable {
  readonly machine: StateMachine;
  opened(raft: RaftGroup): void;
}

interface LocalGroupsDeps {
  readonly host: RaftHost;
  readonly identity: BrokerIdentity;
  readonly limits: BrokerLimits;
  readonly observer: BrokerObserver;
}

export class LocalGroups {
  readonly #deps: LocalGroupsDeps;
  readonly #gate: Gate;
  /** Groups that have data here. */
  readonly #onDisk = new Set<GroupNumber>();
  /** What runs here. */
  readonly #running = new Map<GroupNumber, RaftGroup>();
  #closed = false;
  /** What is being started or removed: one step a group at a time. */
  readonly #steps = new Map<GroupNumber, Promise<void>>();

  constructor(deps: LocalGroupsDeps) {
    this.#deps = deps;
    this.#gate = new Gate(deps.limits.groupStartsMax);
  }

  /** Looks what is on disk and reports what the catalog does not know. Once, before anything is started. */
  async recover(state: CatalogState): Promise<void> {
    for (const { group } of await this.#deps.host.existing()) this.#onDisk.add(group);
    const known = new Set<GroupNumber>([catalogGroup, ...state.tombstones.keys()]);
    for (const { topic } of state.topics.values()) for (const place of topic.partitions) known.add(place.group);
    for (const group of this.#onDisk) if (!known.has(group)) this.#deps.observer.groupOrphaned(group);
  }

  /** This broker's replica of a group; null: it has none (local-3). */
  replicaHere(replicas: readonly ReplicaPlace[]): ReplicaPlace | null {
    const { brokerId, incarnation } = this.#deps.identity;
    return replicas.find((place) => place.brokerId === brokerId && place.incarnation === incarnation) ?? null;
  }

  /** Null: the group does not run here (yet). */
  running(group: GroupNumber): RaftGroup | null {
    return this.#running.get(group) ?? null;
  }

  /** Nothing is started or removed from now on; resolves when what was begun has ended, so that the host may close. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#steps.values());
  }

  /**
   * Starts the replicas of a topic that are placed here; resolves when all of them run or are set apart.
   * @param opened all of them were on disk before
   * @param startable what partition n is
   */
  async start(topic: TopicEntry, opened: boolean, startable: (partition: number) => Startable | null): Promise<void> {
    const starts = topic.partitions.map((place, partition) => {
      const here = this.replicaHere(place.replicas);
      const what = here === null ? null : startable(partition);
      if (here === null || what === null) return Promise.resolve();
      return this.#step(place.group, () => this.#startGroup(place, here.replicaId, opened, what));
    });
    await Promise.all(starts);
  }

  /** Removes what a tombstone names (local-1); resolves when it is gone. Does nothing where nothing is. */
  async remove(groups: readonly GroupNumber[]): Promise<void> {
    await Promise.all(groups.map((group) => this.#step(group, () => this.#removeGroup(group))));
  }

  async #startGroup(place: PartitionPlace, replicaId: ReplicaId, opened: boolean, what: Startable): Promise<void> {
    const { group, replicas } = place;
    if (this.#closed) return;
    if (opened && !this.#onDisk.has(group)) {
      this.#deps.observer.groupMissing(group);
      what.machine.quarantined('its data is not on this disk although it was: local-2 forbids to begin anew');
      return;
    }
    const voters = replicas.map((replica) => replica.replicaId);
    this.#onDisk.add(group);
    const raft = await this.#deps.host.start({ group, replicaId, voters }, what.machine);
    this.#running.set(group, raft);
    what.opened(raft);
  }

  async #removeGroup(group: GroupNumber): Promise<void> {
    if (!this.#onDisk.has(group)) return;
    if (this.#closed) return;
    this.#running.delete(group);
    await this.#deps.host.remove(group);
    this.#onDisk.delete(group);
    this.#deps.observer.groupRemoved(group);
  }

  /** After what is under way for the group. A failure is for the caller: the store failed, and the process ends. */
  #step(group: GroupNumber, run: () => Promise<void>): Promise<void> {
    const before = this.#steps.get(group) ?? Promise.resolve();
    const step = before.then(() => this.#gate.run(run));
    this.#steps.set(group, step);
    const forget = (): void => {
      if (this.#steps.get(group) === step) this.#steps.delete(group);
    };
    step.then(forget, forget);
    return step;
  }
}
