/** The lane against a broker's real duplicate check over a network that loses, delays and repeats. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import fc from 'fast-check';
import { ProducerTable } from '../../../src/broker/producer-table.ts';
import { BatchBuilder } from '../../../src/model/batch-builder.ts';
import { decodeBatch } from '../../../src/model/batch-decoder.ts';
import { validateBatch } from '../../../src/model/batch-validation.ts';
import { toMillis, toOffset, toProducerEpoch, toProducerId } from '../../../src/model/ids.ts';
import type { BatchCodecs } from '../../../src/model/record-batch.ts';
import { createCompression } from '../src/compression.ts';
import { crc32c } from '../src/crc32c.ts';
import { Delivery } from '../src/delivery.ts';
import { BrokerError } from '../src/errors.ts';
import type { ErrorCode } from '../src/errors.ts';
import { PartitionLane } from '../src/partition-lane.ts';
import type { Outcome, Resolution } from '../src/partition-lane.ts';
import { ProduceBatch } from '../src/produce-batch.ts';
import type { ProducerIdentity } from '../src/producer-identity.ts';

let codecs: BatchCodecs;
before(async () => {
  codecs = { compression: await createCompression(), crc32c };
});

const bytesOf = (n: number): Uint8Array => Buffer.from(String(n));
const numberOf = (bytes: Uint8Array): number => Number(Buffer.from(bytes).toString());

/** What became of one record's promise. */
type Fate =
  | { kind: 'open' }
  | { kind: 'resolved'; offset: number | null; duplicate: boolean }
  | { kind: 'rejected'; error: BrokerError };

const acknowledged = { leaderEpoch: 1, duplicate: false, committed: true, entry: null, durableOn: [0] };

/** A lane with a hand on everything around it. */
class Bench {
  readonly deliveries: Delivery[] = [];
  readonly errors: BrokerError[] = [];
  readonly lane: PartitionLane;
  identity: ProducerIdentity | null = null;
  nowMs = 0;
  settled = 0;

  constructor(idempotent = true, resolveMs = 0) {
    this.lane = new PartitionLane('t', 'id', 0, {
      idempotent,
      inflightMax: idempotent ? 5 : 1,
      compression: 'none',
      codecs,
      backoffMs: () => 10,
      resolveMs,
      settled: () => (this.settled += 1),
      failed: (error) => this.errors.push(error),
    });
    if (idempotent) this.raise();
  }

  /** Of every record that was added. */
  get fates(): Fate[] {
    return this.deliveries.map(({ outcome }) => {
      if (outcome === null) return { kind: 'open' };
      if (outcome instanceof BrokerError) return { kind: 'rejected', error: outcome };
      return { kind: 'resolved', offset: outcome.offset, duplicate: outcome.duplicate };
    });
  }

  raise(): void {
    const generation = (this.identity?.generation ?? 0) + 1;
    this.identity = {
      id: toProducerId(7),
      epoch: toProducerEpoch(generation - 1),
      secret: new Uint8Array(16),
      generation,
    };
  }

  /** Adds records as one closed batch. */
  add(count: number, deadlineMs = Infinity): void {
    const batch = new ProduceBatch(new BatchBuilder(), this.nowMs, deadlineMs, this.deliveries.length);
    for (let i = 0; i < count; i++) {
      const delivery = new Delivery();
      const n = this.deliveries.push(delivery) - 1;
      assert.equal(batch.builder?.append({ key: null, value: bytesOf(n), headers: [], timestampMs: null }), null);
      batch.fate.add(delivery, 0);
    }
    this.lane.begin(batch);
    this.lane.close();
  }

  /** All that may be sent now. */
  take(): ProduceBatch[] {
    const taken: ProduceBatch[] = [];
    for (;;) {
      const batch = this.lane.next(this.nowMs, this.identity, true);
      if (batch === null) return taken;
      taken.push(batch);
    }
  }

  answer(batch: ProduceBatch, baseOffset: number, duplicate = false): void {
    this.lane.answered(batch, { kind: 'produced', receipt: { ...acknowledged, baseOffset, duplicate } }, this.nowMs);
  }

