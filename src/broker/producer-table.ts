/**
 * What a partition remembers of its idempotent producers (semantics I1 to I10, design D14). Pure: decides from what was
 * appended before, and changes only by `append`. A partition holds two: one of everything appended (asked before a
 * proposal, dropped when leadership ends) and one of everything applied (rebuilt from the log on every replica).
 *
 * Invariants:
 * - producer-1: the batches of a producer are at most `rememberedBatchesMax`, oldest first, each following the one before.
 * - producer-2: within an epoch sequences are dense from 0; 2^31-1 is followed by 0.
 * - producer-3: the table is a function of the appended batches and their append times alone, so that replicas agree
 *   whatever their clocks say (pitfall P102); its order is that of the last append of each producer.
 */
import { assert } from '../model/assert.ts';
import type { Millis, Offset, ProducerEpoch, ProducerId, Sequence } from '../model/ids.ts';
import { sequencePlus, toSequence } from '../model/ids.ts';
import type { BatchProducer } from '../model/record-batch.ts';

/** How many of a producer's newest batches are known with their offsets (semantics I1). */
export const rememberedBatchesMax = 5;
/** A producer that was idle for longer is forgotten, by append time (semantics I9). */
export const producerIdleMsMax = 86_400_000;

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
  /** The newest batches of the epoch, oldest first; at least one. */
  readonly batches: readonly RememberedBatch[];
}

/** What a batch is to the table. Everything but `next` leaves the log as it is. */
export type SequenceVerdict =
  | { readonly kind: 'next'; readonly newProducer: boolean }
  /** In the log already. `original` is null if it is older than what is remembered. */
  | { readonly kind: 'duplicate'; readonly original: RememberedBatch | null; readonly newest: RememberedBatch }
  | { readonly kind: 'out-of-order'; readonly expected: Sequence }
  | { readonly kind: 'stale-epoch'; readonly current: ProducerEpoch }
  | { readonly kind: 'unknown-producer' };

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

function checkInEpoch(state: ProducerState, stamp: BatchProducer, count: number): SequenceVerdict {
  const newest = newestOf(state);
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
  if (known?.epoch !== epoch) return { epoch, recordCount: count, batches: [batch] };
  const kept = known.batches.slice(-(rememberedBatchesMax - 1));
  return { epoch, recordCount: known.recordCount + count, batches: [...kept, batch] };
}

function newestOf(state: ProducerState): RememberedBatch {
  const newest = state.batches.at(-1);
  assert(newest !== undefined, 'producer-1: a known producer has a batch');
  return newest;
}

const isIdle = (state: ProducerState, nowMs: Millis): boolean =>
  newestOf(state).appendTimeMs + producerIdleMsMax < nowMs;

const describe = (stamp: BatchProducer, count: number): string =>
  `producer ${stamp.id} epoch ${stamp.epoch} sequence ${stamp.baseSequence} count ${count}`;
