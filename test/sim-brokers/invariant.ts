/** What every invariant of the simulator of brokers is: it watches the world and throws when it is broken. One file each. */
import type { FetchedPartition, AppendReceipt, AppendRequest } from '../../src/broker/requests.ts';
import type { Entry } from '../../src/model/entry.ts';
import type { BrokerId, GroupNumber, Offset, ReplicaId } from '../../src/model/ids.ts';
import type { Message } from '../../src/raft/core/messages.ts';
import type { RoleState } from '../../src/raft/core/ready.ts';
import { SimViolation } from '../sim/invariant.ts';
import type { BrokerWorld } from './broker-world.ts';
import type { Ack } from './history.ts';
import type { CommitAck, CommittedFetched } from './invariants/committed-register.ts';
import type { SimBroker } from './sim-broker.ts';
import type { TopicAnswer } from './topic-client.ts';

export abstract class BrokerInvariant {
  /** For example `inv-B1`. */
  abstract readonly id: string;
  protected readonly world: BrokerWorld;

  constructor(world: BrokerWorld) {
    this.world = world;
  }

  /** A broker that leads the partition has acknowledged an append; its answer is on its way. */
  onReceipt?(broker: SimBroker, request: AppendRequest, receipt: AppendReceipt): void;
  /** A broker has answered a fetch from its own replica. */
  onFetched?(broker: SimBroker, fetched: FetchedPartition): void;
  /** A client heard that its batch is committed. */
  onAcked?(ack: Ack): void;
  /** A client heard what became of a question about topics. */
  onTopicAnswer?(answer: TopicAnswer): void;
  /** An entry was applied somewhere, not for the first time perhaps. */
  onApplied?(broker: SimBroker, group: GroupNumber, entry: Entry): void;
  /** What is below it became visible on a broker. */
  onVisible?(broker: SimBroker, group: GroupNumber, highWatermark: Offset): void;
  /** A replica was given the state of its group, because the log does not reach back to where it was. */
  onInstalled?(broker: SimBroker, group: GroupNumber): void;
  onRole?(broker: SimBroker, group: GroupNumber, role: RoleState): void;
  onSend?(broker: SimBroker, to: BrokerId, group: GroupNumber, message: Message): void;
  /** A replica is about to be made on a disk. */
  onCreating?(broker: SimBroker, group: GroupNumber, replica: ReplicaId): void;
  /** The data of a replica is about to go. */
  onRemoving?(broker: SimBroker, group: GroupNumber): void;
  /** A member heard that its commit is stored. */
  onCommitAcked?(ack: CommitAck): void;
  /** Somebody heard what is committed. */
  onCommittedFetched?(fetched: CommittedFetched): void;
  /** After the drain: every broker that can be up is up and everything is quiet. */
  atEnd?(): void;

  protected check(holds: boolean, detail: string): asserts holds {
    if (!holds) throw new SimViolation(this.id, detail);
  }
}
