/**
 * What becomes of an operation: the command that carries it out, what that brings about, and why it is refused. Pure.
 *
 * Invariants:
 * - operation-2: nothing is ordered that a partition could not carry out for want of a majority of live replicas, now or
 *   afterwards, and nothing after which a topic has fewer brokers than replicas.
 * - operation-3: a partition takes one order at a time; another one waits, or says that it supersedes the first.
 */
import type { Refused, Result } from '../model/errors.ts';
import { refuse } from '../model/errors.ts';
import type { BrokerId, GroupNumber } from '../model/ids.ts';
import type { BrokerEntry, CatalogCommand, PartitionPlace, Placement, TopicEntry } from './catalog-commands.ts';
import type { DecisionContext } from './catalog-decisions.ts';
import { avoided, decideAddPartitions, findTopic, notFounded, refuseReplicationFactor } from './catalog-decisions.ts';
import type { CatalogState } from './catalog-state.ts';
import type { ClusterOperation, PartitionAtRisk, ReplicaMove, TopicRef } from './cluster-operation.ts';
import { extendReplicas, PlacementLoad } from './placement.ts';
import { isAtRest, majorityOf, ReplicaAssigner, sameReplicas } from './replica-assignment.ts';

/** What the catalog's leader sees beside the catalog. */
export interface OperationContext extends DecisionContext {
  /** Brokers with a vote in the catalog's own group. */
  readonly catalogVoters: readonly BrokerId[];
}

export interface OperationPlan {
  /** Null: there is nothing to do. Without meaning if there are refusals. */
  readonly command: CatalogCommand | null;
  readonly refusals: readonly Refused[];
  readonly affected: readonly GroupNumber[];
  /** The group of each replica that has to be copied to another disk. */
  readonly copies: readonly GroupNumber[];
  /** Where leadership moves if one of these brokers has it, by group. */
  readonly leadLeaves: ReadonlyMap<GroupNumber, ReadonlySet<BrokerId>>;
  readonly atRisk: readonly PartitionAtRisk[];
  readonly warnings: readonly string[];
}

const nothing: OperationPlan = {
  command: null,
  refusals: [],
  affected: [],
  copies: [],
  leadLeaves: new Map(),
  atRisk: [],
  warnings: [],
};

const refused = (...refusals: readonly Refused[]): OperationPlan => ({ ...nothing, refusals });

/** Topics that a refusal names; more are counted only. */
const topicsNamedMax = 10;

export function planOperation(
  state: CatalogState,
  operation: ClusterOperation,
  context: OperationContext,
): OperationPlan {
  if (state.head === null) return refused(notFounded);
  switch (operation.kind) {
    case 'drain-broker':
      return planDrain(state, operation.brokerId, context);
    case 'undrain-broker':
      return planUndrain(state, operation.brokerId);
    case 'decommission-broker':
      return planDecommission(state, operation.brokerId, context);
    case 'replace-broker':
      return planReplacement(state, operation.brokerId, operation.incarnation, context);
    case 'move-replicas':
      return planMoves(state, operation, context);
    case 'transfer-leadership':
      return planTransfer(state, operation, context);
    case 'add-partitions':
      return planMorePartitions(state, operation.topic, operation.partitions, context);
    case 'change-replication-factor':
      return planReplicationFactor(state, operation.topic, operation.replicationFactor, context);
    case 'finalize-upgrade':
      return planFinalization(state);
  }
}

// ---- what a broker has ----

/** A partition with its name. */
interface Located {
  readonly topic: TopicEntry;
  readonly partition: number;
  readonly place: PartitionPlace;
}

const allPlaces = (state: CatalogState): readonly Located[] =>
  [...state.topics.values()].flatMap((topic) =>
    topic.partitions.map((place, partition) => ({ topic, partition, place })),
  );

const isOn = ({ place }: Located, broker: BrokerId): boolean =>
  place.replicas.some((replica) => replica.brokerId === broker);

/** Brokers that have a replica of the partition on the disk that they have now, and are heard. */
function liveOn(state: CatalogState, place: PartitionPlace, { heard }: OperationContext): readonly BrokerId[] {
  const live = place.replicas.filter(({ brokerId, incarnation }) => {
    const broker = state.brokers.get(brokerId);
    return broker?.joined === true && broker.incarnation === incarnation && heard.has(brokerId);
  });
  return live.map((replica) => replica.brokerId);
}

