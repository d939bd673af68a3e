/**
 * Makes this broker's disk follow the catalog: makes and starts the replicas that are placed here, removes those that were
 * deleted or moved away, and leaves alone what nobody knows (design D5).
 *
 * Invariants:
 * - local-1: a replica's data is removed only under a committed tombstone that names it, or once the group's committed
 *   configuration does without it.
 * - local-2: a replica that was here once is never made anew: an empty one would pass for all that it had voted for and
 *   acknowledged (P61). So a replica is made, then the catalog is told that it is `opened`, and only after that was
 *   committed does it take part; what the catalog calls opened and the disk does not have is missing. And nothing is made,
 *   or called missing, before this process has seen the newest catalog: an old one may not know that the replica was
 *   opened, or that it was deleted or moved away.
 * - local-3: a replica belongs to the disk that it was placed on (its incarnation), not to the broker's number.
 */
import type { Clock } from '../model/clock.ts';
import type { GroupNumber, Millis } from '../model/ids.ts';
import { catalogGroup } from '../model/ids.ts';
import type { RaftGroup, RaftHost, StateMachine } from '../raft/group.ts';
import type { BrokerIdentity } from './broker-identity.ts';
import type { LeavingPlace, PartitionPlace, ReplicaPlace, TopicEntry } from './catalog-commands.ts';
import type { CatalogState } from './catalog-state.ts';
import { Gate } from './gate.ts';
import type { BrokerLimits } from './limits.ts';
import type { BrokerObserver } from './observer.ts';

/** A state machine and what shall happen once its group runs. */
export interface Startable {
  readonly machine: StateMachine;
  opened(raft: RaftGroup): void;
}

/** A group that is here and takes no part. */
export interface SetApart {
  readonly group: GroupNumber;
  /** One sentence for people. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly sinceMs: Millis;
}

interface LocalGroupsDeps {
  readonly host: RaftHost;
  readonly identity: BrokerIdentity;
  readonly clock: Clock;
  readonly limits: BrokerLimits;
  readonly observer: BrokerObserver;
  /** Whether this process has seen the catalog as it was at its start, or later (local-2). */
  readonly isNewest: () => boolean;
}

