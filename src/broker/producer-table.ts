/**
 * What a partition remembers of its idempotent producers (semantics I1 to I10, design D14). Pure: decides from what was
 * appended before, and changes only by `append`. A partition holds two: one of everything appended (asked before a
 * proposal, dropped when leadership ends) and one of everything applied (rebuilt from the log on every replica).
 *
 * Invariants:
 * - producer-1: the batches of a producer are at most `rememberedBatchesMax`, oldest first, each following the one before;
 *   a producer without any is known by a fence alone.
 * - producer-2: within an epoch sequences are dense from 0; 2^31-1 is followed by 0.
 * - producer-3: the table is a function of the appended batches and their append times alone, so that replicas agree
 *   whatever their clocks say (pitfall P102); its order is that of the last append of each producer.
 * - producer-6: after a fence no batch of that epoch is appended any more.
 */
import { assert } from '../model/assert.ts';
import type { Millis, Offset, ProducerEpoch, ProducerId, Sequence } from '../model/ids.ts';
import { sequencePlus, toSequence } from '../model/ids.ts';
import type { BatchProducer } from '../model/record-batch.ts';

/** How many of a producer's newest batches are known with their offsets (semantics I1). */
export const rememberedBatchesMax = 5;
/** A producer that was idle for longer is forgotten, by append time (semantics I9). */
export const producerIdleMsMax = 86_400_000;

/**
 * That a producer is not known proves for so long after it sent that nothing of it was appended: half of the time after
 * which it may be forgotten, because append times may be ahead of the asker's by what clocks differ (design D23).
 */
export const provableMsMax = producerIdleMsMax / 2;

const sequenceSpan = 2 ** 31;
/** Behind by more is not told apart from ahead: a producer has far fewer sequences on the way than this. */
const behindMax = 2 ** 30;

/** An appended batch. Sequences are inclusive. */
export interface RememberedBatch {
  readonly firstSequence: Sequence;
  readonly lastSequence: Sequence;
  readonly baseOffset: Offset;
  readonly appendTimeMs: Millis;
}

/** Everything remembered of one producer. */
export interface ProducerState {
  readonly epoch: ProducerEpoch;
  /** Records appended in this epoch, so that a sequence that was never sent is not taken for an old one. */
  readonly recordCount: number;
  /** The newest batches of the epoch, oldest first; none if only a fence was appended. */
  readonly batches: readonly RememberedBatch[];
  /** Append time of its newest batch or fence. */
  readonly lastMs: Millis;
  /** The epoch is closed: what is not in the log by now never will be (design D14). */
  readonly fenced: boolean;
}

/** What a batch is to the table. Everything but `next` leaves the log as it is. */
export type SequenceVerdict =
  | { readonly kind: 'next'; readonly newProducer: boolean }
  /** In the log already. `original` is null if it is older than what is remembered. */
  | { readonly kind: 'duplicate'; readonly original: RememberedBatch | null; readonly newest: RememberedBatch }
  | { readonly kind: 'out-of-order'; readonly expected: Sequence }
  | { readonly kind: 'stale-epoch'; readonly current: ProducerEpoch }
  /** A fence closed the epoch. */
  | { readonly kind: 'fenced' }
  | { readonly kind: 'unknown-producer' };

/** What is known of a batch that somebody asks about. */
export type Whereabouts =
  | Extract<SequenceVerdict, { kind: 'duplicate' }>
  /** Not in the log, and the epoch is closed. */
  | { readonly kind: 'never' }
  /** Not in the log yet: only a fence can tell that it never will be. */
  | { readonly kind: 'open'; readonly newProducer: boolean }
  /** What would tell is forgotten. */
  | { readonly kind: 'expired' };

export class ProducerTable {
  /** Oldest last append first. Values are never changed in place, so that a copy shares them. */
  readonly #producers: Map<ProducerId, ProducerState>;

  constructor(producers: Iterable<readonly [ProducerId, ProducerState]> = []) {
    this.#producers = new Map(producers);
  }