  refuse(batch: ProduceBatch, code: ErrorCode, traits: { retriable?: boolean; indeterminate?: boolean } = {}): void {
    this.lane.answered(batch, { kind: 'refused', error: new BrokerError(code, code, traits) }, this.nowMs);
  }

  lose(): void {
    this.lane.lost(new BrokerError('UNAVAILABLE', 'gone', { retriable: true, indeterminate: true }), this.nowMs);
  }
}

const kinds = (bench: Bench): string[] =>
  bench.fates.map((fate) => (fate.kind === 'rejected' ? fate.error.code : fate.kind));
const copyOf = (batch: ProduceBatch): Uint8Array => Uint8Array.from(batch.bytes ?? []);
const stampOf = (bytes: Uint8Array): { epoch: number; sequence: number } => {
  const checked = validateBatch(bytes, { crc32c });
  if (checked.kind === 'refused') assert.fail(checked.error.message);
  const { producer } = checked.value;
  return { epoch: producer?.epoch ?? -1, sequence: producer?.baseSequence ?? -1 };
};

describe('lane-1 and lane-2: order and limits', () => {
  it('numbers batches without gaps and sends five at most', () => {
    const bench = new Bench();
    for (let i = 1; i <= 7; i++) bench.add(i);
    const sent = bench.take();
    assert.deepEqual(
      sent.map((batch) => batch.baseSequence),
      [0, 1, 3, 6, 10],
    );
    bench.answer(sent[0]!, 100);
    assert.deepEqual(
      bench.take().map((batch) => batch.baseSequence),
      [15],
    );
    assert.deepEqual(bench.fates[0], { kind: 'resolved', offset: 100, duplicate: false });
  });

  it('counts what was answered behind an unresolved batch, which the broker must still remember', () => {
    const bench = new Bench();
    for (let i = 0; i < 7; i++) bench.add(1);
    const [first, ...others] = bench.take();
    bench.refuse(first!, 'REQUEST_TIMED_OUT', { retriable: true, indeterminate: true });
    for (const [i, batch] of others.entries()) bench.answer(batch, 1 + i);
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), [first]);
    bench.answer(first!, 0, true);
    assert.deepEqual(
      bench.take().map((batch) => batch.baseSequence),
      [5, 6],
    );
  });

  it('sends one at a time without idempotence, and does not resend what may be in the log', () => {
    const bench = new Bench(false);
    bench.add(1);
    bench.add(1);
    const [first, ...more] = bench.take();
    assert.equal(more.length, 0);
    bench.refuse(first!, 'LIMIT_REACHED', { retriable: true });
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), [first]);
    bench.lose();
    assert.equal(bench.fates[0]?.kind === 'rejected' && bench.fates[0].error.indeterminate, true);
    bench.nowMs += 10;
    assert.equal(bench.take().length, 1);
  });
});

describe('lane-3: resending', () => {
  it('resends the same bytes in order after a lost connection, and nothing new before', () => {
    const bench = new Bench();
    for (let i = 0; i < 3; i++) bench.add(2);
    const sent = bench.take();
    const bytes = sent.map(copyOf);
    bench.lose();
    bench.add(2);
    assert.deepEqual(bench.take(), [], 'waits for its back-off');
    bench.nowMs += 10;
    const again = bench.take();
    assert.deepEqual(again.slice(0, 3), sent);
    assert.deepEqual(again.slice(0, 3).map(copyOf), bytes);
    assert.equal(again[3]?.baseSequence, 6);
  });

  it('waits for every outstanding answer before it resends', () => {
    const bench = new Bench();
    for (let i = 0; i < 3; i++) bench.add(1);
    const sent = bench.take();
    bench.refuse(sent[0]!, 'NOT_LEADER_OR_FOLLOWER', { retriable: true });
    bench.nowMs += 1000;
    assert.deepEqual(bench.take(), []);
    bench.refuse(sent[1]!, 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    assert.deepEqual(bench.take(), []);
    bench.refuse(sent[2]!, 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), sent);
    assert.deepEqual(kinds(bench), ['open', 'open', 'open']);
  });

  it('takes a duplicate as success, with the original offset', () => {
    const bench = new Bench();
    bench.add(1);
    const [batch] = bench.take();
    bench.lose();
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), [batch]);
    bench.answer(batch!, 41, true);
    assert.deepEqual(bench.fates[0], { kind: 'resolved', offset: 41, duplicate: true });
  });

  it('resolves a later batch while an earlier one is resent', () => {
    const bench = new Bench();
    bench.add(1);
    bench.add(1);
    const [first, second] = bench.take();
    bench.refuse(first!, 'REQUEST_TIMED_OUT', { retriable: true, indeterminate: true });
    bench.answer(second!, 1);
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), [first]);
    bench.answer(first!, 0, true);
    assert.deepEqual(kinds(bench), ['resolved', 'resolved']);
    assert.equal(bench.lane.isEmpty, true);
  });
});