export class LocalGroups {
  readonly #deps: LocalGroupsDeps;
  readonly #gate: Gate;
  /** Groups that have data here. */
  readonly #onDisk = new Set<GroupNumber>();
  /** What runs here. */
  readonly #running = new Map<GroupNumber, RaftGroup>();
  /** Replicas that should be on disk and are not (local-2), since it was found; told once. */
  readonly #missing = new Map<GroupNumber, Millis>();
  /** What the catalog does not know, since it was found. */
  readonly #orphans = new Map<GroupNumber, Millis>();
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
    for (const topic of state.topics.values()) for (const place of topic.partitions) known.add(place.group);
    for (const group of this.#onDisk) {
      if (known.has(group)) continue;
      this.#orphans.set(group, this.#deps.clock.wallMs());
      this.#deps.observer.groupOrphaned(group);
    }
  }

  /** This broker's replica of a group; null: it has none (local-3). */
  replicaHere<T extends ReplicaPlace>(replicas: readonly T[]): T | null {
    const { brokerId, incarnation } = this.#deps.identity;
    return replicas.find((place) => place.brokerId === brokerId && place.incarnation === incarnation) ?? null;
  }

  /** Replicas of the topic that are here, or shall be, and that the catalog does not call opened yet. */
  unopened(topic: TopicEntry): readonly PartitionPlace[] {
    return topic.partitions.filter((place) => this.#unopenedHere(place) !== null);
  }

  /**
   * Null: nothing is to be made here. A founding voter is made although it shall leave, as long as the group does not do
   * without it: a group that was moved before all of its founding voters were there may have no majority else.
   */
  #unopenedHere({ replicas, leaving, reached, genesis }: PartitionPlace): ReplicaPlace | null {
    const here = this.replicaHere(replicas);
    if (here !== null) return here.opened ? null : here;
    const left = this.replicaHere(leaving);
    const isNeeded = left?.opened === false && reached < left.leftAt && genesis.includes(left.replicaId);
    return isNeeded ? left : null;
  }

  /** Replicas of the topic that are said to be here, and are not: missing, unless the newest catalog knows better. */
  absent(topic: TopicEntry): readonly GroupNumber[] {
    const absent = topic.partitions.filter((place) => {
      const isKnown = this.#onDisk.has(place.group) || this.#missing.has(place.group);
      return !isKnown && this.#openedHere(place) !== null;
    });
    return absent.map((place) => place.group);
  }

  /** Null: no replica was opened here, or the group does without it and its data may be gone. */
  #openedHere({ replicas, leaving, reached }: PartitionPlace): ReplicaPlace | null {
    const needed = leaving.filter(({ leftAt }) => leftAt > reached);
    const here = this.replicaHere([...replicas, ...needed]);
    return here?.opened === true ? here : null;
  }

  /** Replicas of the topic that the group does without by now: their data may go (local-1). */
  dispensable(topic: TopicEntry): readonly GroupNumber[] {
    const gone = topic.partitions.filter(({ leaving, reached }) => {
      const here: LeavingPlace | null = this.replicaHere(leaving);
      return here !== null && here.leftAt <= reached;
    });
    return gone.map((place) => place.group);
  }

  has(group: GroupNumber): boolean {
    return this.#onDisk.has(group);
  }

  /** What runs here. */
  get all(): ReadonlyMap<GroupNumber, RaftGroup> {
    return this.#running;
  }

  /** What is here, or should be, and takes no part; by group. */
  get setApart(): readonly SetApart[] {
    const broken = [...this.#running.values()].flatMap(({ group, quarantine: reason, quarantinedMs: sinceMs }) =>
      reason === null || sinceMs === null ? [] : [{ group, reason, sinceMs }],
    );
    const missing = [...this.#missing].map(([group, sinceMs]) => ({ group, reason: isMissing, sinceMs }));
    const orphans = [...this.#orphans].map(([group, sinceMs]) => ({ group, reason: isOrphan, sinceMs }));
    return [...broken, ...missing, ...orphans].sort((a, b) => a.group - b.group);
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
   * Makes the logs of replicas that are placed here and that were never opened; starts nothing. A founding replica begins
   * as the voter that it is, every other one as a learner (P79).
   */
  async create(places: readonly PartitionPlace[], kind: StateMachine['kind']): Promise<void> {
    await Promise.all(places.map((place) => this.#step(place.group, () => this.#createGroup(place, kind))));
  }

  /**
   * Starts the opened replicas of a topic that are here and do not run; resolves when all of them run or are set apart.
   * Leaves alone what is absent until this process has seen the newest catalog.
   * @param startable what partition n is
   */
  async start(topic: TopicEntry, startable: (partition: number) => Startable | null): Promise<void> {
    const starts = topic.partitions.map((place, partition) => {
      const here = this.#openedHere(place);
      if (here === null) return Promise.resolve();
      return this.#step(place.group, () => this.#startGroup(place.group, here, () => startable(partition)));
    });
    await Promise.all(starts);
  }

  /** Removes what a tombstone names (local-1); resolves when it is gone. Does nothing where nothing is. */
  async remove(groups: readonly GroupNumber[]): Promise<void> {
    await Promise.all(groups.map((group) => this.#step(group, () => this.#removeGroup(group))));
  }

  async #createGroup(place: PartitionPlace, kind: StateMachine['kind']): Promise<void> {
    const { group, genesis } = place;
    const here = this.#unopenedHere(place);
    if (this.#closed || this.#onDisk.has(group) || here === null) return;
    const { replicaId } = here;
    const voters = genesis.includes(replicaId) ? genesis : [];
    await this.#deps.host.create({ group, replicaId, voters }, kind);
    this.#onDisk.add(group);
  }

  async #startGroup(group: GroupNumber, here: ReplicaPlace, startable: () => Startable | null): Promise<void> {
    if (this.#closed || this.#running.has(group) || this.#missing.has(group)) return;
    const what = startable();
    if (what === null) return;
    if (!this.#onDisk.has(group)) {
      if (!this.#deps.isNewest()) return;
      this.#missing.set(group, this.#deps.clock.wallMs());
      this.#deps.observer.groupMissing(group);
      what.machine.quarantined(isMissing);
      return;
    }
    const raft = await this.#deps.host.start({ group, replicaId: here.replicaId, voters: [] }, what.machine);
    this.#running.set(group, raft);
    what.opened(raft);
  }

  async #removeGroup(group: GroupNumber): Promise<void> {
    this.#missing.delete(group);
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

const isMissing = 'its data is not on this disk although it was: local-2 forbids to begin anew';
const isOrphan = 'the catalog does not know the group: its data is left as it is';
