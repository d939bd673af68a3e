/**
 * How much disk is left, and who may still take from it (design D10, "Disk full"). Admission is asked for every batch, so
 * it is one comparison; the file system is asked four times a second, and what was admitted since counts as taken.
 *
 * - below the soft reserve, leaders refuse new records;
 * - between soft and hard, what was admitted but not yet replicated, and entries that free space, still fit;
 * - what the engine may take for a while to compact its tables does not count as free: it writes the new ones before it
 *   deletes the old ones, and if the disk is full by then, it fails for good;
 * - the ballast is a file full of nothing: deleted before the engine recovers on a full disk, rebuilt when there is room.
 */
import { open, rm, stat, statfs } from 'node:fs/promises';
import type { Clock, Timer } from '../model/clock.ts';
import { hasCode } from './durable-files.ts';

/** `ample`: take all. `low`: below the soft reserve. `critical`: below the hard reserve. */
export type DiskLevel = 'ample' | 'low' | 'critical';

export interface DiskReserves {
  /** Free bytes below which leaders refuse new records. */
  readonly softBytes: number;
  /** Free bytes below which a follower takes no more bulk. Covers the engine's memtables, which reach the disk twice. */
  readonly hardBytes: number;
  /** Size of the ballast file: what the engine needs to recover with nothing free. */
  readonly ballastBytes: number;
}

/** The reserves for a disk of this size: 512, 256 and 256 MiB, less on disks under 4 GiB. */
export function reservesFor(diskBytes: number): DiskReserves {
  const hardBytes = Math.min(256 << 20, Math.floor(diskBytes / 16));
  return { softBytes: 2 * hardBytes, hardBytes, ballastBytes: hardBytes };
}

/** Size of the memtables for a disk of this size, so that all of them fit into the hard reserve. */
export const writeBufferBytesFor = (diskBytes: number): number =>
  Math.max(1 << 20, Math.min(64 << 20, Math.floor(reservesFor(diskBytes).hardBytes / 4)));

export interface DiskSpace {
  readonly totalBytes: number;
  /** What this user may still take. */
  readonly freeBytes: number;
}

