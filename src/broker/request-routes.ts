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
    const partition = this.#deps.coordinatorPartition(group);
    const topic = this.#deps.directory.named(0, groupsTopic);
    const place = partition === null ? undefined : topic?.entry.partitions[partition];
    return place === undefined ? null : this.#leader(place);
  }

  /** The broker itself; null: it is this one, or there is none of that number. */
  brokerOf(brokerId: BrokerId): BrokerId | null {
    const { brokerId: own, state } = this.#deps;
    return brokerId !== own && state().brokers.has(brokerId) ? brokerId : null;
  }

  /** A broker that was asked said who leads; an older epoch teaches nothing. */
  learnLeader(tenant: number, ref: PartitionRef, hint: LeaderHint): void {
    const place = this.#place(tenant, ref);
    if (place !== null) this.#learn(place.group, hint);
  }

  learnCoordinator(group: string, hint: LeaderHint): void {
    const partition = this.#deps.coordinatorPartition(group);
    const topic = this.#deps.directory.named(0, groupsTopic);
    const place = partition === null ? undefined : topic?.entry.partitions[partition];
    if (place !== undefined) this.#learn(place.group, hint);
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

  #leader({ group, replicas }: PartitionPlace): BrokerId | null {
    const { brokerId, localGroups } = this.#deps;
    const raft = localGroups.running(group);
    if (raft !== null && raft.quarantine === null) {
      const { leader } = raft.role;
      const at = leader === null ? null : this.#deps.state().brokerOf(leader);
      return at === brokerId ? null : at;
    }
    const learned = this.#learned.get(group)?.brokerId;
    if (learned !== undefined && learned !== brokerId && replicas.some((replica) => replica.brokerId === learned)) {
      return learned;
    }
    // whoever has a replica knows the leader, and the first is where leadership returns to
    return replicas.find((replica) => replica.brokerId !== brokerId)?.brokerId ?? null;
  }
}
