import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

/** inv-I15: a leader's uncommitted tail stays under its limit plus one entry. etcd's `BoundedLogGrowthWithPartition`. */
export class BoundedMemory extends Invariant {
  readonly id = 'inv-I15';
  readonly #slackBytes = 64 * 1024;

  override onTouched(node: SimNode): void {
    for (const [group, raft] of node.groups) {
      if (raft.role.role !== 'leader') continue;
      const image = node.disk.cached.get(group);
      const limit = this.world.shape.raftLimits.uncommittedBytesMax + this.#slackBytes;
      if (image === undefined || raft.log.lastIndex - raft.commitIndex < 64) continue;
      let bytes = 0;
      for (const entry of image.entries.slice(raft.commitIndex - image.before.index)) bytes += entry.payload.byteLength;
      this.check(bytes <= limit, `n${node.number} g${group}: ${bytes} bytes uncommitted`);
    }
  }
}
