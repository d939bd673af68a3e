/**
 * The batches of one producer on their way to one partition: what may be sent, in which order, and what an answer means.
 * No I/O and no timer: the producer sends what `next` gives and reports what came back.
 *
 * The rules, which tests cite by name:
 * - lane-1: batches are first sent in the order of their records, with gapless sequence numbers.
 * - lane-2: from the oldest unresolved batch on at most `inflightMax` batches are sent, those already answered included:
 *   as many as the broker remembers of a producer, so that it can still say where a resent batch is.
 * - lane-3: after an answer or a lost connection makes a resend necessary, nothing is sent until every outstanding
 *   attempt is answered or lost; then all unresolved batches are resent in order, the same bytes, before any new one.
 * - lane-4: a batch with an unknown outcome is never sent under another identity or sequence, so it can not be appended
 *   twice. At its deadline its records are rejected as indeterminate.
 * - lane-5: the lane never goes on behind a gap. If the batch that left it is certainly not in the log, the batches
 *   behind it, all of them certainly refused, take over its sequence numbers. If that is not certain, the lane waits for
 *   an identity with a higher epoch and starts at sequence 0: once a batch of that epoch is appended, the broker refuses
 *   stragglers of the old one, so nothing can be reordered behind it.
 * - lane-6: the log is never read to decide a retry.
 * - lane-7: before records are rejected as indeterminate the broker is asked what became of their batch, for a while during
 *   which the lane sends nothing. If it is committed, they are delivered. If it never will be, its epoch is closed in the
 *   partition: the records are rejected for certain, and what was sent behind them is certainly not in the log either and
 *   goes on under a higher epoch.
 */
import { assert } from '../../../src/model/assert.ts';
import type { CompressionType } from '../../../src/model/compression.ts';
import { restampProducer } from '../../../src/model/batch-builder.ts';
import { sequencePlus, toSequence } from '../../../src/model/ids.ts';
import type { Sequence } from '../../../src/model/ids.ts';
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import { BrokerError, isSeekingLeader } from './errors.ts';
import type { LeaderHint } from './errors.ts';
import type { BatchReceipt } from './delivery.ts';
import type { Doubt, ProduceBatch } from './produce-batch.ts';
import type { ProducerIdentity } from './producer-identity.ts';

/** What came back for an attempt. */
export type Outcome =
  | {
      readonly kind: 'produced';
      readonly receipt: BatchReceipt;
      /** Who leads, if it is not the broker that was asked. */
      readonly leader?: LeaderHint | undefined;
    }
  | { readonly kind: 'refused'; readonly error: BrokerError };

/** What became of a batch that was asked about; `never`: its epoch is closed in the partition. */
export type Resolution =
  { readonly kind: 'committed'; readonly receipt: BatchReceipt } | { readonly kind: 'never' | 'expired' };

export interface LaneRules {
  /** With false nothing is resent after an unknown outcome, and one batch is in flight at a time to keep the order. */
  readonly idempotent: boolean;
  /** See lane-2; range 1 to 5. */
  readonly inflightMax: number;
  readonly compression: CompressionType;
  readonly codecs: BatchCodecs;
  /** How long it is asked what became of a batch (lane-7), milliseconds; 0: not at all. */
  readonly resolveMs: number;
  /** How long to wait before the n-th resend (from 0) in a row. */
  readonly backoffMs: (attempt: number, retryAfterMs: number | undefined) => number;
  /** Told of every batch that leaves the lane. */
  readonly settled: (batch: ProduceBatch) => void;
  /** Told of every error that records were rejected with. */
  readonly failed: (error: BrokerError) => void;
}

/** Why the lane must repair its sequence before it goes on; the worse one wins. */
type Gap = 'none' | 'same-identity' | 'new-identity';

/** Rounds of resending in a row that follow a leader's address without waiting; brokers that name each other are given time. */
const hintsAtOnceMax = 2;
/** While a partition's leader is looked for, waits grow no more after this many: an election takes a second or so. */
const seekingAttemptsMax = 2;

