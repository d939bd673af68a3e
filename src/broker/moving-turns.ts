/** Whose turn it is to copy replicas: so many to one broker at once, the lowest group numbers first. Pure. */
import type { BrokerId, GroupNumber } from '../model/ids.ts';
import type { PartitionPlace } from './catalog-commands.ts';
import { isAtRest, isComing } from './replica-assignment.ts';

/** Replicas that are on their way to each broker. A place that is stuck takes the turns of the brokers that it goes to only. */
export class MovingTurns {
  readonly #max: number;
  readonly #coming = new Map<BrokerId, number>();

  /** @param max replicas that may be on their way to one broker at once */
  constructor(max: number) {
    this.#max = max;
  }

  /** True: it is the turn of this placement, which counts from now on. */
  take(place: PartitionPlace): boolean {
    const to = place.replicas.filter((replica) => isComing(place, replica)).map((replica) => replica.brokerId);
    if (!to.every((broker) => this.hasRoom(broker))) return false;
    for (const broker of to) this.add(broker);
    return true;
  }

  hasRoom(broker: BrokerId): boolean {
    return (this.#coming.get(broker) ?? 0) < this.#max;
  }

  add(broker: BrokerId): void {
    this.#coming.set(broker, (this.#coming.get(broker) ?? 0) + 1);
  }
}

/** The groups whose replicas may be copied now; every leader comes to the same answer. */
export function groupsInTurn(places: readonly PartitionPlace[], max: number): ReadonlySet<GroupNumber> {
  const turns = new MovingTurns(max);
  const waiting = places.filter((place) => !isAtRest(place)).sort((one, other) => one.group - other.group);
  return new Set(waiting.filter((place) => turns.take(place)).map((place) => place.group));
}
