/** What the catalog's log (group 0) holds: facts that were decided, in the order in which they became true. */
import { InvariantViolation } from '../model/assert.ts';
import type { BrokerId, GroupNumber, Millis, ProducerEpoch, ProducerId, ReplicaId } from '../model/ids.ts';
import { toBrokerId, toGroupNumber, toMillis, toProducerEpoch, toProducerId, toReplicaId } from '../model/ids.ts';
import type { JsonFields } from './json-fields.ts';
import { decodeJson, encodeJson } from './json-fields.ts';
import type { TopicConfig } from './topic-config.ts';
import { readTopicConfig, topicConfigKeepAll } from './topic-config.ts';

/** What an operator has ordered for a broker: it gives its leaderships away; or its replicas as well, and then goes. */
export type BrokerDuty = 'draining' | 'decommissioning';

/** A broker as the catalog knows it (design D4). */
export interface BrokerEntry {
  readonly brokerId: BrokerId;
  /** Where clients reach it, `host:port`. */
  readonly address: string;
  /** Where other brokers reach it, `host:port`; null: it has no peers. */
  readonly peerAddress: string | null;
  /** What it shares the fate of: replicas of a partition are spread over racks. Null: not told. */
  readonly rack: string | null;
  /** UUID of its disk. */
  readonly incarnation: string;
  /** Version of Sluice that it runs. */
  readonly version: string;
  /** Its replica in the catalog's own group: every broker has one, as voter or as learner. */
  readonly catalogReplica: ReplicaId;
  /** That replica was on its disk once: only then may it take part, and from then on a missing one is a loss (local-2). */
  readonly joined: boolean;
  /** Newest format that its software writes and reads; absent: 1. */
  readonly formatVersion?: number;
  /** What an operator asked of it; absent: nothing, so that it leads and gets replicas. */
  readonly duty?: BrokerDuty;
  /** True: an operator gave its disk up, and the next one that comes with this broker's id takes its place. */
  readonly replaceable?: true;
}

/** A copy of a group on a broker. The replica id is never used for anything else (design D4). */
export interface ReplicaPlace {
  readonly replicaId: ReplicaId;
  readonly brokerId: BrokerId;
  /** The disk that the replica is bound to: another one in the same broker does not hold it. */
  readonly incarnation: string;
  /** It was on that disk once: only then may it take part, and from then on a missing one is a loss (local-2). */
  readonly opened: boolean;
  /** Revision of the placement that added it; absent: it was there from the beginning. */
  readonly addedAt?: number;
}

/** Where the replicas of a group shall be from now on. */
export interface Placement {
  readonly group: GroupNumber;
  readonly revision: number;
  /** The preferred leader first. */
  readonly replicas: readonly ReplicaPlace[];
}

/** A partition: its Raft group and where its replicas shall be (design D5). */
export interface PartitionPlace {
  readonly group: GroupNumber;
  /** Rises by one with each change of `replicas`, from 0. The group's configurations carry it. */
  readonly revision: number;
  /** The newest revision that the group's committed configuration has reached. */
  readonly reached: number;
  /** The voters that the group was founded with; all others begin as learners. */
  readonly genesis: readonly ReplicaId[];
  /** Desired, the preferred leader first. */
  readonly replicas: readonly ReplicaPlace[];
  /** Not desired any more, and not yet gone from their disks. */
  readonly leaving: readonly LeavingPlace[];
  /** Revision of the catalog that brought it; given by replay. Absent: in commands, and of partitions from before it was kept. */
  readonly createdAt?: number;
}

export interface LeavingPlace extends ReplicaPlace {
  /** The revision that left it out: once this one is reached the group does without it, and its data goes. */
  readonly leftAt: number;
}

export interface TopicEntry {
  readonly tenant: number;
  readonly name: string;
  readonly topicId: string;
  readonly internal: boolean;
  /** What kind of groups its partitions are (design D6). */
  readonly groupKind: 'data' | 'commands';
  readonly replicationFactor: number;
  readonly createdAtMs: Millis;
  readonly config: TopicConfig;
  /** By partition number. */
  readonly partitions: readonly PartitionPlace[];
}

