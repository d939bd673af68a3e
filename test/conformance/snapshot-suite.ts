/** What sending and installing a snapshot does to a group log, on every store; run by test/log/snapshots.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GroupKeys, keyTags } from '../../src/log/keys.ts';
import type { GroupKind, GroupLog, LogSnapshot, SnapshotHead, SnapshotReceipt } from '../../src/log/log.ts';
import { LogCorruption } from '../../src/log/reader.ts';
import { snapshotBytesMax } from '../../src/log/snapshot-import.ts';
import { SnapshotRefused } from '../../src/log/snapshot-refused.ts';
import type { Store } from '../../src/log/store.ts';
import { InvariantViolation } from '../../src/model/assert.ts';
import { toGroupNumber, toLogIndex, toOffset, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { StateChange } from '../../src/model/raft-state.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';
import { append, commit, seal, tailOf, type EntryWish } from '../fakes/entry-sealer.ts';
import { headerOf, logsOn, newLog, openLog } from '../fakes/log-fixture.ts';
import type { ReopenableStore, WithReopenableStore } from './log-suite.ts';

const index = toLogIndex;
const offset = toOffset;
const batches = (count: number, wish: EntryWish = {}): readonly EntryWish[] =>
  Array.from({ length: count }, () => wish);
const put = (key: string, value: string): StateChange => ({
  kind: 'put',
  key: Buffer.from(key),
  value: Buffer.from(value),
});

/** Group 8 of the same store: the sender, next to group 7, the receiver. Chains differ by group, so it is given group 7's. */
const sender = (store: Store, kind: GroupKind): Promise<GroupLog> =>
  logsOn(store).create({ ...headerOf(8, kind), genesis: Uint8Array.of(7) });

async function bytesOf(snapshot: LogSnapshot, chunkBytes = 1_000): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of snapshot.chunks(chunkBytes)) chunks.push(chunk);
  for (const chunk of chunks.slice(0, -1)) assert.equal(chunk.length, chunkBytes);
  return Buffer.concat(chunks);
}

async function feed(receipt: SnapshotReceipt, bytes: Uint8Array, chunkBytes = 777): Promise<void> {
  for (let at = 0; at < bytes.length; at += chunkBytes) await receipt.add(bytes.subarray(at, at + chunkBytes));
}

/** What a log says of itself that a snapshot must bring along. */
const faceOf = (log: GroupLog): unknown => ({
  firstIndex: log.firstIndex,
  lastIndex: log.lastIndex,
  lastTerm: log.lastTerm,
  lastChain: log.lastChain,
  baseChain: log.baseChain,
  lastAppendTimeMs: log.lastAppendTimeMs,
  endOffset: log.endOffset,
  logStart: log.logStart,
  commit: log.hardState.commit,
  terms: log.terms,
  configurations: log.configurations.map(({ index: at, payload }) => ({ at, payload: [...payload] })),
  appliedIndex: log.appliedIndex,
  payloadBytes: log.payloadBytes,
});

async function stateOf(log: GroupLog): Promise<readonly string[]> {
  const pairs: string[] = [];
  for await (const page of log.readState()) {
    for (const { key, value } of page) pairs.push(`${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`);
  }
  return pairs;
}

/** A sender whose log begins after entry 30 of 52, at offset 57, with three terms and two configurations. */
async function dataSender(store: Store): Promise<GroupLog> {
  const log = await sender(store, 'data');
  await append(log, [
    { kind: 'configuration', payload: Uint8Array.of(1) },
    ...batches(20, { count: 2, maxTimestampMs: 5_000, term: 2 }),
    { kind: 'configuration', payload: Uint8Array.of(2), term: 3 },
    ...batches(30, { count: 2, maxTimestampMs: 1_000, term: 4, payload: Buffer.alloc(1_500) }),
  ]).done;
  await commit(log, 52);
  for (const at of [10, 30, 50])
    await log.saveCheckpoint({ index: index(at), state: Buffer.from(`state ${at} `.repeat(500)) });
  await log.moveLogStart(offset(60));
  assert.equal(log.firstIndex, 31);
  return log;
}

/** A sender with `keys` state keys, as of entry 40 of 60; its log begins after entry 35. */
async function commandSender(store: Store, keys = 3_000): Promise<GroupLog> {
  const log = await sender(store, 'commands');
  await append(log, [
    ...batches(5, { kind: 'command' }),
    { kind: 'configuration', payload: Uint8Array.of(3), term: 2 },
    ...batches(54, { kind: 'command', term: 2 }),
  ]).done;
  await commit(log, 60);
  const changes = Array.from({ length: keys }, (_, n) =>
    put(`key ${String(n).padStart(6, '0')}`, `v${n}`.repeat(n % 50)),
  );
  await log.writeState(index(40), [...changes, put('', 'empty key'), put('empty value', '')]);
  await log.compactThrough(index(35));
  return log;
}

