/**
 * What the catalog's leader orders on its own account to complete what operators have ordered: replicas on a disk that was
 * replaced are made anew on the new one, those of a broker that goes move to others, and then the broker goes. Pure: the
 * next command. A crash at any point is gone on from by the next leader.
 */
import type { BrokerId } from '../model/ids.ts';
import type { BrokerEntry, CatalogCommand, PartitionPlace, Placement } from './catalog-commands.ts';
import type { CatalogState } from './catalog-state.ts';
import { MovingTurns } from './moving-turns.ts';
import { extendReplicas, PlacementLoad } from './placement.ts';
import { isAtRest, isComing, ReplicaAssigner } from './replica-assignment.ts';

export interface UpkeepContext {
  readonly heard: ReadonlySet<BrokerId>;
  /** The broker that leads the catalog. */
  readonly self: BrokerId;
  /** Brokers that vote in the catalog, in a change of them those of before too. */
  readonly catalogVoters: ReadonlySet<BrokerId>;
  readonly replicasMovingMax: number;
}

/** Partitions that one command places at most: so that it is small, and others have their turn. */
const placementsMax = 50;

export type UpkeepCommand = Extract<CatalogCommand, { kind: 'place-replicas' | 'remove-broker' }>;

/** Null: nothing is to be done, or nothing can be done now. */
export function planUpkeep(state: CatalogState, context: UpkeepContext): UpkeepCommand | null {
  if (state.head === null || !hasWork(state)) return null;
  const placements = nextPlacements(state, context);
  if (placements.length > 0) return { kind: 'place-replicas', placements, factors: [], leadNow: false };
  const gone = [...state.brokers.values()].find((broker) => mayGo(state, broker, context));
  return gone === undefined ? null : { kind: 'remove-broker', brokerId: gone.brokerId };
}

const hasWork = (state: CatalogState): boolean =>
  [...state.brokers.values()].some((broker) => broker.duty === 'decommissioning') ||
  placesOf(state).some((place) => place.replicas.some((one) => isStale(state, one)));

const placesOf = (state: CatalogState): readonly PartitionPlace[] =>
  [...state.topics.values()].flatMap((topic) => topic.partitions);

/** It was on a disk that another one took the place of. */
function isStale(state: CatalogState, { brokerId, incarnation }: PartitionPlace['replicas'][number]): boolean {
  const broker = state.brokers.get(brokerId);
  return broker !== undefined && broker.incarnation !== incarnation;
}

/** A replica is awaited on a disk that is gone: the order that it belongs to would never end. */
const isInVain = (state: CatalogState, place: PartitionPlace): boolean =>
  place.replicas.some((one) => isComing(place, one) && isStale(state, one));

function nextPlacements(state: CatalogState, context: UpkeepContext): readonly Placement[] {
  const places = placesOf(state);
  const turns = new MovingTurns(context.replicasMovingMax);
  const load = new PlacementLoad(places);
  for (const place of places) {
    for (const replica of place.replicas)
      if (isComing(place, replica) && !isStale(state, replica)) turns.add(replica.brokerId);
  }
  const assigner = new ReplicaAssigner(state);
  const placements: Placement[] = [];
  for (const place of places) {
    if (placements.length >= placementsMax) break;
    const brokers = isAtRest(place) || isInVain(state, place) ? target(state, place, load, turns, context) : null;
    if (brokers === null) continue;
    const assigned = assigner.assign(place, brokers);
    if (assigned.kind === 'refused') continue;
    const fresh = brokers.filter((id) => !place.replicas.some((one) => one.brokerId === id && !isStale(state, one)));
    for (const broker of fresh) turns.add(broker);
    load.add(fresh.filter((id) => !place.replicas.some((one) => one.brokerId === id)));
    placements.push(assigned.value);
  }
  return placements;
}

/** Where a partition shall be instead; null: it stays, or there is no room for it now. */
function target(
  state: CatalogState,
  place: PartitionPlace,
  load: PlacementLoad,
  turns: MovingTurns,
  { heard }: UpkeepContext,
): readonly BrokerId[] | null {
  const takes = ({ brokerId, joined }: BrokerEntry): boolean =>
    joined && heard.has(brokerId) && turns.hasRoom(brokerId);
  const brokers = place.replicas.map((replica) => replica.brokerId);
  const leaves = (id: BrokerId): boolean => state.brokers.get(id)?.duty === 'decommissioning';
  const stale = place.replicas.filter((one) => isStale(state, one) && !leaves(one.brokerId));
  const back = stale.map((one) => state.brokers.get(one.brokerId)).filter((broker) => broker !== undefined);
  if (stale.length > 0) return back.every(takes) ? brokers : null;
  const goes = brokers.find(leaves);
  if (goes === undefined) return null;
  const stay = brokers.filter((id) => id !== goes);
  const hosts = [...state.brokers.values()].filter(
    (one) => !brokers.includes(one.brokerId) && one.duty === undefined && takes(one),
  );
  if (hosts.length === 0) return null;
  const kept = [...state.brokers.values()].filter((one) => stay.includes(one.brokerId));
  const extended = extendReplicas(stay, [...kept, ...hosts], brokers.length, load, new Set());
  const [taker] = extended.slice(stay.length);
  // in its place: who was the preferred leader is followed by one that has as much room
  return brokers.map((id) => (id === goes && taker !== undefined ? taker : id));
}

/** Nothing of it is needed; and if it lives, it has removed what was moved away, and leads the catalog no more. */
function mayGo(state: CatalogState, { brokerId, duty }: BrokerEntry, context: UpkeepContext): boolean {
  const { heard, self } = context;
  if (duty !== 'decommissioning' || brokerId === self || passesVoteOn(state, brokerId, context)) return false;
  return placesOf(state).every(({ replicas, leaving, reached }) => {
    const isHere = (one: { readonly brokerId: BrokerId }): boolean => one.brokerId === brokerId;
    if (replicas.some(isHere)) return false;
    return !leaving.some((one) => isHere(one) && (heard.has(brokerId) || reached < one.leftAt));
  });
}

/** It votes in the catalog, and there is one to vote in its place: that comes first (catalog-plan-4). */
function passesVoteOn(state: CatalogState, id: BrokerId, { heard, catalogVoters }: UpkeepContext): boolean {
  if (!catalogVoters.has(id)) return false;
  return [...state.brokers.values()].some(
    ({ brokerId, joined, duty }) =>
      joined && duty !== 'decommissioning' && heard.has(brokerId) && !catalogVoters.has(brokerId),
  );
}
