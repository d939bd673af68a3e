/**
 * Counts the payload bytes that the logs hold, and those that were deleted since the last sweep. What was deleted before a
 * restart and not swept is not known here after it; the engine finds it out at the next compaction (Store.valueFiles).
 */
export class GarbageMeter {
  #liveBytes = 0;
  #garbageBytes = 0;

  get liveBytes(): number {
    return this.#liveBytes;
  }
  get garbageBytes(): number {
    return this.#garbageBytes;
  }
  /** Garbage as a part of everything, 0 to 1. */
  get ratio(): number {
    const total = this.#liveBytes + this.#garbageBytes;
    return total === 0 ? 0 : this.#garbageBytes / total;
  }

  /** Payload bytes were stored, or found at opening. */
  stored(bytes: number): void {
    this.#liveBytes += bytes;
  }

  /** Payload bytes were deleted; their space is still taken. */
  dropped(bytes: number): void {
    this.#liveBytes -= bytes;
    this.#garbageBytes += bytes;
  }

  /** The sweep gave back the space of this many bytes. */
  reclaimed(bytes: number): void {
    this.#garbageBytes = Math.max(0, this.#garbageBytes - bytes);
  }
}
