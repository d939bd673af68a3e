import type { GroupNumber, ReplicaId } from '../../../src/model/ids.ts';
import type { RaftGroup } from '../../../src/raft/group.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

interface Marks {
  life: number;
  term: number;
  commit: number;
  applied: number;
}

/**
 * inv-I7: term, commit index and applied index of a node never fall while it lives, and the term never falls over a
 * restart either (what it was is read from the synced image). Raft paper, section 5.1; Kafka's `MonotonicEpoch`.
 */
export class MonotoneState extends Invariant {
  readonly id = 'inv-I7';
  readonly #marks = new Map<ReplicaId, Marks>();

  override onRestart(node: SimNode): void {
    if (this.world.lostDisks.has(node.number)) return;
    for (const { header, hardState } of node.disk.synced.values()) {
      const marks = this.#marks.get(header.replicaId);
      if (marks !== undefined) marks.term = hardState.term;
    }
  }

  override onTouched(node: SimNode): void {
    if (this.world.lostDisks.has(node.number)) return;
    for (const [group, raft] of node.groups) {
      const replica = node.assigned.get(group)?.replicaId;
      if (replica !== undefined) this.#look(node, group, raft, replica);
    }
  }

  #look(node: SimNode, group: GroupNumber, raft: RaftGroup, replica: ReplicaId): void {
    const { commitIndex, appliedIndex } = raft;
    const { term } = raft.role;
    let marks = this.#marks.get(replica);
    if (marks?.life !== node.life) {
      marks = { life: node.life, term: marks?.term ?? 0, commit: 0, applied: 0 };
      this.#marks.set(replica, marks);
    }
    if (term < marks.term) this.#fell(node, group, 'term', marks.term, term);
    if (commitIndex < marks.commit) this.#fell(node, group, 'commit', marks.commit, commitIndex);
    if (appliedIndex < marks.applied) this.#fell(node, group, 'applied', marks.applied, appliedIndex);
    marks.term = term;
    marks.commit = commitIndex;
    marks.applied = appliedIndex;
  }

  #fell(node: SimNode, group: GroupNumber, what: string, from: number, to: number): void {
    this.check(false, `n${node.number} g${group}: ${what} fell from ${from} to ${to}`);
  }
}
