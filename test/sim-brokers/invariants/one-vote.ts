import type { BrokerId, GroupNumber } from '../../../src/model/ids.ts';
import type { Message } from '../../../src/raft/core/messages.ts';
import { BrokerInvariant } from '../invariant.ts';
import type { SimBroker } from '../sim-broker.ts';

/**
 * inv-I8: a replica grants one vote a term, restarts and old copies of its disk included. Raft paper, section 5.2. Watched on
 * the wire.
 */
export class OneVote extends BrokerInvariant {
  readonly id = 'inv-I8';
  readonly #votes = new Map<string, number>();

  override onSend(_broker: SimBroker, _to: BrokerId, group: GroupNumber, message: Message): void {
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
