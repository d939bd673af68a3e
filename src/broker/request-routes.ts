/** Which broker a request is for (design D15): from the replicas here, from what other brokers told, or a first guess. */
import type { LeaderHint } from '../model/errors.ts';
import type { BrokerId, GroupNumber } from '../model/ids.ts';
import { groupsTopic } from './catalog-decisions.ts';
import type { CatalogState } from './catalog-state.ts';
import type { PartitionPlace } from './catalog-commands.ts';
import type { LocalGroups } from './local-groups.ts';
import type { PartitionRef } from './requests.ts';
import type { TopicDirectory } from './topic-directory.ts';

/** Groups without a replica here whose leader is remembered; all are forgotten when there are more. */
const learnedMax = 100_000;

interface RouteDeps {
  readonly brokerId: BrokerId;
  readonly state: () => CatalogState;
  readonly directory: TopicDirectory;
  readonly localGroups: LocalGroups;
  /** The partition of the topic of groups that coordinates a group; null: this broker does not know yet. */
  readonly coordinatorPartition: (group: string) => number | null;
}

export class RequestRoutes {
  readonly #deps: RouteDeps;
  /** Leaders of groups that have no replica here, as refusals told. */
  readonly #learned = new Map<GroupNumber, LeaderHint>();
  /** Of such groups, the replica that could not help last: the one after it is asked next. As many as of `#learned`. */
  readonly #missed = new Map<GroupNumber, BrokerId>();

  constructor(deps: RouteDeps) {
    this.#deps = deps;
  }

  /** Who leads the partition; null: this broker, or it is the one that knows best why nobody does. */
  leaderOf(tenant: number, ref: PartitionRef): BrokerId | null {
    const place = this.#place(tenant, ref);
    return place === null ? null : this.#leader(place);
  }

  /** Who has a replica of the partition; null: this broker, or it knows best why nobody has. */
  readerOf(tenant: number, ref: PartitionRef): BrokerId | null {
    const place = this.#place(tenant, ref);
    return place === null || this.#deps.localGroups.running(place.group) !== null ? null : this.#leader(place);
  }

  /** Who coordinates the group; null: as for leaderOf. */
  coordinatorOf(group: string): BrokerId | null {
    const place = this.#coordinatorPlace(this.#deps.coordinatorPartition(group));
    return place === null ? null : this.#leader(place);
  }

  /** The broker itself; null: it is this one, or there is none of that number. */
  brokerOf(brokerId: BrokerId): BrokerId | null {
    const { brokerId: own, state } = this.#deps;
    return brokerId !== own && state().brokers.has(brokerId) ? brokerId : null;
  }

  /** Where a broker takes clients, "host:port"; null: it is not known. */
  addressOf(brokerId: BrokerId): string | null {
    return this.#deps.state().brokers.get(brokerId)?.address ?? null;
  }

  /** All brokers of the cluster but this one. */
  otherBrokers(): readonly BrokerId[] {
    return [...this.#deps.state().brokers.keys()].filter((brokerId) => brokerId !== this.#deps.brokerId);
  }

  /** A broker that was asked said who leads; an older epoch teaches nothing. */
  learnLeader(tenant: number, ref: PartitionRef, hint: LeaderHint): void {
    const place = this.#place(tenant, ref);
    if (place !== null) this.#learn(place.group, hint);
  }

  learnCoordinator(group: string, hint: LeaderHint): void {
    const place = this.#coordinatorPlace(this.#deps.coordinatorPartition(group));
    if (place !== null) this.#learn(place.group, hint);
  }

  /** The broker that was asked could not be reached, or could not help and named nobody. */
  missed(tenant: number, ref: PartitionRef, asked: BrokerId): void {
    const place = this.#place(tenant, ref);
    if (place !== null) this.#miss(place.group, asked);
  }

  missedCoordinator(group: string, asked: BrokerId): void {
    const place = this.#coordinatorPlace(this.#deps.coordinatorPartition(group));
    if (place !== null) this.#miss(place.group, asked);
  }

  /** For who asks here although no replica of the partition of the topic of groups is here: who leads it; null: not known. */
  coordinatorHint(partition: number): LeaderHint | null {
    const place = this.#coordinatorPlace(partition);
    return place === null ? null : this.#learnedOf(place);
  }

  #coordinatorPlace(partition: number | null): PartitionPlace | null {
    if (partition === null) return null;
    return this.#deps.directory.named(0, groupsTopic)?.entry.partitions[partition] ?? null;
  }

  #miss(group: GroupNumber, asked: BrokerId): void {
    if (this.#learned.get(group)?.brokerId === asked) this.#learned.delete(group);
    if (this.#missed.size >= learnedMax) this.#missed.clear();
    this.#missed.set(group, asked);
  }

  #learn(group: GroupNumber, hint: LeaderHint): void {
    const known = this.#learned.get(group);
    if (known !== undefined && known.leaderEpoch > hint.leaderEpoch) return;
    if (known === undefined && this.#learned.size >= learnedMax) this.#learned.clear();
    this.#learned.set(group, hint);
  }

  /** Null: the topic is not known here, or it is not the one that is meant; the broker here says so. */
  #place(tenant: number, ref: PartitionRef): PartitionPlace | null {
    const entry = this.#deps.directory.named(tenant, ref.topic)?.entry;
    if (entry === undefined || entry.internal) return null;
    if (ref.topicId !== null && ref.topicId !== entry.topicId) return null;
    return entry.partitions[ref.partition] ?? null;
  }

  #leader(place: PartitionPlace): BrokerId | null {
    const { group, replicas } = place;
    const { brokerId, localGroups } = this.#deps;
    const raft = localGroups.running(group);
    if (raft !== null && raft.quarantine === null) {
      const { leader } = raft.role;
      const at = leader === null ? null : this.#deps.state().brokerOf(leader);
      return at === brokerId ? null : at;
    }
    const learned = this.#learnedOf(place);
    if (learned !== null) return learned.brokerId;
    // whoever has a replica knows the leader, and the first is where leadership returns to; in turn, as it may be dead
    const others = replicas.filter((replica) => replica.brokerId !== brokerId);
    const missed = this.#missed.get(group);
    const next = others.findIndex((replica) => replica.brokerId === missed) + 1;
    return (others[next] ?? others[0])?.brokerId ?? null;
  }

  /** What was learnt counts only while the broker has a replica. */
  #learnedOf({ group, replicas }: PartitionPlace): LeaderHint | null {
    const learned = this.#learned.get(group);
    if (learned === undefined || learned.brokerId === this.#deps.brokerId) return null;
    return replicas.some((replica) => replica.brokerId === learned.brokerId) ? learned : null;
  }
}
