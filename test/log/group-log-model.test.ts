/**
 * The group log against a model that is an array, in random orders of appends, truncations with writes held in flight,
 * log-start moves, checkpoints, reads, restarts, kills and power cuts. After a crash the log is what some write from the
 * newest acknowledged one on had left.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { offsetPointCodec } from '../../src/log/group-records.ts';
import { indexOfKey, keyTags } from '../../src/log/keys.ts';
import type { GroupLog } from '../../src/log/log.ts';
import type { StoreEntry } from '../../src/log/store.ts';
import { entryEndOffset, type Entry } from '../../src/model/entry.ts';
import { toLogIndex, toMillis, toOffset } from '../../src/model/ids.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { append, commit, replaceAfter, tailAfter, tailBeforeAll, type EntryWish } from '../fakes/entry-sealer.ts';
import { headerOf, newLog, openLog } from '../fakes/log-fixture.ts';
import { MemoryStore } from '../fakes/memory-store.ts';

/** What the log should be. */
interface Image {
  /** All entries since the beginning, removed ones included. */
  readonly entries: readonly Entry[];
  readonly commit: number;
  readonly logStart: number;
  readonly checkpoints: readonly number[];
}

type Step =
  | { readonly kind: 'append'; readonly wishes: readonly EntryWish[] }
  | { readonly kind: 'replace'; readonly after: number; readonly wishes: readonly EntryWish[] }
  | { readonly kind: 'commit' | 'checkpoint' | 'move-log-start'; readonly part: number }
  | { readonly kind: 'read'; readonly part: number; readonly span: number; readonly bytesMax: number }
  | { readonly kind: 'find'; readonly timestampMs: number }
  | { readonly kind: 'hold' | 'release' | 'turn' | 'restart' | 'power-cut' | 'kill' };

const checkpointsMax = 15;
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const endOffsetAt = (image: Image, index: number): number =>
  index === 0 ? 0 : entryEndOffset(image.entries[index - 1]!);
const firstIndexOf = (image: Image): number =>
  Math.max(0, ...image.checkpoints.filter((at) => endOffsetAt(image, at) <= image.logStart)) + 1;
const indexes = (entries: readonly Entry[]): readonly string[] =>
  entries.map((entry) => `${entry.index}:${entry.term}:${entry.chain}:${Buffer.from(entry.payload).toString('hex')}`);

function fitting(entries: readonly Entry[], bytesMax: number): readonly Entry[] {
  let bytes = 0;
  const end = entries.findIndex((entry, at) => (bytes += entry.payload.length) > bytesMax && at > 0);
  return end === -1 ? entries : entries.slice(0, end);
}

class Run {
  #store: MemoryStore;
  #log: GroupLog;
  readonly #cacheBytesMax: number;
  #image: Image = { entries: [], commit: 0, logStart: 0, checkpoints: [] };
  /** Image after every write, and the number of writes that were acknowledged. */
  #images: Image[] = [this.#image];
  #acknowledged = 0;
  /** How often each kind of step took effect, to see that the test tests. */
  readonly done = new Map<string, number>();

  private constructor(store: MemoryStore, log: GroupLog, cacheBytesMax: number) {
    this.#store = store;
    this.#log = log;
    this.#cacheBytesMax = cacheBytesMax;
  }

  static async start(cacheBytesMax: number): Promise<Run> {
    const store = new MemoryStore({ groupChangesMax: 1 }); // every call is a write of its own: a crash may fall between
    return new Run(store, await newLog(store, 'data', cacheBytesMax), cacheBytesMax);
  }