describe('lane-4: unknown outcomes', () => {
  it('stay unknown although a later attempt is refused', () => {
    const bench = new Bench();
    bench.add(1, 100);
    const [batch] = bench.take();
    bench.lose();
    bench.nowMs += 10;
    bench.take();
    bench.refuse(batch!, 'LIMIT_REACHED', { retriable: true });
    bench.nowMs = 100;
    bench.lane.expire(bench.nowMs);
    const [fate] = bench.fates;
    assert.equal(fate?.kind === 'rejected' && fate.error.code, 'DELIVERY_TIMEOUT');
    assert.equal(fate?.kind === 'rejected' && fate.error.indeterminate, true);
    assert.equal((fate?.kind === 'rejected' ? (fate.error.cause as BrokerError) : null)?.code, 'LIMIT_REACHED');
  });

  it('are failed determinately when every attempt was refused', () => {
    const bench = new Bench();
    bench.add(1, 100);
    const [batch] = bench.take();
    bench.refuse(batch!, 'DISK_RESERVE_REACHED', { retriable: true });
    bench.nowMs = 100;
    bench.lane.expire(bench.nowMs);
    const [fate] = bench.fates;
    assert.equal(fate?.kind === 'rejected' && fate.error.indeterminate, false);
    bench.add(1);
    assert.deepEqual(
      bench.take().map((next) => [next.baseSequence, stampOf(copyOf(next)).epoch]),
      [[0, 0]],
    );
  });

  it('reject what was never sent as certainly not in the log', () => {
    const bench = new Bench();
    bench.identity = null;
    bench.add(1, 100);
    assert.deepEqual(bench.take(), []);
    bench.nowMs = 100;
    bench.lane.expire(bench.nowMs);
    const [fate] = bench.fates;
    assert.equal(fate?.kind === 'rejected' && fate.error.indeterminate, false);
    assert.equal(bench.lane.isEmpty, true);
  });

  it('let the lane go on when the late answer closes the gap', () => {
    const bench = new Bench();
    bench.add(1, 100);
    bench.add(1);
    const [late, next] = bench.take();
    bench.nowMs = 100;
    bench.lane.expire(bench.nowMs);
    assert.deepEqual(kinds(bench), ['DELIVERY_TIMEOUT', 'open']);
    bench.answer(late!, 0);
    bench.answer(next!, 1);
    assert.deepEqual(kinds(bench), ['DELIVERY_TIMEOUT', 'resolved']);
    bench.add(1);
    assert.deepEqual(
      bench.take().map((batch) => batch.baseSequence),
      [2],
    );
    assert.equal(bench.lane.outlivedIdentity, null);
  });
});