const hasMajority = (live: readonly BrokerId[], place: PartitionPlace): boolean =>
  live.length >= majorityOf(place.replicas.length);

const risk = ({ topic, partition }: Located, reason: string): PartitionAtRisk => ({
  topic: topic.name,
  partition,
  reason,
});

/** Of all that `places` are: counted, and named by topic. */
function named(places: readonly Located[]): { readonly text: string; readonly fields: Record<string, string> } {
  const topics = [...new Set(places.map(({ topic }) => topic.name))].sort();
  const some = topics.slice(0, topicsNamedMax).join(', ');
  const more = topics.length > topicsNamedMax ? `, and ${topics.length - topicsNamedMax} more` : '';
  return {
    text: `${places.length} partitions of ${topics.length} topics (${some}${more})`,
    fields: { partitions: `${places.length}`, topics: `${topics.length}`, names: some },
  };
}

const leavesFrom = (places: readonly Located[], broker: BrokerId): OperationPlan['leadLeaves'] =>
  new Map(places.map(({ place }) => [place.group, new Set([broker])]));

const unknownBroker = (brokerId: BrokerId): Refused =>
  refuse('BROKER_ID_NOT_REGISTERED', `the cluster has no broker ${brokerId}`, { fields: { brokerId: `${brokerId}` } });

// ---- brokers ----

function planDrain(state: CatalogState, brokerId: BrokerId, context: OperationContext): OperationPlan {
  const broker = state.brokers.get(brokerId);
  if (broker === undefined) return refused(unknownBroker(brokerId));
  const here = allPlaces(state).filter((one) => isOn(one, brokerId));
  const others = ({ place }: Located): readonly BrokerId[] =>
    liveOn(state, place, context).filter((id) => id !== brokerId && state.brokers.get(id)?.duty !== 'draining');
  const stopped = here.filter((one) => !hasMajority(others(one), one.place));
  // of one or two replicas none can be missed, whatever is done: that is told, and no reason to refuse
  const lost = stopped.filter(({ place }) => place.replicas.length > 2 && !isStopped(state, place, context));
  const atRisk = stopped.map((one) => risk(one, `without broker ${brokerId} it has no majority of live replicas`));
  const leadLeaves = leavesFrom(here, brokerId);
  const plan = { ...nothing, affected: here.map(({ place }) => place.group), leadLeaves, atRisk };
  if (broker.duty !== undefined) return { ...nothing, warnings: [`broker ${brokerId} is ${broker.duty} already`] };
  const refusals = [
    ...(lost.length === 0
      ? []
      : [unsafe(`broker ${brokerId} can not be drained: without it`, lost, 'have no majority')]),
    ...refuseCatalog(state, brokerId, 'drained', context),
  ];
  return { ...plan, refusals, command: { kind: 'set-duty', brokerId, duty: 'draining' } };
}

/** It has no majority now: nothing that is done to one of its brokers can stop it. */
const isStopped = (state: CatalogState, place: PartitionPlace, context: OperationContext): boolean =>
  !hasMajority(liveOn(state, place, context), place);

function unsafe(what: string, places: readonly Located[], consequence: string): Refused {
  const { text, fields } = named(places);
  return refuse('UNSAFE_OPERATION', `${what} ${text} would ${consequence}`, { fields });
}

/** The catalog itself needs most of its voters too; one or two can not miss any, whatever is done. */
function refuseCatalog(
  state: CatalogState,
  brokerId: BrokerId,
  done: string,
  { catalogVoters, heard }: OperationContext,
): readonly Refused[] {
  if (catalogVoters.length <= 2 || !catalogVoters.includes(brokerId)) return [];
  const isThere = (id: BrokerId): boolean => heard.has(id) && state.brokers.get(id)?.duty === undefined;
  const left = catalogVoters.filter((id) => id !== brokerId && isThere(id));
  if (left.length >= majorityOf(catalogVoters.length)) return [];
  const what = `broker ${brokerId} can not be ${done}: without it the catalog would have ${left.length} of ${catalogVoters.length} voters`;
  return [refuse('UNSAFE_OPERATION', what, { fields: { voters: `${catalogVoters.length}`, left: `${left.length}` } })];
}

