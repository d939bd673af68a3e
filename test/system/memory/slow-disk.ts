/**
 * A disk that takes so many bytes a second and no more: an ext4 image whose loop device is throttled by blkio (cgroup v1),
 * for everybody, so that what the kernel writes back by itself counts as well as what a broker syncs.
 */
import { existsSync, fdatasyncSync, openSync, closeSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Ext4Image } from '../durability/ext4-image.ts';

const throttle = '/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device';
/** What a broker writes at a time under load, about. */
const probeWriteBytes = 256 * 1024;
const probeWrites = 64;

export class SlowDisk {
  readonly path: string;
  readonly #image: Ext4Image;
  readonly #device: string;

  static create(megabytes: number): SlowDisk {
    if (!existsSync(throttle)) throw new Error(`this needs blkio throttling of cgroup v1: there is no ${throttle}`);
    return new SlowDisk(Ext4Image.create(megabytes));
  }

  private constructor(image: Ext4Image) {
    this.#image = image;
    this.path = image.path;
    this.#device = deviceOf(image.path);
  }

  /** @param bytesPerSecond 0: as fast as it can */
  limit(bytesPerSecond: number): void {
    writeFileSync(throttle, `${this.#device} ${bytesPerSecond}`);
  }

  /** What one writer gets through it that syncs each write, in bytes a second. */
  floor(): number {
    const path = join(this.path, 'probe');
    const file = openSync(path, 'w');
    const bytes = Buffer.alloc(probeWriteBytes, 1);
    const startMs = performance.now();
    for (let n = 0; n < probeWrites; n++) {
      writeSync(file, bytes);
      fdatasyncSync(file);
    }
    const seconds = (performance.now() - startMs) / 1_000;
    closeSync(file);
    rmSync(path);
    return (probeWrites * probeWriteBytes) / seconds;
  }

  destroy(): void {
    this.limit(0);
    this.#image.destroy();
  }
}

/** Major and minor number of the device below a mounted path, as Linux packs them. */
function deviceOf(path: string): string {
  const { dev } = statSync(path);
  return `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
}
