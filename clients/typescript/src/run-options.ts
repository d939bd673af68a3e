import type { TopicPartition } from './admin.ts';
import { BrokerError } from './errors.ts';
import { inRange } from './producer-options.ts';
import type { InRecord } from './record.ts';

/**
 * Whose order handlers keep: that of each partition (one of its records at a time), that of each key (records without a key
 * in any order), or nobody's.
 */
export type OrderBy = 'partition' | 'key' | 'none';

export interface HandlerRetryOptions {
  /** How often a record is tried, the first time included, range 1 to 1,000. Default 5. */
  readonly maxAttempts?: number;
  /** Upper bound of the first wait, milliseconds, range 1 to 86,400,000. Doubles each time, with full jitter. Default 100. */
  readonly initialMs?: number;
  /** Upper bound of every wait, milliseconds, range 1 to 86,400,000. Default 10,000. */
  readonly maxMs?: number;
  /** Whether what the handler threw may pass. Default: yes, unless the record could not be deserialized (SERDE_FAILED). */
  readonly retryIf?: (error: unknown) => boolean;
  /**
   * Where a record goes to be tried again, so that those behind it need not wait: order is given up for it. One of the
   * consumer's own topics. Default: it is tried again in its place, and keeps its order.
   */
  readonly topic?: string;
}

export interface DeadLetterOptions {
  /** Where records go whose last attempt failed, with the bytes they had and `sluice-…` headers that tell why. */
  readonly topic: string;
}

export interface RunOptions {
  /** Ends the run with ABORTED, once the handlers that run have ended; the consumer stays a member. */
  readonly signal?: AbortSignal;
  /** Handlers that run at the same time, range 1 to 10,000. Default 1. */
  readonly concurrency?: number;
  /** Default `partition`. */
  readonly orderBy?: OrderBy;
  /**
   * Records of a partition from the oldest unfinished one to the newest that was begun, range 1 to 100,000: so far work goes
   * ahead of one that takes long, and so much is done again after a crash at most. Default 1,000.
   */
  readonly window?: number;
  /** Default: a record is tried once. */
  readonly retry?: HandlerRetryOptions;
  /** Default: a record whose last attempt failed ends the run with HANDLER_FAILED. */
  readonly deadLetter?: DeadLetterOptions;
}

/** What a handler is told besides its record. */
export interface HandlerContext {
  /** Fires when the work is in vain: the partition is somebody else's by now, or the consumer waits for it no longer. */
  readonly signal: AbortSignal;
  /** From 1; those before a record came through the retry topic count. */
  readonly attempt: number;
  /** Where the record was first: of one from the retry topic, not where it is now. */
  readonly origin: TopicPartition & { readonly offset: number };
}

export type Handler<K, V> = (record: InRecord<K, V>, context: HandlerContext) => Promise<void> | void;

export interface RunSettings {
  readonly concurrency: number;
  readonly orderBy: OrderBy;
  readonly window: number;
  readonly maxAttempts: number;
  readonly retryBackoff: { readonly initialMs: number; readonly maxMs: number };
  readonly retryIf: (error: unknown) => boolean;
  /** Null: in place. */
  readonly retryTopic: string | null;
  readonly deadLetterTopic: string | null;
}

const dayMs = 86_400_000;

const mayPass = (error: unknown): boolean => !BrokerError.is(error, 'SERDE_FAILED');

/** Fills in the defaults; throws INVALID_REQUEST for what is out of range or contradictory. */
export function runSettings(options: RunOptions, topics: readonly string[]): RunSettings {
  const { retry, deadLetter } = options;
  const initialMs = inRange('retry.initialMs', retry?.initialMs ?? 100, 1, dayMs);
  const orderBy = options.orderBy ?? 'partition';
  if (!['partition', 'key', 'none'].includes(orderBy))
    throw new BrokerError('INVALID_REQUEST', `orderBy must be 'partition', 'key' or 'none', not '${orderBy}'.`);
  const retryTopic = retry?.topic ?? null;
  if (retryTopic !== null && !topics.includes(retryTopic))
    throw new BrokerError('INVALID_REQUEST', `retry.topic "${retryTopic}" must be one of the consumer's topics.`);
  return {
    concurrency: whole('concurrency', options.concurrency ?? 1, 10_000),
    orderBy,
    window: whole('window', options.window ?? 1_000, 100_000),
    maxAttempts: retry === undefined ? 1 : whole('retry.maxAttempts', retry.maxAttempts ?? 5, 1_000),
    retryBackoff: { initialMs, maxMs: inRange('retry.maxMs', retry?.maxMs ?? 10_000, 1, dayMs) },
    retryIf: retry?.retryIf ?? mayPass,
    retryTopic,
    deadLetterTopic: deadLetter?.topic ?? null,
  };
}

function whole(name: string, value: number, max: number): number {
  if (Number.isInteger(value)) return inRange(name, value, 1, max);
  throw new BrokerError('INVALID_REQUEST', `${name} must be a whole number, not ${value}.`);
}
