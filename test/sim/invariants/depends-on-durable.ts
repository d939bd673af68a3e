import type { GroupNumber } from '../../../src/model/ids.ts';
import { Invariant } from '../invariant.ts';
import type { Delivery } from '../sim-network.ts';

/**
 * inv-I13: no message leaves before the state that it promises is durable: votes with term and vote, acknowledgements
 * with the entries, requests of a term with that term. Raft paper, figure 2 ("Updated on stable storage before
 * responding to RPCs").
 */
export class DependsOnDurable extends Invariant {
  readonly id = 'inv-I13';

  override onSend({ from, group, message }: Delivery): void {
    if (message.kind === 'vote-reply' && message.granted && !message.pre)
      this.#vote(from, group, message.term, message.to);
    if (message.kind === 'append-reply' && message.result.kind === 'accepted') {
      this.#entries(from, group, message.term, message.result.durableIndex);
    }
  }

  #vote(node: number, group: GroupNumber, term: number, candidate: number): void {
    const synced = this.world.nodes[node - 1]?.disk.synced.get(group)?.hardState;
    // a later term may have become durable in the same write: then this term's vote is over, and can not be given again
    const durable = synced !== undefined && (synced.term > term || (synced.term === term && synced.vote === candidate));
    this.check(durable, `n${node} g${group}: vote for ${candidate} in term ${term} left before it was durable`);
  }

  #entries(node: number, group: GroupNumber, term: number, through: number): void {
    const disk = this.world.nodes[node - 1]?.disk;
    const synced = disk?.synced.get(group);
    const cached = disk?.cached.get(group);
    // one write may have made the entries durable and a later leader's in their place: that is an answer on its way
    if ((synced?.hardState.term ?? 0) > term) return;
    const last = synced?.last.index ?? 0;
    this.check(through <= last, `n${node} g${group}: acknowledged ${through}, durable are ${last}`);
    // a later leader has replaced them meanwhile, in memory only: what was promised is what is durable
    if ((cached?.hardState.term ?? 0) > term) return;
    const index = through as Parameters<NonNullable<typeof synced>['at']>[0];
    const [there, here] = [synced?.at(index), cached?.at(index)];
    this.check(
      there === undefined || here === undefined || there.chain === here.chain,
      `n${node} g${group}: acknowledged ${through}, another entry is durable`,
    );
  }
}
