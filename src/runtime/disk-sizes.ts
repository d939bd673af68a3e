import { dirname, resolve } from 'node:path';
import type { Config } from '../config.ts';
import type { DiskReserves } from '../log/disk-reserve.ts';
import { diskSpace, reservesFor, writeBufferBytesFor } from '../log/disk-reserve.ts';
import { hasCode } from '../log/durable-files.ts';

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

/** Of the disk where the path is, or will be made. Makes nothing: whether a missing directory may be made is not known here. */
async function totalBytesAt(path: string): Promise<number> {
  try {
    return (await diskSpace(path)).totalBytes;
  } catch (error) {
    const above = dirname(resolve(path));
    if (hasCode(error, 'ENOENT') && above !== resolve(path)) return totalBytesAt(above);
    // whoever opens the directory next says what is wrong with it, and better than we could here
    return Number.MAX_SAFE_INTEGER;
  }
}
