import { Invariant } from '../invariant.ts';

/**
 * inv-I9: first - 1 <= applied <= commit <= last, and what was dropped from the log had been applied to the state that
 * stands in for it. Kafka's `SnapshotAtLogStart`.
 */
export class LogOrder extends Invariant {
  readonly id = 'inv-I9';

  override afterEvent(): void {
    for (const node of this.world.nodes) {
      for (const [group, raft] of node.groups) {
        const where = `n${node.number} g${group}`;
        this.check(
          raft.appliedIndex <= raft.commitIndex,
          `${where}: applied ${raft.appliedIndex} > commit ${raft.commitIndex}`,
        );
        this.check(
          raft.commitIndex <= raft.log.lastIndex,
          `${where}: commit ${raft.commitIndex} > last ${raft.log.lastIndex}`,
        );
        this.check(
          raft.log.firstIndex - 1 <= raft.appliedIndex,
          `${where}: first ${raft.log.firstIndex} > applied + 1`,
        );
      }
    }
  }
}
