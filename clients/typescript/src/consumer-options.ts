import type { TopicPartition } from './admin.ts';
import { BrokerError } from './errors.ts';
import type { FetchSettings } from './fetcher.ts';
import { inRange } from './producer-options.ts';
import type { InRecord } from './record.ts';
import type { ResumeTokenStorage } from './resume-token.ts';
import type { Serde, Topic } from './serde.ts';
import type { OffsetPolicy } from './start-offsets.ts';

export interface FetchOptions {
  /** Bytes that are read ahead from each broker, range 2 MiB to 64 MiB. Default 4 MiB. */
  readonly prefetchBytes?: number;
  /** Limit of one message from a broker, bytes, range 1 to 4 MiB. Default 1 MiB. One batch comes all the same. */
  readonly maxBytes?: number;
}

/** What to do with a record that can not be deserialized. */
export type DecodeErrorAction = 'fail' | 'skip' | 'dead-letter';

export interface ConsumerOptions<K, V> {
  /** Group id, 1 to 249 characters of [A-Za-z0-9._-]. */
  readonly group: string;
  /** 1 to 100 topics, which must exist. A typed handle brings its own serdes. */
  readonly topics: readonly (string | Topic<K, V>)[];
  /** Default: bytes. */
  readonly key?: Serde<K>;
  /** Default: bytes. */
  readonly value?: Serde<V>;
  /** Where to begin a partition that the group has no committed offset for. Default `error`. */
  readonly onNoOffset?: OffsetPolicy;
  /** Where to go on when the position is not in the log any more (or not yet). Default `error`. */
  readonly onOutOfRange?: OffsetPolicy;
  /**
   * `afterProcess` (default): what was processed is committed in the background as soon as possible. `interval`: the same,
   * less often. `manual`: only `commit` commits. A record counts as processed when the next one is asked for.
   */
  readonly commit?: 'afterProcess' | 'interval' | 'manual';
  /** Time between background commits, milliseconds, range 1 to 3,600,000. Default 100, or 5,000 with `interval`. */
  readonly commitIntervalMs?: number;
  /**
   * How long the application may take over what it has in hand, milliseconds, range 1 to 86,400,000. Then the consumer
   * leaves its group, so that others read on, and its next call rejects with PROGRESS_EXPIRED. Default: for ever. The
   * member lives all the same as long as its process does: heartbeats never wait for the application.
   */
  readonly maxProcessingMs?: number;
  /**
   * If nothing comes of an assigned partition for this long although records wait in it, `status()` tells of it and the
   * partition is read anew; milliseconds, range 100 to 86,400,000. Default 30,000.
   */
  readonly stallAfterMs?: number;
  /** Lets a consumer whose process died come back at once instead of after its session; `resumeTokenFile` makes one. */
  readonly resumeToken?: ResumeTokenStorage;
  /**
   * A name of this consumer that outlives its process, such as that of its pod: 1 to 249 characters of [A-Za-z0-9._-], of
   * one consumer of the group at a time (a static member). If it closes or dies and comes back before its session is over, it
   * goes on with the partitions that it had, and the others notice nothing. Another process that brings the name while this
   * one lives is refused with UNRELEASED_INSTANCE_ID; who was replaced fails with FENCED_INSTANCE_ID.
   */
  readonly instanceId?: string;
  /**
   * How the group's members share the partitions; all that say something must say the same. `uniform`: balanced, and nobody
   * gives up more than it must. `range`: neighbouring partitions together, the same numbers of every topic at the same
   * member. Default: what the group has, `uniform` for a new one.
   */
  readonly assignor?: 'uniform' | 'range';
  readonly fetch?: FetchOptions;
  /**
   * What happens to a record whose key or value the serde can not read, or a function that decides it of each. `fail`: the
   * consumer ends with SERDE_FAILED and commits nothing behind the record. `skip`: the record counts as processed.
   * `dead-letter`: its bytes go to `deadLetterTopic`, with the headers of a dead letter of `run`, and then it counts as
   * processed. `status()` tells of the latter two. Default: `fail`; in a `run` with `deadLetter` that topic.
   */
  readonly onDecodeError?: DecodeErrorAction | ((error: BrokerError, record: InRecord) => DecodeErrorAction);
  /** Where `dead-letter` of `onDecodeError` sends records. */
  readonly deadLetterTopic?: string;
  /** These partitions are read from now on. Reading begins when the promise is fulfilled; a rejection ends the consumer. */
  readonly onAssigned?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
  /**
   * These are given away; what was processed of them is committed. Others get them when the promise is fulfilled, so it
   * must be so within the group's rebalance time-out; a rejection ends the consumer.
   */
  readonly onRevoked?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
  /** These were taken away: somebody else may read them already, and nothing can be committed for them. */
  readonly onLost?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
}

export interface ConsumerSettings {
  readonly commit: 'afterProcess' | 'interval' | 'manual';
  readonly commitIntervalMs: number;
  readonly onNoOffset: OffsetPolicy;
  readonly onOutOfRange: OffsetPolicy;
  readonly fetch: FetchSettings;
  /** Null: for ever. */
  readonly maxProcessingMs: number | null;
  readonly stallAfterMs: number;
}

export const noDeadLetterTopic = (): BrokerError =>
  new BrokerError('INVALID_REQUEST', "onDecodeError: 'dead-letter' needs a deadLetterTopic.");

const mib = 1024 * 1024;

/** Fills in the defaults; throws INVALID_REQUEST for what is out of range. */
export function consumerSettings(
  options: Omit<ConsumerOptions<unknown, unknown>, 'key' | 'value' | 'topics'>,
): ConsumerSettings {
  if (options.group === '') throw new BrokerError('INVALID_GROUP_ID', 'A consumer needs a group.');
  if (options.onDecodeError === 'dead-letter' && options.deadLetterTopic === undefined) throw noDeadLetterTopic();
  const commit = options.commit ?? 'afterProcess';
  const intervalMs = options.commitIntervalMs ?? (commit === 'interval' ? 5_000 : 100);
  return {
    commit,
    commitIntervalMs: inRange('commitIntervalMs', intervalMs, 1, 3_600_000),
    onNoOffset: options.onNoOffset ?? 'error',
    onOutOfRange: options.onOutOfRange ?? 'error',
    fetch: fetchSettings(options.fetch),
    stallAfterMs: inRange('stallAfterMs', options.stallAfterMs ?? 30_000, 100, 86_400_000),
    maxProcessingMs:
      options.maxProcessingMs === undefined ? null : inRange('maxProcessingMs', options.maxProcessingMs, 1, 86_400_000),
  };
}

export function fetchSettings(options: FetchOptions = {}): FetchSettings {
  return {
    prefetchBytes: inRange('fetch.prefetchBytes', options.prefetchBytes ?? 4 * mib, 2 * mib, 64 * mib),
    messageBytesMax: inRange('fetch.maxBytes', options.maxBytes ?? mib, 1, 4 * mib),
  };
}
