/** Gauges of what a broker holds, set from one sample when somebody asks. */
import type { Registry } from 'prom-client';
import { Gauge } from 'prom-client';
import type { BrokerSample, GroupSample, ReplicaSample } from '../broker/broker-sample.ts';

/** Sets every gauge; those that only some brokers can tell are absent elsewhere. */
export type ShowState = (sample: BrokerSample) => void;

/** Stands for the groups beyond `groupSeriesMax`; no group can have this name. */
export const otherGroups = '(other)';

/** Groups in one phase, members of one group and the like are few; `group` and `follower` are the labels that are capped. */
export function stateMetrics(registry: Registry, groupSeriesMax: number): ShowState {
  const showers = [replicaGauges(registry), clusterGauges(registry), groupGauges(registry, groupSeriesMax)];
  return (sample) => {
    for (const show of showers) show(sample);
  };
}

const plain = (registry: Registry, name: string, help: string): Gauge =>
  new Gauge({ name, help, registers: [registry] });

function labelled<Label extends string>(registry: Registry, name: string, help: string, label: Label): Gauge<Label> {
  return new Gauge({ name, help, labelNames: [label], registers: [registry] });
}

const roles = ['leader', 'follower', 'learner'] as const;
const phases = ['empty', 'reconciling', 'stable'] as const;

const isUnderReplicated = ({ led }: ReplicaSample): boolean => led !== null && led.inSync < led.replicas;
const isAtRisk = (replica: ReplicaSample): boolean =>
  isUnderReplicated(replica) && replica.led !== null && replica.led.inSync <= replica.led.quorum;

function replicaGauges(registry: Registry): ShowState {
  const byRole = labelled(registry, 'sluice_partitions', 'Replicas on this broker by role.', 'role');
  const counted = [
    {
      gauge: plain(
        registry,
        'sluice_partitions_leaderless',
        'Replicas here that know no leader, or lead and do not serve.',
      ),
      holds: ({ hasLeader }: ReplicaSample): boolean => !hasLeader,
    },
    {
      gauge: plain(
        registry,
        'sluice_partitions_under_replicated',
        'Partitions led here with fewer replicas in sync than they shall have.',
      ),
      holds: isUnderReplicated,
    },
    {
      gauge: plain(
        registry,
        'sluice_partitions_quorum_at_risk',
        'Of those, the ones that one more failure leaves without a majority.',
      ),
      holds: isAtRisk,
    },
  ];
  const quarantined = plain(
    registry,
    'sluice_partitions_quarantined',
    'Replicas here that are set apart: see the log and DescribeBroker.',
  );
  const logBytes = plain(registry, 'sluice_storage_log_bytes', 'Payload bytes of the logs of all replicas here.');
  const lag = labelled(
    registry,
    'sluice_raft_follower_lag_entries',
    'Entries that the replica furthest behind on another broker lacks, of those led here.',
    'follower',
  );
  return ({ replicas, quarantined: setApart }) => {
    for (const role of roles) byRole.set({ role }, replicas.filter((replica) => replica.role === role).length);
    for (const { gauge, holds } of counted) gauge.set(replicas.filter(holds).length);
    quarantined.set(setApart);
    logBytes.set(replicas.reduce((sum, { bytes }) => sum + bytes, 0));
    lag.reset();
    for (const [follower, entries] of furthestBehind(replicas)) lag.set({ follower }, entries);
  };
}

function furthestBehind(replicas: readonly ReplicaSample[]): ReadonlyMap<string, number> {
  const furthest = new Map<string, number>();
  for (const { led } of replicas) {
    for (const [broker, entries] of led?.lagEntries ?? [])
      furthest.set(String(broker), Math.max(entries, furthest.get(String(broker)) ?? 0));
  }
  return furthest;
}

function clusterGauges(registry: Registry): ShowState {
  const brokers = plain(registry, 'sluice_cluster_brokers', 'Brokers of the cluster, as the catalog here has it.');
  const topics = plain(registry, 'sluice_cluster_topics', 'Topics of the cluster, Sluice’s own included.');
  const partitions = plain(registry, 'sluice_cluster_partitions', 'Partitions of the cluster, Sluice’s own included.');
  const revision = plain(registry, 'sluice_catalog_revision', 'Revision of the catalog that this broker has applied.');
  const leads = plain(registry, 'sluice_catalog_leader', '1 on the broker that leads the catalog, 0 on the others.');
  const silent = plain(
    registry,
    'sluice_cluster_brokers_silent',
    'Brokers that the leader of the catalog did not hear of lately; 0 on all others.',
  );
  const withoutQuorum = plain(
    registry,
    'sluice_cluster_partitions_without_quorum',
    'Partitions with too few replicas on brokers that the leader of the catalog hears of; 0 on all others.',
  );
  return (sample) => {
    brokers.set(sample.brokers);
    topics.set(sample.topics);
    partitions.set(sample.partitions);
    revision.set(sample.catalogRevision);
    leads.set(sample.catalogLeader === null ? 0 : 1);
    silent.set(sample.catalogLeader?.silentBrokers ?? 0);
    withoutQuorum.set(sample.catalogLeader?.partitionsWithoutQuorum ?? 0);
  };
}

function groupGauges(registry: Registry, seriesMax: number): ShowState {
  const byPhase = labelled(
    registry,
    'sluice_groups',
    'Consumer groups coordinated here by phase: empty, reconciling, stable.',
    'phase',
  );
  const members = labelled(registry, 'sluice_group_members', 'Members of a consumer group coordinated here.', 'group');
  const records = labelled(
    registry,
    'sluice_group_lag_records',
    'Records between what the group committed and the ends of the partitions, added up; of partitions elsewhere as brokers that have them tell, and none of those that do not answer.',
    'group',
  );
  const seconds = labelled(
    registry,
    'sluice_group_lag_seconds',
    'Age of the oldest record that the group has not committed, of the same partitions; 0 if there is none.',
    'group',
  );
  return ({ groups }) => {
    for (const phase of phases) byPhase.set({ phase }, groups.filter((group) => group.phase === phase).length);
    for (const each of [members, records, seconds]) each.reset();
    for (const [group, some] of bySeries(groups, seriesMax)) {
      members.set({ group }, sum(some.map((each) => each.members)));
      const lags = some.flatMap((each) => each.lags);
      if (lags.length === 0) continue;
      records.set({ group }, sum(lags.map((lag) => lag.records)));
      seconds.set(
        { group },
        lags.reduce((most, lag) => Math.max(most, lag.seconds ?? 0), 0),
      );
    }
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Groups that share a series: the first by name have one each, the rest share one. */
function bySeries(groups: readonly GroupSample[], seriesMax: number): ReadonlyMap<string, readonly GroupSample[]> {
  const sorted = groups.length > seriesMax ? [...groups].sort((a, b) => (a.group < b.group ? -1 : 1)) : groups;
  const series = new Map<string, readonly GroupSample[]>();
  for (const group of sorted.slice(0, seriesMax)) series.set(group.group, [group]);
  if (sorted.length > seriesMax) series.set(otherGroups, sorted.slice(seriesMax));
  return series;
}
