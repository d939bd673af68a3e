import { mkdir } from 'node:fs/promises';
import type { Config } from '../config.ts';
import type { DiskReserves } from '../log/disk-reserve.ts';
import { diskSpace, reservesFor, writeBufferBytesFor } from '../log/disk-reserve.ts';

export interface DiskSizes {
  readonly reserves: DiskReserves;
  readonly writeBufferBytes: number;
}

/** Sizes that depend on the disk under the data directory, where the settings do not say otherwise. */
export async function diskSizes(storage: Config['storage']): Promise<DiskSizes> {
  const totalBytes = await totalBytesAt(storage.dataDir);
  const reserves = reservesFor(totalBytes);
  const hardBytes = storage.hardReserveBytes ?? Math.min(reserves.hardBytes, storage.softReserveBytes ?? Infinity);
  return {
    reserves: {
      hardBytes,
      softBytes: Math.max(hardBytes, storage.softReserveBytes ?? reserves.softBytes),
      ballastBytes: storage.ballastBytes ?? reserves.ballastBytes,
    },
    writeBufferBytes: writeBufferBytesFor(totalBytes),
  };
}

async function totalBytesAt(path: string): Promise<number> {
  try {
    await mkdir(path, { recursive: true, mode: 0o750 });
    return (await diskSpace(path)).totalBytes;
  } catch {
    // whoever opens the directory next says what is wrong with it, and better than we could here
    return Number.MAX_SAFE_INTEGER;
  }
}
