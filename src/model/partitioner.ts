/** Which partition a record goes to: Kafka's default rules. */
import { assert } from './assert.ts';
import { murmur2 } from './murmur2.ts';
import type { Random } from './random.ts';

/** The partition of a key among `partitionCount` (1 to 2^31-1): the same key always goes to the same one. */
export function partitionForKey(key: Uint8Array, partitionCount: number): number {
  assert(partitionCount > 0, 'partitioner-1: a topic has partitions');
  return (murmur2(key) & 0x7fff_ffff) % partitionCount;
}

/**
 * Partitions for records without a key, of one topic: all go to the same one until its batch is full, then to another
 * chosen by chance. Fuller batches than a partition for each record gives, and as even over time.
 */
export class StickyPartitioner {
  /** Null: none was chosen yet. */
  private current: number | null = null;
  private readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** The partition for the next record. `partitionCount` may have grown since. */
  partition(partitionCount: number): number {
    assert(partitionCount > 0, 'partitioner-1: a topic has partitions');
    if (this.current === null || this.current >= partitionCount) this.current = this.random.below(partitionCount);
    return this.current;
  }

  /** A batch for `full` was closed: the next record goes elsewhere, if there is an elsewhere. */
  batchClosed(full: number, partitionCount: number): void {
    if (this.current !== full || partitionCount < 2) return;
    const other = this.random.below(partitionCount - 1);
    this.current = other < full ? other : other + 1;
  }
}