const identityLost: ReadonlySet<string> = new Set(['UNKNOWN_PRODUCER_ID', 'INVALID_PRODUCER_EPOCH']);

export class PartitionLane {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly #rules: LaneRules;
  /** Takes records. */
  #open: ProduceBatch | null = null;
  /** Closed and never sent, oldest first. */
  readonly #closed: ProduceBatch[] = [];
  /** Sent and unresolved, in the order of their sequences. */
  readonly #line: ProduceBatch[] = [];
  /** Invariant: every sequence in the line belongs to it. Null until the first batch is sealed. */
  #identity: ProducerIdentity | null = null;
  /** Sequence of the next batch that is sealed. */
  #nextSequence: Sequence = toSequence(0);
  /** Batches sent for the first time, ever. Invariant (lane-2): less than `inflightMax` beyond the oldest in the line. */
  #sentCount = 0;
  /** A resend is due, and outstanding attempts are waited for (lane-3). */
  #settling = false;
  #gap: Gap = 'none';
  /** With a gap that the same identity can close: where it begins. */
  #gapSequence: Sequence = toSequence(0);
  /** Nothing is sent before; monotonic milliseconds. */
  #notBeforeMs = 0;
  /** Nothing of the identity that is not in the log can come to be in it (lane-7). */
  #epochClosed = false;
  /** The newest time that was told; monotonic milliseconds. */
  #nowMs = 0;
  /** Rounds of resending since the last success. */
  #failures = 0;
  /** Of these, those that went to a leader that was named, without waiting. */
  #hintsFollowed = 0;
  #lastError: BrokerError | null = null;

  constructor(topic: string, topicId: string, partition: number, rules: LaneRules) {
    this.topic = topic;
    this.topicId = topicId;
    this.partition = partition;
    this.#rules = rules;
  }

  /** Takes records, or null. The producer appends to it and calls `close` when it is full. */
  get open(): ProduceBatch | null {
    return this.#open;
  }

  get isEmpty(): boolean {
    return this.#open === null && this.#closed.length === 0 && this.#line.length === 0;
  }

  get hasOutstanding(): boolean {
    return this.#line.some((batch) => batch.state === 'outstanding');
  }

  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  /** Serial of the oldest record that is not settled; Infinity if there is none. */
  get oldestSerial(): number {
    const oldest = this.#line.find((batch) => !batch.abandoned) ?? this.#closed[0] ?? this.#open;
    return oldest?.firstSerial ?? Infinity;
  }

  /** The identity that the lane has outlived: it waits for one of a later generation. Null: none. */
  get outlivedIdentity(): ProducerIdentity | null {
    return this.#gap === 'new-identity' && !this.#settling ? this.#identity : null;
  }

  /** The identity that the batches in the line were sent under. */
  get identity(): ProducerIdentity | null {
    return this.#identity;
  }

  /** The batch to ask about now (lane-7), marked as asked about; `resolved` or `unanswered` follows. Null: none. */
  takeDoubt(): ProduceBatch | null {
    // what is behind it is answered with it
    const batch = this.#line.find(({ doubt }) => isOpen(doubt));
    if (batch === undefined || !isOpen(batch.doubt) || batch.doubt.asked) return null;
    batch.doubt.asked = true;
    return batch;
  }

  /** Nobody could answer; it is asked again. */
  unanswered({ doubt }: ProduceBatch): void {
    if (isOpen(doubt)) doubt.asked = false;
  }

  /** What became of a batch is known, or that nobody knows. */
  resolved(batch: ProduceBatch, resolution: Resolution, nowMs: number): void {
    this.#nowMs = nowMs;
    const { doubt } = batch;
    if (batch.state === 'settled' || !isOpen(doubt)) return;
    switch (resolution.kind) {
      case 'committed':
        this.#failures = 0;
        batch.fate.acknowledge(this.topic, this.partition, resolution.receipt);
        this.#leave(batch);
        break;
      case 'never':
        this.#closeEpoch(batch);
        break;
      case 'expired':
        this.#giveUp(batch, doubt);
    }
    this.#resume(nowMs);
  }

