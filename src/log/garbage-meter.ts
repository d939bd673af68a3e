/**
 * Estimates how much of the broker's disk holds payloads that nothing refers to any more. What was garbage before a
 * restart is not known after it; the sweep's urgent mode (disk reserve reached) does not ask.
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
