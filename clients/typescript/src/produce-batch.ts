/** A batch on its way: the records' promises, the bytes, and what is known about its outcome. */
import type { BatchBuilder } from '../../../src/model/batch-builder.ts';
import type { Sequence } from '../../../src/model/ids.ts';
import type { BrokerError } from './errors.ts';

/** Where a record went. */
export interface RecordMeta {
  readonly topic: string;
  readonly partition: number;
  /** Position in the partition. Null if the broker does not say: `acks: 'none'`, or a duplicate older than its memory. */
  readonly offset: number | null;
  /** The record's own timestamp, milliseconds since 1970. */
  readonly timestampMs: number;
  /** True if this was a retry of what the log already held; it is in the log once. */
  readonly duplicate: boolean;
  /** Term of the leader that acknowledged; null with `acks: 'none'`. */
  readonly leaderEpoch: number | null;
  /** True if it can not be lost any more: always with `acks: 'all'`. */
  readonly committed: boolean;
  /** Where its batch is in the partition's replicated log, the same for ever once it is committed; null: not known. */
  readonly entry: { readonly index: number; readonly term: number } | null;
  /** Ids of brokers that had it durably when it was acknowledged, as far as the leader knew. Empty: not known. */
  readonly durableOn: readonly number[];
}

/** One record's promise. */
export interface Delivery {
  readonly promise: Promise<RecordMeta>;
  readonly resolve: (meta: RecordMeta) => void;
  readonly reject: (error: BrokerError) => void;
  readonly timestampMs: number;
}

/** What the broker said of a batch. */
export interface BatchReceipt extends Pick<
  RecordMeta,
  'leaderEpoch' | 'duplicate' | 'committed' | 'entry' | 'durableOn'
> {
  readonly baseOffset: number | null;
}

/**
 * - `open`: takes records.
 * - `closed`: takes no more and was never sent.
 * - `outstanding`: sent, and the answer may still come.
 * - `resend`: every attempt is answered or lost; to be sent again.
 * - `settled`: its records' promises are settled and it is out of the lane.
 */
export type BatchState = 'open' | 'closed' | 'outstanding' | 'resend' | 'settled';

/** A question of what became of a batch. */
export interface Doubt {
  /** What its records are rejected with if nothing better is learnt. */
  readonly error: BrokerError;
  /** When it is given up; monotonic milliseconds. */
  readonly untilMs: number;
  /** Somebody was asked and has not answered. */
  asked: boolean;
}

export class ProduceBatch {
  state: BatchState = 'open';
  /** Null once it is sealed. */
  builder: BatchBuilder | null;
  /** The sealed batch. Invariant: every attempt under one identity sends exactly these bytes. */
  bytes: Uint8Array | null = null;
  /** Sequence of the first record under the lane's identity; null: never sent, or not idempotent. */
  baseSequence: Sequence | null = null;
  /** An attempt ended without a certain answer. Never becomes false: a later refusal speaks of its own attempt only. */
  unknown = false;
  /** Its records were rejected at their deadline while the outcome was open. Invariant: implies `unknown`. */
  abandoned = false;
  /** A batch before it is gone and left its sequence numbers unused, so it can not go on as it is. */
  behindGap = false;
  /** It is appended only where the partition ends there; null: anywhere. Such a batch takes no more records. */
  expectedEndOffset: number | null = null;
  /** When it was sent first; monotonic milliseconds. */
  firstSentMs = 0;
  /**
   * Its outcome is unknown and would be reported so; the broker is asked first (ResolveAppend). `given-up`: there was no
   * answer in time, or nobody knows.
   */
  doubt: Doubt | 'none' | 'given-up' = 'none';
  /** Its place among the batches of its lane that were sent; -1: it was not. */
  ordinal = -1;
  /** How often it was sent. */
  attempts = 0;
  /** When it was sent last, an older batch of its lane was on its way too and may have arrived after it. */
  sentBehind = false;
  /** Why the last attempt failed. */
  lastError: BrokerError | null = null;
  readonly deliveries: Delivery[] = [];
  /** Bytes of the producer's queue that it holds. */
  reservedBytes = 0;
  /** When it was begun; monotonic milliseconds. */
  readonly openedMs: number;
  /** When its first record must be acknowledged; monotonic milliseconds. */
  readonly deadlineMs: number;
  /** The first record's place among all that the producer took. */
  readonly firstSerial: number;

  constructor(builder: BatchBuilder, openedMs: number, deadlineMs: number, firstSerial: number) {
    this.builder = builder;
    this.openedMs = openedMs;
    this.deadlineMs = deadlineMs;
    this.firstSerial = firstSerial;
  }

  get count(): number {
    return this.deliveries.length;
  }

  resolveAll(topic: string, partition: number, receipt: BatchReceipt): void {
    const { baseOffset, ...told } = receipt;
    for (let at = 0; at < this.deliveries.length; at++) {
      const delivery = this.deliveries[at];
      if (delivery === undefined) continue;
      const offset = baseOffset === null ? null : baseOffset + at;
      delivery.resolve({ topic, partition, offset, timestampMs: delivery.timestampMs, ...told });
    }
  }

  rejectAll(error: BrokerError): void {
    for (const delivery of this.deliveries) rejectQuietly(delivery, error);
  }
}

/** Rejects a promise that nobody may be waiting for: `flush()` reports what nobody looked at. */
export function rejectQuietly(delivery: Delivery, error: BrokerError): void {
  delivery.promise.catch(() => undefined);
  delivery.reject(error);
}
