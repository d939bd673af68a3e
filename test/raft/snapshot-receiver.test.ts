/** The driver's side of a snapshot on its way in, by itself: which chunks it takes, and whose place they hold. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toMillis, toReplicaId, toTerm } from '../../src/model/ids.ts';
import type { SnapshotChunk } from '../../src/raft/core/messages.ts';
import { driverLimitsDefault } from '../../src/raft/driver-limits.ts';
import { metaOf } from '../../src/raft/snapshot-meta.ts';
import { SnapshotReceiver } from '../../src/raft/snapshot-receiver.ts';
import { SnapshotSlots } from '../../src/raft/snapshot-slots.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { MemoryLogs } from '../fakes/memory-log.ts';
import { groupSeven } from './rig.ts';

async function receiving(): Promise<{
  receiver: SnapshotReceiver;
  slots: SnapshotSlots;
  clock: ManualClock;
  refused: string[];
  chunk: (id: string, position: number) => SnapshotChunk;
}> {
  const clusterId = 'f0000000-0000-4000-8000-00000000000f';
  const to = toReplicaId(1);
  const log = await new MemoryLogs().create({
    group: groupSeven,
    kind: 'data',
    clusterId,
    replicaId: to,
    genesis: new Uint8Array(0),
  });
  const refused: string[] = [];
  const slots = new SnapshotSlots(1);
  const clock = new ManualClock();
  const receiver = new SnapshotReceiver(log, driverLimitsDefault, slots, clock, {
    pause: () => Promise.resolve(),
    resume: () => undefined,
    installed: () => Promise.resolve(),
    refused: (why) => refused.push(why),
  });
  const position = {
    index: log.lastIndex,
    term: toTerm(1),
    endOffset: log.endOffset,
    chain: 7,
    appendTimeMs: toMillis(0),
    maxTimestampMs: null,
    payloadBytes: 0,
  };
  const { logStart } = log;
  const head = { position, logStart, configuration: new Uint8Array(0), terms: [], byteLength: 9, checksum: 0 };
  const chunk = (id: string, at: number): SnapshotChunk => {
    const meta = metaOf(id, head);
    const from = toReplicaId(2);
    return {
      kind: 'snapshot-chunk',
      from,
      to,
      term: toTerm(1),
      meta,
      position: at,
      bytes: Buffer.from('abc'),
      last: false,
    };
  };
  return { receiver, slots, clock, refused, chunk };
}

test('pit-P46: a chunk counts only behind those of the same snapshot', async () => {
  const { receiver, refused, chunk } = await receiving();
  assert.equal(await receiver.take(chunk('a', 0)), 'more');
  assert.equal(await receiver.take(chunk('b', 3)), 'refused', 'of another snapshot');
  assert.equal(await receiver.take(chunk('a', 6)), 'refused', 'not the next one');
  assert.deepEqual(refused, ['snapshot-out-of-place', 'snapshot-out-of-place']);
  assert.equal(await receiver.take(chunk('a', 3)), 'more');
});

test('pit-P80: a snapshot that begins takes the place of the one before; one that stalls gives its place back', async () => {
  const { receiver, slots, clock, chunk } = await receiving();
  await receiver.take(chunk('a', 0));
  await receiver.take(chunk('b', 0));
  assert.equal(slots.taken, 1);
  clock.advance(driverLimitsDefault.snapshotStallMs - 1);
  assert.equal(slots.taken, 1);
  await receiver.take(chunk('b', 3));
  clock.advance(driverLimitsDefault.snapshotStallMs - 1);
  assert.equal(slots.taken, 1, 'each chunk begins the time anew');
  clock.advance(1);
  assert.equal(slots.taken, 0);
  assert.equal(await receiver.take(chunk('b', 6)), 'refused');
});

test('pit-P80: beyond the places of the broker a snapshot is refused, until a place is given back', async () => {
  const { receiver, slots, refused, chunk } = await receiving();
  assert.equal(slots.take(), true);
  assert.equal(await receiver.take(chunk('a', 0)), 'refused');
  assert.deepEqual(refused, ['snapshot-slots']);
  slots.give();
  assert.equal(await receiver.take(chunk('a', 0)), 'more');
  await receiver.close();
  assert.equal(slots.taken, 0);
});
