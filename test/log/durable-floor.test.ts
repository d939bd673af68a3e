import assert from 'node:assert/strict';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { decodeFloor, DurableFloor, encodeFloor, readFloor, type Floor } from '../../src/log/durable-floor.ts';
import { crc32c } from '../../src/runtime/crc32c.ts';

const incarnation = '01234567-89ab-4cde-8f01-23456789abcd';
const slotSpacingBytes = 4_096;

async function withFile(run: (path: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-floor-'));
  try {
    await run(join(directory, 'floor'));
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function floorAt(path: string): Promise<Floor> {
  const reading = await readFloor(path, crc32c);
  assert.equal(reading.kind, 'floor');
  return reading.floor;
}

async function damage(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = new Uint8Array(1);
  await file.read(byte, 0, 1, position);
  await file.write(Uint8Array.of((byte[0] ?? 0) ^ 0x10), 0, 1, position);
  await file.close();
}

describe('the durable floor', () => {
  it('keeps what was raised across openings', () =>
    withFile(async (path) => {
      const created = await DurableFloor.create(path, incarnation, crc32c);
      assert.deepEqual(await floorAt(path), { incarnation, commit: 0, generation: 2, state: 'healthy' });
      await created.raise(7);
      await created.close();
      const again = await DurableFloor.open(path, await floorAt(path), crc32c);
      assert.equal(again.floor.commit, 7);
      await again.raise(9);
      await again.close();
      assert.deepEqual(await floorAt(path), { incarnation, commit: 9, generation: 4, state: 'healthy' });
    }));

  it('inv-floor-1 never falls, and writes nothing for a number that it has', () =>
    withFile(async (path) => {
      const floor = await DurableFloor.create(path, incarnation, crc32c);
      await floor.raise(5);
      await floor.raise(3);
      await floor.raise(5);
      assert.deepEqual(floor.floor, { incarnation, commit: 5, generation: 3, state: 'healthy' });
      await Promise.all([floor.raise(6), floor.raise(8), floor.raise(7), floor.raise(6)]);
      assert.equal(floor.floor.commit, 8);
      await floor.close();
    }));

  it('goes by the other slot when one is torn, and says so', () =>
    withFile(async (path) => {
      const floor = await DurableFloor.create(path, incarnation, crc32c);
      await floor.raise(10);
      await floor.raise(11);
      await floor.close();
      const newest = ((await floorAt(path)).generation % 2) * slotSpacingBytes;
      await damage(path, newest + 44);
      const reading = await readFloor(path, crc32c);
      assert.ok(reading.kind === 'floor' && reading.damagedSlots === 1 && reading.floor.commit === 10);
      await damage(path, slotSpacingBytes - newest + 44);
      assert.deepEqual(await readFloor(path, crc32c), { kind: 'unreadable' });
    }));

  it('tells a missing file from an unreadable one', () =>
    withFile(async (path) => {
      assert.deepEqual(await readFloor(path, crc32c), { kind: 'missing' });
      for (const bytes of [0, 10, 52, 5_000]) {
        await writeFile(path, Buffer.alloc(bytes));
        assert.deepEqual(await readFloor(path, crc32c), { kind: 'unreadable' });
      }
    }));

  it('reads a file that ends within its second slot', () =>
    withFile(async (path) => {
      const floor = await DurableFloor.create(path, incarnation, crc32c);
      await floor.raise(4); // generation 3, second slot
      await floor.close();
      const bytes = await readFile(path);
      await writeFile(path, bytes.subarray(0, slotSpacingBytes + 20));
      assert.equal((await floorAt(path)).commit, 0);
    }));

  it('notices every single flipped bit', () => {
    const slot = encodeFloor({ incarnation, commit: 123_456_789_012, generation: 77, state: 'healthy' }, crc32c);
    for (let bit = 0; bit < slot.length * 8; bit++) {
      const flipped = Uint8Array.from(slot);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(decodeFloor(flipped, crc32c), null, `bit ${bit}`);
    }
    assert.equal(decodeFloor(slot, crc32c)?.commit, 123_456_789_012);
  });

  it('inv-floor-3 stays lost', () =>
    withFile(async (path) => {
      const floor = await DurableFloor.create(path, incarnation, crc32c);
      await floor.raise(5);
      await floor.markLost();
      await floor.markLost();
      assert.deepEqual(await floorAt(path), { incarnation, commit: 5, generation: 4, state: 'lost' });
      // while the store goes on, another broker may have been the one that told
      await Promise.all([floor.raise(6), floor.raise(7)]);
      await floor.close();
      assert.deepEqual(await floorAt(path), { incarnation, commit: 7, generation: 6, state: 'lost' });
    }));

  it('inv-floor-3 is marked lost between raises that wait for each other', () =>
    withFile(async (path) => {
      const floor = await DurableFloor.create(path, incarnation, crc32c);
      await Promise.all([floor.raise(1), floor.raise(2), floor.markLost(), floor.raise(3), floor.markLost()]);
      await floor.close();
      const { state, commit } = await floorAt(path);
      assert.deepEqual([state, commit], ['lost', 3]);
    }));
});
