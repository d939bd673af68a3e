/** Which replicas of a group are in sync. Pure: as its leader sees them, and nobody else can tell. */
import type { LogIndex, ReplicaId } from '../model/ids.ts';
import type { FollowerStatus } from '../raft/core/progress.ts';
import type { RoleState } from '../raft/core/ready.ts';
import type { BrokerLimits } from './limits.ts';

export interface LedGroup {
  readonly role: RoleState;
  readonly commitIndex: LogIndex;
  readonly followers: readonly FollowerStatus[];
}

/**
 * The replicas that hold all but the newest of what is committed and were heard of lately; the leader, by what it is, is
 * one. Empty: this replica does not lead, or does not serve yet, and can not tell.
 */
export function inSyncReplicas(
  { role, commitIndex, followers }: LedGroup,
  nowMs: number,
  { inSyncHeardMs, inSyncLagMax }: Pick<BrokerLimits, 'inSyncHeardMs' | 'inSyncLagMax'>,
): readonly ReplicaId[] {
  if (role.role !== 'leader' || !role.serving || role.leader === null) return [];
  const near = followers.filter(
    ({ state, match, heardMs }) =>
      state === 'replicate' && match + inSyncLagMax >= commitIndex && nowMs - heardMs <= inSyncHeardMs,
  );
  return [role.leader, ...near.map(({ id }) => id)];
}
