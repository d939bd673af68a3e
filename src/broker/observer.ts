/**
 * What the broker layer reports; metrics and logs implement it. Called synchronously: implementations must be quick. Groups
 * that are set apart are reported by raft/, which knows them all.
 */
import type { BrokerError } from '../model/errors.ts';
import type { GroupNumber, Offset, ProducerId } from '../model/ids.ts';
import type { GroupEvent } from './group/group-event.ts';

export interface BrokerObserver {
  /** Now, on a clock of the observer's own choice, seconds. What is handed back to it as a moment. */
  moment(): number;
  /** A batch was accepted by the leader of a partition here. */
  appended(topic: string, records: number, bytes: number): void;
  /** The leader accepted the batch of a request that came here at the moment `arrived`. */
  appendQueued(arrived: number): void;
  /** A retry found its original in the log. */
  duplicate(producerId: ProducerId): void;
  /**
   * An append got its outcome.
   * @param accepted moment at which it was proposed
   * @param durable moment at which the leader's own write was durable; null: the outcome came first
   */
  appendSettled(outcome: 'committed' | 'unknown', accepted: number, durable: number | null): void;
  /** A call was refused, or its outcome is unknown. */
  refused(error: BrokerError): void;
  /** Batches of a topic were given to a reader. */
  fetched(topic: string, records: number, bytes: number): void;
  /** A fetch was answered. `waited`: seconds of the time since the moment `began` in which it waited for data. */
  fetchTook(began: number, waited: number): void;
  /** Partitions that fetches wait for, added up. */
  fetchWaiters(count: number): void;
  /** It has not reached the catalog since its start, and this is why; told again when that changes. */
  waitsForCatalog(why: string): void;
  /** Something happened in a consumer group that is coordinated here. */
  groupChanged(event: GroupEvent): void;
  topicCreated(name: string, topicId: string, partitions: number): void;
  topicDeleted(name: string, topicId: string): void;
  /** A group on this disk that the catalog does not know: left as it is, not started, never deleted (design D5). */
  groupOrphaned(group: GroupNumber): void;
  /** A group that the catalog says was here is not on this disk: not created anew, since that would hide the loss. */
  groupMissing(group: GroupNumber): void;
  /** The data of a deleted partition is gone. */
  groupRemoved(group: GroupNumber): void;
  /** Retention has let go of the records below `to`. */
  logStartMoved(group: GroupNumber, from: Offset, to: Offset): void;
  /** Retention can not read what it has to look at; other readers will find the same. */
  retentionFailed(group: GroupNumber, why: string): void;
  /** The wall clock strays from those of other brokers, so nothing goes by age; or it does not any more. */
  clockStrays(strays: boolean): void;
}

const nothing = (): void => undefined;

/** Hears everything and does nothing. */
export const silentBrokerObserver: BrokerObserver = {
  moment: () => 0,
  appended: nothing,
  appendQueued: nothing,
  duplicate: nothing,
  appendSettled: nothing,
  refused: nothing,
  fetched: nothing,
  fetchTook: nothing,
  fetchWaiters: nothing,
  waitsForCatalog: nothing,
  groupChanged: nothing,
  topicCreated: nothing,
  topicDeleted: nothing,
  groupOrphaned: nothing,
  groupMissing: nothing,
  groupRemoved: nothing,
  logStartMoved: nothing,
  retentionFailed: nothing,
  clockStrays: nothing,
};
