/**
 * Commits offsets of a group member: one commit on its way at a time, in the order of the calls, each with a higher
 * sequence, so that a late repetition can not undo a newer one.
 */
import type { TopicPartition } from './admin.ts';
import type { Brokers } from './brokers.ts';
import { fromDetail } from './decode-error.ts';
import { asBrokerError, BrokerError } from './errors.ts';
import { partitionKey } from './fetcher.ts';
import type { CommitResponse, OffsetToCommit } from './gen/sluice/v1/group.ts';
import { toInt64 } from './int64.ts';
import type { Membership } from './membership.ts';
import { methods } from './methods.ts';
import { channels, traced } from './tracing.ts';
import type { CommitTrace } from './tracing.ts';

/** An offset to commit: that of the next record to read. */
export interface TopicPartitionOffset extends TopicPartition {
  readonly offset: number;
  /** Term of the leader when the record before it was read. Default: unknown. */
  readonly leaderEpoch?: number | null;
  /** Anything to keep with it, at most 4,096 bytes of UTF-8. Default empty. */
  readonly metadata?: string;
}

export interface CommitterEvents {
  /** A commit in the background failed, for good or for now. */
  readonly troubled: (error: BrokerError) => void;
  /** UUID of a topic that the member reads; undefined: not known. */
  readonly topicId: (topic: string) => string | undefined;
  /** A commit in the background will never succeed. */
  readonly failed: (error: BrokerError) => void;
}

/** Offsets in one request (the contract's limit). */
const offsetsMax = 10_000;
/** How often a commit that was overtaken by a new member epoch is made anew. */
const epochRetriesMax = 5;
/** Not stored because the partition or the member is somebody else's by now: nothing is wrong with the rest. */
const notMine: ReadonlySet<string> = new Set([
  'PARTITION_NOT_OWNED',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
]);
/** A heartbeat will tell whether the member is still one. */
const memberDoubted: ReadonlySet<string> = new Set([
  'FENCED_MEMBER_EPOCH',
  'FENCED_INSTANCE_ID',
  'UNKNOWN_MEMBER_ID',
  'STALE_MEMBER_EPOCH',
  'GROUP_ID_NOT_FOUND',
]);

const notAMember = new BrokerError('UNKNOWN_MEMBER_ID', 'The consumer is not a member of its group now.');

export class Committer {
  readonly #brokers: Brokers;
  readonly #group: string;
  readonly #membership: Membership;
  readonly #intervalMs: number;
  readonly #events: CommitterEvents;
  /** Offsets to commit in the background, the newest of each partition. */
  readonly #staged = new Map<string, TopicPartitionOffset>();
  /** Ends when every commit that was asked for is done. */
  #tail: Promise<unknown> = Promise.resolve();
  #sequence = 0;
  #timer: { cancel(): void } | null = null;
  #lastMs = -Infinity;
  #stopped = false;

  constructor(brokers: Brokers, group: string, membership: Membership, intervalMs: number, events: CommitterEvents) {
    this.#brokers = brokers;
    this.#group = group;
    this.#membership = membership;
    this.#intervalMs = intervalMs;
    this.#events = events;
  }

  /** Commits in the background, within the interval. */
  stage(offset: TopicPartitionOffset): void {
    if (this.#stopped) return;
    this.#staged.set(partitionKey(offset.topic, offset.partition), offset);
    if (this.#timer !== null) return;
    const waitMs = this.#lastMs + this.#intervalMs - this.#brokers.environment.clock.monotonicMs();
    this.#timer = this.#brokers.environment.clock.setTimer(Math.max(0, waitMs), () => void this.#background());
  }

  /** Forgets what is staged for a partition: somebody else reads it now. */
  unstage(topic: string, partition: number): void {
    this.#staged.delete(partitionKey(topic, partition));
  }

  unstageAll(): void {
    this.#staged.clear();
  }

  /** Commits what is staged now; rejects with why that failed. */
  async flush(timeoutMs?: number): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    const offsets = [...this.#staged.values()];
    this.#staged.clear();
    this.#lastMs = this.#brokers.environment.clock.monotonicMs();
    if (offsets.length > 0) await this.commit(offsets, timeoutMs);
    else await this.#tail;
  }

  /** Commits `offsets`; resolves when they are durable. They take the place of what is staged for their partitions. */
  commit(offsets: readonly TopicPartitionOffset[], timeoutMs?: number): Promise<void> {
    for (const { topic, partition } of offsets) this.unstage(topic, partition);
    const commit = this.#tail.then(() => this.#commit(offsets, timeoutMs));
    this.#tail = commit.catch(() => undefined); // the caller of this commit hears of it, not that of the next
    return commit;
  }

  /** Lets go of the timer. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#staged.clear();
  }

  /** Never rejects. */
  async #background(): Promise<void> {
    this.#timer = null;
    const offsets = [...this.#staged.values()];
    try {
      await this.flush();
    } catch (thrown) {
      const error = asBrokerError(thrown);
      if (notMine.has(error.code) || this.#membership.state === null) return;
      this.#events.troubled(error);
      if (!error.retriable && !memberDoubted.has(error.code)) {
        this.#events.failed(error);
        return;
      }
      if (memberDoubted.has(error.code)) void this.#membership.beat(); // if the member is gone, what is staged goes too
      for (const offset of offsets)
        if (!this.#staged.has(partitionKey(offset.topic, offset.partition))) this.stage(offset);
    }
  }

  async #commit(offsets: readonly TopicPartitionOffset[], timeoutMs: number | undefined): Promise<void> {
    let first: BrokerError | null = null;
    for (let from = 0; from < offsets.length; from += offsetsMax) {
      const some = offsets.slice(from, from + offsetsMax);
      const contextOf = (): CommitTrace => ({ group: this.#group, offsets: some });
      const wire = some.map((offset) => this.#wire(offset));
      const answer = await traced(channels.commit, contextOf, () => this.#send(wire, timeoutMs));
      for (const { error, topic, partition } of answer.partitions)
        if (error !== undefined) first ??= fromDetail(error, { topic, partition });
    }
    if (first !== null) throw first;
  }

  async #send(offsets: OffsetToCommit[], timeoutMs: number | undefined): Promise<CommitResponse> {
    /** An attempt may have been stored, although it was refused when it was repeated. */
    let isOpen = false;
    for (let attempt = 0; ; attempt++) {
      const { state } = this.#membership;
      if (state === null) throw notAMember.with({ indeterminate: isOpen });
      const sequence = toInt64(++this.#sequence, 'sequence');
      try {
        const request = { group: this.#group, ...state, sequence, offsets };
        return await this.#brokers.call(methods.commit, request, timeoutMs === undefined ? {} : { timeoutMs });
      } catch (thrown) {
        const error = asBrokerError(thrown);
        isOpen ||= error.indeterminate;
        if (error.code !== 'STALE_MEMBER_EPOCH' || attempt >= epochRetriesMax)
          throw error.with({ indeterminate: isOpen });
        if (this.#membership.state?.memberEpoch === state.memberEpoch) await this.#membership.beat();
      }
    }
  }

  #wire(offset: TopicPartitionOffset): OffsetToCommit {
    return {
      topic: offset.topic,
      topicId: this.#events.topicId(offset.topic),
      partition: offset.partition,
      offset: toInt64(offset.offset, 'offset'),
      leaderEpoch: offset.leaderEpoch ?? undefined,
      metadata: offset.metadata ?? '',
    };
  }
}