describe('lane-7: asking what became of a batch', () => {
  /** Two batches were sent and lost, and the first is late; the network is silent since. */
  function late(): { readonly bench: Bench; readonly first: ProduceBatch; readonly second: ProduceBatch } {
    const bench = new Bench(true, 1_000);
    bench.add(2, 100);
    bench.add(1, 5_000);
    const [first, second] = bench.take();
    bench.lose();
    bench.nowMs = 100;
    assert.equal(bench.lane.expire(bench.nowMs), true);
    assert.deepEqual(kinds(bench), ['open', 'open', 'open'], 'nothing is reported yet');
    assert.deepEqual(bench.take(), [], 'and nothing is sent');
    assert.equal(bench.lane.takeDoubt(), first);
    assert.equal(bench.lane.takeDoubt(), null, 'one question at a time');
    return { bench, first: first!, second: second! };
  }

  it('delivers what is committed, and goes on behind it', () => {
    const { bench, first, second } = late();
    bench.lane.resolved(first, { kind: 'committed', receipt: { ...acknowledged, baseOffset: 7 } }, bench.nowMs);
    assert.deepEqual(kinds(bench), ['resolved', 'resolved', 'open']);
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), [second]);
    assert.deepEqual(stampOf(copyOf(second)), { epoch: 0, sequence: 2 });
  });

  it('rejects for certain what never will be, and sends what was behind it under a higher epoch', () => {
    const { bench, first, second } = late();
    bench.lane.resolved(first, { kind: 'never' }, bench.nowMs);
    const [fate] = bench.fates;
    assert.ok(fate?.kind === 'rejected');
    assert.deepEqual([fate.error.code, fate.error.indeterminate], ['DELIVERY_TIMEOUT', false]);
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), [], 'it waits for the epoch');
    bench.raise();
    assert.deepEqual(bench.take(), [second]);
    assert.deepEqual(stampOf(copyOf(second)), { epoch: 1, sequence: 0 });
  });

  it('calls the outcome unknown where nobody knows, or nobody answers in time', () => {
    for (const how of ['expired', 'silence'] as const) {
      const { bench, first } = late();
      if (how === 'expired') bench.lane.resolved(first, { kind: 'expired' }, bench.nowMs);
      else bench.lane.unanswered(first);
      if (how === 'silence') assert.equal(bench.lane.takeDoubt(), first, 'it is asked again');
      bench.nowMs = 1_100;
      bench.lane.expire(bench.nowMs);
      const [fate] = bench.fates;
      assert.ok(fate?.kind === 'rejected');
      assert.deepEqual([fate.error.code, fate.error.indeterminate], ['DELIVERY_TIMEOUT', true]);
    }
  });

  it('takes a late answer to the batch itself, and ignores that to the question', () => {
    const bench = new Bench(true, 1_000);
    bench.add(1, 100);
    const [batch] = bench.take();
    bench.nowMs = 100;
    bench.lane.expire(bench.nowMs);
    assert.equal(bench.lane.takeDoubt(), batch, 'it is asked while the attempt may still be answered');
    bench.answer(batch!, 3);
    assert.deepEqual(kinds(bench), ['resolved']);
    bench.lane.resolved(batch!, { kind: 'never' }, bench.nowMs);
    bench.add(1);
    assert.deepEqual(
      bench.take().map((next) => next.baseSequence),
      [1],
    );
  });
});

