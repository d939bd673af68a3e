/** A byte array that grows by doubling up to a limit: what decompressors write into. */
export class OutputBuffer {
  /** Invariant: what was written is bytes[0, at), and bytes.length <= bytesMax. */
  bytes: Uint8Array;
  at = 0;
  private readonly bytesMax: number;

  /** `capacityBytes` is a guess, or what the data claim; never more than `bytesMax` is allocated for it. */
  constructor(bytesMax: number, capacityBytes: number) {
    this.bytesMax = bytesMax;
    this.bytes = new Uint8Array(Math.min(capacityBytes, bytesMax));
  }

  /** Makes room for `count` bytes more. False: that is above the limit, and nothing changed. */
  reserve(count: number): boolean {
    const needed = this.at + count;
    if (needed <= this.bytes.length) return true;
    if (needed > this.bytesMax) return false;
    const grown = new Uint8Array(Math.min(this.bytesMax, Math.max(needed, this.bytes.length * 2)));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
    return true;
  }

  /** Appends `count` bytes of `source` from `start`. There must be room. */
  copyFrom(source: Uint8Array, start: number, count: number): void {
    const { bytes, at } = this;
    if (count > loopBytesMax) bytes.set(source.subarray(start, start + count), at);
    else for (let i = 0; i < count; i++) bytes[at + i] = source[start + i] ?? 0;
    this.at = at + count;
  }

  /** Appends `count` bytes of its own, from `distance` (1 to `at`) back; they may overlap, and then repeat. */
  repeat(distance: number, count: number): void {
    const { bytes, at } = this;
    if (distance >= count && count > loopBytesMax) bytes.copyWithin(at, at - distance, at - distance + count);
    else if (distance === 1 && count > loopBytesMax) bytes.fill(bytes[at - 1] ?? 0, at, at + count);
    else for (let i = 0; i < count; i++) bytes[at + i] = bytes[at + i - distance] ?? 0;
    this.at = at + count;
  }

  /** What was written: a view. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }
}

/** Up to here a loop beats a call (measured on Node 20 and 22). */
const loopBytesMax = 24;
