/**
 * From where a group's replicas are to where the catalog wants them (design D5). Pure: what the group's leader does next.
 *
 * Invariants:
 * - placement-1: a new replica comes as a learner, and votes once it has caught up (P56); those that go leave in the same
 *   joint change in which the new ones come, so that there are never fewer voters than there were.
 * - placement-2: a configuration carries the revision of the placement that asked for it; a leader that knows only an older
 *   placement changes nothing any more (P64). So a placement is reached only by a configuration of its own revision, even
 *   if the members were the same all along: nobody can then bring back what was left out.
 */
import type { LogIndex, ReplicaId } from '../model/ids.ts';
import type { Configuration } from '../raft/core/configuration.ts';
import type { IndexedConfiguration } from '../raft/core/membership.ts';
import type { FollowerStatus } from '../raft/core/progress.ts';

/** What the leader of a group sees of it. */
export interface GroupView {
  /** Desired, by the catalog as this broker has applied it. */
  readonly replicas: readonly ReplicaId[];
  readonly revision: number;
  readonly membership: IndexedConfiguration;
  readonly commitIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly followers: readonly FollowerStatus[];
  /** Entries that a learner may be behind and still be promoted; the core has the last word. */
  readonly lagMax: number;
}

export type PlacementStep =
  | { readonly kind: 'change'; readonly target: Configuration }
  /** The committed configuration is what the placement asks for. */
  | { readonly kind: 'reached' }
  /** Something has to happen first: a change to commit, a learner to catch up, the catalog's news to arrive. */
  | { readonly kind: 'wait'; readonly why: 'change-in-progress' | 'learner-behind' | 'older-placement' };

/** Configurations that one placement may take: its revision times this is where theirs begin. */
export const stepsPerRevision = 1_000_000;

export function planPlacement(view: GroupView): PlacementStep {
  const { replicas, revision } = view;
  const { index, configuration } = view.membership;
  if (configuration.revision >= (revision + 1) * stepsPerRevision) return { kind: 'wait', why: 'older-placement' };
  if (index > view.commitIndex || configuration.outgoing.length > 0) return { kind: 'wait', why: 'change-in-progress' };
  const { voters } = configuration;
  const coming = replicas.filter((replica) => !voters.includes(replica));
  if (!sameMembers(coming, configuration.learners)) return change(view, voters, coming);
  if (!coming.every((replica) => hasCaughtUp(view, replica))) return { kind: 'wait', why: 'learner-behind' };
  const isOwn = configuration.revision >= revision * stepsPerRevision;
  return sameMembers(voters, replicas) && isOwn ? { kind: 'reached' } : change(view, replicas, []);
}

/** One configuration further, within the range of the placement's revision (placement-2). */
function change(
  { membership, revision }: GroupView,
  voters: readonly ReplicaId[],
  learners: readonly ReplicaId[],
): PlacementStep {
  const next = Math.max(membership.configuration.revision + 1, revision * stepsPerRevision);
  return { kind: 'change', target: { revision: next, voters, outgoing: [], learners } };
}

function hasCaughtUp({ followers, lagMax, lastIndex }: GroupView, replica: ReplicaId): boolean {
  const follower = followers.find((one) => one.id === replica);
  return follower?.state === 'replicate' && follower.match + lagMax >= lastIndex;
}

const sameMembers = (one: readonly ReplicaId[], other: readonly ReplicaId[]): boolean =>
  one.length === other.length && one.every((replica) => other.includes(replica));