describe('lane-5: no gap', () => {
  it('gives the sequences of a refused batch to those behind it', () => {
    const bench = new Bench();
    bench.add(3);
    bench.add(2);
    bench.add(1);
    const [large, ...behind] = bench.take();
    bench.refuse(large!, 'MESSAGE_TOO_LARGE');
    for (const batch of behind) bench.refuse(batch, 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), behind);
    assert.deepEqual(
      behind.map((batch) => stampOf(copyOf(batch))),
      [
        { epoch: 0, sequence: 0 },
        { epoch: 0, sequence: 2 },
      ],
    );
    assert.deepEqual(kinds(bench).slice(0, 4), [...Array.from({ length: 3 }, () => 'MESSAGE_TOO_LARGE'), 'open']);
  });

  it('waits for a higher epoch behind an unknown outcome, and never takes it with it', () => {
    const bench = new Bench();
    bench.add(1, 100);
    bench.add(1, 500);
    bench.take();
    bench.add(1);
    bench.nowMs = 100;
    bench.lose();
    bench.lane.expire(bench.nowMs);
    assert.deepEqual(kinds(bench), ['DELIVERY_TIMEOUT', 'OUTCOME_UNKNOWN', 'open']);
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), []);
    assert.equal(bench.lane.outlivedIdentity?.epoch, 0);
    bench.raise();
    const [fresh] = bench.take();
    assert.deepEqual(stampOf(copyOf(fresh!)), { epoch: 1, sequence: 0 });
    assert.equal(bench.lane.outlivedIdentity, null);
  });

  it('takes a new epoch when the broker has forgotten the producer', () => {
    const bench = new Bench();
    bench.add(1);
    bench.answer(bench.take()[0]!, 0);
    bench.add(1);
    bench.add(1);
    const [first, second] = bench.take();
    bench.refuse(first!, 'UNKNOWN_PRODUCER_ID');
    bench.refuse(second!, 'UNKNOWN_PRODUCER_ID');
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), []);
    bench.raise();
    assert.deepEqual(bench.take(), [first, second]);
    assert.deepEqual(stampOf(copyOf(second!)), { epoch: 1, sequence: 1 });
  });

  it('resends a batch that overtook the one before it, also if that one is answered first', () => {
    const bench = new Bench();
    bench.add(1);
    bench.add(1);
    const [first, second] = bench.take();
    bench.answer(first!, 0);
    bench.refuse(second!, 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), [second]);
    bench.answer(second!, 1);
    assert.deepEqual(kinds(bench), ['resolved', 'resolved']);
  });

  it('fails a batch whose sequence is wrong although everything before it was acknowledged', () => {
    const bench = new Bench();
    bench.add(1);
    bench.answer(bench.take()[0]!, 0);
    bench.add(1);
    bench.refuse(bench.take()[0]!, 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    assert.deepEqual(kinds(bench), ['resolved', 'OUT_OF_ORDER_SEQUENCE_NUMBER']);
    assert.notEqual(bench.lane.outlivedIdentity, null);
  });

  it('does not go on behind what was aborted', () => {
    const certain = new Bench();
    certain.add(2);
    certain.refuse(certain.take()[0]!, 'LIMIT_REACHED', { retriable: true });
    certain.lane.abort(new BrokerError('CLOSED', 'enough'));
    const open = new Bench();
    open.add(2);
    open.take();
    open.lane.abort(new BrokerError('CLOSED', 'enough'));
    const indeterminate = [certain, open].map(
      ({ fates: [fate] }) => fate?.kind === 'rejected' && fate.error.indeterminate,
    );
    assert.deepEqual(indeterminate, [false, true]);
    for (const bench of [certain, open]) bench.add(1);
    certain.nowMs += 10;
    assert.deepEqual(
      certain.take().map((batch) => stampOf(copyOf(batch))),
      [{ epoch: 0, sequence: 0 }],
    );
    assert.deepEqual(open.take(), []);
    open.raise();
    assert.deepEqual(
      open.take().map((batch) => stampOf(copyOf(batch))),
      [{ epoch: 1, sequence: 0 }],
    );
  });

  it('lets batches before the gap resolve under the old identity first', () => {
    const bench = new Bench();
    for (let i = 0; i < 3; i++) bench.add(1);
    const [before, large, behind] = bench.take();
    bench.refuse(before!, 'REQUEST_TIMED_OUT', { retriable: true, indeterminate: true });
    bench.refuse(large!, 'MESSAGE_TOO_LARGE');
    bench.refuse(behind!, 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), [before]);
    bench.answer(before!, 0, true);
    bench.nowMs += 10;
    assert.deepEqual(bench.take(), [behind]);
    assert.deepEqual(stampOf(copyOf(behind!)), { epoch: 0, sequence: 1 });
  });
});

// ---- the whole, by chance ----

/** A partition of a broker: its real duplicate check, a log, and refusals on demand. */
class Broker {
  readonly log: number[] = [];
  readonly #table = new ProducerTable();

