/** What the group log does on every store; run by test/log/group-log.test.ts for each of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GroupKeys, keyTags } from '../../src/log/keys.ts';
import type { GroupLog } from '../../src/log/log.ts';
import { LogCorruption } from '../../src/log/reader.ts';
import type { Store } from '../../src/log/store.ts';
import { InvariantViolation } from '../../src/model/assert.ts';
import type { Entry } from '../../src/model/entry.ts';
import { toGroupNumber, toLogIndex, toMillis, toOffset, toReplicaId, toTerm } from '../../src/model/ids.ts';
import { append, commit, replaceAfter, seal, tailAfter, tailOf, type EntryWish } from '../fakes/entry-sealer.ts';
import { headerOf, logsOn, newLog, openLog } from '../fakes/log-fixture.ts';

export interface ReopenableStore {
  readonly store: Store;
  /** Closes it and opens it again, with what is durable. */
  readonly reopen: () => Promise<Store>;
}
export type WithReopenableStore = (run: (tested: ReopenableStore) => Promise<void>) => Promise<void>;

const indexesOf = (entries: readonly Entry[] | null): readonly number[] | null =>
  entries === null ? null : entries.map(({ index }) => index);
const batches = (count: number, wish: EntryWish = {}): readonly EntryWish[] =>
  Array.from({ length: count }, () => wish);
const plain = (entries: readonly Entry[]): unknown =>
  entries.map((entry) => ({ ...entry, payload: [...entry.payload] }));
const offset = toOffset;
const index = toLogIndex;

/** Everything that a log says about itself. */
const faceOf = (log: GroupLog): unknown => ({
  firstIndex: log.firstIndex,
  lastIndex: log.lastIndex,
  lastTerm: log.lastTerm,
  lastChain: log.lastChain,
  lastAppendTimeMs: log.lastAppendTimeMs,
  endOffset: log.endOffset,
  logStart: log.logStart,
  hardState: log.hardState,
  terms: log.terms,
  configurations: log.configurations.map(({ index: at, payload }) => ({ at, payload: [...payload] })),
  appliedIndex: log.appliedIndex,
});

async function allOf(log: GroupLog, bytesMax = 1 << 20): Promise<readonly Entry[]> {
  const all: Entry[] = [];
  for (let next = log.firstIndex; next <= log.lastIndex;) {
    const page = await log.readEntries(next, log.lastIndex, bytesMax);
    assert.ok(page.length > 0, `at least one entry from ${next}`);
    all.push(...page);
    next = index(next + page.length);
  }
  return all;
}

async function recordsFrom(log: GroupLog, from: number, bytesMax: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (let next = offset(from); next < log.endOffset;) {
    const page = await log.readFrom(next, log.endOffset, bytesMax);
    assert.ok(page.length > 0, `at least one batch from ${next}`);
    found.push(...page.map((entry) => entry.index));
    next = offset(page.at(-1)!.baseOffset + page.at(-1)!.count);
  }
  return found;
}

/** Checks a log as it is, and as a restart finds it, with nothing in its cache. */
async function nowAndReopened(
  log: GroupLog,
  { reopen }: ReopenableStore,
  check: (log: GroupLog, store: Store | null) => Promise<void>,
): Promise<void> {
  await check(log, null);
  const store = await reopen();
  await check(await openLog(store, 0), store);
}

/** How many keys group 7 has of some kinds. */
async function countsIn(store: Store): Promise<Record<string, number>> {
  const keys = new GroupKeys(toGroupNumber(7));
  const count = async (tag: keyof typeof keyTags): Promise<number> =>
    (await store.scan({ ...keys.tagged(keyTags[tag]), limit: 10_000 })).length;
  return { metadata: await count('metadata'), payload: await count('payload'), checkpoint: await count('checkpoint') };
}

/** Changes what is stored behind the log's back. */
async function tamper(store: Store, key: Uint8Array, change: (value: Uint8Array) => Uint8Array): Promise<void> {
  const value = await store.get(key);
  assert.ok(value !== null, 'there is something to tamper with');
  await store.write([{ kind: 'put', key, value: change(Uint8Array.from(value)) }]);
}

const flipped =
  (at: number) =>
  (value: Uint8Array): Uint8Array => {
    value[at] = (value[at] ?? 0) ^ 0x10;
    return value;
  };

