/** What a broker says of itself when it is asked how it is. */
import { must } from '../model/assert.ts';
import type { GroupNumber } from '../model/ids.ts';
import { catalogGroup } from '../model/ids.ts';
import type { RaftGroup } from '../raft/group.ts';
import type { BrokerFacts } from './broker-facts.ts';
import type { CatalogState } from './catalog-state.ts';
import type { LocalGroups, SetApart } from './local-groups.ts';
import type { BrokerInfo, BrokerReport, QuarantinedReplica, ReplicaCounts } from './requests.ts';

interface ReportDeps {
  readonly state: CatalogState;
  /** Group 0; null: it does not run yet. */
  readonly catalog: RaftGroup | null;
  readonly localGroups: LocalGroups;
  readonly facts: BrokerFacts;
}

export function reportOf(broker: BrokerInfo, { state, catalog, localGroups, facts }: ReportDeps): BrokerReport {
  const catalogApart =
    catalog === null || catalog.quarantine === null || catalog.quarantinedMs === null
      ? []
      : [{ group: catalogGroup, reason: catalog.quarantine, sinceMs: catalog.quarantinedMs }];
  const setApart = localGroups.setApart;
  const others = [...state.brokers.keys()].filter((id) => id !== broker.brokerId).sort((a, b) => a - b);
  return {
    broker,
    replicas: countReplicas(localGroups, setApart.length),
    quarantined: named([...catalogApart, ...setApart], state),
    disk: facts.disk(),
    runtime: facts.runtime(),
    peers: others.map((brokerId) => ({ brokerId, ...(facts.peer(brokerId) ?? unseen) })),
  };
}

const unseen = { connected: false, heardAgoMs: null, unsentBytes: 0 };

function countReplicas({ all }: LocalGroups, quarantined: number): ReplicaCounts {
  let [leaders, followers, learners] = [0, 0, 0];
  for (const { quarantine, role } of all.values()) {
    if (quarantine !== null) continue;
    if (role.role === 'leader') leaders++;
    else if (role.role === 'learner') learners++;
    else followers++;
  }
  return { leaders, followers, learners, quarantined };
}

function named(setApart: readonly SetApart[], state: CatalogState): readonly QuarantinedReplica[] {
  const numbers = new Map<string, ReadonlyMap<GroupNumber, number>>();
  return setApart.map(({ group, reason, sinceMs }) => {
    const entry = state.topicOf(group);
    if (entry === null) return { group, partition: null, reason, sinceMs };
    const { topicId, name, partitions } = entry;
    // once a topic: there may be thousands of each
    const byGroup = numbers.get(topicId) ?? new Map(partitions.map((place, number) => [place.group, number]));
    numbers.set(topicId, byGroup);
    const number = must(byGroup.get(group), 'a group of a topic is one of its partitions');
    return { group, partition: { topic: name, topicId, number }, reason, sinceMs };
  });
}
