/**
 * Which replica a reader is sent to that says in which rack it is (semantics as of KIP-392). Pure: as the partition's leader
 * sees it, and only the leader sends anybody anywhere.
 */
import type { ReplicaId } from '../model/ids.ts';
import type { LedGroup } from './in-sync.ts';
import { inSyncReplicas } from './in-sync.ts';
import type { BrokerLimits } from './limits.ts';
import type { Locate, ReplicaPlace } from './replica-place.ts';

/**
 * A replica in the reader's rack that is in sync, the one that has most; null: the reader is served by the leader, because
 * that is in the rack itself or nobody else is.
 */
export function nearReplica(
  group: LedGroup,
  rack: string,
  locate: Locate,
  nowMs: number,
  limits: Pick<BrokerLimits, 'inSyncHeardMs' | 'inSyncLagMax'>,
): ReplicaPlace | null {
  const { leader } = group.role;
  if (leader === null || locate(leader)?.rack === rack) return null;
  const inSync = new Set<ReplicaId>(inSyncReplicas(group, nowMs, limits));
  const byMatch = group.followers
    .filter(({ id }) => inSync.has(id))
    .toSorted((a, b) => b.match - a.match || a.id - b.id);
  for (const { id } of byMatch) {
    const place = locate(id);
    if (place?.rack === rack) return place;
  }
  return null;
}
