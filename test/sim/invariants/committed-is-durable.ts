import type { GroupNumber, LogIndex } from '../../../src/model/ids.ts';
import type { Configuration } from '../../../src/raft/core/configuration.ts';
import type { IndexedConfiguration } from '../../../src/raft/core/membership.ts';
import type { RaftGroup } from '../../../src/raft/group.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimWorld } from '../sim-world.ts';

/**
 * inv-I6: a committed entry is in the synced image of a quorum of voters' disks, by the configuration that committed it,
 * and nobody applies what no leader has committed. Raft thesis 10.2.1; etcd's TLA+ `CommittedIsDurableInv`. Reads the
 * disks, not what the nodes believe.
 */
export class CommittedIsDurable extends Invariant {
  readonly id = 'inv-I6';
  /** In force at whoever leads or led, after the last event: so it decided about what the next event committed. */
  readonly #inForce = new Map<RaftGroup, IndexedConfiguration>();
  /** The highest index that a leader has committed. */
  readonly #committed = new Map<GroupNumber, number>();
  /** The highest index that was applied in this event. */
  readonly #applied = new Map<GroupNumber, number>();

  constructor(world: SimWorld) {
    super(world);
    world.committed.onCommitted.push((_node, group, entry) => {
      this.#applied.set(group, entry.index);
    });
  }

  override onTouched(node: SimNode): void {
    for (const [group, raft] of node.groups) {
      if (raft.commitIndex > (this.#committed.get(group) ?? 0)) this.#onCommit(node, group, raft);
      if (raft.role.role === 'leader') this.#inForce.set(raft, raft.membership);
    }
  }

  override onEventOver(): void {
    if (this.#applied.size === 0) return;
    for (const [group, index] of this.#applied) {
      const committed = this.#committed.get(group) ?? 0;
      this.check(index <= committed, `g${group}: ${index} was applied, and leaders have committed ${committed}`);
    }
    this.#applied.clear();
  }

  /** Nobody knew this to be committed: so this replica decided it, as a leader that may have stepped down since. */
  #onCommit(node: SimNode, group: GroupNumber, raft: RaftGroup): void {
    const index = raft.commitIndex;
    this.#committed.set(group, index);
    const inForce = this.#inForce.get(raft);
    this.check(inForce !== undefined, `n${node.number} g${group}: commit ${index}, and it never led`);
    // one event may commit a joint configuration, append the one that leaves it, and commit more by that one
    const isLeft = inForce.configuration.outgoing.length > 0 && raft.membership.index > inForce.index;
    const parts = isLeft
      ? [
          { through: inForce.index, by: inForce },
          { through: index, by: raft.membership },
        ]
      : [];
    for (const { through, by } of isLeft && inForce.index <= index ? parts : [{ through: index, by: inForce }]) {
      this.#check(node, group, through, by.configuration);
    }
  }

  #check(node: SimNode, group: GroupNumber, index: LogIndex, { voters, outgoing }: Configuration): void {
    const chain = node.disk.cached.get(group)?.at(index)?.chain;
    if (chain === undefined) return;
    for (const half of [voters, outgoing]) {
      if (half.length === 0) continue;
      const holders = half.filter((voter) => {
        const image = this.world.atlas.imageOf(voter);
        return image !== undefined && (index <= image.before.index || image.at(index)?.chain === chain);
      });
      this.check(
        holders.length * 2 > half.length,
        `g${group} index ${index} is committed but durable only at ${holders.join(' ')} of ${half.join(' ')}`,
      );
    }
  }
}
