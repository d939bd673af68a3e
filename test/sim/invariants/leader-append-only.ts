import { Invariant } from '../invariant.ts';

/**
 * inv-I2: a leader never overwrites or deletes entries of its log while it leads. Raft paper, figure 3, "Leader
 * Append-Only". Watched at the disk: while a node leads a term, its cached log only grows.
 */
export class LeaderAppendOnly extends Invariant {
  readonly id = 'inv-I2';
  readonly #tails = new Map<
    string,
    { readonly term: number; readonly life: number; readonly index: number; readonly chain: number }
  >();

  override afterEvent(): void {
    for (const node of this.world.nodes) {
      for (const [group, raft] of node.groups) {
        const key = `${node.number}/${group}`;
        const image = node.disk.cached.get(group);
        if (raft.role.role !== 'leader' || image === undefined) {
          this.#tails.delete(key);
          continue;
        }
        const { index, chain } = image.last;
        const tail = this.#tails.get(key);
        if (tail?.index === index && tail.chain === chain) continue;
        if (tail?.term === raft.role.term && tail.life === node.life) {
          const there = image.at(image.header.group === group ? (tail.index as typeof index) : index)?.chain;
          this.check(
            index >= tail.index,
            `n${node.number} g${group}: leader's log shrank from ${tail.index} to ${index}`,
          );
          this.check(
            there === undefined || there === tail.chain,
            `n${node.number} g${group}: leader replaced ${tail.index}`,
          );
        }
        this.#tails.set(key, { term: raft.role.term, life: node.life, index, chain });
      }
    }
  }
}