const headed = (snapshot: LogSnapshot | null): LogSnapshot => {
  assert.ok(snapshot !== null, 'there is something to send');
  return snapshot;
};

/** A receiver with entries of its own, not all of them committed. */
async function receiver(store: Store, kind: GroupKind): Promise<GroupLog> {
  const log = await newLog(store, kind, 0);
  const wish: EntryWish = kind === 'data' ? { count: 1, maxTimestampMs: 9_000 } : { kind: 'command' };
  await append(log, [{ kind: 'configuration', payload: Uint8Array.of(9) }, ...batches(70, wish)]).done;
  await commit(log, 8);
  if (kind === 'data') await log.saveCheckpoint({ index: index(7), state: Buffer.from('old') });
  else await log.writeState(index(7), [put('old', '1'), put('key 000001', 'old')]);
  await log.append({
    hardState: { term: toTerm(5), vote: toReplicaId(4), commit: index(8) },
    truncateAfter: null,
    entries: [],
  });
  return log;
}

/** Checks a log as it is, and as a restart finds it. */
async function nowAndReopened(
  log: GroupLog,
  { reopen }: ReopenableStore,
  check: (log: GroupLog, store: Store | null) => Promise<void>,
): Promise<void> {
  await check(log, null);
  const store = await reopen();
  await check(await openLog(store, 0), store);
}

