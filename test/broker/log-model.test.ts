/**
 * Random operations on a partition against a model of its log: appends with and without an identity or a condition, retries,
 * commits, changes of leader, deletions, reads and searches. `LOG_MODEL_RUNS=10000` for a long run.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AppendReceipt, OffsetQuery } from '../../src/broker/requests.ts';
import type { Result } from '../../src/model/errors.ts';
import { toMillis, toOffset } from '../../src/model/ids.ts';
import { batch, identity } from './batches.ts';
import { BrokerFixture, offsets, settle, value } from './broker-fixture.ts';

interface ModelBatch {
  readonly kind: 'batch';
  readonly base: number;
  readonly times: readonly number[];
  /** First sequence of the one producer; null: without identity. */
  readonly sequence: number | null;
}

type ModelEntry = ModelBatch | { readonly kind: 'log-start'; readonly to: number } | { readonly kind: 'no-op' };

/** What a call must be answered with once everything is settled. */
interface Open {
  readonly answer: Promise<Result<AppendReceipt>>;
  /** The entry that it waits for; null: it is answered at once. */
  readonly waitsFor: ModelEntry | null;
  expected: string | null;
  readonly whenCommitted: string;
  readonly whenLost: readonly string[];
}

const times = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 });
const op = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('append' as const), times }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('identified' as const), times }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('retry' as const), back: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('gap' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expect' as const), off: fc.constantFrom(0, 0, -1, 1, 5) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('commit' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('change-leader' as const), kept: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('delete' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('read' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('search' as const), time: fc.integer({ min: 1, max: 42 }) }) },
);
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

const lostCodes = ['LEADERSHIP_LOST'];
const elsewhere = ['NOT_LEADER_OR_FOLLOWER', 'LEADER_NOT_AVAILABLE'];
const windowBatches = 5;

class Comparison {
  readonly #fixture: BrokerFixture;
  #entries: ModelEntry[] = [{ kind: 'no-op' }];
  #committed = 1;
  readonly #open: Open[] = [];

  constructor(fixture: BrokerFixture) {
    this.#fixture = fixture;
  }

