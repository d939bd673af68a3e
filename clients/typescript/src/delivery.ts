/** The promises of records. Most programs send without awaiting each record, so they are made when somebody asks. */
import { assert } from '../../../src/model/assert.ts';
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

/** What the broker said of a batch. */
export interface BatchReceipt extends Pick<
  RecordMeta,
  'leaderEpoch' | 'duplicate' | 'committed' | 'entry' | 'durableOn'
> {
  readonly baseOffset: number | null;
}

/** What became of the records of one batch. It outlives the batch's bytes: as long as somebody holds a delivery. */
export class BatchFate {
  /** Create times of the records, milliseconds since 1970. */
  readonly #timestamps: number[] = [];
  /** Deliveries that somebody waits for. */
  #awaited: Delivery[] = [];
  #settled:
    | {
        readonly kind: 'acknowledged';
        readonly topic: string;
        readonly partition: number;
        readonly receipt: BatchReceipt;
      }
    | { readonly kind: 'rejected'; readonly error: BrokerError }
    | null = null;

  /** Records so far. */
  get count(): number {
    return this.#timestamps.length;
  }

  /** One more record is in the batch. */
  add(delivery: Delivery, timestampMs: number): void {
    delivery.join(this, this.#timestamps.length);
    this.#timestamps.push(timestampMs);
  }

  /** The records are in the log. The first word on a batch counts. */
  acknowledge(topic: string, partition: number, receipt: BatchReceipt): void {
    this.#settled ??= { kind: 'acknowledged', topic, partition, receipt };
    this.#tell();
  }

  reject(error: BrokerError): void {
    this.#settled ??= { kind: 'rejected', error };
    this.#tell();
  }

  /** What became of the record at that place; null: it is open. */
  of(at: number): RecordMeta | BrokerError | null {
    const settled = this.#settled;
    if (settled === null) return null;
    if (settled.kind === 'rejected') return settled.error;
    const { topic, partition } = settled;
    const { baseOffset, leaderEpoch, duplicate, committed, entry, durableOn } = settled.receipt;
    const offset = baseOffset === null ? null : baseOffset + at;
    const timestampMs = this.#timestamps[at] ?? 0;
    return { topic, partition, offset, timestampMs, duplicate, leaderEpoch, committed, entry, durableOn };
  }

  /** Somebody waits for it: it is told when the batch is settled. */
  await(delivery: Delivery): void {
    this.#awaited.push(delivery);
  }

  #tell(): void {
    const awaited = this.#awaited;
    this.#awaited = [];
    for (const delivery of awaited) delivery.settle();
  }
}

interface Asked {
  readonly promise: Promise<RecordMeta>;
  readonly resolve: (meta: RecordMeta) => void;
  readonly reject: (error: BrokerError) => void;
}

/**
 * One record's promise: the first `then` (so also the first `await`) makes the native one. What nobody looks at can not
 * become an unhandled rejection.
 */
export class Delivery implements Promise<RecordMeta> {
  /** Its batch's; null: it is in none yet. */
  #fate: BatchFate | null = null;
  /** Its place in the batch. */
  #at = 0;
  /** Why it was given up before its batch was settled. */
  #refusal: BrokerError | null = null;
  #asked: Asked | null = null;

  get [Symbol.toStringTag](): string {
    return 'Promise';
  }

  then<Fulfilled = RecordMeta, Rejected = never>(
    onFulfilled?: ((meta: RecordMeta) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((error: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.#promise().then(onFulfilled, onRejected);
  }

  catch<Rejected = never>(
    onRejected?: ((error: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<RecordMeta | Rejected> {
    return this.#promise().catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<RecordMeta> {
    return this.#promise().finally(onFinally);
  }

  /** What became of the record so far; null: it is open. */
  get outcome(): RecordMeta | BrokerError | null {
    return this.#refusal ?? this.#fate?.of(this.#at) ?? null;
  }

  /** It is in a batch now, whose fate is its own. */
  join(fate: BatchFate, at: number): void {
    assert(this.#fate === null, 'delivery-1: a record is in one batch');
    this.#fate = fate;
    this.#at = at;
    if (this.#asked !== null) fate.await(this);
  }

  /** Gives it up, whatever becomes of its batch. Nothing, if that is settled. */
  reject(error: BrokerError): void {
    if (this.outcome !== null) return;
    this.#refusal = error;
    this.#asked?.reject(error);
  }

  /** Its outcome is known. */
  settle(): void {
    const { outcome } = this;
    if (outcome === null || this.#asked === null) return;
    if (outcome instanceof Error) this.#asked.reject(outcome);
    else this.#asked.resolve(outcome);
  }

  #promise(): Promise<RecordMeta> {
    return (this.#asked ?? this.#ask()).promise;
  }

  #ask(): Asked {
    let resolve: Asked['resolve'] = () => undefined;
    let reject: Asked['reject'] = () => undefined;
    const promise = new Promise<RecordMeta>((resolvePromise, rejectPromise) => {
      resolve = resolvePromise;
      reject = rejectPromise;
    });
    this.#asked = { promise, resolve, reject };
    if (this.outcome !== null) this.settle();
    else this.#fate?.await(this);
    return this.#asked;
  }
}