export function snapshotSuite(name: string, withStore: WithReopenableStore): void {
  describe(`snapshots of a group log on ${name}`, () => {
    it('there is nothing to send while the log begins at its very beginning', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store);
        await append(log, batches(3)).done;
        await commit(log, 3);
        await log.saveCheckpoint({ index: index(2), state: Uint8Array.of(1) });
        assert.equal(await log.openSnapshot(), null);
        await logsOn(store).remove(toGroupNumber(7));
        const commands = await newLog(store, 'commands');
        assert.equal(await commands.openSnapshot(), null);
      }));

    it('inv-log-9 inv-log-13 a data group sends the state at its base, as of that entry (pit-P44, pit-P45)', () =>
      withStore(async ({ store }) => {
        const log = await dataSender(store);
        const snapshot = headed(await log.openSnapshot());
        const { head } = snapshot;
        assert.deepEqual([head.position.index, head.position.term, head.position.endOffset], [30, 4, 56]);
        assert.deepEqual([head.logStart, head.position.maxTimestampMs], [60, 5_000]);
        assert.deepEqual(head.terms, [{ term: 4, startIndex: 23, startOffset: 40 }]);
        assert.deepEqual([...head.configuration], [2]);
        const state = Buffer.from('state 30 '.repeat(500));
        assert.deepEqual(await bytesOf(snapshot), state);
        assert.deepEqual(await bytesOf(snapshot, 7), state);
        assert.deepEqual([head.byteLength, head.checksum], [state.length, crc32c(state)]);
        assert.equal(head.position.chain, log.baseChain);
      }));

    it('a command group sends its state keys as of the applied index, while they go on changing (pit-P47)', () =>
      withStore(async ({ store }) => {
        const log = await commandSender(store);
        const before = await stateOf(log);
        const snapshot = headed(await log.openSnapshot());
        const first = await bytesOf(snapshot);
        const { head } = snapshot;
        const written = log.writeState(index(50), [
          put('key 000000', 'changed'),
          { kind: 'delete', key: Buffer.from('') },
        ]);
        const during = await bytesOf(snapshot, 100);
        await written;
        await log.compactThrough(index(50));
        assert.deepEqual(await bytesOf(snapshot, 1 << 20), first);
        assert.deepEqual(during, first);
        assert.deepEqual([head.position.index, head.position.term, head.byteLength], [40, 2, first.length]);
        assert.deepEqual([...head.configuration], [3]);
        assert.deepEqual(head.terms, [{ term: 2, startIndex: 6, startOffset: 0 }]);
        assert.equal(head.checksum, crc32c(first));
        await snapshot.close();
        assert.notDeepEqual(await stateOf(log), before);
        const newer = headed(await log.openSnapshot());
        assert.equal(newer.head.position.index, 50, 'the entry is the base of the log now');
        await newer.close();
      }));

    for (const kind of ['data', 'commands'] as const) {
      it(`pit-P42 inv-log-12 a ${kind} group's log gives way to a snapshot as a whole, and goes on after it`, () =>
        withStore(async (tested) => {
          const { store } = tested;
          const from = await (kind === 'data' ? dataSender : commandSender)(store);
          const snapshot = headed(await from.openSnapshot());
          const { position } = snapshot.head;
          const bytes = await bytesOf(snapshot);
          const log = await receiver(store, kind);
          const inFlight = log.append({
            hardState: null,
            truncateAfter: null,
            entries: seal(tailOf(log), batches(3, { kind: 'fence' })),
          });
          const before = faceOf(log);
          const receipt = log.receiveSnapshot(snapshot.head);
          await feed(receipt, bytes);
          assert.deepEqual(faceOf(log), before, 'nothing of it is seen before it is whole');
          if (kind === 'commands') assert.deepEqual(await stateOf(log), ['key 000001=old', 'old=1']);
          let writes = 0;
          const write = store.write.bind(store);
          store.write = (changes) => {
            writes++;
            return write(changes);
          };
          const installed = receipt.install();
          assert.equal(writes, 1, 'what takes effect is one write');
          store.write = write;
          assert.deepEqual([log.firstIndex, log.lastIndex], [position.index + 1, position.index], 'at once in memory');
          await Promise.all([installed, inFlight]);
          await snapshot.close();
          await nowAndReopened(log, tested, async (each, reopened) => {
            assert.deepEqual(faceOf(each), {
              firstIndex: position.index + 1,
              lastIndex: position.index,
              lastTerm: position.term,
              lastChain: position.chain,
              baseChain: position.chain,
              lastAppendTimeMs: position.appendTimeMs,
              endOffset: position.endOffset,
              logStart: position.endOffset,
              commit: position.index,
              terms: snapshot.head.terms,
              configurations: [{ at: position.index, payload: [...snapshot.head.configuration] }],
              appliedIndex: kind === 'data' ? 0 : position.index,
              payloadBytes: 0,
            });
            assert.deepEqual([each.hardState.term, each.hardState.vote], [5, 4], 'what it voted stays');
            assert.equal(each.termAt(position.index), position.term);
            assert.equal(each.termAt(index(position.index - 1)), null);
            assert.deepEqual(await each.readEntries(index(1), index(80), 1 << 20), []);
            assert.deepEqual(await each.readFrom(offset(0), offset(80), 1 << 20), []);
            if (kind === 'data')
              assert.deepEqual(await each.loadCheckpoint(), { index: 30, state: new Uint8Array(bytes) });
            else assert.deepEqual((await stateOf(each)).length, 3_002);
            if (reopened === null) return;
            const again = headed(await each.openSnapshot());
            assert.deepEqual(await bytesOf(again), bytes, 'it can be sent on from here');
            assert.deepEqual(again.head, { ...snapshot.head, logStart: position.endOffset });
            await again.close();
            const wishes = batches(3, kind === 'data' ? { count: 2, maxTimestampMs: 7 } : { kind: 'command' });
            await append(each, wishes).done;
            await commit(each, position.index + 3);
            const last = await openLog(reopened, 0);
            assert.deepEqual([last.firstIndex, last.lastIndex], [position.index + 1, position.index + 3]);
            assert.equal((await last.readEntries(index(position.index + 1), last.lastIndex, 1 << 20)).length, 3);
            if (kind === 'data') assert.equal((await last.readFrom(offset(57), last.endOffset, 0))[0]?.baseOffset, 56);
          });
        }));

      it(`pit-P41 pit-P82 a crash before the last write leaves the old ${kind} group whole, and room for another try`, () =>
        withStore(async ({ store, reopen }) => {
          const from = await (kind === 'data' ? dataSender : commandSender)(store);
          const snapshot = headed(await from.openSnapshot());
          const bytes = await bytesOf(snapshot);
          const log = await receiver(store, kind);
          const before = faceOf(log);
          const state = await stateOf(log);
          await feed(log.receiveSnapshot(snapshot.head), bytes);
          const reopened = await reopen();
          const again = await openLog(reopened, 0);
          assert.deepEqual(faceOf(again), before);
          assert.deepEqual(await stateOf(again), state);
          // part of the same, then all of it
          await again.receiveSnapshot(snapshot.head).add(bytes.subarray(0, 10));
          const receipt = again.receiveSnapshot(snapshot.head);
          await feed(receipt, bytes);
          await receipt.install();
          assert.equal(again.lastIndex, snapshot.head.position.index);
          if (kind === 'commands') assert.equal((await stateOf(again)).length, 3_002);
        }));
    }

    it('what a snapshot left that was never installed goes with the next change of the state', () =>
      withStore(async ({ store, reopen }) => {
        const from = await commandSender(store);
        const snapshot = headed(await from.openSnapshot());
        const bytes = await bytesOf(snapshot);
        const log = await receiver(store, 'commands');
        const keys = new GroupKeys(toGroupNumber(7));
        const staged = async (at: Store): Promise<number> =>
          (await at.scan({ ...keys.tagged(keyTags.otherState), limit: 10_000 })).length;
        const receipt = log.receiveSnapshot(snapshot.head);
        await feed(receipt, bytes);
        assert.equal(await staged(store), 3_002);
        await log.writeState(index(8), [put('new', '1')]);
        assert.equal(await staged(store), 3_002, 'not while it is coming in');
        const reopened = await reopen();
        const again = await openLog(reopened, 0);
        await append(again, [{ kind: 'command' }]).done;
        await again.writeState(index(9), [put('newer', '1')]);
        assert.equal(await staged(reopened), 0);
        assert.deepEqual(await stateOf(again), ['key 000001=old', 'new=1', 'newer=1', 'old=1']);
      }));

    it('pit-P47 two snapshots, one right after the other: the state keys go back and forth between their places', () =>
      withStore(async ({ store, reopen }) => {
        const from = await commandSender(store, 10);
        const log = await receiver(store, 'commands');
        for (const [at, value] of [
          [45, 'first'],
          [55, 'second'],
          [58, 'third'],
        ] as const) {
          await from.writeState(index(at), [put('round', value)]);
          const snapshot = headed(await from.openSnapshot());
          const receipt = log.receiveSnapshot(snapshot.head);
          await feed(receipt, await bytesOf(snapshot));
          await receipt.install();
          await snapshot.close();
          assert.deepEqual(await stateOf(log), await stateOf(from));
        }
        const again = await openLog(await reopen(), 0);
        assert.deepEqual((await stateOf(again)).at(-1), 'round=third');
        assert.equal(again.appliedIndex, 58);
      }));

    it('pit-P48 a snapshot that is damaged, cut, too long, or of unknown format is refused, and changes nothing', () =>
      withStore(async (tested) => {
        const { store } = tested;
        const from = await commandSender(store, 100);
        const snapshot = headed(await from.openSnapshot());
        const { head } = snapshot;
        const bytes = await bytesOf(snapshot);
        const log = await receiver(store, 'commands');
        const before = faceOf(log);
        const flipped = Uint8Array.from(bytes);
        flipped[500] = (flipped[500] ?? 0) ^ 1;
        const cut = { ...head, byteLength: bytes.length - 1, checksum: crc32c(bytes.subarray(0, -1)) };
        const wrong: readonly (readonly [string, SnapshotHead, Uint8Array])[] = [
          ['a flipped bit', head, flipped],
          ['bytes are missing', head, bytes.subarray(0, -1)],
          ['bytes are left over', head, Buffer.concat([bytes, Uint8Array.of(1)])],
          ['a pair is cut', cut, bytes.subarray(0, -1)],
          ['nothing at all', head, new Uint8Array(0)],
          ['another format', head, Uint8Array.of(99, ...bytes.subarray(1))],
          ['an impossible length', head, Uint8Array.of(1, 255, 255, 255, 255, 0, 0, 0, 0, 1)],
          ['an empty state, as if that were one', { ...head, byteLength: 0, checksum: 0 }, new Uint8Array(0)],
        ];
        for (const [what, said, sent] of wrong) {
          const receipt = log.receiveSnapshot(said);
          const taken = feed(receipt, sent).then(() => receipt.install());
          await assert.rejects(taken, SnapshotRefused, what);
          await assert.rejects(receipt.add(bytes), SnapshotRefused, `${what}: it is over`);
          assert.deepEqual(faceOf(log), before, what);
        }
        await nowAndReopened(log, tested, async (each) => {
          assert.deepEqual(faceOf(each), before);
          assert.deepEqual(await stateOf(each), ['key 000001=old', 'old=1']);
        });
        await snapshot.close();
      }));

    it('pit-P46 a snapshot that another one took the place of goes no further', () =>
      withStore(async ({ store }) => {
        const from = await commandSender(store, 10);
        const snapshot = headed(await from.openSnapshot());
        const bytes = await bytesOf(snapshot);
        const log = await receiver(store, 'commands');
        const first = log.receiveSnapshot(snapshot.head);
        await first.add(bytes.subarray(0, 20));
        const second = log.receiveSnapshot(snapshot.head);
        await assert.rejects(first.add(bytes.subarray(20)), SnapshotRefused);
        await assert.rejects(first.install(), SnapshotRefused);
        await feed(second, bytes);
        await second.install();
        assert.equal((await stateOf(log)).length, 12);
        await snapshot.close();
      }));

    it('refuses what is over the limit before a byte of it is taken', () =>
      withStore(async ({ store }) => {
        const from = await dataSender(store);
        const { head } = headed(await from.openSnapshot());
        const log = await receiver(store, 'data');
        const tooLarge = { ...head, byteLength: snapshotBytesMax.data + 1 };
        assert.throws(() => log.receiveSnapshot(tooLarge), SnapshotRefused);
      }));

    it('inv-log-13 refuses a data snapshot that begins above the log start: something retained would be skipped', () =>
      withStore(async ({ store }) => {
        const from = await dataSender(store);
        const { head } = headed(await from.openSnapshot());
        const log = await receiver(store, 'data');
        assert.throws(() => log.receiveSnapshot({ ...head, logStart: offset(55) }), SnapshotRefused);
      }));

    it('inv-log-6 never takes back what is committed or applied', () =>
      withStore(async ({ store }) => {
        const from = await dataSender(store);
        const snapshot = headed(await from.openSnapshot());
        const log = await receiver(store, 'data');
        await commit(log, 31);
        const receipt = log.receiveSnapshot(snapshot.head);
        await feed(receipt, await bytesOf(snapshot));
        await assert.rejects(receipt.install(), InvariantViolation);
      }));

    it('pit-P48 a base without its state is corruption, never an empty state', () =>
      withStore(async ({ store }) => {
        const log = await dataSender(store);
        const key = new GroupKeys(toGroupNumber(8)).numbered(keyTags.checkpoint, index(30));
        await store.write([{ kind: 'delete', key }]);
        await assert.rejects(log.openSnapshot(), LogCorruption);
      }));

    it('pit-P49 holds entries back for a follower that is behind, up to a number of bytes', () =>
      withStore(async ({ store }) => {
        const log = await newLog(store, 'data', 0);
        await append(log, batches(100, { payload: Buffer.alloc(1_000) })).done;
        await commit(log, 100);
        for (const at of [10, 20, 30, 40, 50]) await log.saveCheckpoint({ index: index(at), state: Uint8Array.of(at) });
        await log.holdBack({ above: index(25), bytesMax: 80_000 });
        await log.moveLogStart(offset(45));
        assert.deepEqual([log.logStart, log.firstIndex], [45, 21], 'what is hidden stays until the follower has it');
        await append(log, [{}]).done;
        await commit(log, 101);
        await log.saveCheckpoint({ index: index(101), state: Uint8Array.of(1) });
        assert.equal(log.firstIndex, 41, 'it is too far behind now');
        await log.holdBack({ above: index(42), bytesMax: 80_000 });
        await log.moveLogStart(offset(60));
        assert.equal(log.firstIndex, 41);
        await log.moveLogStart(offset(61));
        assert.equal(log.firstIndex, 41);
        await log.holdBack({ above: index(50), bytesMax: 80_000 });
        assert.equal(log.firstIndex, 51, 'what the follower has by now goes at once');
        await log.holdBack(null);
        assert.equal((await openLog(store, 0)).firstIndex, 51);
      }));

    it('a snapshot is opened while the base moves, and shows one of the two', () =>
      withStore(async ({ store }) => {
        const log = await dataSender(store);
        const opening = log.openSnapshot();
        const moved = log.moveLogStart(offset(100));
        const { head } = headed(await opening);
        await moved;
        assert.equal(head.position.index, 50);
        assert.ok(head.position.endOffset <= head.logStart);
      }));

    it('inv-log-11 a group that is removed sends nothing, and takes nothing more of a snapshot', () =>
      withStore(async ({ store }) => {
        const from = await commandSender(store, 10);
        const snapshot = headed(await from.openSnapshot());
        const bytes = await bytesOf(snapshot);
        await snapshot.close();
        const logs = logsOn(store, 0);
        const log = await logs.create(headerOf(7, 'commands'));
        const receipt = log.receiveSnapshot(snapshot.head);
        await receipt.add(bytes.subarray(0, 30));
        await logs.remove(toGroupNumber(7));
        await assert.rejects(receipt.add(bytes.subarray(30)), /log-11/);
        assert.equal(await log.openSnapshot(), null);
        assert.deepEqual(await store.scan({ ...new GroupKeys(toGroupNumber(7)).all(), limit: 10 }), []);
      }));
  });
}