  receive(bytes: Uint8Array, refusal: ErrorCode | null): Outcome {
    if (refusal !== null && refusal !== 'REQUEST_TIMED_OUT') return refusedBy(refusal);
    const decoded = decodeBatch(bytes, codecs);
    if (decoded.kind === 'refused') assert.fail(decoded.error.message);
    const { header, records } = decoded.value;
    if (header.producer === null) assert.fail('an idempotent producer stamps every batch');
    const verdict = this.#table.check(header.producer, header.count);
    if (verdict.kind === 'out-of-order') return refusedBy('OUT_OF_ORDER_SEQUENCE_NUMBER');
    if (verdict.kind === 'stale-epoch' || verdict.kind === 'fenced') return refusedBy('INVALID_PRODUCER_EPOCH');
    if (verdict.kind === 'unknown-producer') return refusedBy('UNKNOWN_PRODUCER_ID');
    const baseOffset = verdict.kind === 'duplicate' ? (verdict.original?.baseOffset ?? null) : this.log.length;
    if (verdict.kind === 'next') {
      this.#table.append(header.producer, header.count, toOffset(this.log.length), toMillis(0));
      for (const record of records) this.log.push(numberOf(record.value ?? new Uint8Array()));
    }
    if (refusal === 'REQUEST_TIMED_OUT') return refusedBy(refusal);
    const duplicate = verdict.kind === 'duplicate';
    return { kind: 'produced', receipt: { ...acknowledged, baseOffset, duplicate } };
  }

  /** As ResolveAppend does (design D14). */
  resolve(lane: PartitionLane, batch: ProduceBatch): Resolution {
    const { identity } = lane;
    if (identity === null || batch.baseSequence === null) assert.fail('only what was sent is asked about');
    const stamp = { id: identity.id, epoch: identity.epoch, baseSequence: batch.baseSequence };
    const found = this.#table.whereIs(stamp, batch.count, 0);
    switch (found.kind) {
      case 'duplicate': {
        const baseOffset = found.original?.baseOffset ?? null;
        return { kind: 'committed', receipt: { ...acknowledged, baseOffset, duplicate: true } };
      }
      case 'open':
        this.#table.fence(stamp.id, stamp.epoch, toMillis(0));
        return { kind: 'never' };
      case 'never':
      case 'expired':
        return { kind: found.kind };
    }
  }
}

const retriable: ReadonlySet<ErrorCode> = new Set(['LIMIT_REACHED', 'NOT_LEADER_OR_FOLLOWER', 'REQUEST_TIMED_OUT']);

const refusedBy = (code: ErrorCode): Outcome => ({
  kind: 'refused',
  error: new BrokerError(code, code, { retriable: retriable.has(code), indeterminate: code === 'REQUEST_TIMED_OUT' }),
});

interface OnTheWire {
  readonly batch: ProduceBatch;
  readonly bytes: Uint8Array;
}

type Step =
  | { readonly do: 'add'; readonly count: number }
  | { readonly do: 'send' | 'reply' | 'lose' | 'raise' | 'straggler' | 'drop-straggler' }
  | { readonly do: 'ask' | 'tell' | 'keep-quiet' }
  | { readonly do: 'receive'; readonly refusal: ErrorCode | null }
  | { readonly do: 'wait'; readonly ms: number };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('send' as const, 'reply' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('lose' as const, 'raise' as const, 'straggler' as const, 'drop-straggler' as const),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('receive' as const),
      refusal: fc.oneof(
        { weight: 6, arbitrary: fc.constant(null) },
        {
          weight: 1,
          arbitrary: fc.constantFrom<ErrorCode>(
            'LIMIT_REACHED',
            'NOT_LEADER_OR_FOLLOWER',
            'REQUEST_TIMED_OUT',
            'MESSAGE_TOO_LARGE',
          ),
        },
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('ask' as const, 'tell' as const, 'keep-quiet' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(5, 10, 40) }) },
);

