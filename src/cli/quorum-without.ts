/** Whether the cluster does without a broker: what it waits for before that one may stop. Pure. */
import type { TopicDescription } from '../../clients/typescript/src/index.ts';

/**
 * Names the first partition that would have no majority of replicas which hold what is committed; null: there is none.
 * Of one or two replicas none can be missed, however long one waits: those are passed over, as a drain does.
 */
export function lacksQuorumWithout(brokerId: number, topics: readonly TopicDescription[]): string | null {
  for (const { name, partitions } of topics) {
    for (const { partition, replicas, inSyncReplicas } of partitions) {
      if (replicas.length <= 2 || !replicas.includes(brokerId)) continue;
      if (inSyncReplicas === null) return `nobody says which replicas of ${name}/${partition} are in sync`;
      const majority = Math.floor(replicas.length / 2) + 1;
      const others = inSyncReplicas.filter((id) => id !== brokerId).length;
      if (others < majority)
        return `${name}/${partition} would have ${others} of ${replicas.length} replicas in sync, and needs ${majority}`;
    }
  }
  return null;
}
