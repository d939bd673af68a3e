/** A batch on its way: its records' fate, the bytes, and what is known about its outcome. */
import type { BatchBuilder } from '../../../src/model/batch-builder.ts';
import type { Sequence } from '../../../src/model/ids.ts';
import { BatchFate } from './delivery.ts';
import type { BrokerError } from './errors.ts';

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
  /**
   * The sealed batch; null: not sealed yet, or settled. Invariant: every attempt under one identity sends exactly these bytes.
   * There is room before them in their buffer: see batch-buffers.ts.
   */
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
  /** An attempt was answered with success. */
  acknowledged = false;
  /** When it was sent last, an older batch of its lane was on its way too and may have arrived after it. */
  sentBehind = false;
  /** Why the last attempt failed. */
  lastError: BrokerError | null = null;
  /** What its records' promises are settled with. */
  readonly fate = new BatchFate();
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
    return this.fate.count;
  }
}