function planUndrain(state: CatalogState, brokerId: BrokerId): OperationPlan {
  const broker = state.brokers.get(brokerId);
  if (broker === undefined) return refused(unknownBroker(brokerId));
  if (broker.duty === undefined) return nothing;
  const home = allPlaces(state).filter(({ place }) => place.replicas[0]?.brokerId === brokerId);
  const elsewhere = new Map(
    home.map(({ place }) => [place.group, new Set(place.replicas.slice(1).map((replica) => replica.brokerId))]),
  );
  const affected = home.map(({ place }) => place.group);
  return { ...nothing, affected, leadLeaves: elsewhere, command: { kind: 'set-duty', brokerId, duty: null } };
}

function planDecommission(state: CatalogState, brokerId: BrokerId, context: OperationContext): OperationPlan {
  const broker = state.brokers.get(brokerId);
  if (broker === undefined) return { ...nothing, warnings: [`the cluster has no broker ${brokerId}`] };
  if (broker.duty === 'decommissioning') return { ...nothing, ...replicasOf(state, brokerId) };
  const there = replicasOf(state, brokerId);
  const hosts = [...state.brokers.values()].filter(
    (one) => one.brokerId !== brokerId && one.joined && one.duty === undefined && context.heard.has(one.brokerId),
  );
  const here = allPlaces(state).filter((one) => isOn(one, brokerId));
  const homeless = allPlaces(state).filter(({ place }) => place.replicas.length > hosts.length);
  const stopped = here.filter(({ place }) => isStopped(state, place, context));
  const last = state.brokers.size === 1 ? [refuse('UNSAFE_OPERATION', 'the last broker can not be removed')] : [];
  const refusals = [
    ...last,
    ...(homeless.length === 0
      ? []
      : [unsafe(`with ${hosts.length} other live brokers`, homeless, 'have fewer brokers than replicas')]),
    ...(stopped.length === 0 ? [] : [unsafe('without a majority of live replicas', stopped, 'not move')]),
    ...refuseCatalog(state, brokerId, 'removed', context),
  ];
  const weak = here.filter(({ place }) => liveOn(state, place, context).length < place.replicas.length);
  const atRisk = weak.map((one) => risk(one, 'not all of its replicas are alive'));
  return { ...nothing, ...there, refusals, atRisk, command: { kind: 'set-duty', brokerId, duty: 'decommissioning' } };
}

/** All that is placed on the broker has to be copied, and led by others. */
function replicasOf(
  state: CatalogState,
  brokerId: BrokerId,
): Pick<OperationPlan, 'affected' | 'copies' | 'leadLeaves'> {
  const here = allPlaces(state).filter((one) => isOn(one, brokerId));
  const groups = here.map(({ place }) => place.group);
  return { affected: groups, copies: groups, leadLeaves: leavesFrom(here, brokerId) };
}

function planReplacement(
  state: CatalogState,
  brokerId: BrokerId,
  incarnation: string | null,
  context: OperationContext,
): OperationPlan {
  const broker = state.brokers.get(brokerId);
  if (broker === undefined) return refused(unknownBroker(brokerId));
  if (incarnation !== null && incarnation !== broker.incarnation) return refused(otherDisk(broker, incarnation));
  const here = allPlaces(state).filter((one) => isOn(one, brokerId));
  const others = ({ place }: Located): readonly BrokerId[] =>
    liveOn(state, place, context).filter((id) => id !== brokerId);
  const lost = here.filter((one) => !hasMajority(others(one), one.place));
  const alive = context.heard.has(brokerId)
    ? [refuse('UNSAFE_OPERATION', `broker ${brokerId} is heard of, or was a moment ago; stop it, wait, and try again`)]
    : [];
  const refusals = [
    ...alive,
    ...(lost.length === 0
      ? []
      : [unsafe(`without the disk of broker ${brokerId}`, lost, 'have no majority of live replicas')]),
    ...refuseCatalog(state, brokerId, 'replaced', context),
  ];
  const { affected, copies } = replicasOf(state, brokerId);
  const atRisk = here.map((one) => risk(one, `its replica on broker ${brokerId} is given up`));
  const plan = { ...nothing, affected, copies, atRisk, refusals };
  if (broker.replaceable === true) return { ...plan, refusals: [] };
  return { ...plan, command: { kind: 'replace-broker', brokerId, incarnation: broker.incarnation } };
}