export type CatalogCommand =
  | {
      readonly kind: 'found';
      readonly clusterId: string;
      readonly createdAtMs: Millis;
      /** Format version that all brokers may use (design D7). */
      readonly activeVersion: number;
      /** 32 random bytes in hex: producers' secrets are derived from it (producer-secret.ts). */
      readonly producerKey: string;
      /** The brokers whose replicas are the genesis voters of the catalog itself, with ids from 1 on. */
      readonly founders: readonly BrokerEntry[];
    }
  | { readonly kind: 'put-broker'; readonly broker: BrokerEntry }
  /** It holds no replica that anybody needs, and never comes back with this disk. */
  | { readonly kind: 'remove-broker'; readonly brokerId: BrokerId }
  | { readonly kind: 'create-topic'; readonly topic: TopicEntry }
  /** The whole configuration from now on. */
  | { readonly kind: 'alter-topic'; readonly topicId: string; readonly config: TopicConfig }
  /** The broker's replicas of these groups are on its disk: from now on a missing one is a loss, not a beginning. */
  | {
      readonly kind: 'replicas-opened';
      readonly brokerId: BrokerId;
      readonly incarnation: string;
      readonly groups: readonly GroupNumber[];
    }
  /** Where the replicas of a group shall be from now on. */
  | {
      readonly kind: 'set-replicas';
      readonly group: GroupNumber;
      readonly revision: number;
      readonly replicas: readonly ReplicaPlace[];
    }
  /** The same for many groups, with the replication factors of topics that it changes. */
  | {
      readonly kind: 'place-replicas';
      readonly placements: readonly Placement[];
      readonly factors: readonly { readonly topicId: string; readonly replicationFactor: number }[];
      /** True: whoever leads one of the groups hands it to its preferred leader as soon as it can. */
      readonly leadNow: boolean;
    }
  /** A topic gets more partitions, with the numbers after its last one. */
  | { readonly kind: 'add-partitions'; readonly topicId: string; readonly partitions: readonly PartitionPlace[] }
  /** What an operator asks of a broker from now on; null: what was asked before ends. */
  | { readonly kind: 'set-duty'; readonly brokerId: BrokerId; readonly duty: BrokerDuty | null }
  /** The disk of the broker is given up: whoever comes with its id and another disk takes its place. */
  | { readonly kind: 'replace-broker'; readonly brokerId: BrokerId; readonly incarnation: string }
  /** All brokers may use this format from now on (design D7). */
  | { readonly kind: 'raise-active-version'; readonly activeVersion: number }
  /** The group's committed configuration is what this revision asked for. */
  | { readonly kind: 'placement-reached'; readonly group: GroupNumber; readonly revision: number }
  | { readonly kind: 'delete-topic'; readonly topicId: string }
  /** The broker's replicas of these groups, deleted or moved away, are gone from its disk. */
  | {
      readonly kind: 'removal-done';
      readonly brokerId: BrokerId;
      readonly incarnation: string;
      readonly groups: readonly GroupNumber[];
    }
  | { readonly kind: 'reserve-producer-ids'; readonly from: ProducerId; readonly count: number }
  | { readonly kind: 'raise-producer-epoch'; readonly producerId: ProducerId; readonly producerEpoch: ProducerEpoch };

export const encodeCommand = (command: CatalogCommand): Uint8Array => encodeJson(command);

/** @throws InvariantViolation for a command that this version does not know: it must halt rather than skip (P124). */
export function decodeCommand(bytes: Uint8Array): CatalogCommand {
  const fields = decodeJson(bytes, 'command');
  const kind = fields.text('kind');
  const read = readersByKind.get(kind);
  if (read === undefined) throw new InvariantViolation('catalog-1: every command is known', kind);
  return read(fields);
}

const readers = {
  found: (fields) => ({
    kind: 'found',
    clusterId: fields.text('clusterId'),
    createdAtMs: toMillis(fields.number('createdAtMs')),
    activeVersion: fields.number('activeVersion'),
    producerKey: fields.text('producerKey'),
    founders: fields.list('founders', readBroker),
  }),
  'put-broker': (fields) => ({ kind: 'put-broker', broker: fields.object('broker', readBroker) }),
  'create-topic': (fields) => ({ kind: 'create-topic', topic: fields.object('topic', readTopic) }),
  'alter-topic': (fields) => ({
    kind: 'alter-topic',
    topicId: fields.text('topicId'),
    config: fields.object('config', readTopicConfig),
  }),
  'remove-broker': (fields) => ({ kind: 'remove-broker', brokerId: toBrokerId(fields.number('brokerId')) }),
  'replicas-opened': (fields) => ({ kind: 'replicas-opened', ...readDiskGroups(fields) }),
  'set-replicas': (fields) => ({ kind: 'set-replicas', ...readPlacement(fields) }),
  'place-replicas': (fields) => ({
    kind: 'place-replicas',
    placements: fields.list('placements', readPlacement),
    factors: fields.list('factors', (factor) => ({
      topicId: factor.text('topicId'),
      replicationFactor: factor.number('replicationFactor'),
    })),
    leadNow: fields.flag('leadNow'),
  }),
  'add-partitions': (fields) => ({
    kind: 'add-partitions',
    topicId: fields.text('topicId'),
    partitions: fields.list('partitions', readPartition),
  }),
  'set-duty': (fields) => ({
    kind: 'set-duty',
    brokerId: toBrokerId(fields.number('brokerId')),
    duty: readDuty(fields.textOrNull('duty')),
  }),
  'replace-broker': (fields) => ({
    kind: 'replace-broker',
    brokerId: toBrokerId(fields.number('brokerId')),
    incarnation: fields.text('incarnation'),
  }),
  'raise-active-version': (fields) => ({ kind: 'raise-active-version', activeVersion: fields.number('activeVersion') }),
  'placement-reached': (fields) => ({
    kind: 'placement-reached',
    group: toGroupNumber(fields.number('group')),
    revision: fields.number('revision'),
  }),
  'delete-topic': (fields) => ({ kind: 'delete-topic', topicId: fields.text('topicId') }),
  'removal-done': (fields) => ({ kind: 'removal-done', ...readDiskGroups(fields) }),
  'reserve-producer-ids': (fields) => ({
    kind: 'reserve-producer-ids',
    from: toProducerId(fields.number('from')),
    count: fields.number('count'),
  }),
  'raise-producer-epoch': (fields) => ({
    kind: 'raise-producer-epoch',
    producerId: toProducerId(fields.number('producerId')),
    producerEpoch: toProducerEpoch(fields.number('producerEpoch')),
  }),
} as const satisfies { readonly [Kind in CatalogCommand['kind']]: (fields: JsonFields) => CatalogCommand };

