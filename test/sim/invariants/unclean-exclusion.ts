import type { GroupNumber, ReplicaId } from '../../../src/model/ids.ts';
import type { RoleState } from '../../../src/raft/core/ready.ts';
import { Invariant } from '../invariant.ts';
import type { Delivery } from '../sim-network.ts';
import type { SimNode } from '../sim-node.ts';

/**
 * inv-I11: a replica whose disk lost what it had acknowledged never votes, asks for no votes and never leads. It never
 * acknowledges either once this is known; where only others can tell it may acknowledge until one does, which promises
 * no more than what is durable here now (src/raft/vote-gate.ts). Whoever leads was elected by a quorum of voters: what
 * learners said does not count. Reliability 0.3; P13, P57, P61, P79, P87.
 */
export class UncleanExclusion extends Invariant {
  readonly id = 'inv-I11';
  /** Who granted a vote, by group, candidate and term. */
  readonly #votes = new Map<string, Set<ReplicaId>>();

  override onSend({ from, group, message }: Delivery): void {
    const isVote = message.kind === 'vote-reply' && message.granted;
    const isAcknowledgement = message.kind === 'append-reply' && message.result.kind === 'accepted';
    if (isVote || isAcknowledgement || message.kind === 'vote-request') {
      const isUnknown = isAcknowledgement && this.world.oldCopies.has(from);
      this.check(
        isUnknown || !this.world.atlas.isLost(message.from),
        `g${group}: replica ${message.from}, whose disk was lost, sent ${message.kind}`,
      );
    }
    if (!isVote || message.pre) return;
    const key = `${group}/${message.to}/${message.term}`;
    const votes = this.#votes.get(key) ?? new Set();
    this.#votes.set(key, votes.add(message.from));
  }

  override onRole(node: SimNode, group: GroupNumber, state: RoleState): void {
    const replica = node.assigned.get(group)?.replicaId;
    if (state.role !== 'leader' || state.serving || replica === undefined) return;
    this.check(!this.world.atlas.isLost(replica), `n${node.number}, whose disk was lost, leads g${group}`);
    const { voters, outgoing } = node.groups.get(group)?.membership.configuration ?? { voters: [], outgoing: [] };
    const votes = this.#votes.get(`${group}/${replica}/${state.term}`) ?? new Set();
    for (const half of [voters, outgoing]) {
      const granted = half.filter((voter) => voter === replica || votes.has(voter));
      this.check(
        half.length === 0 || granted.length * 2 > half.length,
        `n${node.number} leads g${group} in term ${state.term} with votes of ${granted.join(' ')} of ${half.join(' ')}`,
      );
    }
  }
}