const otherDisk = ({ brokerId, incarnation }: BrokerEntry, meant: string): Refused =>
  refuse('INVALID_REQUEST', `broker ${brokerId} has disk ${incarnation}, not ${meant}`, {
    fields: { brokerId: `${brokerId}`, incarnation },
  });

// ---- replicas ----

type MovesWish = Extract<ClusterOperation, { kind: 'move-replicas' }>;

function planMoves(state: CatalogState, { moves, supersede }: MovesWish, context: OperationContext): OperationPlan {
  const located: { readonly at: Located; readonly brokers: readonly BrokerId[] }[] = [];
  for (const move of moves) {
    const at = locate(state, move);
    const refusal = at.kind === 'refused' ? at : refuseMove(state, at.value, move.brokers, supersede, context);
    if (at.kind === 'refused' || refusal !== null) return refused(...(refusal === null ? [] : [refusal]));
    located.push({ at: at.value, brokers: move.brokers });
  }
  const groups = new Set(located.map(({ at }) => at.place.group));
  if (groups.size < located.length) return refused(refuse('INVALID_REQUEST', 'a partition is named twice'));
  return planPlacements(state, located, [], context);
}

function locate(
  state: CatalogState,
  { tenant, topic: name, partition }: Omit<ReplicaMove, 'brokers'>,
): Result<Located> {
  const found = findTopic(state, { tenant, name, topicId: null });
  if (found.kind === 'refused') return found;
  const place = found.value.partitions[partition];
  if (place !== undefined) return { kind: 'ok', value: { topic: found.value, partition, place } };
  const what = `topic "${name}" has partitions 0 to ${found.value.partitions.length - 1}, not ${partition}`;
  return refuse('UNKNOWN_TOPIC_OR_PARTITION', what);
}

function refuseMove(
  state: CatalogState,
  at: Located,
  brokers: readonly BrokerId[],
  supersede: boolean,
  context: OperationContext,
): Refused | null {
  const { topic, partition, place } = at;
  const name = `${topic.name}/${partition}`;
  if (new Set(brokers).size < brokers.length) return refuse('INVALID_REQUEST', `${name}: a broker is named twice`);
  const count = place.replicas.length;
  if (brokers.length !== count) {
    const what = `${name} has ${count} replicas, and ${brokers.length} brokers are named; how many there are is changed by ChangeReplicationFactor`;
    return refuse('INVALID_REPLICATION_FACTOR', what);
  }
  const unknown = brokers.find((id) => state.brokers.get(id)?.joined !== true);
  if (unknown !== undefined) return unknownBroker(unknown);
  const fresh = brokers.filter((id) => !place.replicas.some((replica) => replica.brokerId === id));
  const going = fresh.find((id) => state.brokers.get(id)?.duty !== undefined);
  if (going !== undefined) {
    const duty = state.brokers.get(going)?.duty ?? '';
    return refuse('INVALID_REQUEST', `${name}: broker ${going} is ${duty} and takes no replicas`);
  }
  return refuseUnderWay(at, supersede, context);
}

/** operation-3 */
function refuseUnderWay(
  { topic, partition, place }: Located,
  supersede: boolean,
  context: DecisionContext,
): Refused | null {
  if (supersede || isAtRest(place)) return null;
  const what = `the replicas of ${topic.name}/${partition} are moving already; wait, or supersede that move`;
  return refuse('REASSIGNMENT_IN_PROGRESS', what, { retryAfterMs: context.limits.upkeepIntervalMs });
}