  async step(step: Step): Promise<void> {
    this.done.set(step.kind, (this.done.get(step.kind) ?? 0) + 1);
    switch (step.kind) {
      case 'append':
        this.#appended(append(this.#log, step.wishes), this.#image.entries.length);
        break;
      case 'replace': {
        const after = Math.max(
          this.#image.commit,
          firstIndexOf(this.#image) - 1,
          step.after % (this.#log.lastIndex + 1),
        );
        const last = this.#image.entries[after - 1];
        if (entryEndOffsetOf(last) < this.#image.logStart) break;
        const tail = last === undefined ? tailBeforeAll(headerOf(7)) : tailAfter(last);
        this.#appended(replaceAfter(this.#log, tail, step.wishes), after);
        break;
      }
      case 'commit': {
        const to = this.#between(this.#image.commit, this.#log.lastIndex, step.part);
        this.#wrote(commit(this.#log, to), { ...this.#image, commit: to });
        break;
      }
      case 'checkpoint': {
        const at = this.#between(this.#image.checkpoints.at(-1) ?? 0, this.#image.commit, step.part);
        if (at === (this.#image.checkpoints.at(-1) ?? 0) || this.#image.checkpoints.length >= checkpointsMax) break;
        await this.#settled();
        const saved = this.#log.saveCheckpoint({ index: toLogIndex(at), state: Buffer.from(String(at)) });
        this.#moves(saved, { ...this.#image, checkpoints: [...this.#image.checkpoints, at] });
        await saved;
        break;
      }
      case 'move-log-start': {
        const to = this.#between(this.#image.logStart, endOffsetAt(this.#image, this.#image.commit), step.part);
        if (to <= this.#image.logStart) break;
        this.#moves(this.#log.moveLogStart(toOffset(to)), { ...this.#image, logStart: to });
        break;
      }
      case 'read':
        await this.#read(step.part, step.span, step.bytesMax);
        break;
      case 'find':
        await this.#find(step.timestampMs);
        break;
      case 'hold':
        this.#store.hold();
        break;
      case 'release':
        this.#store.release();
        break;
      case 'turn':
        await nextTurn();
        break;
      case 'restart':
        await this.#settled();
        this.#log = await openLog(this.#store, this.#cacheBytesMax);
        break;
      case 'power-cut':
        await this.#crashed(this.#store.powerCut());
        break;
      case 'kill':
        await this.#crashed(this.#store.kill());
        break;
    }
    this.#checkFace();
  }

  async end(): Promise<void> {
    await this.#settled();
    await this.#checkEntries();
    this.#log = await openLog(this.#store, 0);
    this.#checkFace();
    await this.#checkEntries();
    this.#checkStored();
    await this.#store.close();
  }

  #between(low: number, high: number, part: number): number {
    return low + Math.floor(part * (high - low + 1));
  }

  #appended(write: { readonly entries: readonly Entry[]; readonly done: Promise<void> }, kept: number): void {
    this.#wrote(write.done, { ...this.#image, entries: [...this.#image.entries.slice(0, kept), ...write.entries] });
  }

  /** As #wrote, and notes whether entries were removed. */
  #moves(write: Promise<void>, image: Image): void {
    if (firstIndexOf(image) > firstIndexOf(this.#image)) this.done.set('removal', (this.done.get('removal') ?? 0) + 1);
    this.#wrote(write, image);
  }

  #wrote(write: Promise<void>, image: Image): void {
    this.#image = image;
    this.#images.push(image);
    const number = this.#images.length - 1;
    const images = this.#images;
    write.then(
      () => {
        if (images === this.#images) this.#acknowledged = Math.max(this.#acknowledged, number);
      },
      () => undefined, // the store was cut off
    );
  }

  async #settled(): Promise<void> {
    this.#store.release();
    while (this.#acknowledged < this.#images.length - 1) await nextTurn();
  }

  async #read(part: number, span: number, bytesMax: number): Promise<void> {
    const image = this.#image;
    const from = this.#between(0, this.#log.endOffset + 1, part);
    const below = Math.min(this.#log.endOffset, from + span);
    const visible = Math.max(from, image.logStart);
    const hits = image.entries.filter(
      (entry) => entry.count > 0 && entryEndOffset(entry) > visible && entry.baseOffset < below,
    );
    const cached = this.#log.readFromCache(toOffset(from), toOffset(below), bytesMax);
    const expected = visible >= below ? [] : indexes(fitting(hits, bytesMax));
    if (cached !== null) assert.deepEqual(indexes(cached), expected);
    const read = indexes(await this.#log.readFrom(toOffset(from), toOffset(below), bytesMax));
    assert.deepEqual(read, expected.slice(0, Math.max(read.length, Math.min(1, expected.length))));
  }

  async #find(timestampMs: number): Promise<void> {
    await this.#settled();
    const { entries, logStart } = this.#image;
    const expected = entries.find(
      (entry) =>
        entry.maxTimestampMs !== null && entry.maxTimestampMs >= timestampMs && entryEndOffset(entry) > logStart,
    );
    const found = await this.#log.findByTimestamp(toMillis(timestampMs), this.#log.endOffset);
    assert.equal(found?.index, expected?.index, `timestamp ${timestampMs}`);
  }

  async #crashed(store: MemoryStore): Promise<void> {
    this.#store = store;
    this.#log = await openLog(store, this.#cacheBytesMax);
    const candidates = this.#images.slice(this.#acknowledged);
    const found = candidates.find((image) => facesOf(image) === faceOf(this.#log));
    assert.ok(found !== undefined, `what is found was written: ${faceOf(this.#log)}`);
    this.#image = found;
    this.#images = [found];
    this.#acknowledged = 0;
    await this.#checkEntries();
    assert.equal((await this.#log.loadCheckpoint())?.index, found.checkpoints.at(-1));
  }

  /** What is stored is what the log needs, and nothing else: no point or payload of an entry that is gone. */
  #checkStored(): void {
    const first = firstIndexOf(this.#image);
    const present = this.#image.entries.slice(first - 1);
    const at = (tag: number): readonly StoreEntry[] =>
      this.#store.entries.filter(({ key }) => key[8] === tag && key[0] === 0);
    const indexesAt = (tag: number): readonly number[] => at(tag).map(({ key }) => indexOfKey(key));
    const numbers = (entries: readonly Entry[]): readonly number[] => entries.map(({ index }) => index);
    assert.deepEqual(indexesAt(keyTags.metadata), numbers(present));
    assert.deepEqual(indexesAt(keyTags.payload), numbers(present.filter(({ payload }) => payload.length > 1_024)));
    assert.deepEqual(
      indexesAt(keyTags.termStart),
      this.#log.terms.map(({ startIndex }) => startIndex),
    );
    assert.deepEqual(
      indexesAt(keyTags.configuration),
      this.#log.configurations.map(({ index }) => index),
    );
    const points = at(keyTags.offsetIndex).map((stored) => offsetPointCodec.decode(stored, crc32c));
    const timed = new Set(indexesAt(keyTags.timeIndex));
    const batches = present.filter(({ count }) => count > 0);
    let before = 0;
    for (const [position, point] of points.entries()) {
      const entry = this.#image.entries[point.index - 1];
      assert.ok(entry !== undefined && point.index >= first, 'a point stands for an entry of the log');
      assert.equal(indexOfKey(at(keyTags.offsetIndex)[position]!.key), entry.baseOffset);
      const interval = batches.filter(({ index }) => index >= before && index < point.index);
      const latest = Math.max(-1, ...interval.map(({ maxTimestampMs }) => maxTimestampMs ?? -1));
      assert.ok(
        (point.maxTimestampBeforeMs ?? -1) >= latest,
        'a point knows the latest timestamp since the one before',
      );
      const batchesBetween = position === 0 ? 0 : interval.length;
      assert.ok(batchesBetween <= intervalMax, `${batchesBetween} batches between two points`);
      assert.ok(timed.delete(point.index) || this.#untimed(point.index), 'both indexes have the same points');
      before = point.index;
    }
    assert.equal(timed.size, 0, 'the index by time has no other points');
    assert.ok(
      batches.filter(({ index }) => index > before).length <= intervalMax,
      'the end of the log is near a point',
    );
  }

  /** No record up to the entry had a timestamp, so there is no running maximum to store. */
  #untimed(index: number): boolean {
    return this.#image.entries.slice(0, index).every(({ maxTimestampMs }) => maxTimestampMs === null);
  }

  #checkFace(): void {
    assert.equal(faceOf(this.#log), facesOf(this.#image));
    const { entries } = this.#image;
    const first = firstIndexOf(this.#image);
    for (const index of [first - 2, first - 1, first, Math.floor((first + entries.length) / 2), entries.length]) {
      const known = index === 0 ? 0 : index >= first - 1 && index <= entries.length ? entries[index - 1]!.term : null;
      if (index >= 0) assert.equal(this.#log.termAt(toLogIndex(index)), known, `term at ${index}`);
    }
  }

  async #checkEntries(): Promise<void> {
    const first = firstIndexOf(this.#image);
    const all: Entry[] = [];
    while (first + all.length <= this.#log.lastIndex) {
      const page = await this.#log.readEntries(toLogIndex(first + all.length), this.#log.lastIndex, 3_000);
      assert.ok(page.length > 0);
      all.push(...page);
    }
    assert.deepEqual(indexes(all), indexes(this.#image.entries.slice(first - 1)));
  }
}

/** Points of a sparse index lie this close, in entries, once the first one is passed. */
const intervalMax = 32;

const entryEndOffsetOf = (entry: Entry | undefined): number => (entry === undefined ? 0 : entryEndOffset(entry));

/** What a log says about itself, and what it should say. */
const faceOf = (log: GroupLog): string =>
  [
    log.firstIndex,
    log.lastIndex,
    log.endOffset,
    log.lastTerm,
    log.lastChain,
    log.logStart,
    log.hardState.commit,
  ].join();
const facesOf = (image: Image): string => {
  const last = image.entries.at(-1);
  const tail = last === undefined ? tailBeforeAll(headerOf(7)) : tailAfter(last);
  const { endOffset, term, chain } = tail;
  return [firstIndexOf(image), image.entries.length, endOffset, term, chain, image.logStart, image.commit].join();
};

const wish: fc.Arbitrary<EntryWish> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      count: fc.integer({ min: 1, max: 5 }),
      payload: fc.integer({ min: 0, max: 1_500 }).map((length) => Buffer.alloc(length, length)),
      maxTimestampMs: fc.integer({ min: 0, max: 1_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom<EntryWish>({ kind: 'no-op' }, { kind: 'configuration' }, { kind: 'fence' }) },
);
const wishes = fc.array(wish, { minLength: 1, maxLength: 45, size: 'max' });
const part = fc.oneof(fc.constant(0.999), fc.double({ min: 0, max: 0.999, noNaN: true }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: wishes.map((each) => ({ kind: 'append', wishes: each }) as const) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('replace' as const),
      after: fc.nat(2_000),
      wishes: fc.array(wish, { minLength: 0, maxLength: 4 }),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constantFrom('commit' as const, 'checkpoint' as const, 'move-log-start' as const),
      part,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('read' as const), part, span: fc.nat(300), bytesMax: fc.nat(8_000) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('find' as const), timestampMs: fc.nat(1_010) }) },
  {
    weight: 6,
    arbitrary: fc.constantFrom<Step>(
      { kind: 'hold' },
      { kind: 'release' },
      { kind: 'turn' },
      { kind: 'restart' },
      { kind: 'power-cut' },
      { kind: 'kill' },
    ),
  },
);

/** What retention does: commit, checkpoint, and later a move of the log start beyond it. */
const trim = fc.tuple(part, part, wishes).map(([checkpointPart, startPart, more]): readonly Step[] => [
  { kind: 'commit', part: 0.999 },
  { kind: 'checkpoint', part: checkpointPart },
  { kind: 'append', wishes: more },
  { kind: 'commit', part: 0.999 },
  { kind: 'move-log-start', part: startPart },
]);
const run = fc
  .array(fc.oneof({ weight: 9, arbitrary: step.map((each) => [each]) }, { weight: 1, arbitrary: trim }), {
    minLength: 1,
    maxLength: 60,
    size: 'max',
  })
  .map((parts) => parts.flat());

for (const cacheBytesMax of [0, 20_000]) {
  test(`promise-durable inv-log-1 inv-log-2 inv-log-4 the log is the array, with a cache of ${cacheBytesMax} bytes`, async () => {
    const done = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(run, async (steps) => {
        const running = await Run.start(cacheBytesMax);
        for (const each of steps) await running.step(each);
        await running.end();
        for (const [kind, count] of running.done) done.set(kind, (done.get(kind) ?? 0) + count);
      }),
      { numRuns: 60 },
    );
    assert.equal(done.size, 14, 'every kind of step was taken');
    assert.ok((done.get('removal') ?? 0) >= 20, `prefixes were removed ${done.get('removal')} times`);
  });
}
