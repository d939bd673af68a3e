/** From the brokers that shall have a partition to its replicas: those that are there stay, new ones get ids. Pure. */
import { must } from '../model/assert.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse } from '../model/errors.ts';
import type { BrokerId, ReplicaId } from '../model/ids.ts';
import { toReplicaId } from '../model/ids.ts';
import type { PartitionPlace, Placement, ReplicaPlace } from './catalog-commands.ts';
import type { CatalogState } from './catalog-state.ts';

/** Makes placements that can be one command: each new replica gets the next free id. */
export class ReplicaAssigner {
  readonly #state: CatalogState;
  #next: number;

  constructor(state: CatalogState) {
    this.#state = state;
    this.#next = must(state.head, 'replicas are placed in a cluster that was founded').nextReplicaId;
  }

  /** The id of a replica that is yet to be made. */
  nextId(): ReplicaId {
    return toReplicaId(this.#next++);
  }

  /**
   * Replicas on disks that had one keep it.
   * @param brokers all known, the preferred leader first
   */
  assign(place: PartitionPlace, brokers: readonly BrokerId[]): Result<Placement> {
    const refusal = this.#refuseLeaving(place, brokers);
    if (refusal !== null) return refusal;
    const revision = place.revision + 1;
    const replicas = brokers.map((brokerId) => {
      const incarnation = this.#diskOf(brokerId);
      const kept = place.replicas.find((one) => one.brokerId === brokerId && one.incarnation === incarnation);
      return kept ?? staying(place, brokerId, incarnation) ?? this.#made(brokerId, incarnation, revision);
    });
    return ok({ group: place.group, revision, replicas });
  }

  #made(brokerId: BrokerId, incarnation: string, addedAt: number): ReplicaPlace {
    return { replicaId: this.nextId(), brokerId, incarnation, opened: false, addedAt };
  }

  #diskOf(brokerId: BrokerId): string {
    return must(this.#state.brokers.get(brokerId), 'replicas are placed on brokers that are known').incarnation;
  }

  /** A disk holds one replica of a group: the old one has to be gone before there can be another. */
  #refuseLeaving({ leaving, reached }: PartitionPlace, brokers: readonly BrokerId[]): Refused | null {
    const found = leaving.find(
      (one) =>
        brokers.includes(one.brokerId) && reached >= one.leftAt && one.incarnation === this.#diskOf(one.brokerId),
    );
    if (found === undefined) return null;
    const what = `broker ${found.brokerId} is still removing the replica that it had; try again`;
    return refuse('REASSIGNMENT_IN_PROGRESS', what, { retryAfterMs: 1_000 });
  }
}

/** A replica that was to leave, and that the group has not yet let go: it is taken back as it is (P65). */
function staying({ leaving, reached }: PartitionPlace, on: BrokerId, incarnation: string): ReplicaPlace | null {
  const found = leaving.find((one) => one.brokerId === on && one.incarnation === incarnation && reached < one.leftAt);
  if (found === undefined) return null;
  const { replicaId, brokerId, opened, addedAt } = found;
  return { replicaId, brokerId, incarnation, opened, ...(addedAt === undefined ? {} : { addedAt }) };
}

/** The replica is new: the group's committed configuration does not have it as a voter yet. */
export const isComing = (place: PartitionPlace, replica: ReplicaPlace): boolean =>
  (replica.addedAt ?? 0) > place.reached;

/** Nothing of an earlier order is under way. */
export const isAtRest = ({ reached, revision }: PartitionPlace): boolean => reached === revision;

export const sameReplicas = (one: readonly ReplicaPlace[], other: readonly ReplicaPlace[]): boolean =>
  one.length === other.length && one.every(({ replicaId }, at) => replicaId === other[at]?.replicaId);

/** Smallest number of `count` that is more than half. */
export const majorityOf = (count: number): number => Math.floor(count / 2) + 1;