/** One command for many partitions; refused as a whole. */
function planPlacements(
  state: CatalogState,
  moves: readonly { readonly at: Located; readonly brokers: readonly BrokerId[] }[],
  factors: Extract<CatalogCommand, { kind: 'place-replicas' }>['factors'],
  context: OperationContext,
  leadNow = false,
): OperationPlan {
  const assigner = new ReplicaAssigner(state);
  const placements: Placement[] = [];
  const copies: GroupNumber[] = [];
  const leadLeaves = new Map<GroupNumber, ReadonlySet<BrokerId>>();
  const [stopped, unheard, weak]: [Located[], Located[], Located[]] = [[], [], []];
  for (const { at, brokers } of moves) {
    const { place } = at;
    const assigned = assigner.assign(place, brokers);
    if (assigned.kind === 'refused') return refused(assigned);
    const { replicas } = assigned.value;
    if (sameReplicas(replicas, place.replicas) && !leadNow) continue;
    placements.push(assigned.value);
    const fresh = replicas.filter(({ replicaId }) => !place.replicas.some((one) => one.replicaId === replicaId));
    copies.push(...fresh.map(() => place.group));
    const [first, second] = [place.replicas[0]?.brokerId, replicas[0]?.brokerId];
    const gone = place.replicas.map((one) => one.brokerId).filter((id) => !brokers.includes(id));
    leadLeaves.set(place.group, new Set([...gone, ...(first !== undefined && first !== second ? [first] : [])]));
    if (isStopped(state, place, context)) stopped.push(at);
    const live = liveOn(state, { ...place, replicas }, context);
    const freshAlive = fresh.every(({ brokerId }) => live.includes(brokerId));
    if (live.length < majorityOf(replicas.length) || !freshAlive) unheard.push(at);
    else if (live.length < replicas.length) weak.push(at);
  }
  const refusals = [
    ...(stopped.length === 0 ? [] : [unsafe('without a majority of live replicas', stopped, 'not move')]),
    ...(unheard.length === 0 ? [] : [unsafe('on brokers that are not heard of', unheard, 'not be replicated')]),
  ];
  const done = placements.length === 0 && factors.length === 0;
  return {
    ...nothing,
    command: done ? null : { kind: 'place-replicas', placements, factors, leadNow },
    refusals,
    affected: placements.map((placement) => placement.group),
    copies,
    leadLeaves,
    atRisk: weak.map((one) => risk(one, 'not all of its replicas will be alive')),
  };
}

type TransferWish = Extract<ClusterOperation, { kind: 'transfer-leadership' }>;

function planTransfer(state: CatalogState, wish: TransferWish, context: OperationContext): OperationPlan {
  const { brokerId } = wish;
  const at = locate(state, wish);
  if (at.kind === 'refused') return refused(at);
  const { place, topic, partition } = at.value;
  const name = `${topic.name}/${partition}`;
  const broker = state.brokers.get(brokerId);
  if (broker === undefined) return refused(unknownBroker(brokerId));
  if (!isOn(at.value, brokerId)) {
    return refused(refuse('INVALID_REQUEST', `broker ${brokerId} has no replica of ${name}; move one there first`));
  }
  if (broker.duty !== undefined) {
    return refused(refuse('INVALID_REQUEST', `broker ${brokerId} is ${broker.duty} and leads nothing`));
  }
  if (!context.heard.has(brokerId)) {
    return refused(refuse('UNSAFE_OPERATION', `broker ${brokerId} is not heard of and can not lead ${name}`));
  }
  const underWay = refuseUnderWay(at.value, false, context);
  if (underWay !== null) return refused(underWay);
  const others = place.replicas.map((replica) => replica.brokerId).filter((id) => id !== brokerId);
  const plan = planPlacements(state, [{ at: at.value, brokers: [brokerId, ...others] }], [], context, true);
  return { ...plan, leadLeaves: new Map([[place.group, new Set(others)]]) };
}

// ---- topics ----

function planMorePartitions(
  state: CatalogState,
  wish: TopicRef,
  count: number,
  context: OperationContext,
): OperationPlan {
  const decided = decideAddPartitions(state, wish, count, context);
  if (decided.kind === 'refused') return refused(decided);
  const command = decided.value;
  if (command === null) return nothing;
  const warning =
    'records with keys may go to other partitions from now on: the order of a key holds within a partition';
  return { ...nothing, command, affected: command.partitions.map((place) => place.group), warnings: [warning] };
}

function belowInsync(name: string, factor: number, insync: number): Refused {
  const what = `min.insync.replicas of topic "${name}" is ${insync}: lower it before the replication factor becomes ${factor}`;
  const fields = { replicationFactor: `${factor}`, 'min.insync.replicas': `${insync}` };
  return refuse('INVALID_REPLICATION_FACTOR', what, { fields });
}

