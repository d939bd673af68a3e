import { Invariant } from '../invariant.ts';
import type { Delivery } from '../sim-network.ts';

/** inv-I8: a replica grants one vote a term, restarts included. Raft paper, section 5.2. Watched on the wire. */
export class OneVote extends Invariant {
  readonly id = 'inv-I8';
  readonly #votes = new Map<string, number>();

  override onSend({ group, message }: Delivery): void {
    if (message.kind !== 'vote-reply' || message.pre || !message.granted) return;
    const key = `${group}/${message.from}/${message.term}`;
    const known = this.#votes.get(key);
    this.check(
      known === undefined || known === message.to,
      `group/voter/term ${key}: voted for ${known} and ${message.to}`,
    );
    this.#votes.set(key, message.to);
  }
}
