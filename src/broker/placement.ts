/**
 * Which brokers a new partition's replicas go to. Pure. Racks first: no two replicas share one while there is another;
 * then the broker with the fewest replicas; and the one of them that leads the fewest partitions comes first, since the
 * first replica is the preferred leader.
 */
import { must } from '../model/assert.ts';
import type { BrokerId } from '../model/ids.ts';
import type { BrokerEntry, PartitionPlace } from './catalog-commands.ts';

/** What every broker has been given so far. */
export class PlacementLoad {
  readonly #replicas = new Map<BrokerId, number>();
  readonly #leaders = new Map<BrokerId, number>();

  constructor(places: Iterable<PartitionPlace>) {
    for (const { replicas } of places) this.add(replicas.map((replica) => replica.brokerId));
  }

  replicasOn(broker: BrokerId): number {
    return this.#replicas.get(broker) ?? 0;
  }

  leadersOn(broker: BrokerId): number {
    return this.#leaders.get(broker) ?? 0;
  }

  /** One more partition, its preferred leader first. */
  add(brokers: readonly BrokerId[]): void {
    for (const broker of brokers) this.#replicas.set(broker, this.replicasOn(broker) + 1);
    const [leader] = brokers;
    if (leader !== undefined) this.#leaders.set(leader, this.leadersOn(leader) + 1);
  }
}

/** Brokers for more replicas of a partition: those that it has come first, in their order. Not counted in `load`. */
export function extendReplicas(
  present: readonly BrokerId[],
  brokers: readonly BrokerEntry[],
  factor: number,
  load: PlacementLoad,
  dead: ReadonlySet<BrokerId>,
): readonly BrokerId[] {
  const kept = brokers.filter((broker) => present.includes(broker.brokerId));
  const added = choose(kept, brokers, factor, load, dead).slice(kept.length);
  return [...present, ...added.map((broker) => broker.brokerId)];
}

/**
 * Brokers for one partition, the preferred leader first; counted in `load` from now on.
 * @param brokers to choose from; at least `factor`
 * @param dead not heard of for long: taken only if there is nobody else
 * @param turn where to begin among equals, so that they all have their turn
 */
export function placeReplicas(
  brokers: readonly BrokerEntry[],
  factor: number,
  load: PlacementLoad,
  dead: ReadonlySet<BrokerId>,
  turn: number,
): readonly BrokerId[] {
  const inTurn = brokers.map((_, at) => must(brokers[(at + turn) % brokers.length], 'an index within the list'));
  const chosen = choose([], inTurn, factor, load, dead);
  const leader = cheapest(chosen, ({ brokerId }) => [dead.has(brokerId) ? 1 : 0, load.leadersOn(brokerId)]);
  const placed = [leader, ...chosen.filter((broker) => broker !== leader)].map((broker) => broker.brokerId);
  load.add(placed);
  return placed;
}

/** Adds to those that are chosen until there are `factor`. */
function choose(
  first: readonly BrokerEntry[],
  from: readonly BrokerEntry[],
  factor: number,
  load: PlacementLoad,
  dead: ReadonlySet<BrokerId>,
): readonly BrokerEntry[] {
  const chosen = [...first];
  while (chosen.length < factor) {
    const left = from.filter((broker) => !chosen.includes(broker));
    const costOf = (broker: BrokerEntry): readonly number[] => [
      dead.has(broker.brokerId) ? 1 : 0,
      chosen.some((one) => sharesRack(one, broker)) ? 1 : 0,
      load.replicasOn(broker.brokerId),
    ];
    chosen.push(cheapest(left, costOf));
  }
  return chosen;
}

const sharesRack = (one: BrokerEntry, other: BrokerEntry): boolean => one.rack !== null && one.rack === other.rack;

/** The first one whose costs, compared in their order, are the lowest. */
function cheapest<T>(candidates: readonly T[], costOf: (candidate: T) => readonly number[]): T {
  const compared = candidates.reduce((best, candidate) =>
    isBelow(costOf(candidate), costOf(best)) ? candidate : best,
  );
  return compared;
}

function isBelow(one: readonly number[], other: readonly number[]): boolean {
  const at = one.findIndex((cost, i) => cost !== other[i]);
  return at >= 0 && (one[at] ?? 0) < (other[at] ?? 0);
}