function play(steps: readonly Step[], resolveMs: number): { bench: Bench; broker: Broker } {
  const bench = new Bench(true, resolveMs);
  const broker = new Broker();
  let wire: OnTheWire[] = [];
  let replies: { readonly batch: ProduceBatch; readonly outcome: Outcome }[] = [];
  const stragglers: OnTheWire[] = [];
  /** Answers to questions, decided by the broker when it was asked. */
  const answers: { readonly batch: ProduceBatch; readonly resolution: Resolution }[] = [];
  const act = (step: Step): void => {
    switch (step.do) {
      case 'add':
        bench.add(step.count, bench.nowMs + 60);
        return;
      case 'send':
        for (const batch of bench.take()) wire.push({ batch, bytes: copyOf(batch) });
        return;
      case 'receive': {
        const next = wire.shift();
        if (next !== undefined) replies.push({ batch: next.batch, outcome: broker.receive(next.bytes, step.refusal) });
        return;
      }
      case 'reply': {
        const reply = replies.shift();
        if (reply?.batch.state === 'outstanding') bench.lane.answered(reply.batch, reply.outcome, bench.nowMs);
        return;
      }
      case 'ask': {
        const batch = bench.lane.takeDoubt();
        if (batch !== null) answers.push({ batch, resolution: broker.resolve(bench.lane, batch) });
        return;
      }
      case 'tell': {
        const answer = answers.shift();
        if (answer !== undefined) bench.lane.resolved(answer.batch, answer.resolution, bench.nowMs);
        return;
      }
      case 'keep-quiet': {
        const lost = answers.shift();
        if (lost !== undefined) bench.lane.unanswered(lost.batch);
        return;
      }
      case 'lose':
        // What was written may still arrive, much later, and more than once in all.
        stragglers.push(...wire);
        wire = [];
        replies = [];
        bench.lose();
        return;
      case 'straggler': {
        const late = stragglers.shift();
        if (late !== undefined) broker.receive(late.bytes, null);
        return;
      }
      case 'drop-straggler':
        stragglers.shift();
        return;
      case 'raise':
        if (bench.lane.outlivedIdentity === bench.identity) bench.raise();
        return;
      case 'wait':
        bench.nowMs += step.ms;
        bench.lane.expire(bench.nowMs);
        return;
    }
  };
  for (const step of steps) act(step);
  // Then everything heals, and the lane must come to an end.
  for (let round = 0; !bench.lane.isEmpty && round < 200; round++) {
    for (const what of ['ask', 'tell', 'raise', 'send'] as const) act({ do: what });
    while (wire.length > 0) act({ do: 'receive', refusal: null });
    while (replies.length > 0) act({ do: 'reply' });
    act({ do: 'wait', ms: 1 });
  }
  return { bench, broker };
}

describe('promise-honest: whatever the network does', () => {
  it('keeps order, appends nothing twice, and never reports a fate that is not so', () => {
    const { resolved, unknown } = checkFates(0);
    assert.ok(resolved > 5_000 && unknown > 500, `the runs were of use: ${resolved} resolved, ${unknown} unknown`);
  });

  it('lane-7: the same where the broker is asked, and little is left unknown', () => {
    const { resolved, unknown, certain } = checkFates(1_000);
    assert.ok(
      resolved > 5_000 && certain > 500,
      `the runs were of use: ${resolved} resolved, ${certain} certainly not`,
    );
    assert.ok(unknown < resolved / 100, `${unknown} unknown`);
  });

  it('lane-7: the same where it is asked for too short a time', () => {
    const { resolved } = checkFates(20);
    assert.ok(resolved > 5_000, `the runs were of use: ${resolved} resolved`);
  });

  function checkFates(resolveMs: number): {
    readonly resolved: number;
    readonly unknown: number;
    readonly certain: number;
  } {
    let resolved = 0;
    let unknown = 0;
    let certain = 0;
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 20, maxLength: 200 }), (steps) => {
        const { bench, broker } = play(steps, resolveMs);
        assert.equal(bench.lane.isEmpty, true, 'healed, the lane comes to an end');
        assert.deepEqual(
          broker.log,
          [...new Set(broker.log)].sort((a, b) => a - b),
          'in order, none twice',
        );
        for (const [n, fate] of bench.fates.entries()) {
          const at = broker.log.indexOf(n);
          assert.notEqual(fate.kind, 'open');
          if (fate.kind === 'resolved') assert.equal(fate.offset, at, 'resolved: it is there');
          if (fate.kind === 'rejected' && !fate.error.indeterminate) assert.equal(at, -1, 'failed: it is not there');
          if (fate.kind === 'resolved') resolved += 1;
          if (fate.kind === 'rejected' && fate.error.indeterminate) unknown += 1;
          if (fate.kind === 'rejected' && fate.error.code === 'DELIVERY_TIMEOUT' && !fate.error.indeterminate)
            certain += 1;
        }
      }),
      { numRuns: 1_000, seed: 20251123 },
    );
    return { resolved, unknown, certain };
  }
});
