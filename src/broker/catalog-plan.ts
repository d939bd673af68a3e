/**
 * Who shall take part in the catalog's own group (design D4): every broker that has joined, as a learner at least, and of
 * these as many voters as are wanted. Pure: from what the leader sees to the next change, one at a time.
 *
 * Invariants:
 * - catalog-plan-1: a voter is added only when it is fed from the log and was heard lately (P56).
 * - catalog-plan-2: the number of voters goes from 1 to 3, never to 2 on purpose: two can lose none.
 * - catalog-plan-3: a voter that is dead goes only together with the coming of another, or because its broker was removed.
 * - catalog-plan-4: a broker that is decommissioned gets no vote, and gives its own to another one that can have it.
 */
import type { LogIndex, ReplicaId } from '../model/ids.ts';
import type { Configuration } from '../raft/core/configuration.ts';
import type { IndexedConfiguration } from '../raft/core/membership.ts';
import type { FollowerStatus } from '../raft/core/progress.ts';
import type { BrokerEntry } from './catalog-commands.ts';
import type { BrokerLimits } from './limits.ts';

/** What the leader of the catalog sees. Times on the monotonic clock. */
export interface CatalogView {
  readonly brokers: readonly BrokerEntry[];
  /** The leader's own replica. */
  readonly self: ReplicaId;
  readonly membership: IndexedConfiguration;
  readonly commitIndex: LogIndex;
  readonly followers: readonly FollowerStatus[];
  readonly nowMs: number;
  /** Since when it leads: nobody counts as dead before there was time to be heard. */
  readonly leaderSinceMs: number;
  /** When it last gave a voter's place to another; -Infinity: never. */
  readonly replacedMs: number;
}

export type CatalogPlanLimits = Pick<
  BrokerLimits,
  'catalogVotersMax' | 'brokerDeadMs' | 'brokerQuietMs' | 'voterReplacementMsMin'
>;

export interface CatalogPlan {
  readonly target: Configuration;
  /** It gives the place of a voter to another replica: not to be done too often. */
  readonly replaces: boolean;
}

/** The next change; null: everything is as it shall be, or as it can be for now. */
export function planCatalogMembers(view: CatalogView, limits: CatalogPlanLimits): CatalogPlan | null {
  const { index, configuration } = view.membership;
  if (index > view.commitIndex || configuration.outgoing.length > 0) return null;
  const wanted = view.brokers.filter((broker) => broker.joined).map((broker) => broker.catalogReplica);
  const voters = nextVoters(view, wanted, limits);
  const learners = wanted.filter((replica) => !voters.includes(replica));
  if (sameMembers(voters, configuration.voters) && sameMembers(learners, configuration.learners)) return null;
  const target = { revision: configuration.revision + 1, voters, outgoing: [], learners };
  const replaces = configuration.voters.some((voter) => !voters.includes(voter));
  return { target, replaces };
}

/** When a replica was last heard; the leader hears itself, and nobody is older than its leadership. */
export function heardMs(view: Omit<CatalogView, 'brokers' | 'membership'>, replica: ReplicaId): number {
  if (replica === view.self) return view.nowMs;
  const heard = view.followers.find((follower) => follower.id === replica)?.heardMs ?? -Infinity;
  return Math.max(heard, view.leaderSinceMs);
}

function nextVoters(view: CatalogView, wanted: readonly ReplicaId[], limits: CatalogPlanLimits): readonly ReplicaId[] {
  const { voters } = view.membership.configuration;
  const candidates = promotable(view, limits);
  const removed = voters.filter((voter) => !wanted.includes(voter));
  const dead = voters.filter((voter) => wanted.includes(voter) && isDead(view, voter, limits));
  if (removed.length > 0) {
    const left = voters.filter((voter) => wanted.includes(voter));
    const filled = [...left, ...candidates.slice(0, removed.length)];
    // the last voter stays until there is another one to take its place
    return filled.length === 0 ? voters : filled;
  }
  const [gone] = dead;
  const [next] = candidates;
  if (gone !== undefined && next !== undefined && view.nowMs - view.replacedMs >= limits.voterReplacementMsMin) {
    return [...voters.filter((voter) => voter !== gone), next];
  }
  const leaving = nextLeaving(view);
  if (leaving !== undefined && next !== undefined) return [...voters.filter((voter) => voter !== leaving), next];
  // always an odd number, and at once: see catalog-plan-2
  const sizes = [7, 5, 3].filter((size) => size <= limits.catalogVotersMax);
  const size = sizes.find((count) => count > voters.length && count - voters.length <= candidates.length);
  return size === undefined ? voters : [...voters, ...candidates.slice(0, size - voters.length)];
}

/**
 * The voter of a broker that is decommissioned. The leader itself only where nobody else votes: else its drain hands the
 * leadership to one of those first.
 */
function nextLeaving({ brokers, self, membership }: CatalogView): ReplicaId | undefined {
  const { voters } = membership.configuration;
  const leaving = brokers.filter((one) => isLeaving(one) && voters.includes(one.catalogReplica));
  return leaving.map((one) => one.catalogReplica).find((voter) => voter !== self || voters.length === 1);
}

const isLeaving = ({ duty }: BrokerEntry): boolean => duty === 'decommissioning';

/** Learners that could vote at once; those first whose rack has no voter yet (catalog-plan-1). */
function promotable(view: CatalogView, limits: CatalogPlanLimits): readonly ReplicaId[] {
  const { voters } = view.membership.configuration;
  const ready = view.brokers.filter((broker) => {
    const { joined, catalogReplica } = broker;
    if (!joined || isLeaving(broker) || voters.includes(catalogReplica)) return false;
    const follower = view.followers.find((one) => one.id === catalogReplica);
    return follower?.state === 'replicate' && view.nowMs - follower.heardMs < limits.brokerQuietMs;
  });
  const racks = new Set(view.brokers.filter((one) => voters.includes(one.catalogReplica)).map((one) => one.rack));
  const chosen: BrokerEntry[] = [];
  while (chosen.length < ready.length) {
    const left = ready.filter((broker) => !chosen.includes(broker));
    const next = left.find(({ rack }) => rack === null || !racks.has(rack)) ?? left[0];
    if (next === undefined) break;
    racks.add(next.rack);
    chosen.push(next);
  }
  return chosen.map((broker) => broker.catalogReplica);
}

const isDead = (view: CatalogView, voter: ReplicaId, limits: CatalogPlanLimits): boolean =>
  view.nowMs - heardMs(view, voter) >= limits.brokerDeadMs;

const sameMembers = (one: readonly ReplicaId[], other: readonly ReplicaId[]): boolean =>
  one.length === other.length && one.every((replica) => other.includes(replica));