function planReplicationFactor(
  state: CatalogState,
  wish: TopicRef,
  factor: number,
  context: OperationContext,
): OperationPlan {
  const found = findTopic(state, wish);
  if (found.kind === 'refused') return refused(found);
  const topic = found.value;
  if (topic.internal) {
    return refused(refuse('INVALID_TOPIC', `topic "${topic.name}" is Sluice's own, which sees to its replicas itself`));
  }
  const insync = topic.config['min.insync.replicas'];
  if (insync !== null && factor < insync) return refused(belowInsync(topic.name, factor, insync));
  const hosts = [...state.brokers.values()].filter((one) => one.joined && one.duty === undefined);
  const outOfRange = refuseReplicationFactor(factor, hosts.length);
  if (outOfRange !== null) return refused(outOfRange);
  const load = new PlacementLoad(allPlaces(state).map(({ place }) => place));
  const moves: { at: Located; brokers: readonly BrokerId[] }[] = [];
  for (const [partition, place] of topic.partitions.entries()) {
    const at = { topic, partition, place };
    if (place.replicas.length === factor) continue;
    const underWay = refuseUnderWay(at, false, context);
    if (underWay !== null) return refused(underWay);
    const brokers = resized(state, place, factor, { hosts, load, context });
    load.add(brokers.filter((id) => !place.replicas.some((replica) => replica.brokerId === id)));
    moves.push({ at, brokers });
  }
  if (moves.length === 0 && topic.replicationFactor === factor) return nothing;
  const factors = [{ topicId: topic.topicId, replicationFactor: factor }];
  const plan = planPlacements(state, moves, factors, context);
  if (factor % 2 === 1) return plan;
  const even = `replication factor ${factor} survives the loss of no more brokers than ${factor - 1} does`;
  return { ...plan, warnings: [even] };
}

/** Brokers for `factor` replicas: the first stays first; who goes is dead, or shares a rack, or has most. */
function resized(
  state: CatalogState,
  place: PartitionPlace,
  factor: number,
  {
    hosts,
    load,
    context,
  }: { readonly hosts: readonly BrokerEntry[]; readonly load: PlacementLoad; readonly context: OperationContext },
): readonly BrokerId[] {
  const present = place.replicas.map((replica) => replica.brokerId);
  const avoid = avoided(state, new Set([...context.dead, ...silent(state, context)]));
  if (factor >= present.length) {
    const here = [...state.brokers.values()].filter((one) => present.includes(one.brokerId));
    const all = [...here, ...hosts.filter((one) => !present.includes(one.brokerId))];
    return extendReplicas(present, all, factor, load, avoid);
  }
  const kept = [...present];
  const rackOf = (id: BrokerId): string | null => state.brokers.get(id)?.rack ?? null;
  while (kept.length > factor) {
    const shares = (id: BrokerId): boolean =>
      rackOf(id) !== null && kept.some((other) => other !== id && rackOf(other) === rackOf(id));
    const worth = (id: BrokerId): number =>
      (avoid.has(id) ? 4_000_000 : 0) + (shares(id) ? 2_000_000 : 0) + Math.min(1_000_000, load.replicasOn(id));
    const candidates = kept.filter((id, at) => at > 0 || avoid.has(id));
    const pool = candidates.length === 0 ? kept : candidates;
    const goes = pool.reduce((worst, id) => (worth(id) >= worth(worst) ? id : worst));
    kept.splice(kept.indexOf(goes), 1);
  }
  return kept;
}

const silent = (state: CatalogState, { heard }: DecisionContext): readonly BrokerId[] =>
  [...state.brokers.keys()].filter((id) => !heard.has(id));

// ---- the cluster ----

function planFinalization(state: CatalogState): OperationPlan {
  const active = state.head?.activeVersion ?? 0;
  const brokers = [...state.brokers.values()].filter((broker) => broker.joined);
  const versionOf = (broker: BrokerEntry): number => broker.formatVersion ?? 1;
  const newest = Math.max(active, ...brokers.map(versionOf));
  if (newest === active) return nothing;
  const behind = brokers.filter((broker) => versionOf(broker) < newest);
  if (behind.length === 0) return { ...nothing, command: { kind: 'raise-active-version', activeVersion: newest } };
  const list = behind.map((broker) => `${broker.brokerId} (${broker.version}, format ${versionOf(broker)})`).join(', ');
  const what = `format ${newest} is not known to the software of brokers ${list}; upgrade them first`;
  return refused(
    refuse('UNSAFE_OPERATION', what, { fields: { brokers: behind.map((one) => one.brokerId).join(',') } }),
  );
}
