/**
 * To whom a broker that is about to stop hands the leaderships that it has. Pure.
 *
 * Only a voter that has (almost) everything and was heard a moment ago takes one at once, so that the pause is one round
 * trip and one election; who was not heard is not waited for. What nobody can take stays until the broker is gone.
 */
import type { GroupNumber, LogIndex, ReplicaId } from '../model/ids.ts';
import type { FollowerStatus } from '../raft/core/progress.ts';
import type { RoleState } from '../raft/core/ready.ts';

/** A group that runs on the broker that stops. */
export interface DepartingGroup {
  readonly group: GroupNumber;
  readonly role: RoleState;
  readonly voters: readonly ReplicaId[];
  readonly lastIndex: LogIndex;
  readonly followers: readonly FollowerStatus[];
}

/** The transfers of one group that were begun, oldest first. */
export interface Handed {
  readonly to: readonly ReplicaId[];
  /** When the newest was begun, milliseconds on the monotonic clock. */
  readonly sinceMs: number;
}

export interface HandoverLimits {
  /** Leaderships that are on their way at once. */
  readonly handoversMax: number;
  /** How long one transfer may take before the next voter is asked, milliseconds. */
  readonly handoverTryMs: number;
  /** A voter that was heard this long ago or later is taken for alive, milliseconds. */
  readonly handoverHeardMs: number;
  /** Entries that the voter may be behind: proposals are refused while it catches up. */
  readonly promotionLagMax: number;
}

interface HandoverView {
  readonly groups: readonly DepartingGroup[];
  readonly handed: ReadonlyMap<GroupNumber, Handed>;
  /** True: the replica is on a broker that stops as well. */
  readonly isDeparting: (replica: ReplicaId) => boolean;
  readonly nowMs: number;
  readonly limits: HandoverLimits;
}

interface HandoverStep {
  readonly transfers: readonly { readonly group: GroupNumber; readonly to: ReplicaId }[];
  /** False: there is nothing that waiting could improve. */
  readonly isOpen: boolean;
}

export function planHandover(view: HandoverView): HandoverStep {
  const { groups, handed, nowMs, limits } = view;
  const isUnderWay = ({ group }: DepartingGroup): boolean =>
    nowMs - (handed.get(group)?.sinceMs ?? -Infinity) < limits.handoverTryMs;
  const led = groups.filter(({ role }) => role.role === 'leader');
  const underWay = led.filter(isUnderWay).length;
  // the election that was asked for needs the vote of this broker perhaps: it stays until there is a winner
  const elects = groups.some((one) => one.role.leader === null && isUnderWay(one));
  const transfers: { group: GroupNumber; to: ReplicaId }[] = [];
  let isOpen = elects || underWay > 0;
  for (const one of led) {
    if (isUnderWay(one)) continue;
    const alive = one.followers.filter((follower) => mayTake(view, one, follower));
    if (alive.length > 0) isOpen = true;
    if (underWay + transfers.length >= limits.handoversMax) continue;
    const to = choose(one, alive, handed.get(one.group)?.to ?? [], limits.promotionLagMax);
    if (to !== null) transfers.push({ group: one.group, to });
  }
  return { transfers, isOpen };
}

function mayTake(view: HandoverView, { voters }: DepartingGroup, follower: FollowerStatus): boolean {
  const { nowMs, limits, isDeparting } = view;
  if (!voters.includes(follower.id) || follower.state === 'lost') return false;
  return nowMs - follower.heardMs < limits.handoverHeardMs && !isDeparting(follower.id);
}

/** Whoever was asked least; by group number in turn, so that the voters of many groups share them. */
function choose(
  { group, lastIndex }: DepartingGroup,
  alive: readonly FollowerStatus[],
  asked: readonly ReplicaId[],
  lagMax: number,
): ReplicaId | null {
  const ready = alive.filter(({ state, match }) => state === 'replicate' && match + lagMax >= lastIndex);
  const timesAsked = (id: ReplicaId): number => asked.filter((one) => one === id).length;
  const least = Math.min(...ready.map(({ id }) => timesAsked(id)));
  const candidates = ready.filter(({ id }) => timesAsked(id) === least);
  return candidates[group % candidates.length]?.id ?? null;
}
