import type { Entry } from '../../../src/model/entry.ts';
import type { GroupNumber, ReplicaId } from '../../../src/model/ids.ts';
import { decodeConfiguration } from '../../../src/raft/core/configuration.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimWorld } from '../sim-world.ts';

/**
 * inv-I6: a committed entry is in the synced image of a quorum of voters' disks, by the configuration that committed it.
 * Raft thesis 10.2.1; etcd's TLA+ `CommittedIsDurableInv`. Reads the disks, not what the nodes believe.
 */
export class CommittedIsDurable extends Invariant {
  readonly id = 'inv-I6';

  constructor(world: SimWorld) {
    super(world);
    world.committed.onCommitted.push((node, group, entry) => {
      this.#onCommitted(node, group, entry);
    });
  }

  #onCommitted(node: SimNode, group: GroupNumber, entry: Entry): void {
    const fine = this.#configurations(node, group, entry).some((voters) =>
      voters.every((half) => half.filter((voter) => this.#has(voter, group, entry)).length * 2 > half.length),
    );
    this.check(fine, `g${group} index ${entry.index} is committed but not durable on a quorum`);
  }

  #has(voter: ReplicaId, group: GroupNumber, entry: Entry): boolean {
    const image = this.world.nodeOf(voter)?.disk.synced.get(group);
    if (image === undefined) return false;
    return entry.index <= image.before.index || image.at(entry.index)?.chain === entry.chain;
  }

  /** The configurations that may have committed it: the last one at or before it, and any that the node has after it. */
  #configurations(node: SimNode, group: GroupNumber, entry: Entry): (readonly ReplicaId[])[][] {
    const all = (node.disk.cached.get(group)?.configurations ?? []).map(({ index, payload }) => ({
      index,
      ...decodeConfiguration(payload),
    }));
    const before = all.filter(({ index }) => index <= entry.index).at(-1);
    const after = all.filter(({ index }) => index > entry.index);
    const founding = { voters: this.world.planOf(group).voters, outgoing: [] as readonly ReplicaId[] };
    return [before ?? founding, ...after].map(({ voters, outgoing }) =>
      outgoing.length > 0 ? [voters, outgoing] : [voters],
    );
  }
}
