/** What every implementation of the Store port does; run by test/log/store.test.ts for each of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StoreFault, type Store, type StoreChange, type StoreEntry } from '../../src/log/store.ts';

/** Opened with a queuedBytesMax of 20 MiB. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Closes it and opens it again, with what is durable. */
  readonly reopen: () => Promise<Store>;
  /** The write in flight or the next one fails as if the disk had. */
  readonly failNext: () => void;
  /** Faults that were reported. */
  readonly faults: readonly StoreFault[];
}

export type WithStore = (run: (tested: StoreUnderTest) => Promise<void>) => Promise<void>;

const key = (text: string): Uint8Array => Buffer.from(text);
const numbered = (number: number): Uint8Array => key(`n${String(number).padStart(8, '0')}`);
const put = (name: string, value: string): StoreChange => ({ kind: 'put', key: key(name), value: Buffer.from(value) });
const remove = (name: string): StoreChange => ({ kind: 'delete', key: key(name) });
const removeRange = (from: string, to: string): StoreChange => ({ kind: 'delete-range', from: key(from), to: key(to) });
const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());
const pairs = (entries: readonly StoreEntry[]): readonly string[] =>
  entries.map((entry) => `${text(entry.key) ?? ''}=${text(entry.value) ?? ''}`);
const everything = { from: key(''), to: Uint8Array.of(0xff), limit: 100_000 };

