import type { GroupNumber } from '../../../src/model/ids.ts';
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
  readonly #marks = new Map<string, Marks>();

  override onRestart(node: SimNode): void {
    if (this.world.lostDisks.has(node.number)) return;
    for (const [group, image] of node.disk.synced) {
      const marks = this.#marks.get(`${node.number}/${group}`);
      if (marks !== undefined) marks.term = Math.max(0, image.hardState.term);
    }
  }

  override afterEvent(): void {
    for (const node of this.world.nodes) for (const [group] of node.groups) this.#look(node, group);
  }

  #look(node: SimNode, group: GroupNumber): void {
    const raft = node.groups.get(group);
    if (raft === undefined) return;
    const key = `${node.number}/${group}`;
    let marks = this.#marks.get(key);
    if (marks?.life !== node.life) {
      marks = { life: node.life, term: marks?.term ?? 0, commit: 0, applied: 0 };
      this.#marks.set(key, marks);
    }
    const { term } = raft.role;
    this.check(term >= marks.term, `n${node.number} g${group}: term fell from ${marks.term} to ${term}`);
    this.check(
      raft.commitIndex >= marks.commit,
      `n${node.number} g${group}: commit fell from ${marks.commit} to ${raft.commitIndex}`,
    );
    this.check(raft.appliedIndex >= marks.applied, `n${node.number} g${group}: applied fell to ${raft.appliedIndex}`);
    marks.term = term;
    marks.commit = raft.commitIndex;
    marks.applied = raft.appliedIndex;
  }
}