export function logSuite(name: string, withStore: WithReopenableStore): void {
  describe(`the group log on ${name}`, () => {
    it('is empty at first', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store);
        assert.deepEqual([log.firstIndex, log.lastIndex, log.endOffset, log.logStart, log.lastTerm], [1, 0, 0, 0, 0]);
        assert.deepEqual(log.hardState, { term: 0, vote: null, commit: 0 });
        assert.equal(log.termAt(index(0)), 0);
        assert.equal(log.termAt(index(1)), null);
        assert.deepEqual(await log.readFrom(offset(0), offset(9), 100), []);
        assert.deepEqual(log.readFromCache(offset(0), offset(9), 100), []);
        assert.deepEqual(await log.readEntries(index(1), index(9), 100), []);
        assert.equal(await log.findByTimestamp(toMillis(0), offset(9)), null);
        assert.equal(await log.loadCheckpoint(), null);
      }));

    it('appends at once in memory, durably when the promise resolves, and finds it all again', () =>
      withStore(async ({ store, reopen }) => {
        const log = await newLog(store);
        const { entries, done } = append(log, [
          { kind: 'no-op' },
          { count: 3, maxTimestampMs: 50 },
          { kind: 'configuration', payload: Uint8Array.of(9, 9) },
          { count: 2, payload: Buffer.alloc(70_000, 7), maxTimestampMs: 40 },
          { kind: 'log-start', term: 2 },
          { kind: 'fence' },
          { count: 1, payload: new Uint8Array(0) },
        ]);
        assert.deepEqual([log.lastIndex, log.endOffset, log.lastTerm], [7, 6, 2]);
        assert.deepEqual(indexesOf(log.readFromCache(offset(0), offset(6), 1 << 20)), [2, 4, 7]);
        await done;
        assert.deepEqual(log.terms, [
          { term: 1, startIndex: 1, startOffset: 0 },
          { term: 2, startIndex: 5, startOffset: 5 },
        ]);
        assert.deepEqual(
          [0, 1, 4, 5, 7, 8].map((at) => log.termAt(index(at))),
          [0, 1, 1, 2, 2, null],
        );
        assert.deepEqual(plain(await allOf(log)), plain(entries));
        const face = faceOf(log);
        const again = await openLog(await reopen());
        assert.deepEqual(faceOf(again), face);
        assert.deepEqual(again.header, headerOf(7));
        assert.deepEqual(plain(await allOf(again)), plain(entries));
        assert.deepEqual(plain(await allOf(again, 1)), plain(entries));
      }));

    it('tells which write became durable, in order', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store);
        const seen: number[] = [];
        const hardState = { term: toTerm(1), vote: toReplicaId(11), commit: index(0) };
        const writes = Array.from({ length: 20 }, async (_, number) => {
          const entries = seal(tailOf(log), batches(number % 3));
          const expected = [log.lastIndex + entries.length, entries.length > 0 ? 1 : log.lastTerm];
          const done = await log.append({ hardState: number === 0 ? hardState : null, truncateAfter: null, entries });
          assert.deepEqual([done.lastIndex, done.lastTerm], expected);
          seen.push(number);
          return done.writeNumber;
        });
        const numbers = await Promise.all(writes);
        assert.deepEqual(seen, [...seen.keys()]);
        assert.deepEqual(
          numbers,
          [...numbers].sort((a, b) => a - b),
        );
      }));

    for (const cacheBytes of [0, 1_500, 1 << 20]) {
      it(`reads from every offset within a limit of bytes, with a cache of ${cacheBytes} bytes`, () =>
        withStore(async ({ store }) => {
          const log = await newLog(store, 'data', cacheBytes);
          const wishes = Array.from({ length: 200 }, (_, at) => {
            if (at % 7 === 3) return { kind: 'no-op' } as const;
            return { count: 1 + (at % 4), payload: Buffer.alloc(1 + ((at * 37) % 200), at) };
          });
          const { entries, done } = append(log, wishes);
          await done;
          const records = entries.filter(({ count }) => count > 0);
          for (let from = 0; from < log.endOffset; from += 3) {
            const rest = records.filter((entry) => entry.baseOffset + entry.count > from);
            const [first] = await log.readFrom(offset(from), log.endOffset, 0);
            assert.deepEqual(plain([first!]), plain(rest.slice(0, 1)), `one batch is always read, at ${from}`);
            const some = await log.readFrom(offset(from), log.endOffset, 700);
            let fits = 0;
            for (let bytes = 0; fits < rest.length && (bytes += rest[fits]!.payload.length) <= 700;) fits++;
            assert.deepEqual(plain(some), plain(rest.slice(0, fits)), `what fits is read, at ${from}`);
            const below = offset(Math.min(log.endOffset, from + 5));
            const cut = await log.readFrom(offset(from), below, 1 << 20);
            assert.deepEqual(indexesOf(cut), indexesOf(rest.filter((entry) => entry.baseOffset < below)));
          }
          assert.deepEqual(await recordsFrom(log, 0, 300), indexesOf(records));
          assert.deepEqual(await log.readFrom(log.endOffset, offset(log.endOffset + 5), 100), []);
          assert.deepEqual(plain(await allOf(log, 500)), plain(entries));
        }));
    }

    it('inv-log-2 pit-P28 forgets a truncated tail at once, with its write still in flight', () =>
      withStore(async ({ store, reopen }) => {
        const log = await newLog(store, 'data', 0);
        const { entries: kept, done: first } = append(log, batches(5, { count: 2, maxTimestampMs: 10 }));
        const { done: second } = append(
          log,
          batches(70, { count: 2, maxTimestampMs: 99, payload: Buffer.from('old') }),
        );
        const replaced = replaceAfter(log, tailAfter(kept[3]!), batches(2, { maxTimestampMs: 20 }));
        assert.deepEqual([log.lastIndex, log.endOffset, log.lastTerm], [6, 10, 2]);
        const expected = [...kept.slice(0, 4), ...replaced.entries];
        assert.deepEqual(plain(await allOf(log)), plain(expected));
        assert.equal(log.termAt(index(7)), null);
        await Promise.all([first, second, replaced.done]);
        assert.deepEqual(plain(await allOf(log)), plain(expected));
        const again = await openLog(await reopen());
        assert.deepEqual(faceOf(again), faceOf(log));
        assert.deepEqual(plain(await allOf(again)), plain(expected));
      }));

    it('pit-P29 truncates the indexes by offset, timestamp, term and configuration with the log', () =>
      withStore(async (tested) => {
        const { store } = tested;
        const log = await newLog(store, 'data', 0);
        const { entries: kept } = append(log, [
          { kind: 'configuration', payload: Uint8Array.of(1) },
          ...batches(40, { count: 3, maxTimestampMs: 100 }),
        ]);
        append(log, [
          { kind: 'configuration', payload: Uint8Array.of(2), term: 2 },
          ...batches(90, { count: 1, maxTimestampMs: 200 }),
        ]);
        const { done } = replaceAfter(log, tailAfter(kept[38]!), batches(50, { count: 5, maxTimestampMs: 150 }));
        await done;
        await nowAndReopened(log, tested, async (each) => {
          assert.deepEqual(
            each.terms.map(({ term, startIndex }) => [term, startIndex]),
            [
              [1, 1],
              [3, 40],
            ],
          );
          assert.deepEqual(
            each.configurations.map((entry) => entry.index),
            [1],
          );
          assert.deepEqual(
            await recordsFrom(each, 0, 100),
            Array.from({ length: 88 }, (_, at) => at + 2),
          );
          for (let from = 0; from < each.endOffset; from += 1) {
            const [entry] = await each.readFrom(offset(from), each.endOffset, 0);
            assert.equal(entry!.index, from < 114 ? 2 + Math.floor(from / 3) : 40 + Math.floor((from - 114) / 5));
          }
          assert.equal((await each.findByTimestamp(toMillis(101), each.endOffset))?.index, 40);
          assert.equal(await each.findByTimestamp(toMillis(151), each.endOffset), null);
        });
      }));

    it('inv-log-2 a read that is under way when the tail is truncated does not return it', () =>
      withStore(async ({ store }) => {
        for (const begin of ['offset', 'index'] as const) {
          await logsOn(store).remove(toGroupNumber(7));
          const log = await newLog(store, 'data', 0);
          const { entries, done } = append(log, batches(60, { payload: Buffer.alloc(1_200, 1) }));
          await done;
          const reading =
            begin === 'offset'
              ? log.readFrom(offset(10), offset(60), 1 << 20)
              : log.readEntries(index(11), index(60), 1 << 20);
          const replaced = replaceAfter(log, tailAfter(entries[29]!), batches(3, { count: 9 }));
          const expected = [...entries.slice(0, 30), ...replaced.entries].map(({ chain }) => chain);
          const read = (await reading).map(({ chain }) => chain);
          assert.deepEqual(read, expected.slice(10, 10 + read.length));
          assert.ok(read.length > 0);
          await replaced.done;
        }
      }));

    it('inv-log-2 finds an offset where an earlier read ended, although the tail was replaced since', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store, 'data', 0);
        const { entries, done } = append(log, batches(40));
        await done;
        assert.deepEqual(indexesOf(await log.readFrom(offset(0), offset(20), 1 << 20))?.at(-1), 20);
        const { done: replaced } = replaceAfter(log, tailAfter(entries[9]!), batches(20, { count: 4 }));
        await replaced;
        assert.deepEqual(indexesOf(await log.readFrom(offset(20), offset(30), 1 << 20)), [13, 14, 15]);
      }));

    it('finds a timestamp in an append that is still in flight, not in one that was truncated', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store, 'data', 0);
        const { entries, done } = append(log, batches(40, { maxTimestampMs: 10 }));
        await done;
        append(log, batches(40, { maxTimestampMs: 20 }));
        assert.equal((await log.findByTimestamp(toMillis(15), log.endOffset))?.index, 41);
        replaceAfter(log, tailAfter(entries[19]!), batches(40, { maxTimestampMs: 30 }));
        assert.equal((await log.findByTimestamp(toMillis(15), log.endOffset))?.index, 21);
      }));

    it('pit-P21 refuses to truncate what is committed', () =>
      withStore(async ({ store, reopen }) => {
        const log = await newLog(store);
        const { entries, done } = append(log, batches(5));
        await done;
        await commit(log, 3);
        await assert.rejects(replaceAfter(log, tailAfter(entries[1]!), batches(1)).done, /log-6/);
        const again = await openLog(await reopen());
        await assert.rejects(replaceAfter(again, tailAfter(entries[1]!), batches(1)).done, /log-6/);
        await replaceAfter(again, tailAfter(entries[2]!), batches(1)).done;
        assert.equal(again.lastIndex, 4);
      }));

    it('inv-log-6 refuses a hard state that goes back', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store);
        await append(log, [{ kind: 'no-op', term: 3 }]).done;
        const state = { term: toTerm(3), vote: toReplicaId(11), commit: index(1) };
        const store_ = (hardState: typeof state): Promise<unknown> =>
          log.append({ hardState, truncateAfter: null, entries: [] });
        await store_(state);
        await assert.rejects(store_({ ...state, term: toTerm(2) }), InvariantViolation);
        await assert.rejects(store_({ ...state, vote: toReplicaId(12) }), InvariantViolation);
        await assert.rejects(store_({ ...state, commit: index(0) }), InvariantViolation);
        await assert.rejects(store_({ ...state, commit: index(2) }), InvariantViolation);
        await store_({ ...state, term: toTerm(4), vote: toReplicaId(12) });
      }));

    it('inv-log-7 refuses entries that do not follow', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store);
        await append(log, batches(2, { count: 2, term: 4 })).done;
        const [good] = seal(tailOf(log), [{}]);
        const wrong: Partial<Entry>[] = [
          { index: index(4) },
          { term: toTerm(3) },
          { baseOffset: offset(5) },
          { appendTimeMs: toMillis(1) },
          { count: 0 },
          { kind: 'fence' },
          { chain: (good!.chain ^ 1) >>> 0 },
          { payloadCrc: (good!.payloadCrc ^ 1) >>> 0 },
        ];
        for (const change of wrong) {
          const bad = log.append({ hardState: null, truncateAfter: null, entries: [{ ...good!, ...change }] });
          await assert.rejects(bad, InvariantViolation, JSON.stringify(change));
        }
        await log.append({ hardState: null, truncateAfter: null, entries: [good!] });
      }));

    it('inv-log-4 moves the log start, keeps a batch that is cut in its middle, and never goes back', () =>
      withStore(async ({ store, reopen }) => {
        const log = await newLog(store, 'data', 0);
        await append(log, batches(40, { count: 10 })).done;
        await commit(log, 40);
        const moved = log.moveLogStart(offset(255));
        assert.deepEqual([log.logStart, log.firstIndex], [255, 1]);
        assert.deepEqual(indexesOf(await log.readFrom(offset(0), offset(275), 1 << 20)), [26, 27, 28]);
        await moved;
        await log.moveLogStart(offset(100));
        assert.equal(log.logStart, 255);
        await assert.rejects(log.moveLogStart(offset(401)), InvariantViolation);
        const again = await openLog(await reopen(), 0);
        assert.equal(again.logStart, 255);
        assert.deepEqual(indexesOf(await again.readFrom(offset(0), offset(275), 1 << 20)), [26, 27, 28]);
        assert.deepEqual(indexesOf(await again.readFrom(offset(255), offset(256), 1 << 20)), [26]);
        await again.moveLogStart(offset(400));
        assert.deepEqual(await again.readFrom(offset(0), offset(400), 1 << 20), []);
      }));

    it('inv-log-9 removes what lies below the log start up to a checkpoint, and everything of it', () =>
      withStore(async (tested) => {
        const log = await newLog(tested.store, 'data', 0);
        await append(log, [
          { kind: 'configuration', payload: Uint8Array.of(1) },
          ...batches(50, { count: 2, maxTimestampMs: 1_000, term: 2 }),
          { kind: 'configuration', payload: Uint8Array.of(2), term: 3 },
          ...batches(100, { count: 2, maxTimestampMs: 2_000, term: 4, payload: Buffer.alloc(1_500) }),
        ]).done;
        await commit(log, 152);
        for (const at of [30, 60, 90]) await log.saveCheckpoint({ index: index(at), state: Buffer.from(`at ${at}`) });
        const before = await allOf(log);
        await log.moveLogStart(offset(57));
        assert.equal(log.firstIndex, 1, 'the checkpoint at 30 lies at offset 58: the entry at the log start stays');
        await log.moveLogStart(offset(149));
        assert.equal(log.firstIndex, 61, 'the newest checkpoint below the log start is the one at 60');
        await nowAndReopened(log, tested, async (each, reopened) => {
          assert.deepEqual([each.firstIndex, each.logStart, each.lastIndex], [61, 149, 152]);
          assert.equal(each.termAt(index(59)), null);
          assert.deepEqual(
            [60, 61].map((at) => each.termAt(index(at))),
            [4, 4],
          );
          assert.deepEqual(
            each.terms.map(({ term }) => term),
            [4],
          );
          assert.deepEqual(
            each.configurations.map((entry) => entry.index),
            [52],
          );
          assert.deepEqual(plain(await allOf(each)), plain(before.slice(60)));
          assert.deepEqual(await each.readEntries(index(60), index(70), 100), []);
          assert.equal((await each.readFrom(offset(0), each.endOffset, 0))[0]!.index, 77);
          assert.equal((await each.findByTimestamp(toMillis(5), each.endOffset))?.index, 77);
          assert.equal((await each.loadCheckpoint())?.index, 90);
          if (reopened !== null)
            assert.deepEqual(await countsIn(reopened), { metadata: 92, payload: 92, checkpoint: 2 });
        });
      }));

    it('pit-P29 appends entries of the term before the log again, after a truncation down to there', () =>
      withStore(async (tested) => {
        const log = await newLog(tested.store, 'data', 0);
        const { entries } = append(log, [{}, {}, { term: 2 }]);
        await commit(log, 2);
        await log.saveCheckpoint({ index: index(2), state: new Uint8Array(0) });
        await log.moveLogStart(offset(2));
        await replaceAfter(log, tailAfter(entries[1]!), []).done;
        await append(log, [{ term: 1 }, { term: 3 }]).done;
        await nowAndReopened(log, tested, (each) => {
          assert.deepEqual(
            [2, 3, 4].map((at) => each.termAt(index(at))),
            [1, 1, 3],
          );
          return Promise.resolve();
        });
      }));

    it('is empty but not new after everything was removed', () =>
      withStore(async (tested) => {
        const log = await newLog(tested.store, 'data', 0);
        await append(log, batches(5, { count: 2 })).done;
        await commit(log, 5);
        await log.saveCheckpoint({ index: index(5), state: Uint8Array.of(5) });
        await log.moveLogStart(offset(10));
        await nowAndReopened(log, tested, async (each) => {
          assert.deepEqual([each.firstIndex, each.lastIndex, each.endOffset, each.lastTerm], [6, 5, 10, 1]);
          assert.equal(each.termAt(index(5)), 1);
          assert.deepEqual(await each.readFrom(offset(0), offset(11), 100), []);
        });
      }));

    it('goes on with the chain after everything was removed', () =>
      withStore(async ({ store, reopen }) => {
        const log = await newLog(store, 'data', 0);
        await append(log, batches(5, { count: 2 })).done;
        await commit(log, 5);
        await log.moveLogStart(offset(10));
        await log.saveCheckpoint({ index: index(5), state: Uint8Array.of(5) });
        assert.equal(log.firstIndex, 6);
        const again = await openLog(await reopen(), 0);
        await append(again, batches(3, { count: 2 })).done;
        assert.deepEqual(await recordsFrom(again, 0, 1), [6, 7, 8]);
      }));

    it('keeps the newest checkpoint, and enough older ones for the first index to follow the log start', () =>
      withStore(async ({ store, reopen }) => {
        const log = await newLog(store, 'data', 0);
        for (let round = 1; round <= 60; round++) {
          await append(log, batches(10)).done;
          await commit(log, round * 10);
          await log.saveCheckpoint({ index: index(round * 10), state: Buffer.from(`round ${round}`) });
        }
        await log.saveCheckpoint({ index: index(300), state: Buffer.from('older ones change nothing') });
        const again = await openLog(await reopen(), 0);
        const newest = await again.loadCheckpoint();
        assert.deepEqual([newest?.index, Buffer.from(newest!.state).toString()], [600, 'round 60']);
        await again.moveLogStart(offset(333));
        assert.ok(again.firstIndex > 333 - 80 && again.firstIndex <= 334, `first index ${again.firstIndex}`);
        await assert.rejects(again.saveCheckpoint({ index: index(601), state: new Uint8Array(0) }), InvariantViolation);
      }));

    it('finds the first batch at or after a timestamp', () =>
      withStore(async (tested) => {
        const { store } = tested;
        const log = await newLog(store, 'data', 0);
        const times = Array.from({ length: 300 }, (_, at) => 1_000 + at * 10 + (at % 5 === 0 ? 500 : 0));
        const { entries, done } = append(log, [
          { kind: 'no-op' },
          ...times.map((maxTimestampMs) => ({ count: 2, maxTimestampMs })),
        ]);
        await done;
        await commit(log, 301);
        await nowAndReopened(log, tested, async (each) => {
          for (let wanted = 900; wanted < 4_600; wanted += 70) {
            const expected = entries.find(({ maxTimestampMs }) => maxTimestampMs !== null && maxTimestampMs >= wanted);
            const found = await each.findByTimestamp(toMillis(wanted), each.endOffset);
            assert.equal(found?.index, expected?.index, `at ${wanted}`);
          }
          assert.equal(await each.findByTimestamp(toMillis(1_000), offset(0)), null);
          assert.equal((await each.findByTimestamp(toMillis(2_000), offset(120)))?.index, 52);
          assert.equal(await each.findByTimestamp(toMillis(2_990), offset(120)), null);
        });
      }));

    it('finds timestamps although a removed or hidden record lay far in the future', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store, 'data', 0);
        await append(log, [{ maxTimestampMs: 9_999_999 }, ...batches(9, { maxTimestampMs: 10 })]).done;
        for (let round = 0; round < 5; round++) {
          const wishes = Array.from({ length: 100 }, (_, at) => ({ maxTimestampMs: 1_000 + round * 100 + at }));
          await append(log, wishes).done;
        }
        await commit(log, 510);
        await log.saveCheckpoint({ index: index(5), state: new Uint8Array(0) });
        await log.moveLogStart(offset(8));
        assert.equal(log.firstIndex, 6);
        assert.equal((await log.findByTimestamp(toMillis(10), log.endOffset))?.index, 9);
        assert.equal((await log.findByTimestamp(toMillis(1_432), log.endOffset))?.index, 443);
        assert.equal((await log.findByTimestamp(toMillis(1_499), log.endOffset))?.index, 510);
        assert.equal(await log.findByTimestamp(toMillis(1_500), log.endOffset), null);
        assert.equal(await log.findByTimestamp(toMillis(1_432), offset(400)), null);
      }));

    it('pit-P93 changes state keys and the applied index together', () =>
      withStore(async ({ store, reopen }) => {
        const log = await newLog(store, 'commands');
        await append(log, batches(3, { kind: 'command' })).done;
        const put = (key: string, value: string) =>
          ({ kind: 'put', key: Buffer.from(key), value: Buffer.from(value) }) as const;
        await log.writeState(index(1), [put('b', '1'), put('a', '1'), put('', 'empty')]);
        await log.writeState(index(3), [put('b', '3'), { kind: 'delete', key: Buffer.from('a') }]);
        await assert.rejects(log.writeState(index(3), []), InvariantViolation);
        await assert.rejects(log.writeState(index(4), []), InvariantViolation);
        const many = Array.from({ length: 3_000 }, (_, at) => put(`many ${String(at).padStart(5, '0')}`, 'x'));
        await append(log, batches(1, { kind: 'command' })).done;
        await log.writeState(index(4), many);
        const again = await openLog(await reopen());
        assert.equal(again.appliedIndex, 4);
        const pairs: string[] = [];
        for await (const page of again.readState()) {
          for (const { key, value } of page)
            pairs.push(`${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`);
        }
        assert.deepEqual(pairs.slice(0, 3), ['=empty', 'b=3', 'many 00000=x']);
        assert.equal(pairs.length, 3_002);
        assert.deepEqual(pairs, [...pairs].sort());
      }));

    it('compacts the log of a commands group', () =>
      withStore(async (tested) => {
        const { store } = tested;
        const log = await newLog(store, 'commands', 0);
        await append(log, batches(100, { kind: 'command' })).done;
        await commit(log, 100);
        await log.writeState(index(90), []);
        await assert.rejects(log.compactThrough(index(91)), InvariantViolation);
        await log.compactThrough(index(80));
        await log.compactThrough(index(70));
        await nowAndReopened(log, tested, async (each) => {
          assert.deepEqual([each.firstIndex, each.lastIndex, each.termAt(index(80))], [81, 100, 1]);
          assert.deepEqual(indexesOf(await allOf(each))?.length, 20);
        });
      }));

    it('inv-log-5 pit-P88 finds altered, misplaced, stale and missing data, and never returns it', () =>
      withStore(async ({ store }) => {
        const keys = new GroupKeys(toGroupNumber(7));
        const metadata = (at: number): Uint8Array => keys.numbered(keyTags.metadata, index(at));
        const payload = (at: number): Uint8Array => keys.numbered(keyTags.payload, index(at));
        const writer = await newLog(store, 'data', 0);
        const { entries, done } = append(writer, batches(100, { count: 2, payload: Buffer.alloc(1_300, 1) }));
        await done;
        await commit(writer, 100);
        const stored = await store.getMany([metadata(50), payload(50), metadata(51), payload(51)]);
        const [meta50, payload50, meta51] = stored;
        const put = (key: Uint8Array, value: Uint8Array) =>
          ({ kind: 'put', key, value: Uint8Array.from(value) }) as const;
        const restore = () => store.write([put(metadata(50), meta50!), put(payload(50), payload50!)]);
        const damages: readonly (readonly [string, () => Promise<unknown>])[] = [
          ['a bit of a payload', () => tamper(store, payload(50), flipped(123))],
          ['a shorter payload', () => tamper(store, payload(50), (value) => value.subarray(1))],
          ['a bit of metadata', () => tamper(store, metadata(50), flipped(17))],
          ['metadata of another index', () => tamper(store, metadata(50), () => Uint8Array.from(meta51!))],
          ['no payload', () => store.write([{ kind: 'delete', key: payload(50) }])],
          ['no metadata', () => store.write([{ kind: 'delete', key: metadata(50) }])],
        ];
        for (const [what, damage] of damages) {
          await damage();
          const log = await openLog(store, 0);
          await assert.rejects(log.readFrom(offset(98), offset(99), 1), LogCorruption, what);
          await assert.rejects(log.readFrom(offset(90), offset(120), 1 << 20), LogCorruption, what);
          await assert.rejects(log.readEntries(index(45), index(60), 1 << 20), LogCorruption, what);
          await restore();
          assert.deepEqual(plain(await allOf(log)), plain(entries));
        }
      }));

    it('inv-log-5 finds every flipped byte of an entry, and every cut', () =>
      withStore(async ({ store }) => {
        const key = new GroupKeys(toGroupNumber(7)).numbered(keyTags.metadata, index(2));
        const log = await newLog(store, 'data', 0);
        await append(log, batches(3, { maxTimestampMs: 5 })).done;
        const value = await store.get(key);
        for (let at = 0; at < value!.length; at++) {
          await store.write([{ kind: 'put', key, value: flipped(at)(Uint8Array.from(value!)) }]);
          await assert.rejects(log.readEntries(index(2), index(2), 0), LogCorruption, `byte ${at}`);
          await store.write([{ kind: 'put', key, value: Uint8Array.from(value!.subarray(0, at)) }]);
          await assert.rejects(log.readEntries(index(2), index(2), 0), LogCorruption, `cut to ${at}`);
        }
      }));

    it('inv-log-5 finds an entry that was replaced by an older one of the same place', () =>
      withStore(async ({ store }) => {
        const key = new GroupKeys(toGroupNumber(7)).numbered(keyTags.metadata, index(6));
        const log = await newLog(store, 'data', 0);
        const { entries, done } = append(log, batches(10));
        await done;
        const old = await store.get(key);
        await replaceAfter(log, tailAfter(entries[4]!), batches(5)).done;
        await tamper(store, key, () => Uint8Array.from(old!));
        await assert.rejects(log.readEntries(index(1), index(10), 1 << 20), LogCorruption);
      }));

    it('pit-P124 halts at an entry of an unknown version or kind', () =>
      withStore(async ({ store }) => {
        const { crc32c } = await import('../../src/runtime/crc32c.ts');
        const { putInt32 } = await import('../../src/model/big-endian.ts');
        const key = new GroupKeys(toGroupNumber(7)).numbered(keyTags.metadata, index(3));
        const log = await newLog(store, 'data', 0);
        await append(log, batches(3)).done;
        for (const at of [0, 1]) {
          await tamper(store, key, (value) => {
            value[at] = 99;
            putInt32(value, 68, crc32c(value.subarray(0, 68), crc32c(key)));
            return value;
          });
          await assert.rejects(log.readEntries(index(3), index(3), 0), /upgrade/);
          await assert.rejects(openLog(store), /upgrade/);
        }
      }));

    it('refuses to open a log that lost what was committed', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store);
        await append(log, batches(5)).done;
        await commit(log, 5);
        const keys = new GroupKeys(toGroupNumber(7));
        await store.write([{ kind: 'delete', key: keys.numbered(keyTags.metadata, index(5)) }]);
        await assert.rejects(openLog(store), /ends at entry 4 but 5 was committed/);
        await tamper(store, keys.single(keyTags.hardState), flipped(3));
        await assert.rejects(openLog(store), LogCorruption);
      }));

    it('lists, opens and removes groups; what one does leaves the others alone', () =>
      withStore(async ({ store, reopen }) => {
        const logs = logsOn(store);
        assert.deepEqual(await logs.list(), []);
        const numbers = [0, 7, 8, 255, 256, 2 ** 40, 2 ** 48 - 1];
        for (const group of numbers) {
          const log = await logs.create(headerOf(group));
          await append(log, batches(3, { payload: Buffer.from(`group ${group}`) })).done;
        }
        await assert.rejects(logs.create(headerOf(8)), InvariantViolation);
        await assert.rejects(logsOn(store).create(headerOf(8)), InvariantViolation);
        assert.equal(await logs.open(toGroupNumber(7)), await logs.open(toGroupNumber(7)), 'one object per group');
        await logs.remove(toGroupNumber(8));
        await logs.remove(toGroupNumber(255));
        const again = logsOn(await reopen(), 0);
        assert.deepEqual(
          (await again.list()).map(({ group }) => group),
          [0, 7, 256, 2 ** 40, 2 ** 48 - 1],
        );
        await assert.rejects(again.open(toGroupNumber(8)), LogCorruption);
        for (const { group } of await again.list()) {
          const log = await again.open(group);
          const [entry] = await log.readFrom(offset(2), offset(3), 100);
          assert.equal(Buffer.from(entry!.payload).toString(), `group ${group}`);
        }
        const reborn = await again.create(headerOf(8));
        assert.deepEqual([reborn.lastIndex, reborn.hardState.term], [0, 0]);
      }));

    it('inv-log-11 a removed log takes nothing more and finds nothing', () =>
      withStore(async ({ store }) => {
        const logs = logsOn(store, 0);
        const log = await logs.create(headerOf(7));
        const { entries, done } = append(log, batches(5));
        await done;
        const reading = log.readFrom(offset(0), offset(5), 1 << 20);
        await logs.remove(toGroupNumber(7));
        assert.deepEqual(await reading, []);
        assert.deepEqual(await log.readFrom(offset(0), offset(5), 1 << 20), []);
        assert.deepEqual(await log.readEntries(index(1), index(5), 1 << 20), []);
        await assert.rejects(replaceAfter(log, tailAfter(entries[3]!), batches(1)).done, /log-11/);
        await assert.rejects(log.moveLogStart(offset(2)), /log-11/);
      }));

    it('a checkpoint or a compaction that is under way when the group is removed ends without a complaint', () =>
      withStore(async ({ store }) => {
        for (const kind of ['data', 'commands'] as const) {
          const logs = logsOn(store, 0);
          const log = await logs.create(headerOf(7, kind));
          await append(log, batches(5, { kind: kind === 'data' ? 'batch' : 'command' })).done;
          await commit(log, 5);
          if (kind === 'commands') await log.writeState(index(5), []);
          const state = new Uint8Array(0);
          const background =
            kind === 'data' ? log.saveCheckpoint({ index: index(2), state }) : log.compactThrough(index(2));
          await logs.remove(toGroupNumber(7));
          await background;
          assert.deepEqual(await store.scan({ ...new GroupKeys(toGroupNumber(7)).all(), limit: 10 }), []);
        }
      }));

    it('pit-P48 refuses to build on data without a header, and deletes none of it', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store);
        await append(log, batches(2)).done;
        const { headerKey } = await import('../../src/log/keys.ts');
        await store.write([{ kind: 'delete', key: headerKey(toGroupNumber(7)) }]);
        const logs = logsOn(store);
        await assert.rejects(logs.open(toGroupNumber(7)), LogCorruption);
        await assert.rejects(logs.create(headerOf(7)), LogCorruption);
        const left = await store.scan({ ...new GroupKeys(toGroupNumber(7)).all(), limit: 100 });
        assert.ok(left.length >= 5);
      }));

    it('reads go on beside truncation, removal and appends, and never show what is gone', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store, 'data', 2_000);
        let entries: readonly Entry[] = [];
        let stopped = false;
        const reader = async (): Promise<number> => {
          let reads = 0;
          for (; !stopped; reads++) {
            await new Promise((resolve) => setImmediate(resolve));
            const from = offset(log.logStart + ((reads * 7) % Math.max(1, log.endOffset - log.logStart)));
            const before = entries;
            const below = log.endOffset;
            const page = await log.readFrom(from, below, 2_000);
            assert.ok(page.length > 0 || from >= Math.min(below, log.endOffset) || below <= log.logStart, `${from}`);
            for (const entry of page) {
              const present = entries[entry.index - 1]?.chain === entry.chain;
              const was = before[entry.index - 1]?.chain === entry.chain;
              assert.ok(present || was, `entry ${entry.index} is or was in the log`);
            }
          }
          return reads;
        };
        const readers = [reader(), reader()];
        let last: Promise<void> = Promise.resolve();
        for (let round = 1; round <= 40; round++) {
          const added = append(log, batches(12, { count: 2, payload: Buffer.alloc(90, round) }));
          entries = [...entries, ...added.entries];
          if (round % 4 === 0) {
            const keep = entries[entries.length - 5]!;
            const replaced = replaceAfter(log, tailAfter(keep), batches(2, { count: 2 }));
            entries = [...entries.slice(0, keep.index), ...replaced.entries];
            last = replaced.done;
          }
          if (round % 5 === 0) await commit(log, log.lastIndex);
          if (round % 10 === 0) {
            await log.saveCheckpoint({ index: index(log.hardState.commit), state: new Uint8Array(1) });
            await log.moveLogStart(offset(Math.floor(log.endOffset * 0.6)));
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
        await last;
        stopped = true;
        const [one, two] = await Promise.all(readers);
        assert.ok(one! + two! > 10, 'the readers read');
        assert.deepEqual(plain(await allOf(log)), plain(entries.slice(log.firstIndex - 1)));
      }));
  });
}
