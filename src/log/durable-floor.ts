/**
 * The durable floor (design D10): a small file that says which engine write was last known to be synced. The engine
 * drops whatever follows damage in its write-ahead files without a word; a recovery that ends below the floor has lost
 * acknowledged writes, and only this file can tell.
 *
 *   slot (two of them, in pages of their own) = magic:8 version:2 state:1 reserved:5 incarnation:16
 *                                               generation:8 commit:8 crc32c:4
 *
 * The slots are written in turn, so that a torn write damages the one that is older anyway.
 *
 * Invariants:
 * - floor-1: the commit number never falls.
 * - floor-2: it is raised to a number only after the engine write of that number was synced.
 * - floor-3: `lost` stays: no later opening of the same directory is healthy.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { assert } from '../model/assert.ts';
import { int64At, putInt32, putInt64, uint32At } from '../model/big-endian.ts';
import type { Crc32c } from '../model/crc32c.ts';
import { hasCode, writeFully } from './durable-files.ts';

export interface Floor {
  /** UUID of the data directory it belongs to. */
  readonly incarnation: string;
  /** Number of the newest engine write that is known to be synced; 0: none. */
  readonly commit: number;
  /** Rises with every write of the file. */
  readonly generation: number;
  /** `lost`: acknowledged writes were once found missing here. */
  readonly state: 'healthy' | 'lost';
}

/** What the file says: `unreadable` if neither slot is intact, `missing` if there is no file. */
export type FloorReading =
  | {
      readonly kind: 'floor';
      readonly floor: Floor;
      /** Slots that did not check out, 0 or 1. */ readonly damagedSlots: number;
    }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable' };

const magic = Buffer.from('slcfloor', 'latin1');
const formatVersion = 1;
const slotBytes = 52;
const crcAt = slotBytes - 4;
/** A page each, so that one torn page never takes both. */
const slotSpacingBytes = 4_096;

export function encodeFloor(floor: Floor, crc32c: Crc32c): Uint8Array {
  const slot = new Uint8Array(slotBytes);
  slot.set(magic, 0);
  slot[9] = formatVersion;
  slot[10] = floor.state === 'lost' ? 1 : 0;
  slot.set(Buffer.from(floor.incarnation.replaceAll('-', ''), 'hex'), 16);
  putInt64(slot, 32, floor.generation);
  putInt64(slot, 40, floor.commit);
  putInt32(slot, crcAt, crc32c(slot.subarray(0, crcAt)));
  return slot;
}

/** Null if the slot is damaged, empty or of another format. */
export function decodeFloor(slot: Uint8Array, crc32c: Crc32c): Floor | null {
  if (slot.length !== slotBytes || Buffer.compare(slot.subarray(0, 8), magic) !== 0) return null;
  if (uint32At(slot, crcAt) !== crc32c(slot.subarray(0, crcAt))) return null;
  const generation = int64At(slot, 32);
  const commit = int64At(slot, 40);
  if (slot[9] !== formatVersion || generation === null || commit === null) return null;
  return {
    incarnation: uuidText(slot.subarray(16, 32)),
    commit,
    generation,
    state: slot[10] === 1 ? 'lost' : 'healthy',
  };
}

function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export async function readFloor(path: string, crc32c: Crc32c): Promise<FloorReading> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return { kind: 'missing' };
    throw error;
  }
  try {
    const slots = [await readSlot(handle, 0, crc32c), await readSlot(handle, 1, crc32c)];
    const intact = slots.filter((slot) => slot !== null);
    const [newest] = intact.sort((a, b) => b.generation - a.generation);
    return newest === undefined
      ? { kind: 'unreadable' }
      : { kind: 'floor', floor: newest, damagedSlots: slots.length - intact.length };
  } finally {
    await handle.close();
  }
}

async function readSlot(handle: FileHandle, slot: number, crc32c: Crc32c): Promise<Floor | null> {
  const bytes = new Uint8Array(slotBytes);
  const { bytesRead } = await handle.read(bytes, 0, slotBytes, slot * slotSpacingBytes);
  return decodeFloor(bytes.subarray(0, bytesRead), crc32c);
}

/** The file, open for raising. One per data directory, held by the store. */
export class DurableFloor {
  readonly #handle: FileHandle;
  readonly #crc32c: Crc32c;
  /** What is on the disk. */
  #floor: Floor;
  /** The write that is on its way, and the number it carries. */
  #raising: { readonly commit: number; readonly done: Promise<void> } | null = null;

  private constructor(handle: FileHandle, floor: Floor, crc32c: Crc32c) {
    this.#handle = handle;
    this.#floor = floor;
    this.#crc32c = crc32c;
  }

  /** Writes both slots with commit 0. The caller syncs the directory. */
  static async create(path: string, incarnation: string, crc32c: Crc32c): Promise<DurableFloor> {
    const handle = await open(path, 'w+', 0o640);
    const floor = new DurableFloor(handle, { incarnation, commit: 0, generation: 0, state: 'healthy' }, crc32c);
    await floor.#write({ ...floor.#floor, generation: 1 });
    await floor.#write({ ...floor.#floor, generation: 2 });
    await handle.sync();
    return floor;
  }

  /** Opens the file that `readFloor` read. */
  static async open(path: string, floor: Floor, crc32c: Crc32c): Promise<DurableFloor> {
    return new DurableFloor(await open(path, 'r+'), floor, crc32c);
  }

  get floor(): Floor {
    return this.#floor;
  }

  /** Resolves once the file says `commit` or more. Rejects with the disk's error: the process must end. */
  async raise(commit: number): Promise<void> {
    while (this.#raising !== null && this.#raising.commit < commit) await this.#raising.done;
    if (this.#raising !== null) return this.#raising.done;
    if (commit <= this.#floor.commit) return;
    const done = this.#write({ ...this.#floor, commit, generation: this.#floor.generation + 1 });
    this.#raising = { commit, done };
    await done;
    this.#raising = null;
  }

  /** Records for good that acknowledged writes are missing. */
  async markLost(): Promise<void> {
    while (this.#raising !== null) await this.#raising.done;
    if (this.#floor.state === 'lost') return;
    const { commit, generation } = this.#floor;
    const done = this.#write({ ...this.#floor, state: 'lost', generation: generation + 1 });
    this.#raising = { commit, done };
    await done;
    this.#raising = null;
  }

  async close(): Promise<void> {
    await this.#raising?.done;
    await this.#handle.close();
  }

  async #write(floor: Floor): Promise<void> {
    assert(floor.commit >= this.#floor.commit, 'floor-1: the floor never falls', `${floor.commit}`);
    assert(floor.state === 'lost' || this.#floor.state === 'healthy', 'floor-3: lost stays');
    await writeFully(this.#handle, encodeFloor(floor, this.#crc32c), (floor.generation % 2) * slotSpacingBytes);
    await this.#handle.datasync();
    this.#floor = floor;
  }
}