export function storeSuite(name: string, withStore: WithStore): void {
  describe(`the store port: ${name}`, () => {
    it('reads back what was written, and null for what was not', () =>
      withStore(async ({ store }) => {
        await store.write([put('a', '1'), put('b', ''), put('c', '3'.repeat(100_000))]);
        assert.equal(text(await store.get(key('a'))), '1');
        assert.equal(text(await store.get(key('b'))), '');
        assert.equal(text(await store.get(key('c'))), '3'.repeat(100_000));
        assert.equal(await store.get(key('d')), null);
        await store.write([remove('a'), put('b', '2')]);
        assert.deepEqual((await store.getMany([key('b'), key('a'), key('zz'), key('b')])).map(text), [
          '2',
          null,
          null,
          '2',
        ]);
        assert.deepEqual(await store.getMany([]), []);
      }));

    it('inv-store-2 applies writes and answers them in the order of the calls', () =>
      withStore(async ({ store }) => {
        const order: number[] = [];
        const commits = await Promise.all(
          Array.from({ length: 500 }, async (_, number) => {
            const commit = await store.write([put('same', String(number)), put(`k${number}`, 'x')]);
            order.push(number);
            return commit;
          }),
        );
        assert.deepEqual(
          order,
          [...order].sort((a, b) => a - b),
        );
        assert.deepEqual(
          commits,
          [...commits].sort((a, b) => a - b),
        );
        assert.equal(text(await store.get(key('same'))), '499');
        assert.equal((await store.scan(everything)).length, 501);
      }));

    it('inv-store-3 merges what waits into few engine writes', () =>
      withStore(async ({ store }) => {
        const before = store.commitNumbers.durable;
        const commits = await Promise.all(Array.from({ length: 1_000 }, (_, n) => store.write([put(`k${n}`, 'v')])));
        const groups = new Set(commits).size;
        assert.ok(groups <= 3, `${groups} engine writes for 1,000 calls in one turn`);
        assert.equal(store.commitNumbers.durable, before + groups);
        assert.equal(store.commitNumbers.queued, store.commitNumbers.durable);
        assert.equal(store.queuedBytes, 0);
      }));

    it('counts what waits and numbers it before it is durable', () =>
      withStore(async ({ store }) => {
        const { durable } = store.commitNumbers;
        const written = store.write([{ kind: 'put', key: key('k'), value: Buffer.alloc(10_000) }]);
        assert.ok(store.queuedBytes >= 10_000);
        assert.deepEqual(store.commitNumbers, { queued: durable + 1, durable });
        assert.equal(await written, durable + 1);
        assert.equal(store.queuedBytes, 0);
      }));

    it('keeps the order of changes within one write: delete a range, then put into it', () =>
      withStore(async ({ store }) => {
        await store.write([put('a', '1'), put('b1', '1'), put('b2', '1'), put('c', '1')]);
        await store.write([removeRange('b', 'c'), put('b2', '2'), put('b3', '2')]);
        assert.deepEqual(pairs(await store.scan(everything)), ['a=1', 'b2=2', 'b3=2', 'c=1']);
        await store.write([put('b4', '3'), removeRange('b', 'b9')]);
        assert.deepEqual(pairs(await store.scan(everything)), ['a=1', 'c=1']);
      }));

    it('scans [from, to), both ways, up to a limit, in the order of unsigned bytes', () =>
      withStore(async ({ store }) => {
        const keys = [[0], [0, 0], [1], [0x7f, 0xff], [0x80], [0x80, 0], [0xfe], [0xfe, 0xff, 0xff]].map((k) =>
          Uint8Array.from(k),
        );
        await store.write([...keys].reverse().map((k) => ({ kind: 'put' as const, key: k, value: k })));
        const hex = (entries: readonly StoreEntry[]): string[] =>
          entries.map((e) => Buffer.from(e.key).toString('hex'));
        const all = keys.map((k) => Buffer.from(k).toString('hex'));
        assert.deepEqual(hex(await store.scan(everything)), all);
        assert.deepEqual(hex(await store.scan({ ...everything, reverse: true })), [...all].reverse());
        const from = Uint8Array.of(0, 0);
        const to = Uint8Array.of(0x80, 0);
        assert.deepEqual(hex(await store.scan({ from, to, limit: 9 })), all.slice(1, 5));
        assert.deepEqual(hex(await store.scan({ from, to, limit: 2 })), all.slice(1, 3));
        assert.deepEqual(hex(await store.scan({ from, to, limit: 2, reverse: true })), all.slice(3, 5).reverse());
        assert.deepEqual(await store.scan({ from: to, to: from, limit: 9 }), []);
        assert.deepEqual(await store.scan({ from, to: from, limit: 9 }), []);
        const beyond = await store.scan({
          from: Uint8Array.of(0xfe, 1),
          to: Uint8Array.of(0xff, 0xff, 0xff),
          limit: 9,
        });
        assert.deepEqual(hex(beyond), all.slice(7));
      }));

    it('scans pages that are longer than what the engine hands over at once', () =>
      withStore(async ({ store }) => {
        const count = 5_000;
        await store.write(
          Array.from({ length: count }, (_, n) => ({ kind: 'put', key: numbered(n), value: numbered(n) })),
        );
        const range = { from: numbered(0), to: numbered(count) };
        for (const limit of [1_023, 1_024, 1_025, 2_048, count, count + 1]) {
          const forward = await store.scan({ ...range, limit });
          assert.equal(forward.length, Math.min(limit, count));
          assert.deepEqual(
            forward.map((e) => text(e.value)),
            forward.map((_, n) => text(numbered(n))),
          );
          const backward = await store.scan({ ...range, limit, reverse: true });
          assert.deepEqual(
            backward.map((e) => text(e.key)),
            forward.map((_, n) => text(numbered(count - 1 - n))),
          );
        }
      }));

    it('inv-store-6 keeps its own keys to itself', () =>
      withStore(async ({ store }) => {
        await assert.rejects(store.write([{ kind: 'put', key: Uint8Array.of(0xff, 1), value: key('x') }]), /store-6/);
        await assert.rejects(
          store.write([{ kind: 'delete-range', from: key('a'), to: Uint8Array.of(0xff, 2) }]),
          /store-6/,
        );
        await store.write([put('a', '1'), put('b', '1')]);
        await store.write([{ kind: 'delete-range', from: key('b'), to: Uint8Array.of(0xff) }]);
        assert.deepEqual(pairs(await store.scan({ ...everything, to: Uint8Array.of(0xff, 0xff) })), ['a=1']);
      }));

    it('inv-store-5 refuses to be a queue without end', () =>
      withStore(async ({ store }) => {
        const big = Buffer.alloc(9 << 20);
        const writes = Promise.all([0, 1].map((n) => store.write([{ kind: 'put', key: numbered(n), value: big }])));
        await assert.rejects(store.write([{ kind: 'put', key: numbered(3), value: big }]), /store-5/);
        await writes;
      }));

    it('inv-store-1 has after reopening what was acknowledged, and goes on numbering', () =>
      withStore(async ({ store, reopen }) => {
        await Promise.all(Array.from({ length: 50 }, (_, n) => store.write([put(`k${n}`, String(n).repeat(n * 100))])));
        const { durable } = store.commitNumbers;
        const again = await reopen();
        assert.equal(again.recovery.state, 'healthy');
        assert.equal(again.recovery.recoveredCommit, durable);
        for (let n = 0; n < 50; n++) assert.equal(text(await again.get(key(`k${n}`))), String(n).repeat(n * 100));
        assert.equal(await again.write([put('new', '1')]), durable + 1);
      }));

    it('waits on close for what is queued, and takes nothing afterwards', () =>
      withStore(async ({ store, reopen }) => {
        const writes = Array.from({ length: 20 }, (_, n) => store.write([put(`k${n}`, 'v')]));
        const again = await reopen();
        await Promise.all(writes);
        assert.equal((await again.scan(everything)).length, 20);
        await assert.rejects(store.write([put('late', 'v')]), StoreFault);
        await assert.rejects(store.get(key('k1')), StoreFault);
      }));

    it('inv-store-4 acknowledges nothing after a failed write and reports the fault once', () =>
      withStore(async ({ store, failNext, faults }) => {
        await store.write([put('before', '1')]);
        const { durable } = store.commitNumbers;
        failNext();
        const outcomes = await Promise.allSettled([
          ...Array.from({ length: 5 }, (_, n) => store.write([put(`k${n}`, 'v')])),
          new Promise((resolve) => setImmediate(resolve)).then(() => store.write([put('queued', 'v')])),
        ]);
        assert.deepEqual(
          outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason instanceof StoreFault),
          outcomes.map(() => true),
        );
        await assert.rejects(store.write([put('after', 'v')]), StoreFault);
        assert.equal(faults.length, 1);
        assert.equal(store.commitNumbers.durable, durable);
      }));

    it('inv-store-2 a view shows the writes that were applied when it was opened, and nothing of later ones', () =>
      withStore(async ({ store }) => {
        const count = 3_000;
        const old = Array.from(
          { length: count },
          (_, n) => ({ kind: 'put', key: numbered(n), value: key('old') }) as const,
        );
        await store.write([...old, put('gone', '1')]);
        const view = store.view();
        const newer = old.map((change) => ({ ...change, value: key('new') }));
        const written = store.write([...newer, remove('gone'), put('added', '1')]);
        const during = await view.scan({ ...everything, limit: 10 });
        await written;
        await store.reclaim(numbered(0), numbered(count));
        const after = await view.scan(everything);
        assert.deepEqual(pairs(during), pairs(after).slice(0, 10));
        assert.deepEqual([after.length, ...new Set(after.map(({ value }) => text(value)))], [count + 1, '1', 'old']);
        const values = await view.getMany([key('gone'), key('added'), numbered(7)]);
        assert.deepEqual(values.map(text), ['1', null, 'old']);
        await view.close();
        await assert.rejects(view.scan(everything));
        assert.equal(text(await store.get(numbered(7))), 'new');
        assert.equal(await store.get(key('gone')), null);
      }));

    it('inv-store-6 a view does not show the keys of the store itself', () =>
      withStore(async ({ store }) => {
        await store.write([put('a', '1')]);
        const view = store.view();
        assert.deepEqual(pairs(await view.scan({ ...everything, to: Uint8Array.of(0xff, 0xff) })), ['a=1']);
        await view.close();
      }));

    it('closes with a view that is open, which then reads nothing', () =>
      withStore(async ({ store, reopen }) => {
        await store.write([put('a', '1')]);
        const view = store.view();
        const again = await reopen();
        await assert.rejects(view.scan(everything), StoreFault);
        assert.equal(text(await again.get(key('a'))), '1');
      }));

    it('reclaims beside everything else', () =>
      withStore(async ({ store }) => {
        await store.write(
          Array.from({ length: 200 }, (_, n) => ({ kind: 'put', key: numbered(n), value: Buffer.alloc(5_000, n) })),
        );
        await store.write([{ kind: 'delete-range', from: numbered(0), to: numbered(150) }]);
        const reclaimed = store.reclaim(numbered(0), numbered(150));
        await store.write([put('beside', '1')]);
        await reclaimed;
        assert.equal((await store.scan({ from: numbered(0), to: numbered(200), limit: 1_000 })).length, 50);
        assert.equal(text(await store.get(key('beside'))), '1');
      }));
  });
}
