/**
 * What the broker layer reports; metrics and logs implement it. Called synchronously: implementations must be quick. Groups
 * that are set apart are reported by raft/, which knows them all.
 */
import type { BrokerError } from '../model/errors.ts';
import type { GroupNumber, Offset, ProducerId } from '../model/ids.ts';

export interface BrokerObserver {
  /** A batch was accepted by the leader of a partition here. */
  appended(records: number, bytes: number): void;
  /** A retry found its original in the log. */
  duplicate(producerId: ProducerId): void;
  /** An append got its outcome this many milliseconds after it was accepted. */
  appendSettled(outcome: 'committed' | 'unknown', tookMs: number): void;
  /** A call was refused, or its outcome is unknown. */
  refused(error: BrokerError): void;
  /** Batches were given to a reader. */
  fetched(batches: number, bytes: number): void;
  /** Partitions that fetches wait for, added up. */
  fetchWaiters(count: number): void;
  /** It has not reached the catalog since its start, and this is why; told again when that changes. */
  waitsForCatalog(why: string): void;
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
  appended: nothing,
  duplicate: nothing,
  appendSettled: nothing,
  refused: nothing,
  fetched: nothing,
  fetchWaiters: nothing,
  waitsForCatalog: nothing,
  topicCreated: nothing,
  topicDeleted: nothing,
  groupOrphaned: nothing,
  groupMissing: nothing,
  groupRemoved: nothing,
  logStartMoved: nothing,
  retentionFailed: nothing,
  clockStrays: nothing,
};
