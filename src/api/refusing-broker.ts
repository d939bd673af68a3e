/** Stands where a broker should be while there is none: it says why, and refuses everything. */
import type { BrokerApi, ClusterInfo } from '../broker/requests.ts';
import type { Refused, Result } from '../model/errors.ts';
import { ok, refuse, setApart } from '../model/errors.ts';

function refusing(refusal: () => Refused, cluster: () => Result<ClusterInfo>): BrokerApi {
  const no = (): Promise<Refused> => Promise.resolve(refusal());
  return {
    append: no,
    resolveAppend: no,
    choosePartition: refusal,
    initProducer: no,
    fetch: no,
    openCursor: refusal,
    listOffsets: no,
    createTopic: no,
    alterTopic: no,
    deleteTopic: no,
    describeTopic: no,
    listTopics: no,
    describeCluster: () => Promise.resolve(cluster()),
    describeBroker: no,
    deleteRecords: no,
    explain: no,
    operate: no,
    joinGroup: no,
    heartbeat: no,
    leaveGroup: no,
    watchMember: refusal,
    listGroups: no,
    describeGroup: no,
    deleteGroup: no,
    commitOffsets: no,
    fetchCommitted: no,
  };
}

/** While the broker opens its store and replays its logs. */
export function startingBroker(retryAfterMs: number): BrokerApi {
  const refusal = (): Refused => refuse('LEADER_NOT_AVAILABLE', 'The broker is starting; try again.', { retryAfterMs });
  return refusing(refusal, refusal);
}

/**
 * When the disk has lost what was acknowledged (design D10): the broker must not vote, lead or acknowledge until the
 * catalog has replaced it.
 * @param cluster what it knows of its cluster: itself, unhealthy, with the reason
 */
export function lostBroker(cluster: ClusterInfo, reason: string): BrokerApi {
  return refusing(
    () => refuse('QUARANTINED', `This broker is set apart: ${reason}`, setApart('broker')),
    () => ok(cluster),
  );
}
