import type { LogIndex, ReplicaId, Term } from '../../../src/model/ids.ts';
import { Invariant } from '../invariant.ts';
import type { SimNode } from '../sim-node.ts';

interface Tail {
  readonly term: Term;
  readonly life: number;
  readonly index: LogIndex;
  readonly chain: number;
}

/**
 * inv-I2: a leader never overwrites or deletes entries of its log while it leads. Raft paper, figure 3, "Leader
 * Append-Only". Watched at the disk: while a node leads a term, its cached log only grows.
 */
export class LeaderAppendOnly extends Invariant {
  readonly id = 'inv-I2';
  readonly #tails = new Map<ReplicaId, Tail>();

  override onTouched(node: SimNode): void {
    for (const [group, raft] of node.groups) {
      const image = node.disk.cached.get(group);
      if (image === undefined) continue;
      const replica = image.header.replicaId;
      const { role, term } = raft.role;
      if (role !== 'leader') {
        this.#tails.delete(replica);
        continue;
      }
      const { index, chain } = image.last;
      const tail = this.#tails.get(replica);
      if (tail?.index === index && tail.chain === chain) continue;
      if (tail?.term === term && tail.life === node.life) {
        const there = image.at(tail.index)?.chain;
        const where = `n${node.number} g${group}`;
        this.check(index >= tail.index, `${where}: leader's log shrank from ${tail.index} to ${index}`);
        this.check(there === undefined || there === tail.chain, `${where}: leader replaced ${tail.index}`);
      }
      this.#tails.set(replica, { term, life: node.life, index, chain });
    }
  }
}
