/**
 * The buffers that batches are written into, used again: at full speed, allocating and collecting them would cost more than
 * writing the records.
 *
 * Invariants:
 * - buffers-1: a buffer that is given back is nobody else's: its batch was answered, so all of it has left.
 * - buffers-2: what is kept is at most `keptBytesMax`, and nothing once `letGo` was called.
 */
import type { BuilderSpace } from '../../../src/model/batch-builder.ts';

/** Room for what goes onto the wire in front of a batch; a topic's name has at most 249 characters. */
export const headroomBytes = 512;

export class BatchBuffers {
  readonly #fullBytes: number;
  readonly #keptMax: number;
  readonly #kept: Uint8Array[] = [];

  /**
   * @param batchBytesMax what a full batch takes
   * @param keptBytesMax bytes that are kept for later
   */
  constructor(batchBytesMax: number, keptBytesMax: number) {
    this.#fullBytes = headroomBytes + batchBytesMax;
    this.#keptMax = Math.floor(keptBytesMax / this.#fullBytes);
  }

  /** A buffer for a batch of `batchBytes` to begin with; what is in it is undefined. */
  take(batchBytes: number): BuilderSpace {
    const bytesNeeded = headroomBytes + batchBytes;
    const kept = bytesNeeded * 2 > this.#fullBytes && bytesNeeded <= this.#fullBytes;
    const bytes = (kept ? this.#kept.pop() : null) ?? new Uint8Array(kept ? this.#fullBytes : bytesNeeded);
    return { bytes, headroomBytes };
  }

  /** The buffer that `batch` is in is needed no more. */
  giveBack(batch: Uint8Array): void {
    if (batch.buffer.byteLength !== this.#fullBytes || this.#kept.length >= this.#keptMax) return;
    this.#kept.push(new Uint8Array(batch.buffer));
  }

  letGo(): void {
    this.#kept.length = 0;
  }
}