export async function diskSpace(path: string): Promise<DiskSpace> {
  const { blocks, bavail, bsize } = await statfs(path);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

/** What the engine may take from the disk beside what it is asked to store. */
export interface EngineSpace {
  /** Bytes that compactions may take until they are done. */
  readonly compactionBytes: number;
  /** Whether one is under way and has taken some of it. */
  readonly isCompacting: boolean;
}

export interface DiskReserveOptions {
  /** Any path on the disk. */
  readonly path: string;
  readonly ballastPath: string;
  readonly reserves: DiskReserves;
  readonly clock: Clock;
  /** A level was entered; called after `level` has changed. */
  readonly onLevel?: (level: DiskLevel, freeBytes: number) => void;
  /** The file system can not be asked any more: the disk failed. */
  readonly onFault: (error: unknown) => void;
  /** Asks the engine. Default: it takes nothing. */
  readonly engine?: () => Promise<EngineSpace>;
  /** Asks the file system; for tests. */
  readonly space?: (path: string) => Promise<DiskSpace>;
}

/** Time between two questions to the file system. */
const pollMs = 250;
/** What one poll adds to the ballast, so that building it disturbs nobody: 16 MiB a second. */
const ballastStepBytes = 4 << 20;

export class DiskReserve {
  readonly #options: DiskReserveOptions;
  /** Free space when it was last asked for, without what compactions may take. */
  #polledFreeBytes = 0;
  #totalBytes = 0;
  /** Free space as it would be if no compaction were under way. */
  #calmFreeBytes: number | null = null;
  /** Admitted since the last poll, and in the interval before: the latter may not have been written yet when it was asked. */
  #admittedBytes = 0;
  #admittedBeforeBytes = 0;
  #level: DiskLevel = 'ample';
  /** Bytes of ballast on the disk. */
  #ballastBytes = 0;
  #timer: Timer | null = null;
  #polling: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(options: DiskReserveOptions) {
    this.#options = options;
  }

  /** Asks once, then keeps asking until closed. */
  static async start(options: DiskReserveOptions): Promise<DiskReserve> {
    const reserve = new DiskReserve(options);
    reserve.#ballastBytes = await fileBytes(options.ballastPath);
    await reserve.#poll();
    reserve.#schedule();
    return reserve;
  }

  get level(): DiskLevel {
    return this.#level;
  }

  /** Size of the disk as it was last asked for, bytes. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Free bytes, what was admitted meanwhile taken off. Never negative. */
  get freeBytes(): number {
    return Math.max(0, this.#polledFreeBytes - this.#admittedBytes - this.#admittedBeforeBytes);
  }

  /** Whether the ballast has its full size. */
  get isBallastWhole(): boolean {
    return this.#ballastBytes >= this.#options.reserves.ballastBytes;
  }

  /** Takes `bytes` of new records if they leave the soft reserve whole. */
  admit(bytes: number): boolean {
    return this.#take(bytes, this.#options.reserves.softBytes);
  }

  /** Takes `bytes` that a leader has admitted already, or that free space, if they leave the hard reserve whole. */
  admitReplicated(bytes: number): boolean {
    return this.#take(bytes, this.#options.reserves.hardBytes);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#polling;
  }

  #take(bytes: number, reserveBytes: number): boolean {
    if (this.freeBytes - bytes < reserveBytes) return false;
    this.#admittedBytes += bytes;
    return true;
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.setTimer(pollMs, () => {
      this.#polling = this.#poll().then(
        () => this.#schedule(),
        (error: unknown) => this.#options.onFault(error),
      );
    });
  }

  async #poll(): Promise<void> {
    const taken = this.#admittedBytes;
    const { space = diskSpace, engine = idleEngine, path } = this.#options;
    const [{ freeBytes, totalBytes }, use] = await Promise.all([space(path), engine()]);
    this.#totalBytes = totalBytes;
    this.#calmFreeBytes = calmFree(freeBytes, use, this.#calmFreeBytes, taken);
    this.#polledFreeBytes = Math.max(0, this.#calmFreeBytes - use.compactionBytes);
    this.#admittedBeforeBytes = taken;
    this.#admittedBytes -= taken;
    this.#enter(levelOf(this.#polledFreeBytes, this.#options.reserves));
    await this.#growBallast();
  }

  #enter(level: DiskLevel): void {
    if (level === this.#level) return;
    this.#level = level;
    this.#options.onLevel?.(level, this.#polledFreeBytes);
  }

  async #growBallast(): Promise<void> {
    const { ballastPath, reserves } = this.#options;
    const missingBytes = reserves.ballastBytes - this.#ballastBytes;
    if (missingBytes <= 0 || this.freeBytes < reserves.softBytes + missingBytes) return;
    try {
      await appendIncompressible(ballastPath, Math.min(missingBytes, ballastStepBytes));
    } catch (error) {
      // somebody else was faster, or a quota says less than the file system; the next poll decides anew
      if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
    }
    this.#ballastBytes = await fileBytes(ballastPath);
  }
}

const idleEngine = (): Promise<EngineSpace> => Promise.resolve({ compactionBytes: 0, isCompacting: false });

/**
 * Free space without what a running compaction has taken of its share already, so that it does not count twice: what was
 * free before, less what was admitted since, but no more than the compaction can give back.
 */
function calmFree(freeBytes: number, use: EngineSpace, before: number | null, admittedBytes: number): number {
  if (!use.isCompacting || before === null) return freeBytes;
  return Math.max(freeBytes, Math.min(before - admittedBytes, freeBytes + use.compactionBytes));
}

const levelOf = (freeBytes: number, { softBytes, hardBytes }: DiskReserves): DiskLevel =>
  freeBytes < hardBytes ? 'critical' : freeBytes < softBytes ? 'low' : 'ample';

/**
 * Deletes the ballast if the disk is so full that the engine might not be able to recover. Called before the engine is
 * opened; harmless if another process has it open, which will build a new one.
 */
export async function makeRoomToRecover(path: string, ballastPath: string): Promise<void> {
  const ballastBytes = await fileBytes(ballastPath);
  if (ballastBytes === 0) return;
  const { freeBytes } = await diskSpace(path);
  if (freeBytes < ballastBytes) await rm(ballastPath, { force: true });
}

async function fileBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** Noise rather than zeros: some file systems store zeros as nothing. */
async function appendIncompressible(path: string, bytes: number): Promise<void> {
  const handle = await open(path, 'a', 0o640);
  try {
    for (let left = bytes; left > 0; left -= noise.length) {
      await handle.writeFile(left < noise.length ? noise.subarray(0, left) : noise);
    }
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

const noise = makeNoise(1 << 18);

function makeNoise(bytes: number): Uint8Array {
  const words = new Uint32Array(bytes / 4);
  let state = 0x9e3779b9;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return new Uint8Array(words.buffer);
}