  /** A table with the same content, independent from now on. */
  copy(): ProducerTable {
    return new ProducerTable(this.#producers);
  }

  get size(): number {
    return this.#producers.size;
  }

  /** All producers, in the order of their last append. */
  entries(): IterableIterator<[ProducerId, ProducerState]> {
    return this.#producers.entries();
  }

  find(producerId: ProducerId): ProducerState | null {
    return this.#producers.get(producerId) ?? null;
  }

  /** Producers that would still be remembered after an append at `nowMs`, counted up to `countMax`. */
  hasRoom(countMax: number, nowMs: Millis): boolean {
    if (this.#producers.size < countMax) return true;
    const oldest = this.#producers.values().next();
    return oldest.done === true || isIdle(oldest.value, nowMs);
  }

  /** Says what a batch of `count` records (from 1) is. Changes nothing. */
  check(stamp: BatchProducer, count: number): SequenceVerdict {
    const state = this.#producers.get(stamp.id);
    if (state === undefined) return stamp.baseSequence === 0 ? newcomer : { kind: 'unknown-producer' };
    if (stamp.epoch < state.epoch) return { kind: 'stale-epoch', current: state.epoch };
    if (stamp.epoch > state.epoch) return checkFirst(stamp);
    return checkInEpoch(state, stamp, count);
  }

  /**
   * Says whether a batch of `count` records that was first sent `ageMs` ago is in the log. In `epoch` everything since its
   * first sequence is known, and of a lower one nothing is (semantics I4 and I6, as ours deviate).
   */
  whereIs(stamp: BatchProducer, count: number, ageMs: number): Whereabouts {
    const state = this.#producers.get(stamp.id);
    if (state === undefined) return ageMs < provableMsMax ? { kind: 'open', newProducer: true } : expired;
    if (stamp.epoch < state.epoch) return expired;
    const verdict = this.check(stamp, count);
    if (verdict.kind === 'duplicate') return verdict;
    return verdict.kind === 'fenced' ? never : { kind: 'open', newProducer: false };
  }

  /** Closes an epoch, unless a later one has begun. */
  fence(producerId: ProducerId, epoch: ProducerEpoch, appendTimeMs: Millis): void {
    const known = this.#producers.get(producerId);
    if (known !== undefined && known.epoch > epoch) return;
    const before = known?.epoch === epoch ? known : { epoch, recordCount: 0, batches: [] };
    this.#producers.delete(producerId);
    this.#producers.set(producerId, { ...before, lastMs: appendTimeMs, fenced: true });
    this.#forgetIdle(appendTimeMs);
  }

  /**
   * Takes in a batch that `check` called `next`, and forgets who was idle for too long at its append time: in this
   * order, so that a producer that comes back with this very batch is not forgotten by it.
   */
  append(stamp: BatchProducer, count: number, baseOffset: Offset, appendTimeMs: Millis): void {
    const verdict = this.check(stamp, count);
    assert(verdict.kind === 'next', 'producer-2: sequences are dense', `${verdict.kind} ${describe(stamp, count)}`);
    const known = this.#producers.get(stamp.id);
    const batch = {
      firstSequence: stamp.baseSequence,
      lastSequence: sequencePlus(stamp.baseSequence, count - 1),
      baseOffset,
      appendTimeMs,
    };
    this.#producers.delete(stamp.id);
    this.#producers.set(stamp.id, stateAfter(known, stamp.epoch, batch, count));
    this.#forgetIdle(appendTimeMs);
  }

  #forgetIdle(nowMs: Millis): void {
    for (const [producerId, state] of this.#producers) {
      if (!isIdle(state, nowMs)) return;
      this.#producers.delete(producerId);
    }
  }
}

const newcomer: SequenceVerdict = { kind: 'next', newProducer: true };
const follows: SequenceVerdict = { kind: 'next', newProducer: false };

/** A new epoch begins at 0 (semantics I7). */
function checkFirst(stamp: BatchProducer): SequenceVerdict {
  return stamp.baseSequence === 0 ? follows : { kind: 'out-of-order', expected: toSequence(0) };
}

const fenced: SequenceVerdict = { kind: 'fenced' };
const never: Whereabouts = { kind: 'never' };
const expired: Whereabouts = { kind: 'expired' };

/** What is in the log stays known after a fence: a retry of it is answered as ever. */
function checkInEpoch(state: ProducerState, stamp: BatchProducer, count: number): SequenceVerdict {
  const newest = state.batches.at(-1);
  if (newest === undefined) {
    assert(state.fenced, 'producer-1: a producer without a batch is fenced');
    return fenced;
  }
  const verdict = checkAgainst(state, newest, stamp, count);
  return state.fenced && verdict.kind !== 'duplicate' ? fenced : verdict;
}

function checkAgainst(
  state: ProducerState,
  newest: RememberedBatch,
  stamp: BatchProducer,
  count: number,
): SequenceVerdict {
  const expected = sequencePlus(newest.lastSequence, 1);
  if (stamp.baseSequence === expected) return follows;
  const lastSequence = sequencePlus(stamp.baseSequence, count - 1);
  const original = state.batches.find(
    (batch) => batch.firstSequence === stamp.baseSequence && batch.lastSequence === lastSequence,
  );
  if (original !== undefined) return { kind: 'duplicate', original, newest };
  return wasAppended(state, newest, lastSequence, count)
    ? { kind: 'duplicate', original: null, newest }
    : { kind: 'out-of-order', expected };
}

/** Every record up to `lastSequence` going back `count` was appended in this epoch (semantics I4, as ours deviates). */
function wasAppended(state: ProducerState, newest: RememberedBatch, lastSequence: Sequence, count: number): boolean {
  const behind = (newest.lastSequence - lastSequence + sequenceSpan) % sequenceSpan;
  return behind < behindMax && behind + count <= state.recordCount;
}

function stateAfter(
  known: ProducerState | undefined,
  epoch: ProducerEpoch,
  batch: RememberedBatch,
  count: number,
): ProducerState {
  const rest = { lastMs: batch.appendTimeMs, fenced: false };
  if (known?.epoch !== epoch) return { epoch, recordCount: count, batches: [batch], ...rest };
  const kept = known.batches.slice(-(rememberedBatchesMax - 1));
  return { epoch, recordCount: known.recordCount + count, batches: [...kept, batch], ...rest };
}

const isIdle = (state: ProducerState, nowMs: Millis): boolean => state.lastMs + producerIdleMsMax < nowMs;

const describe = (stamp: BatchProducer, count: number): string =>
  `producer ${stamp.id} epoch ${stamp.epoch} sequence ${stamp.baseSequence} count ${count}`;
