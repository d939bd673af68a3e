import { Invariant } from '../invariant.ts';
import type { Operation } from '../workload.ts';
import { operationOf } from '../workload.ts';

/**
 * inv-B1: an acknowledged operation is in the committed log at its offset when it is acknowledged, and at the end on
 * every replica. Jepsen's lost-write.
 */
export class AckedDurable extends Invariant {
  readonly id = 'inv-B1';

  override onOperationAcked(operation: Operation): void {
    const entry = this.world.committed.entries(operation.group)[(operation.index ?? 0) - 1];
    const right = entry !== undefined && operationOf(entry) === operation.id && entry.baseOffset === operation.offset;
    this.check(right, `operation ${operation.id} was acknowledged at index ${operation.index}, where it is not`);
  }

  override atEnd(): void {
    for (const node of this.world.nodes.filter(({ alive }) => alive)) {
      for (const [group, raft] of node.groups) {
        const { voters, learners } = this.world.committed.membership(group).configuration;
        const replica = node.assigned.get(group)?.replicaId;
        const takesPart = replica !== undefined && [...voters, ...learners].includes(replica);
        if (!takesPart || raft.quarantine !== null || !this.world.atlas.canElect(group)) continue;
        const committed = this.world.committed.entries(group);
        const image = node.disk.synced.get(group);
        this.check(image !== undefined, `n${node.number} has no group ${group}`);
        for (const entry of committed.slice(image.before.index)) {
          this.check(
            image.at(entry.index)?.chain === entry.chain,
            `n${node.number} g${group} lacks committed ${entry.index}`,
          );
        }
      }
    }
  }
}