  get #batches(): ModelBatch[] {
    return this.#entries.flatMap((entry) => (entry.kind === 'batch' ? [entry] : []));
  }
  get #end(): number {
    return endOf(this.#entries);
  }
  get #highWatermark(): number {
    return endOf(this.#entries.slice(0, this.#committed));
  }
  get #logStart(): number {
    const starts = this.#entries.slice(0, this.#committed).map((entry) => (entry.kind === 'log-start' ? entry.to : 0));
    return Math.max(0, ...starts);
  }
  get #identified(): ModelBatch[] {
    return this.#batches.filter(({ sequence }) => sequence !== null);
  }
  /** The last batch that is not committed yet. */
  get #newestOpen(): ModelEntry | null {
    return (
      this.#entries
        .slice(this.#committed)
        .filter((entry) => entry.kind === 'batch')
        .at(-1) ?? null
    );
  }
  get #nextSequence(): number {
    return this.#identified.reduce((sum, one) => sum + one.times.length, 0);
  }

  async step(step: Op): Promise<void> {
    switch (step.do) {
      case 'append':
        this.#append(step.times, null, null);
        break;
      case 'identified':
        this.#append(step.times, this.#nextSequence, null);
        break;
      case 'expect':
        this.#append([7], null, Math.max(0, this.#end + step.off));
        break;
      case 'retry':
        this.#retry(step.back);
        break;
      case 'gap': {
        const expected = this.#identified.length === 0 ? 'UNKNOWN_PRODUCER_ID' : 'OUT_OF_ORDER_SEQUENCE_NUMBER';
        // final for the producer, so it waits like a mismatch of the end
        this.#note(this.#send([7], this.#nextSequence + 1, null), this.#newestOpen, expected, elsewhere);
        break;
      }
      case 'commit':
        this.#commit(step.count);
        break;
      case 'change-leader':
        this.#changeLeader(step.kept);
        break;
      case 'delete':
        this.#delete(Math.round(this.#highWatermark * step.share));
        break;
      case 'read':
        await this.#read(this.#logStart + Math.round((this.#highWatermark - this.#logStart) * step.share));
        break;
      case 'search':
        await this.#search(step.time);
    }
    await this.#compareMarks();
  }

  async end(): Promise<void> {
    this.#commit(this.#entries.length);
    await settle();
    for (const { answer, expected } of this.#open) {
      const result = await answer;
      const told =
        result.kind === 'ok'
          ? `ok ${result.value.baseOffset ?? '?'}${result.value.duplicate ? ' again' : ''}`
          : result.error.code;
      assert.ok(expected?.split('|').includes(told), `${told}, expected ${expected ?? 'nothing'}`);
    }
  }

  #send(
    stamps: readonly number[],
    sequence: number | null,
    expectedEndOffset: number | null,
  ): Promise<Result<AppendReceipt>> {
    const values = stamps.map(String);
    const producer = sequence === null ? null : identity(7, 0, sequence);
    return this.#fixture.append('orders', batch({ values, timestamps: stamps, producer }), { expectedEndOffset });
  }

  #append(stamps: readonly number[], sequence: number | null, expectedEnd: number | null): void {
    const base = this.#end;
    const answer = this.#send(stamps, sequence, expectedEnd);
    if (expectedEnd !== null && expectedEnd !== base) {
      this.#note(answer, this.#newestOpen, 'UNEXPECTED_END_OFFSET', elsewhere);
      return;
    }
    const entry: ModelBatch = { kind: 'batch', base, times: stamps, sequence };
    this.#entries.push(entry);
    this.#note(answer, entry, `ok ${base}`, lostCodes);
  }

  #retry(back: number): void {
    const known = this.#identified;
    const original = known.at(-1 - back);
    if (original === undefined || original.sequence === null) return;
    const answer = this.#send(original.times, original.sequence, null);
    const offset = back < windowBatches ? original.base : '?';
    // one that the window has forgotten waits for the newest, which is later
    const waitsFor = back < windowBatches ? original : (known.at(-1) ?? original);
    const isOpen = this.#entries.indexOf(waitsFor) >= this.#committed;
    this.#note(answer, isOpen ? waitsFor : null, `ok ${offset} again`, lostCodes);
  }

  #note(
    answer: Promise<Result<AppendReceipt>>,
    waitsFor: ModelEntry | null,
    whenCommitted: string,
    whenLost: readonly string[],
  ): void {
    this.#open.push({ answer, waitsFor, whenCommitted, whenLost, expected: waitsFor === null ? whenCommitted : null });
  }

  #commit(count: number): void {
    this.#fixture.group().release(count);
    this.#committed = Math.min(this.#entries.length, this.#committed + count);
    const committed = new Set(this.#entries.slice(0, this.#committed));
    for (const one of this.#open)
      if (one.waitsFor !== null && committed.has(one.waitsFor)) one.expected ??= one.whenCommitted;
  }

  #changeLeader(kept: number): void {
    const group = this.#fixture.group();
    group.loseLeadership(kept);
    this.#entries = this.#entries.slice(0, this.#committed + kept);
    this.#committed = this.#entries.length;
    for (const one of this.#open) one.expected ??= one.whenLost.join('|');
    group.elect();
    this.#entries.push({ kind: 'no-op' });
    this.#commit(1);
  }

  #delete(before: number): void {
    const request = { topic: 'orders', topicId: null, partition: 0, before: toOffset(before) };
    void this.#fixture.broker.deleteRecords(request, this.#fixture.context());
    if (before > this.#logStart) this.#entries.push({ kind: 'log-start', to: before });
  }

  async #read(from: number): Promise<void> {
    const fetched = await this.#fixture.fetch('orders', from);
    assert.equal(fetched.error, null);
    const visible = this.#batches.filter(
      ({ base, times: { length } }) => base < this.#highWatermark && base + length > from,
    );
    assert.deepEqual(
      offsets(fetched.batches),
      visible.map(({ base }) => base),
    );
    assert.equal(fetched.nextOffset, visible.length === 0 ? from : this.#highWatermark);
  }

  async #search(time: number): Promise<void> {
    const records = this.#batches
      .filter(({ base }) => base < this.#highWatermark)
      .flatMap(({ base, times: stamps }) => stamps.map((stamp, at) => ({ offset: base + at, stamp })))
      .filter(({ offset }) => offset >= this.#logStart);
    const found = records.find(({ stamp }) => stamp >= time) ?? null;
    assert.equal(await this.#look({ kind: 'timestamp', timestampMs: toMillis(time) }), found?.offset ?? null);
    const largest = Math.max(...records.map(({ stamp }) => stamp));
    const newest = records.find(({ stamp }) => stamp === largest) ?? null;
    assert.equal(await this.#look({ kind: 'max-timestamp' }), newest?.offset ?? null);
  }

  async #compareMarks(): Promise<void> {
    await settle(1);
    assert.equal(await this.#look({ kind: 'latest' }), this.#highWatermark);
    assert.equal(await this.#look({ kind: 'earliest' }), this.#logStart);
  }

  async #look(at: OffsetQuery['at']): Promise<number | null> {
    const query = { topic: 'orders', topicId: null, partition: 0, at };
    const [found] = value(await this.#fixture.broker.listOffsets([query], this.#fixture.context()));
    assert.equal(found?.error, null);
    return found.offset;
  }
}

const endOf = (entries: readonly ModelEntry[]): number =>
  entries.reduce((end, entry) => (entry.kind === 'batch' ? entry.base + entry.times.length : end), 0);

test('sem-I13 promise-ordered promise-honest: random operations agree with a model of the log', async () => {
  const numRuns = Number(process.env['LOG_MODEL_RUNS'] ?? 60);
  let answers = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 5, maxLength: 40 }), async (steps) => {
      const fixture = await BrokerFixture.started();
      await fixture.topic('orders');
      fixture.group().hold();
      const comparison = new Comparison(fixture);
      for (const step of steps) await comparison.step(step);
      await comparison.end();
      answers += steps.length;
    }),
    { numRuns },
  );
  assert.ok(answers > numRuns * 5, `${answers} operations`);
});
