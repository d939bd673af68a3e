/** What the catalog's log (group 0) holds: facts that were decided, in the order in which they became true. */
import { InvariantViolation } from '../model/assert.ts';
import type { BrokerId, GroupNumber, Millis, ProducerEpoch, ProducerId, ReplicaId } from '../model/ids.ts';
import { toBrokerId, toGroupNumber, toMillis, toProducerEpoch, toProducerId, toReplicaId } from '../model/ids.ts';
import type { JsonFields } from './json-fields.ts';
import { decodeJson, encodeJson } from './json-fields.ts';

/** A broker as the catalog knows it (design D4). */
export interface BrokerEntry {
  readonly brokerId: BrokerId;
  /** Where clients reach it, `host:port`. */
  readonly address: string;
  /** UUID of its disk. */
  readonly incarnation: string;
  /** Version of Sluice that it runs. */
  readonly version: string;
}

/** A copy of a group on a broker. The replica id is never used for anything else (design D4). */
export interface ReplicaPlace {
  readonly replicaId: ReplicaId;
  readonly brokerId: BrokerId;
  /** The disk that the replica is bound to: another one in the same broker does not hold it. */
  readonly incarnation: string;
}

/** A partition: its Raft group and the replicas it was founded with, all of them genesis voters. */
export interface PartitionPlace {
  readonly group: GroupNumber;
  readonly replicas: readonly ReplicaPlace[];
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
      /** Ids below were given to the founding voters of the catalog itself. */
      readonly nextReplicaId: ReplicaId;
    }
  | { readonly kind: 'put-broker'; readonly broker: BrokerEntry }
  | { readonly kind: 'create-topic'; readonly topic: TopicEntry }
  /** Every replica of the topic exists on disk: from now on a missing one is a loss, not a beginning. */
  | { readonly kind: 'topic-opened'; readonly topicId: string }
  | { readonly kind: 'delete-topic'; readonly topicId: string }
  /** The broker's replicas of these deleted groups are gone from its disk. */
  | { readonly kind: 'removal-done'; readonly brokerId: BrokerId; readonly groups: readonly GroupNumber[] }
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
    nextReplicaId: toReplicaId(fields.number('nextReplicaId')),
  }),
  'put-broker': (fields) => ({ kind: 'put-broker', broker: fields.object('broker', readBroker) }),
  'create-topic': (fields) => ({ kind: 'create-topic', topic: fields.object('topic', readTopic) }),
  'topic-opened': (fields) => ({ kind: 'topic-opened', topicId: fields.text('topicId') }),
  'delete-topic': (fields) => ({ kind: 'delete-topic', topicId: fields.text('topicId') }),
  'removal-done': (fields) => ({
    kind: 'removal-done',
    brokerId: toBrokerId(fields.number('brokerId')),
    groups: fields.numbers('groups').map(toGroupNumber),
  }),
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

export const readBroker = (fields: JsonFields): BrokerEntry => ({
  brokerId: toBrokerId(fields.number('brokerId')),
  address: fields.text('address'),
  incarnation: fields.text('incarnation'),
  version: fields.text('version'),
});

export const readReplica = (fields: JsonFields): ReplicaPlace => ({
  replicaId: toReplicaId(fields.number('replicaId')),
  brokerId: toBrokerId(fields.number('brokerId')),
  incarnation: fields.text('incarnation'),
});

const readPartition = (fields: JsonFields): PartitionPlace => ({
  group: toGroupNumber(fields.number('group')),
  replicas: fields.list('replicas', readReplica),
});

export const readTopic = (fields: JsonFields): TopicEntry => ({
  tenant: fields.number('tenant'),
  name: fields.text('name'),
  topicId: fields.text('topicId'),
  internal: fields.flag('internal'),
  groupKind: fields.text('groupKind') === 'commands' ? 'commands' : 'data',
  replicationFactor: fields.number('replicationFactor'),
  createdAtMs: toMillis(fields.number('createdAtMs')),
  partitions: fields.list('partitions', readPartition),
});