  begin(batch: ProduceBatch): void {
    assert(this.#open === null, 'lane-1: one batch is open at a time');
    this.#open = batch;
  }

  /** Nothing more is added to the open batch. */
  close(): void {
    if (this.#open === null) return;
    this.#open.state = 'closed';
    this.#closed.push(this.#open);
    this.#open = null;
  }

  /**
   * The next batch to send now, marked as sent; null if there is none or it has to wait.
   * @param identity the producer's; null while it has none
   * @param takeOpen whether the open batch may leave although it is not full
   */
  next(nowMs: number, identity: ProducerIdentity | null, takeOpen: boolean): ProduceBatch | null {
    this.#nowMs = nowMs;
    if (this.#settling || nowMs < this.#notBeforeMs) return null;
    if (this.#rules.idempotent && identity === null) return null;
    if (this.#gap !== 'none') {
      const before = this.#line.filter((batch) => !batch.behindGap);
      const resend = before.find((batch) => batch.state === 'resend');
      if (resend !== undefined) return this.#sent(resend);
      if (before.length > 0 || !this.#repair(identity)) return null;
    }
    const again = this.#line.find((batch) => batch.state === 'resend');
    if (again !== undefined) return this.#sent(again);
    const oldest = this.#line[0]?.ordinal ?? this.#sentCount;
    assert(this.#sentCount - oldest <= this.#rules.inflightMax, 'lane-2: no more on the way than the broker remembers');
    if (this.#sentCount - oldest === this.#rules.inflightMax) return null;
    if (this.#closed.length === 0 && takeOpen) this.close();
    for (;;) {
      const fresh = this.#closed.shift();
      if (fresh === undefined) return null;
      if (!this.#seal(fresh, identity)) continue;
      fresh.ordinal = this.#sentCount++;
      this.#line.push(fresh);
      return this.#sent(fresh);
    }
  }

  /** An attempt was answered. */
  answered(batch: ProduceBatch, outcome: Outcome, nowMs: number): void {
    this.#nowMs = nowMs;
    assert(batch.state === 'outstanding', 'lane-3: only an outstanding attempt is answered', batch.state);
    if (outcome.kind === 'produced') {
      this.#failures = 0;
      this.#hintsFollowed = 0;
      this.#lastError = null;
      batch.acknowledged = true;
      if (!batch.abandoned) batch.fate.acknowledge(this.topic, this.partition, outcome.receipt);
      this.#leave(batch);
    } else {
      this.#refused(batch, outcome.error);
    }
    this.#resume(nowMs);
  }

  /** The connection is lost: what was sent and not answered has an unknown outcome. */
  lost(error: BrokerError, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#lastError = error;
    for (const batch of [...this.#line]) {
      if (batch.state !== 'outstanding') continue;
      if (!this.#epochClosed) batch.unknown = true;
      batch.lastError = error;
      if (this.#rules.idempotent) this.#resend(batch);
      else this.#reject(batch, error.with({ indeterminate: true }));
    }
    this.#resume(nowMs);
  }

  /** The broker could not be reached: nothing was sent, everything waits. */
  unreachable(error: BrokerError, nowMs: number): void {
    this.#lastError = error;
    this.#wait(nowMs, [error]);
  }

  /** Rejects what is past its deadline (lane-4, lane-5). True: something was, so the lane may have work again. */
  expire(nowMs: number): boolean {
    this.#nowMs = nowMs;
    let gaveUp = false;
    for (const batch of [...this.#line]) {
      if (!isOpen(batch.doubt) || batch.doubt.untilMs > nowMs) continue;
      this.#giveUp(batch, batch.doubt);
      gaveUp = true;
    }
    if (!gaveUp && !this.#hasLate(nowMs)) return false;
    for (const batch of this.#line.filter((each) => isLate(each, nowMs))) this.#expireSent(batch);
    const unsent = [...this.#closed, ...(this.#open === null ? [] : [this.#open])];
    const expired = unsent.filter((batch) => batch.deadlineMs <= nowMs);
    for (const batch of expired) this.#expireUnsent(batch);
    this.#resume(nowMs);
    return true;
  }

  /** Rejects everything. What was sent keeps its unknown outcome, and the lane goes on behind no gap (lane-5). */
  abort(error: BrokerError): void {
    for (const batch of [...this.#line]) {
      if (batch.state === 'outstanding') batch.unknown = true;
      this.#leaveGap(batch.unknown ? 'new-identity' : 'same-identity', batch);
    }
    this.#settling = false;
    for (const batch of [...this.#line]) {
      this.#reject(batch, error.with({ indeterminate: batch.unknown }));
    }
    this.close();
    for (const batch of this.#closed.splice(0)) this.#reject(batch, error);
  }

  #hasLate(nowMs: number): boolean {
    const oldestUnsent = this.#closed[0] ?? this.#open;
    if (oldestUnsent !== null && oldestUnsent.deadlineMs <= nowMs) return true;
    return this.#line.some((batch) => isLate(batch, nowMs));
  }

  #refused(batch: ProduceBatch, error: BrokerError): void {
    batch.lastError = error;
    this.#lastError = error;
    if (error.indeterminate && !this.#epochClosed) batch.unknown = true;
    if (batch.unknown && !this.#rules.idempotent) this.#reject(batch, error.with({ indeterminate: true }));
    else if (this.#isBehindUnresolved(batch, error)) this.#resend(batch);
    else if (identityLost.has(error.code)) this.#identityRefused(batch, error);
    else if (error.retriable) this.#resend(batch);
    else this.#fail(batch, error);
  }

  /**
   * That a batch is not the next one (or, in a partition where nothing of the producer is yet, not the first one) says
   * nothing new of a batch whose predecessor was unresolved when it was sent, or has left a gap. What is unresolved when
   * the answer comes does not count: the predecessor may have come to the leader in the meantime and be answered first.
   */
  #isBehindUnresolved(batch: ProduceBatch, error: BrokerError): boolean {
    const wrongPlace = error.code === 'OUT_OF_ORDER_SEQUENCE_NUMBER' || error.code === 'UNKNOWN_PRODUCER_ID';
    return wrongPlace && (batch.sentBehind || batch.behindGap);
  }

  #identityRefused(batch: ProduceBatch, error: BrokerError): void {
    if (batch.unknown) {
      this.#fail(batch, error);
      return;
    }
    this.#leaveGap('new-identity', batch);
    this.#resend(batch);
  }

  /** The batch's records are rejected for good, and the batches behind it have lost their predecessor. */
  #fail(batch: ProduceBatch, error: BrokerError): void {
    if (batch.unknown && this.#doubt(batch, error)) {
      this.#resend(batch);
      return;
    }
    const wrongSequence = error.code === 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    this.#leaveGap(batch.unknown || wrongSequence ? 'new-identity' : 'same-identity', batch);
    this.#reject(batch, error.with({ indeterminate: batch.unknown }));
  }

  #resend(batch: ProduceBatch): void {
    batch.state = 'resend';
    this.#settling = true;
  }

  /** From `first` on, what is in the line can not go on as it is. */
  #leaveGap(gap: Exclude<Gap, 'none'>, first: ProduceBatch): void {
    if (!this.#rules.idempotent) return;
    if (!first.behindGap) this.#gapSequence = first.baseSequence ?? this.#nextSequence;
    if (this.#gap !== 'new-identity') this.#gap = gap;
    for (const batch of this.#line.slice(this.#line.indexOf(first))) batch.behindGap = true;
    this.#settling = true;
  }

  /** Ends the settling of lane-3 once nothing is outstanding, and decides who may go on. */
  #resume(nowMs: number): void {
    if (!this.#settling || this.hasOutstanding || this.#line.some(({ doubt }) => isOpen(doubt))) return;
    for (const batch of [...this.#line]) if (batch.abandoned) this.#fail(batch, timedOut(batch));
    for (const batch of [...this.#line]) if (batch.behindGap && batch.unknown) this.#drop(batch);
    this.#settling = false;
    if (this.#line.length === 0 && this.#gap !== 'new-identity') return;
    const errors = this.#line.flatMap(({ lastError }) => (lastError === null ? [] : [lastError]));
    const isNamed = errors.some(({ leaderHint }) => leaderHint !== undefined);
    if (isNamed && this.#hintsFollowed++ < hintsAtOnceMax) this.#notBeforeMs = nowMs;
    else this.#wait(nowMs, errors);
  }

  #wait(nowMs: number, errors: readonly BrokerError[]): void {
    const attempt = this.#failures++;
    const isSeeking = errors.every(isSeekingLeader);
    const hintMs = Math.max(0, ...errors.map(({ retryAfterMs }) => retryAfterMs ?? 0));
    this.#notBeforeMs =
      nowMs + this.#rules.backoffMs(isSeeking ? Math.min(attempt, seekingAttemptsMax) : attempt, hintMs);
  }

  /** Behind a gap, what may be in the log can be neither resent nor resolved (lane-4). */
  #drop(batch: ProduceBatch): void {
    this.#gap = 'new-identity';
    const text = 'An earlier batch of this partition ended unresolved, and this one was sent behind it.';
    this.#reject(batch, new BrokerError('OUTCOME_UNKNOWN', text, { indeterminate: true, cause: batch.lastError }));
  }

  /** Closes the gap (lane-5). False: it needs a later identity. */
  #repair(identity: ProducerIdentity | null): boolean {
    if (this.#gap === 'new-identity') {
      if (identity === null || identity.generation <= (this.#identity?.generation ?? 0)) return false;
      this.#identity = identity;
      this.#nextSequence = toSequence(0);
    } else {
      this.#nextSequence = this.#gapSequence;
    }
    this.#gap = 'none';
    this.#epochClosed = false;
    for (const batch of this.#line) this.#restamp(batch);
    return true;
  }

  #restamp(batch: ProduceBatch): void {
    assert(!batch.unknown, 'lane-4: an unknown outcome keeps its identity and sequence');
    batch.behindGap = false;
    if (batch.bytes === null || this.#identity === null) return;
    batch.baseSequence = this.#takeSequence(batch.count);
    const { id, epoch } = this.#identity;
    restampProducer(batch.bytes, { id, epoch, baseSequence: batch.baseSequence }, this.#rules.codecs.crc32c);
  }

  /** Encodes a batch under the next sequence. False: it can not be encoded, and its records are rejected. */
  #seal(batch: ProduceBatch, identity: ProducerIdentity | null): boolean {
    if (this.#rules.idempotent) this.#identity ??= identity;
    const { builder } = batch;
    if (builder === null) return true;
    const me = this.#identity;
    const producer = me === null ? null : { id: me.id, epoch: me.epoch, baseSequence: this.#nextSequence };
    const sealed = builder.seal({ compression: this.#rules.compression, producer }, this.#rules.codecs);
    if (sealed.kind === 'refused') {
      const { code, message, fields } = sealed.error;
      this.#reject(batch, new BrokerError(code, message, { fields }));
      return false;
    }
    batch.bytes = sealed.value;
    batch.builder = null;
    batch.baseSequence = me === null ? null : this.#takeSequence(batch.count);
    return true;
  }

  #takeSequence(count: number): Sequence {
    const sequence = this.#nextSequence;
    this.#nextSequence = sequencePlus(sequence, count);
    return sequence;
  }

  #sent(batch: ProduceBatch): ProduceBatch {
    batch.state = 'outstanding';
    batch.sentBehind = this.#line[0] !== batch;
    if (batch.attempts === 0) batch.firstSentMs = this.#nowMs;
    batch.attempts += 1;
    return batch;
  }

  #expireSent(batch: ProduceBatch): void {
    if (batch.state !== 'outstanding' && !batch.unknown) {
      this.#fail(batch, timedOut(batch));
      return;
    }
    if (!this.#epochClosed) batch.unknown = true;
    this.#settling = true;
    if (!this.#doubt(batch, timedOut(batch))) this.#abandon(batch, timedOut(batch));
  }

  /** It stays in the line until its last attempt is answered or lost: it may yet turn out to have left no gap. */
  #abandon(batch: ProduceBatch, error: BrokerError): void {
    this.#rejectRecords(batch, error.with({ indeterminate: batch.unknown }));
    batch.abandoned = true;
    this.#settling = true;
  }

  /** Has it asked what became of the batch (lane-7). False: that is not possible, or was done. */
  #doubt(batch: ProduceBatch, error: BrokerError): boolean {
    if (isOpen(batch.doubt)) return true;
    const { idempotent, resolveMs } = this.#rules;
    if (!idempotent || resolveMs === 0 || batch.doubt === 'given-up' || batch.abandoned || !batch.unknown) return false;
    batch.doubt = { error, untilMs: this.#nowMs + resolveMs, asked: false };
    this.#settling = true;
    return true;
  }

  #giveUp(batch: ProduceBatch, { error }: Doubt): void {
    batch.doubt = 'given-up';
    if (batch.state === 'outstanding') this.#abandon(batch, error);
    else this.#fail(batch, error);
  }

  /** The batch is not in the log and never will be, nor is anything that was sent behind it under this identity. */
  #closeEpoch(first: ProduceBatch): void {
    this.#epochClosed = true;
    this.#leaveGap('new-identity', first);
    for (const batch of this.#line.slice(this.#line.indexOf(first))) {
      const { doubt } = batch;
      batch.unknown = false;
      batch.doubt = 'none';
      if (isOpen(doubt)) this.#reject(batch, doubt.error.with({ indeterminate: false }));
    }
  }

  #expireUnsent(batch: ProduceBatch): void {
    if (batch === this.#open) this.close();
    this.#closed.splice(this.#closed.indexOf(batch), 1);
    batch.lastError ??= this.#lastError;
    this.#reject(batch, timedOut(batch));
  }

  #reject(batch: ProduceBatch, error: BrokerError): void {
    if (!batch.abandoned) this.#rejectRecords(batch, error);
    this.#leave(batch);
  }

  #rejectRecords(batch: ProduceBatch, error: BrokerError): void {
    const placed = error.with({ topic: this.topic, partition: this.partition });
    batch.fate.reject(placed);
    this.#rules.failed(placed);
  }

  #leave(batch: ProduceBatch): void {
    const at = this.#line.indexOf(batch);
    if (at >= 0) this.#line.splice(at, 1);
    batch.state = 'settled';
    this.#rules.settled(batch);
  }
}

function timedOut(batch: ProduceBatch): BrokerError {
  const attempts = batch.attempts === 1 ? '1 attempt' : `${batch.attempts} attempts`;
  const reason =
    batch.lastError === null ? 'no broker could take it' : `${attempts}, the last: ${batch.lastError.message}`;
  return new BrokerError('DELIVERY_TIMEOUT', `Not acknowledged before the delivery deadline: ${reason}`, {
    cause: batch.lastError ?? undefined,
  });
}

const isOpen = (doubt: ProduceBatch['doubt']): doubt is Doubt => typeof doubt === 'object';

/** Past its deadline, and nothing was done about it yet. */
const isLate = ({ deadlineMs, abandoned, doubt }: ProduceBatch, nowMs: number): boolean =>
  deadlineMs <= nowMs && !abandoned && !isOpen(doubt);
