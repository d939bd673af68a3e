import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  type EngineSpace,
  DiskReserve,
  makeRoomToRecover,
  reservesFor,
  writeBufferBytesFor,
} from '../../src/log/disk-reserve.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

const mib = 1 << 20;
const pollMs = 250;

interface Rig {
  readonly reserve: DiskReserve;
  readonly levels: string[];
  readonly ballastPath: string;
  /** Lets a poll see this much free space, and this of the engine. */
  readonly poll: (freeBytes: number, engine?: EngineSpace) => Promise<void>;
}

const idle: EngineSpace = { compactionBytes: 0, isCompacting: false };

async function withReserve(freeBytes: number, run: (rig: Rig) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-reserve-'));
  const ballastPath = join(directory, 'ballast');
  const clock = new ManualClock();
  const levels: string[] = [];
  let free = freeBytes;
  let use = idle;
  const reserve = await DiskReserve.start({
    path: directory,
    ballastPath,
    reserves: { softBytes: 20 * mib, hardBytes: 10 * mib, ballastBytes: 5 * mib },
    clock,
    onLevel: (level) => levels.push(level),
    onFault: (error) => assert.fail(String(error)),
    engine: () => Promise.resolve(use),
    space: () => Promise.resolve({ totalBytes: 100 * mib, freeBytes: free }),
  });
  const poll = async (bytes: number, engine: EngineSpace = idle): Promise<void> => {
    free = bytes;
    use = engine;
    clock.advance(pollMs);
    while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
  };
  try {
    await run({ reserve, levels, ballastPath, poll });
  } finally {
    await reserve.close();
    await rm(directory, { recursive: true });
  }
}

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => ({ size: 0 }))).size;

describe('the disk reserve', () => {
  it('pit-P91 keeps room for the compaction of what is stored, and does not count a running one twice', () =>
    withReserve(90 * mib, async ({ reserve, levels, poll }) => {
      const tables = 30 * mib;
      await poll(90 * mib, { compactionBytes: tables, isCompacting: false });
      assert.equal(reserve.freeBytes, 60 * mib);
      assert.ok(reserve.admit(2 * mib));
      await poll(88 * mib, { compactionBytes: tables, isCompacting: false });
      await poll(70 * mib, { compactionBytes: tables, isCompacting: true });
      assert.equal(reserve.freeBytes, 58 * mib, 'the compaction has taken 18 MiB of its 30');
      await poll(58 * mib, { compactionBytes: tables, isCompacting: true });
      assert.equal(reserve.freeBytes, 58 * mib);
      await poll(40 * mib, { compactionBytes: tables, isCompacting: true });
      assert.equal(reserve.freeBytes, 40 * mib, 'somebody else has taken the rest');
      assert.deepEqual(levels, []);
      await poll(49 * mib, { compactionBytes: tables, isCompacting: false });
      assert.deepEqual([levels, reserve.admit(1)], [['low'], false]);
    }));

  it('admits down to the soft reserve, and what was admitted elsewhere down to the hard one', () =>
    withReserve(24 * mib, async ({ reserve, poll }) => {
      assert.ok(reserve.admit(3 * mib));
      assert.ok(!reserve.admit(2 * mib), 'admitted bytes count before the file system knows of them');
      assert.ok(reserve.admit(mib));
      assert.ok(!reserve.admit(1));
      assert.ok(reserve.admitReplicated(9 * mib));
      assert.ok(!reserve.admitReplicated(2 * mib));
      assert.equal(reserve.freeBytes, 11 * mib);
      await poll(11 * mib);
      assert.equal(reserve.freeBytes, 0, 'what was admitted just before may not be on the disk yet');
      await poll(11 * mib);
      assert.equal(reserve.freeBytes, 11 * mib);
    }));

  it('says when a level is entered', () =>
    withReserve(100 * mib, async ({ reserve, levels, poll }) => {
      assert.equal(reserve.level, 'ample');
      for (const free of [50, 19, 15, 9, 12, 25, 3]) await poll(free * mib);
      assert.deepEqual(levels, ['low', 'critical', 'low', 'ample', 'critical']);
      assert.equal(reserve.level, 'critical');
      assert.ok(!reserve.admit(1));
    }));

  it('builds its ballast step by step, and only out of plenty', () =>
    withReserve(21 * mib, async ({ reserve, ballastPath, poll }) => {
      assert.equal(await sizeOf(ballastPath), 0);
      await poll(30 * mib);
      assert.equal(await sizeOf(ballastPath), 4 * mib);
      assert.ok(!reserve.isBallastWhole);
      await poll(20 * mib);
      assert.equal(await sizeOf(ballastPath), 4 * mib);
      await poll(30 * mib);
      assert.equal(await sizeOf(ballastPath), 5 * mib);
      assert.ok(reserve.isBallastWhole);
      await poll(90 * mib);
      assert.equal(await sizeOf(ballastPath), 5 * mib);
    }));

  it('keeps the ballast when there is room to recover without it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sluice-reserve-'));
    const ballastPath = join(directory, 'ballast');
    await makeRoomToRecover(directory, ballastPath);
    await writeFile(ballastPath, Buffer.alloc(1_000));
    await makeRoomToRecover(directory, ballastPath);
    assert.equal(await sizeOf(ballastPath), 1_000);
    await rm(directory, { recursive: true });
  });

  it('scales with the disk, and the memtables with the reserve', () => {
    assert.deepEqual(reservesFor(2 ** 40), { softBytes: 512 * mib, hardBytes: 256 * mib, ballastBytes: 256 * mib });
    assert.deepEqual(reservesFor(64 * mib), { softBytes: 8 * mib, hardBytes: 4 * mib, ballastBytes: 4 * mib });
    assert.equal(writeBufferBytesFor(2 ** 40), 64 * mib);
    for (const disk of [64 * mib, 2 ** 30, 2 ** 33]) {
      assert.ok(3 * writeBufferBytesFor(disk) <= Math.max(3 * mib, reservesFor(disk).hardBytes));
    }
  });
});