const readersByKind: ReadonlyMap<string, (fields: JsonFields) => CatalogCommand> = new Map(Object.entries(readers));

/** Groups that have, or had, a replica on one disk. */
export const readDiskGroups = (
  fields: JsonFields,
): { readonly brokerId: BrokerId; readonly incarnation: string; readonly groups: readonly GroupNumber[] } => ({
  brokerId: toBrokerId(fields.number('brokerId')),
  incarnation: fields.text('incarnation'),
  groups: fields.numbers('groups').map(toGroupNumber),
});

export const readBroker = (fields: JsonFields): BrokerEntry => ({
  brokerId: toBrokerId(fields.number('brokerId')),
  address: fields.text('address'),
  peerAddress: fields.textOrNull('peerAddress'),
  rack: fields.textOrNull('rack'),
  incarnation: fields.text('incarnation'),
  version: fields.text('version'),
  catalogReplica: toReplicaId(fields.number('catalogReplica')),
  joined: fields.flag('joined'),
  ...(fields.has('formatVersion') ? { formatVersion: fields.number('formatVersion') } : {}),
  ...dutyOf(fields.has('duty') ? readDuty(fields.text('duty')) : null),
  ...(fields.has('replaceable') ? { replaceable: true } : {}),
});

/** The duty as a field of an entry; nothing for null. */
const dutyOf = (duty: BrokerDuty | null): Pick<BrokerEntry, 'duty'> => (duty === null ? {} : { duty });

export function withDuty(broker: BrokerEntry, duty: BrokerDuty | null): BrokerEntry {
  const { brokerId, address, peerAddress, rack, incarnation, version, catalogReplica, joined } = broker;
  const { formatVersion, replaceable } = broker;
  return {
    ...{ brokerId, address, peerAddress, rack, incarnation, version, catalogReplica, joined },
    ...(formatVersion === undefined ? {} : { formatVersion }),
    ...dutyOf(duty),
    ...(replaceable === undefined ? {} : { replaceable }),
  };
}

function readDuty(text: string | null): BrokerDuty | null {
  if (text === null || text === 'draining' || text === 'decommissioning') return text;
  throw new InvariantViolation('catalog-1: every duty of a broker is known', text);
}

const readPlacement = (fields: JsonFields): Placement => ({
  group: toGroupNumber(fields.number('group')),
  revision: fields.number('revision'),
  replicas: fields.list('replicas', readReplica),
});

export const readReplica = (fields: JsonFields): ReplicaPlace => ({
  replicaId: toReplicaId(fields.number('replicaId')),
  brokerId: toBrokerId(fields.number('brokerId')),
  incarnation: fields.text('incarnation'),
  opened: fields.flag('opened'),
  ...(fields.has('addedAt') ? { addedAt: fields.number('addedAt') } : {}),
});

const readLeaving = (fields: JsonFields): LeavingPlace => ({
  ...readReplica(fields),
  leftAt: fields.number('leftAt'),
});

const readPartition = (fields: JsonFields): PartitionPlace => ({
  group: toGroupNumber(fields.number('group')),
  revision: fields.number('revision'),
  reached: fields.number('reached'),
  genesis: fields.numbers('genesis').map(toReplicaId),
  replicas: fields.list('replicas', readReplica),
  leaving: fields.list('leaving', readLeaving),
  ...(fields.has('createdAt') ? { createdAt: fields.number('createdAt') } : {}),
});

export const readTopic = (fields: JsonFields): TopicEntry => ({
  tenant: fields.number('tenant'),
  name: fields.text('name'),
  topicId: fields.text('topicId'),
  internal: fields.flag('internal'),
  groupKind: fields.text('groupKind') === 'commands' ? 'commands' : 'data',
  replicationFactor: fields.number('replicationFactor'),
  createdAtMs: toMillis(fields.number('createdAtMs')),
  config: fields.has('config') ? fields.object('config', readTopicConfig) : topicConfigKeepAll,
  partitions: fields.list('partitions', readPartition),
});
